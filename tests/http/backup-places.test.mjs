// Where backups go to, and where they come back to: names that two want at once, disks, links, mounts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { BUILD } from '../lib/paths.mjs';
import { DATABASE, makeRoot } from '../lib/roots.mjs';
import { until } from '../lib/server.mjs';

const PICTURES = Array.from({ length: 40 }, (_, i) => `${i}.png`);

describe('places of backups', () => {
    let top;
    const at = (...name) => path.join(top, ...name);
    const invokemu = (...args) => run({ data: at('root') }, 'invokemu', args);
    const pictures = (root) => fs.readdirSync(path.join(root, 'outputs/images')).filter((n) => n.endsWith('.png')).sort();
    /** A backup that can be restored, and has all pictures. */
    const assertWhole = async (from) => {
        const done = await invokemu('restore', from, '--root', `${from}-restored`);
        assert.deepEqual([done.code, done.err], [0, '']);
        assert.deepEqual(pictures(`${from}-restored`), [...PICTURES].sort());
    };

    before(async () => {
        top = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-places-'));
        makeRoot(at('root'), PICTURES);
        assert.equal((await invokemu('backup', at('good.tar'))).code, 0);
    });
    after(() => fs.rmSync(top, { recursive: true, force: true }));

    /** Starts a backup, and stops it in its middle; where it was too fast for that, once more. */
    const haltedBackup = async (to) => {
        for (;;) {
            const child = spawn(path.join(BUILD, 'bin/invokemu'), ['backup', to, '--root', at('root')], { stdio: ['ignore', 'ignore', 'pipe'] });
            let err = '';
            child.stderr.on('data', (d) => (err += d));
            const ended = new Promise((resolve) => child.on('close', (code) => resolve({ code, err })));
            const stat = () => (fs.existsSync(`/proc/${child.pid}/stat`) ? fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1][0] : 'X');
            const over = () => 'XZ'.includes(stat());
            const begun = () => (to.endsWith('.tar') ? fs.readdirSync(at('root/tmp')).some((n) => fs.existsSync(at('root/tmp', n, 'outputs'))) : fs.existsSync(`${to}.unfinished/outputs`));
            await until(() => over() || begun(), 'the backup to begin', 20000);
            child.kill('SIGSTOP');
            await until(() => over() || stat() === 'T', 'the backup to stand still');
            if (!over()) {
                return { go: () => (child.kill('SIGCONT'), ended), end: () => (child.kill('SIGKILL'), ended) };
            }
            assert.equal((await ended).code, 0);
            fs.rmSync(to, { recursive: true });
        }
    };

    for (const [kind, name] of [['one file', 'one.tar'], ['a folder', 'one']]) {
        test(`a second backup into ${kind} of that name is refused while the first is at work`, async () => {
            const first = await haltedBackup(at(name));
            const second = await invokemu('backup', at(name));
            assert.deepEqual([second.code, /unfinished/.test(second.err)], [1, true], second.err);
            assert.deepEqual(await first.go(), { code: 0, err: '' });
            await assertWhole(at(name));
        });

        test(`of many backups at once into ${kind} of one name, one is made and the others are refused`, async () => {
            for (let i = 0; i < 8; i++) {
                const to = at(`${i}-${name}`);
                const all = await Promise.all([1, 2, 3].map(() => invokemu('backup', to)));
                assert.deepEqual(all.map((b) => b.code).sort(), [0, 1, 1], all.map((b) => b.err).join());
                for (const refused of all.filter((b) => b.code)) {
                    assert.match(refused.err, /unfinished|exists already/);
                }
                assert.ok(!fs.existsSync(`${to}.unfinished`));
                await assertWhole(to);
            }
            assert.deepEqual(fs.readdirSync(at('root/tmp')), []);
        });

        test(`a backup into ${kind} replaces nothing that got its name meanwhile`, async () => {
            const backup = await haltedBackup(at(`meanwhile-${name}`));
            fs.writeFileSync(at(`meanwhile-${name}`), 'mine');
            const { code, err } = await backup.go();
            assert.deepEqual([code, /exists already/.test(err)], [1, true], err);
            assert.equal(fs.readFileSync(at(`meanwhile-${name}`), 'utf8'), 'mine');
            assert.ok(!fs.existsSync(at(`meanwhile-${name}.unfinished`)));
            assert.deepEqual(fs.readdirSync(at('root/tmp')), []);
        });

        test(`what is left of a backup into ${kind} that was broken off stays, and is named`, async () => {
            fs.writeFileSync(at(`left-${name}.unfinished`), 'part');
            const refused = await invokemu('backup', at(`left-${name}`));
            assert.deepEqual([refused.code, /left-\S+\.unfinished .*broken off/.test(refused.err)], [1, true], refused.err);
            assert.equal(fs.readFileSync(at(`left-${name}.unfinished`), 'utf8'), 'part');
        });
    }

    /** Everything below a folder, with what links lead to. */
    const tree = (folder) => execFileSync('find', [folder, '-printf', '%P %y %s %l\n'], { encoding: 'utf8' }).split('\n').filter((line) => !/-use f/.test(line)).sort();
    const OTHER_DISK = fs.existsSync('/dev/shm') && fs.statSync('/dev/shm').dev !== fs.statSync(os.tmpdir()).dev && '/dev/shm';
    const moved = (from, to) => {
        fs.cpSync(from, to, { recursive: true });
        fs.rmSync(from, { recursive: true });
        fs.symlinkSync(to, from);
    };

    for (const part of ['outputs', 'outputs/images', 'outputs/images/thumbnails', DATABASE]) {
        test(`a restore is refused, and changes nothing, where ${part} is a link`, async () => {
            const root = at(`linked ${part.replaceAll('/', ' ')}`);
            makeRoot(root, ['old.png']);
            moved(path.join(root, part), `${root}, elsewhere`);
            const held = tree(root);
            const refused = await invokemu('restore', at('good.tar'), '--root', root, '--force');
            assert.deepEqual([refused.code, refused.err.includes(`${path.join(root, part)} is a link`), /Nothing was changed.*--root/.test(refused.err)], [1, true, true], refused.err);
            assert.deepEqual(tree(root), held);
        });
    }

    test('folders that things are only moved through may be links on the same disk', async () => {
        const root = at('linked way');
        makeRoot(root, ['old.png']);
        for (const part of ['databases', 'tmp']) {
            fs.mkdirSync(path.join(root, part), { recursive: true });
            moved(path.join(root, part), at(`linked way, ${part}`));
        }
        const done = await invokemu('restore', at('good.tar'), '--root', root, '--force', '--json');
        assert.deepEqual([done.code, done.err], [0, '']);
        assert.deepEqual([pictures(root), pictures(JSON.parse(done.out).moved_to)], [[...PICTURES].sort(), ['old.png']]);
        assert.ok(fs.existsSync(at('linked way, databases/invokemu.db')));
    });

    test('a restore is refused where database or tmp is on another disk', { skip: !OTHER_DISK && 'needs another disk' }, async () => {
        const other = fs.mkdtempSync(path.join(OTHER_DISK, 'imu-places-'));
        try {
            const root = at('two disks');
            makeRoot(root, ['old.png']);
            const held = tree(root);
            const refused = await invokemu('restore', at('good.tar'), '--root', root, '--database', path.join(other, 'new/invokemu.db'), '--force');
            assert.deepEqual([refused.code, refused.err.includes(`${other}/new is on another disk`)], [1, true], refused.err);
            assert.deepEqual([tree(root), fs.readdirSync(other)], [held, []]);
            moved(path.join(root, 'databases'), path.join(other, 'databases'));
            fs.mkdirSync(path.join(root, 'tmp'), { recursive: true });
            const refuses = async (part) => {
                const again = await invokemu('restore', at('good.tar'), '--root', root, '--force');
                assert.deepEqual([again.code, again.err.includes(`${path.join(root, part)} is on another disk`)], [1, true], again.err);
            };
            await refuses('databases');
            fs.rmSync(path.join(root, 'databases'));
            fs.rmSync(path.join(root, 'tmp'), { recursive: true, force: true });
            fs.symlinkSync(other, path.join(root, 'tmp'));
            await refuses('tmp');
        } finally {
            fs.rmSync(other, { recursive: true });
        }
    });

    /** Runs a command where something is mounted that nobody else sees. */
    const mounted = (mount, ...args) => {
        const words = ['-m', 'sh', '-ec', `${mount}; exec "$@"`, 'sh', path.join(BUILD, 'bin/invokemu'), ...args];
        return new Promise((resolve) => {
            const child = spawn('unshare', words, { stdio: ['ignore', 'ignore', 'pipe'] });
            let err = '';
            child.stderr.on('data', (d) => (err += d));
            child.on('close', (code) => resolve({ code, err }));
        });
    };
    const mounts = () => {
        try {
            execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', at('root/tmp')], { stdio: 'ignore' });
            return false;
        } catch {
            return 'needs the right to mount';
        }
    };

    for (const part of ['outputs', 'outputs/images', 'outputs/images/thumbnails', 'outputs/images/more/below', 'databases', 'tmp']) {
        for (const [kind, mount] of [['a disk', 'mount -t tmpfs none'], ['a part of the same disk', 'mount --bind .']]) {
            test(`a restore is refused, and changes nothing, where ${kind} is mounted on ${part}`, async (t) => {
                const why = mounts();
                if (why) {
                    return t.skip(why);
                }
                const root = at(`mounted ${kind} ${part.replaceAll('/', ' ')}`);
                makeRoot(root, ['old.png']);
                fs.mkdirSync(path.join(root, part), { recursive: true });
                const held = tree(root);
                const refused = await mounted(`cd "${at('root')}"; ${mount} "${path.join(root, part)}"`, 'restore', at('good.tar'), '--root', root, '--force');
                assert.deepEqual([refused.code, refused.err.includes(`${path.join(root, part)} is on another disk`)], [1, true], refused.err);
                assert.deepEqual(tree(root), held);
            });
        }
    }

    test('a disk that is full is named', async (t) => {
        const why = mounts();
        if (why) {
            return t.skip(why);
        }
        fs.mkdirSync(at('full'));
        const mount = (size) => `mount -t tmpfs -o size=${size} none "${at('full')}"`;
        for (const [what, size, ...args] of [
            ['backup into one file', '100k', 'backup', at('full/b.tar'), '--root', at('root')],
            ['backup into a folder', '100k', 'backup', at('full/b'), '--root', at('root')],
            ['restore of one file', '100k', 'restore', at('good.tar'), '--root', at('full')],
        ]) {
            const failed = await mounted(mount(size), ...args);
            assert.deepEqual([failed.code, /: the disk is full/.test(failed.err)], [1, true], `${what}: ${failed.err}`);
        }
    });

    test('doctor leaves folders alone that somebody works in, however long that takes', async () => {
        const late = { LD_PRELOAD: path.join(BUILD, 'late.so'), IMU_LATER: String(2 * 86400), ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` };
        const leftovers = async (...more) => {
            const { out } = await run({ data: at('root') }, 'invokemu', ['doctor', '--json', ...more], '', late);
            return JSON.parse(out).filter((f) => f.what === 'leftovers').flatMap((f) => f.names);
        };
        const backup = await haltedBackup(at('slow.tar'));
        const held = fs.readdirSync(at('root/tmp'));
        assert.ok(held.length > 0);
        assert.deepEqual(await leftovers('--fix'), []);
        assert.deepEqual(fs.readdirSync(at('root/tmp')), held);
        assert.equal((await backup.go()).code, 0);
        await assertWhole(at('slow.tar'));
        const killed = await haltedBackup(at('killed.tar'));
        await killed.end();
        const left = fs.readdirSync(at('root/tmp'));
        assert.deepEqual((await leftovers('--fix')).sort(), left.sort());
        assert.deepEqual(fs.readdirSync(at('root/tmp')), []);
        // An import holds its lock by the file beside its folder.
        fs.writeFileSync(at('root/tmp/import.lock'), '');
        const holder = spawn('flock', [at('root/tmp/import.lock'), 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
        await new Promise((resolve) => holder.stdout.once('data', resolve));
        assert.deepEqual(await leftovers('--fix'), []);
        const over = new Promise((resolve) => holder.on('close', resolve));
        holder.stdin.end();
        await over;
        assert.deepEqual(await leftovers('--fix'), ['import.lock']);
    });
});
