// Backup of a server in use, and the way back: the same rows and files, elsewhere.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawn } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { BUILD } from '../lib/paths.mjs';
import { makePng } from '../lib/png.mjs';
import { DATABASE, makeRoot } from '../lib/roots.mjs';
import { startServer, until, useServer } from '../lib/server.mjs';
import { addUser, login, PASSWORD, setupAdmin, upload } from '../lib/users.mjs';

const PARTS = ['outputs/images', 'outputs/images/thumbnails', 'outputs/workflow_thumbnails', 'outputs/style_presets'];

const sql = (file, statement) => execFileSync('sqlite3', ['-json', file, statement], { encoding: 'utf8', maxBuffer: 1 << 28 });
const rows = (file, statement) => JSON.parse(sql(file, statement) || '[]');
/** Everything in a database but its own bookkeeping, and the note that it was restored. */
const contents = (file) => {
    const tables = rows(file, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").map((t) => t.name);
    return Object.fromEntries(tables.map((name) => [name, rows(file, `SELECT * FROM ${name} ORDER BY 1`).filter((row) => row.action !== 'backup_restored')]));
};
/** Digests of the files in the folders that a backup has. */
const files = (root) =>
    Object.fromEntries(
        PARTS.flatMap((part) => {
            const folder = path.join(root, part);
            const names = fs.existsSync(folder) ? fs.readdirSync(folder).filter((n) => fs.statSync(path.join(folder, n)).isFile()) : [];
            return names.sort().map((n) => [`${part}/${n}`, crypto.createHash('sha256').update(fs.readFileSync(path.join(folder, n))).digest('hex')]);
        }),
    );
/** Each picture has its row, and each row its picture. */
const assertWhole = (root) => {
    const named = rows(path.join(root, DATABASE), 'SELECT image_name AS n FROM images ORDER BY 1').map((r) => r.n);
    const there = Object.keys(files(root));
    const of = (part, end) => there.filter((f) => path.dirname(f) === part).map((f) => `${path.basename(f, end)}.png`).sort();
    assert.deepEqual(of('outputs/images', '.png'), named);
    assert.deepEqual(of('outputs/images/thumbnails', '.webp'), named);
    return named;
};

describe('backup and restore', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, rita;
    const invokemu = (...args) => run(server, 'invokemu', args);
    const at = (name) => path.join(server.root, name);
    const restoreTo = (from, root, ...more) => invokemu('restore', from, '--root', root, ...more);

    before(async () => {
        admin = await setupAdmin(server);
        rita = await addUser(admin, 'Rita');
        const board = (await rita.post('/api/v1/boards/?board_name=Sea')).body;
        for (let i = 0; i < 6; i++) {
            await upload(rita, { png: makePng(8 + i, 8), query: i % 2 ? '' : `&board_id=${board.board_id}` });
        }
        await rita.post('/api/v1/client_state/default/set_by_key?key=theme', 'dark');
    });

    /** Uploads and deletes pictures until told to stop. */
    const load = () => {
        let going = true;
        let gone = 0;
        let made = 0;
        const one = async () => {
            while (going) {
                const { image_name: name } = await upload(rita, { png: makePng(16, 16) });
                made++;
                if (made % 3) {
                    assert.equal((await rita.delete(`/api/v1/images/i/${name}`)).status, 200);
                    gone++;
                }
            }
        };
        const all = Promise.all([one(), one(), one()]);
        return {
            busy: () => gone < 4,
            stop: async () => {
                going = false;
                await all;
            },
        };
    };

    for (const [kind, name, ...more] of [['a folder', 'one'], ['a folder of copies', 'two', '--copy'], ['one file', 'three.tar']]) {
        test(`taken under load into ${kind}, and restored elsewhere, it is the same`, async () => {
            const { busy, stop } = load();
            const taken = [];
            for (let i = 0; i < 4 || busy(); i++) {
                assert.ok(i < 100, 'people make and delete pictures meanwhile');
                const to = at(`${i}-${name}`);
                const made = await invokemu('backup', to, ...more, '--json');
                assert.deepEqual([made.code, made.err], [0, '']);
                taken.push([to, JSON.parse(made.out).pictures]);
            }
            await stop();
            for (const [i, [from, pictures]] of taken.entries()) {
                const root = at(`restored-${i}-${name}`);
                const done = await restoreTo(from, root, '--json');
                assert.deepEqual([done.code, done.err], [0, '']);
                assert.equal(assertWhole(root).length, pictures);
                if (!name.endsWith('.tar')) {
                    assert.deepEqual(files(root), files(from));
                    assert.deepEqual(contents(path.join(root, DATABASE)), contents(path.join(from, DATABASE)));
                    assert.equal(fs.statSync(from).mode & 0o777, 0o700, 'for its owner’s eyes alone');
                }
            }
            assert.deepEqual(fs.readdirSync(path.join(server.data, 'tmp')), [], 'nothing is left behind');
        });
    }

    // Letters composed and apart, as a Mac writes them; a long one; and a stray file whose name is no text.
    const ODD = ['Ärger-猫-🦊.png', 'A\u0308rger-apart.png', `lang-${'ö'.repeat(100)}.png`];
    const stray = (folder) => Buffer.from(`${folder}/outputs/images/stray-\xff`, 'latin1');
    for (const [kind, name] of [['a folder', 'odd'], ['one file', 'odd.tar']]) {
        for (const locale of ['C', 'C.UTF-8', 'nowhere']) {
            test(`names with any letters come through ${kind}, whatever the caller's locale is (${locale})`, async () => {
                const root = at(`odd-root-${locale}-${name}`);
                makeRoot(root, ODD);
                fs.writeFileSync(stray(root), 'x');
                const env = { LC_ALL: locale };
                const made = await run(server, 'invokemu', ['backup', at(`${locale}-${name}`), '--root', root], '', env);
                assert.deepEqual([made.code, made.err], [0, '']);
                const done = await run(server, 'invokemu', ['restore', at(`${locale}-${name}`), '--root', `${root}-again`], '', env);
                assert.deepEqual([done.code, done.err], [0, '']);
                const bytes = (folder) => fs.readdirSync(path.join(folder, 'outputs/images'), { encoding: 'buffer' }).map((n) => n.toString('hex')).sort();
                assert.deepEqual(bytes(`${root}-again`), bytes(root));
                fs.unlinkSync(stray(`${root}-again`));
                assert.deepEqual(assertWhole(`${root}-again`), [...ODD].sort());
                assert.deepEqual(fs.readdirSync(path.join(root, 'tmp')), []);
            });
        }
    }

    test('one that another program has packed, names in UTF-8, can be restored', async () => {
        execFileSync('bash', ['-c', 'cd "$0" && find -type f -printf "%P\\0" | tar --format=pax --null -T - -cf "$1"', at('C-odd'), at('packed.tar')]);
        const done = await restoreTo(at('packed.tar'), at('packed'));
        assert.deepEqual([done.code, done.err], [0, '']);
        fs.unlinkSync(stray(at('packed')));
        assert.deepEqual(assertWhole(at('packed')), [...ODD].sort());
    });

    test('does not go among the files that it is of, by whatever way', async () => {
        fs.symlinkSync(path.join(server.data, 'outputs/images'), at('way'));
        for (const to of ['outputs/backup', 'outputs/images/backup.tar', 'databases/backup', 'tmp/b.tar', 'outputs/images/new/b1', 'models/new/folders/b1'].map((t) => path.join(server.data, t)).concat(at('way/b.tar'), at('way/new/b1'))) {
            const refused = await invokemu('backup', to);
            assert.deepEqual([refused.code, /among the server's own files/.test(refused.err)], [1, true], `${to}: ${refused.err}`);
            assert.ok(!fs.existsSync(to) && !fs.existsSync(`${to}.unfinished`) && !fs.existsSync(path.join(server.data, 'outputs/images/new')));
        }
        assert.equal((await invokemu('backup', path.join(server.data, 'backup.tar'))).code, 0, 'beside them it may');
        fs.rmSync(path.join(server.data, 'backup.tar'));
    });

    test('one that fails leaves nothing behind', async () => {
        const full = at('failing');
        fs.cpSync(at('restored-0-one'), full, { recursive: true });
        fs.writeFileSync(path.join(full, DATABASE), Buffer.concat([fs.readFileSync(path.join(full, DATABASE)).subarray(0, 4096), Buffer.alloc(40960, 7)]));
        const before = fs.readdirSync(server.root).sort();
        for (const name of ['failed', 'failed.tar']) {
            assert.equal((await invokemu('backup', at(name), '--root', full)).code, 1);
            assert.deepEqual(fs.readdirSync(server.root).sort(), before);
            assert.deepEqual(fs.existsSync(path.join(full, 'tmp')) ? fs.readdirSync(path.join(full, 'tmp')) : [], []);
        }
    });

    test('a server started on it has the same people, boards and pictures', async () => {
        assert.equal((await invokemu('backup', at('whole.tar'))).code, 0);
        const other = await startServer({
            multiuser: true,
            prepare: (root) => {
                const tool = path.join(process.env.IMU_BUILD || 'build', 'bin/invokemu');
                execFileSync(path.resolve(tool), ['restore', at('whole.tar'), '--root', path.join(root, 'data')]);
                const { uid, gid } = fs.statSync(path.join(root, 'data'));
                execFileSync('chown', ['-R', `${uid}:${gid}`, path.join(root, 'data')]);
            },
        });
        try {
            const again = await login(other, rita.user.email, PASSWORD);
            const list = async (who, what) => (await who.get(what)).body;
            for (const what of ['/api/v1/images/?limit=1000', '/api/v1/boards/?all=true', '/api/v1/client_state/default/get_by_key?key=theme']) {
                assert.deepEqual(await list(again, what), await list(rita, what), what);
            }
            const [{ image_name: name }] = (await list(again, '/api/v1/images/?limit=1')).items;
            assert.deepEqual((await again.get(`/api/v1/images/i/${name}/full`)).raw, (await rita.get(`/api/v1/images/i/${name}/full`)).raw);
        } finally {
            await other.stop();
        }
    });

    test('is in the audit log of the server, as it holds what signs people in; one that failed is not', async () => {
        const entries = async () => (await admin.get('/api/v1/audit?action=backup_made')).body.entries;
        const before_ = (await entries()).length;
        const made = await invokemu('backup', at('noted.tar'), '--json');
        assert.deepEqual([made.code, made.err], [0, '']);
        assert.equal((await invokemu('backup', at('noted.tar'))).code, 1);
        const [entry, ...earlier] = await entries();
        assert.equal(earlier.length, before_);
        assert.deepEqual([entry.address, entry.target_name, entry.detail], ['local', at('noted.tar'), { pictures: JSON.parse(made.out).pictures }]);
        assert.match(entry.user_email, /^command line: /);
        // A log that takes no entry is no reason to have no backup.
        const root = at('no entries');
        assert.equal((await restoreTo(at('noted.tar'), root)).code, 0);
        sql(path.join(root, DATABASE), "CREATE TRIGGER no_entries BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'full'); END");
        const unnoted = await invokemu('backup', at('unnoted.tar'), '--root', root);
        assert.deepEqual([unnoted.code, /no entry in the audit log/.test(unnoted.err)], [0, true], unnoted.err);
    });

    test('overwrites nothing without being told, and then moves it aside', async () => {
        assert.equal((await invokemu('backup', at('whole.tar'))).code, 1, 'the file is there already');
        const root = at('again');
        assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
        const before_ = files(root);
        const asked = await restoreTo(at('whole.tar'), root);
        assert.deepEqual([asked.code, /--force/.test(asked.err)], [1, true]);
        assert.deepEqual(files(root), before_);
        const { moved_to: aside } = JSON.parse((await restoreTo(at('whole.tar'), root, '--force', '--json')).out);
        assert.deepEqual(files(aside), before_);
        assertWhole(root);
        const [entry] = rows(path.join(root, DATABASE), "SELECT user_email, address, target_name FROM audit_log WHERE action = 'backup_restored'");
        assert.deepEqual([entry.address, entry.target_name], ['local', at('whole.tar')]);
    });

    test('two within one second set aside what was there in two folders', async () => {
        const root = at('twice');
        assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
        // What a clock would have named both.
        const now = Math.floor(Date.now() / 1000);
        for (let second = now; second < now + 60; second++) {
            fs.mkdirSync(path.join(root, `before-restore-${second}`));
            fs.writeFileSync(path.join(root, `before-restore-${second}/keep`), 'mine');
        }
        const asides = [];
        for (let i = 0; i < 3; i++) {
            const done = await restoreTo(at('whole.tar'), root, '--force', '--json');
            assert.deepEqual([done.code, done.err], [0, '']);
            asides.push(JSON.parse(done.out).moved_to);
        }
        assert.equal(new Set(asides).size, 3);
        for (const aside of asides) {
            assertWhole(aside);
        }
        for (let second = now; second < now + 60; second++) {
            assert.deepEqual(fs.readdirSync(path.join(root, `before-restore-${second}`)), ['keep']);
        }
    });

    test('one that has lost files, or parts of them, is refused before anything is changed, unless by force', async () => {
        const root = at('careful');
        assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
        const held = [files(root), contents(path.join(root, DATABASE))];
        const damage = {
            missing: (from) => fs.rmSync(path.join(from, 'outputs/images', fs.readdirSync(path.join(from, 'outputs/images')).find((n) => n.endsWith('.png')))),
            shortened: (from) => fs.truncateSync(path.join(from, 'outputs/images', fs.readdirSync(path.join(from, 'outputs/images')).find((n) => n.endsWith('.png'))), 40),
            'without a thumbnail': (from) => fs.rmSync(path.join(from, 'outputs/images/thumbnails', fs.readdirSync(path.join(from, 'outputs/images/thumbnails'))[0])),
            'without its pictures': (from) => fs.rmSync(path.join(from, 'outputs'), { recursive: true }),
        };
        const packed = (from) => {
            execFileSync('tar', ['-C', from, '-cf', `${from}.tar`, ...execFileSync('find', ['-type', 'f', '-printf', '%P\n'], { cwd: from, encoding: 'utf8' }).trim().split('\n')]);
            return `${from}.tar`;
        };
        for (const [what, spoil] of Object.entries(damage)) {
            const from = at(`spoilt ${what}`);
            fs.cpSync(at('0-two'), from, { recursive: true });
            spoil(from);
            for (const given of [from, packed(from)]) {
                const refused = await run(server, 'invokemu', ['restore', given, '--root', root], 'yes\n');
                assert.equal(refused.code, 1);
                const empty = await restoreTo(given, at(`into ${path.basename(given)}`));
                assert.deepEqual([empty.code, /is not whole: \d+ pictures have no file in it and \d+ are cut short/.test(empty.err)], [1, true], `${given}: ${empty.err}`);
                assert.ok(!fs.existsSync(path.join(at(`into ${path.basename(given)}`), DATABASE)));
                assert.deepEqual([files(root), contents(path.join(root, DATABASE))], held);
                const forced = await restoreTo(given, at(`into ${path.basename(given)}`), '--force', '--json');
                const { missing, torn, pictures } = JSON.parse(forced.out);
                assert.equal(missing + torn, { 'without its pictures': pictures, 'without a thumbnail': 0 }[what] ?? 1, what);
                assert.deepEqual([forced.code, forced.err], [missing + torn ? 3 : 0, '']);
            }
        }
        const cut = at('cut database');
        fs.cpSync(at('0-two'), cut, { recursive: true });
        fs.truncateSync(path.join(cut, DATABASE), 8 * 4096);
        const broken = await restoreTo(cut, at('into cut'), '--force');
        assert.deepEqual([broken.code, /database of .* (is damaged|can't be used)|is no database/.test(broken.err)], [1, true], broken.err);
    });

    test('one of an earlier program, whose manifest counts no files, can be restored; what it lacks is told', async () => {
        const old = at('earlier');
        fs.cpSync(at('0-two'), old, { recursive: true });
        const { files: counted, bytes, ...before_ } = JSON.parse(fs.readFileSync(path.join(old, 'manifest.json')));
        assert.deepEqual([counted, bytes > 0], [Object.keys(files(old)).length, true]);
        fs.writeFileSync(path.join(old, 'manifest.json'), JSON.stringify(before_));
        assert.equal((await restoreTo(old, at('into earlier'))).code, 0);
        assertWhole(at('into earlier'));
        fs.truncateSync(path.join(old, 'outputs/images', fs.readdirSync(path.join(old, 'outputs/images')).find((n) => n.endsWith('.png'))), 40);
        const refused = await restoreTo(old, at('into earlier too'));
        assert.deepEqual([refused.code, /0 pictures have no file in it and 1 are cut short/.test(refused.err)], [1, true], refused.err);
    });

    test('one of a server that lacked a picture itself holds what it held then', async () => {
        const root = at('poor');
        assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
        const name = fs.readdirSync(path.join(root, 'outputs/images')).find((n) => n.endsWith('.png'));
        fs.rmSync(path.join(root, 'outputs/images', name));
        assert.equal((await invokemu('backup', at('poor.tar'), '--root', root)).code, 3);
        const done = await restoreTo(at('poor.tar'), at('into poor'), '--json');
        assert.deepEqual([done.code, JSON.parse(done.out).missing], [3, 1]);
    });

    test('one of a server that lacked a thumbnail lacks no picture', async () => {
        const root = at('bare');
        assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
        const thumbnails = path.join(root, 'outputs/images/thumbnails');
        const [lost, torn] = fs.readdirSync(thumbnails);
        fs.rmSync(path.join(thumbnails, lost));
        fs.truncateSync(path.join(thumbnails, torn), 20);
        const made = await invokemu('backup', at('bare.tar'), '--root', root, '--json');
        assert.deepEqual([made.code, JSON.parse(made.out).missing], [0, 0]);
        const done = await restoreTo(at('bare.tar'), at('into bare'), '--json');
        assert.deepEqual([done.code, JSON.parse(done.out).missing, JSON.parse(done.out).torn], [0, 0, 0]);
    });

    test('what can’t be read is left out and named, and the rest is kept', { skip: process.getuid() !== 0 && 'needs root' }, async () => {
        const [owner, group] = [fs.statSync(server.data).uid, fs.statSync(server.data).gid];
        const root = at('locked');
        assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
        execFileSync('chown', ['-R', `${owner}:${group}`, root]);
        const folder = path.join(root, 'outputs/images');
        const [picture, other] = fs.readdirSync(folder).filter((n) => n.endsWith('.png'));
        const locked = [path.join(folder, picture), path.join(folder, 'thumbnails', other.replace('.png', '.webp'))];
        for (const file of locked) {
            fs.chownSync(file, 0, 0);
            fs.chmodSync(file, 0o600);
        }
        for (const name of ['locked.tar', 'locked-folder']) {
            const made = await invokemu('backup', at(name), '--root', root, '--json');
            const { pictures, missing, unreadable } = JSON.parse(made.out);
            assert.deepEqual([made.code, missing, unreadable, pictures], [3, 1, 2, fs.readdirSync(folder).filter((n) => n.endsWith('.png')).length]);
            assert.deepEqual(made.err.match(/left out: .*/g).map((line) => locked.findIndex((file) => line.includes(file))).sort(), [0, 1]);
            const done = await restoreTo(at(name), at(`into ${name}`), '--json');
            assert.deepEqual([done.code, JSON.parse(done.out).missing], [3, 1]);
            assert.equal(JSON.parse(execFileSync('sh', ['-c', name.endsWith('.tar') ? 'tar -xOf "$0" manifest.json' : 'cat "$0/manifest.json"', at(name)])).missing, 1);
        }
    });

    test('is refused beside a server that runs on the same data', async () => {
        const refused = await restoreTo(at('whole.tar'), server.data, '--force');
        assert.deepEqual([refused.code, /in use/.test(refused.err)], [1, true]);
        assert.equal((await rita.get('/api/v1/auth/me')).status, 200);
    });

    /** Starts a restore, and stops it in its middle; where it was too fast for that, once more. */
    const haltedRestore = async (from, root) => {
        const tmp = path.join(root, 'tmp');
        for (;;) {
            const child = spawn(path.resolve(process.env.IMU_BUILD || 'build', 'bin/invokemu'), ['restore', from, '--root', root, '--force', '--json']);
            const ended = new Promise((resolve) => child.on('close', resolve));
            const stat = () => (fs.existsSync(`/proc/${child.pid}/stat`) ? fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1][0] : 'X');
            const over = () => 'XZ'.includes(stat());
            await until(() => over() || (fs.existsSync(tmp) && fs.readdirSync(tmp).some((n) => n.startsWith('restore-'))), 'the restore to begin', 20000);
            child.kill('SIGSTOP');
            await until(() => over() || stat() === 'T', 'the restore to stand still');
            if (!over()) {
                return { child, ended };
            }
            assert.equal(await ended, 0);
        }
    };

    test('nobody begins to work on data that is just being replaced', async () => {
        const large = at('large');
        fs.cpSync(at('0-two'), large, { recursive: true });
        const [picture] = fs.readdirSync(path.join(large, 'outputs/images')).filter((n) => n.endsWith('.png'));
        for (let i = 0; i < 4000; i++) {
            fs.linkSync(path.join(large, 'outputs/images', picture), path.join(large, `outputs/images/more-${i}.png`));
        }
        const other = await startServer({ multiuser: true });
        let halted;
        try {
            await other.settled();
            await other.kill(other.httpd, 'SIGTERM');
            halted = await haltedRestore(large, other.data);
            const begins = await invokemu('users', 'list', '--root', other.data);
            assert.deepEqual([begins.code, /a backup is being restored/.test(begins.err)], [1, true], begins.err);
            const second = await restoreTo(at('whole.tar'), other.data, '--force');
            assert.deepEqual([second.code, /in use/.test(second.err)], [1, true], second.err);
            await other.launch();
            assert.ok(other.httpd.gone, 'a server does not start on it');
            assert.match(other.errorLog(), /IMU0006: a backup is being restored/);
            other.allowLog(/IMU0006|AH00020|AH00016/);
            halted.child.kill('SIGCONT');
            assert.equal(await halted.ended, 0);
            await other.launch();
            assert.equal((await (await login(other, rita.user.email, PASSWORD)).get('/api/v1/auth/me')).status, 200);
        } finally {
            halted?.child.kill('SIGKILL');
            await other.stop();
        }
    });

    /** A restore that ends at its n-th rename, or that fails there. */
    const endedRestore = (from, root, n) =>
        run(server, 'invokemu', ['restore', from, '--root', root, '--force', '--json'], '', {
            LD_PRELOAD: path.resolve(BUILD, 'end-at-rename.so'),
            ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
            IMU_END_AT: String(n),
        });
    const asides = (root) => fs.readdirSync(root).filter((n) => n.startsWith('before-restore-'));
    const settled = (root) => {
        assertWhole(root);
        assert.deepEqual(fs.readdirSync(path.join(root, 'tmp')), []);
        assert.ok(!fs.existsSync(path.join(root, `${DATABASE}-restoring`)));
    };

    test('one that was broken off at whatever move is finished by the next; until then nothing begins', async () => {
        const [first, second] = [at('whole.tar'), at('0-two')];
        assert.equal((await restoreTo(first, at('restored-first'))).code, 0);
        for (const begun of ['full', 'empty']) {
            for (let n = 1; ; n++) {
                const root = at(`ended-${begun}-${n}`);
                if (begun === 'full') {
                    assert.equal((await restoreTo(first, root)).code, 0);
                }
                const held = begun === 'full' ? [files(root), contents(path.join(root, DATABASE))] : null;
                const ended = await endedRestore(second, root, n);
                if (ended.code === 0) {
                    assert.equal(n, begun === 'full' ? 5 : 3, 'moves of one restore');
                    break;
                }
                assert.equal(ended.code, null, ended.err);
                for (const command of [['users', 'list'], ['doctor', '--fix'], ['migrate'], ['backup', at('never.tar')]]) {
                    const refused = await invokemu(...command, '--root', root);
                    assert.deepEqual([refused.code, /was broken off: run invokemu restore/.test(refused.err)], [1, true], `${command[0]}: ${refused.err}`);
                }
                // Of another backup: the first is finished, and moved aside like everything that is there.
                const again = await restoreTo(n === 2 ? first : second, root, '--force', '--json');
                assert.equal(again.code, 0, again.err);
                settled(root);
                assert.deepEqual(files(root), files(n === 2 ? at('restored-first') : second));
                assert.equal(asides(root).length, (begun === 'full') + (n === 2));
                if (held) {
                    const [oldest] = asides(root).sort();
                    assert.deepEqual([files(path.join(root, oldest)), contents(path.join(root, oldest, DATABASE))], held);
                }
            }
        }
    });

    test('one that was broken off is finished without its backup, of which all lies ready', async () => {
        for (let n = 1; n <= 4; n++) {
            const root = at(`bereft-${n}`);
            assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
            fs.cpSync(at('0-two'), at('lent'), { recursive: true });
            assert.equal((await endedRestore(at('lent'), root, n)).code, null);
            fs.rmSync(at('lent'), { recursive: true });
            const done = await restoreTo(at('lent'), root, '--force');
            assert.deepEqual([done.code, done.err], [0, '']);
            settled(root);
            assert.deepEqual(files(root), files(at('0-two')));
        }
        const root = at('nothing yet');
        assert.equal((await restoreTo(at('lent'), root)).code, 1);
        assert.ok(!fs.existsSync(root));
    });

    test('one that was broken off, and of which what lay ready is gone since, is not taken for done', async () => {
        const lost = { '': [1, 2, 3, 4], '/outputs': [1, 2, 3], '/databases': [1, 2, 3, 4] };
        for (const [part, n] of Object.entries(lost).flatMap(([p, all]) => all.map((one) => [p, one]))) {
            const root = at(`lost${part.replace('/', '-')}-${n}`);
            assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
            assert.equal((await endedRestore(at('0-two'), root, n)).code, null);
            const [stage] = fs.readdirSync(path.join(root, 'tmp'));
            fs.rmSync(path.join(root, 'tmp', stage, part), { recursive: true });
            const none = await restoreTo(at('not there'), root, '--force');
            assert.deepEqual([none.code, /there is no backup/.test(none.err)], [1, true], none.err);
            const failed = await endedRestore(at('0-two'), root, '1f');
            assert.equal(failed.code, 1);
            assert.ok(fs.existsSync(path.join(root, `${DATABASE}-restoring`)), 'half of it is in place, whatever became of the second');
            fs.rmSync(path.join(root, 'tmp'), { recursive: true });
            const anew = await restoreTo(at('0-two'), root, '--force');
            assert.deepEqual([anew.code, /made ready is gone.*begun anew/.test(anew.err)], [0, true], anew.err);
            settled(root);
            assert.deepEqual(files(root), files(at('0-two')));
        }
    });

    test('one that fails in its middle leaves all as it was', async () => {
        for (let n = 1; n <= 4; n++) {
            const root = at(`failed-${n}`);
            assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
            const held = [files(root), contents(path.join(root, DATABASE))];
            const failed = await endedRestore(at('0-two'), root, `${n}f`);
            assert.deepEqual([failed.code, /can't move/.test(failed.err)], [1, true], failed.err);
            settled(root);
            assert.deepEqual([files(root), contents(path.join(root, DATABASE)), asides(root)], [...held, []]);
        }
    });

    test('a server does not start on data of which a part was restored', async () => {
        const other = await startServer({ multiuser: true });
        try {
            await other.settled();
            await other.kill(other.httpd, 'SIGTERM');
            assert.equal((await endedRestore(at('whole.tar'), other.data, 3)).code, null);
            await other.launch();
            assert.ok(other.httpd.gone, 'a server does not start on it');
            assert.match(other.errorLog(), /IMU0006: a restore to .* was broken off: run invokemu restore/);
            other.allowLog(/IMU0006|AH00020|AH00016/);
            assert.ok(!fs.existsSync(path.join(other.data, DATABASE)) && !fs.existsSync(path.join(other.data, 'outputs')), 'nor makes anything');
            assert.equal((await restoreTo(at('whole.tar'), other.data)).code, 0);
            await other.launch();
            assert.equal((await (await login(other, rita.user.email, PASSWORD)).get('/api/v1/auth/me')).status, 200);
        } finally {
            await other.stop();
        }
    });

    test('is refused while another command works on the data', async () => {
        const root = at('at work');
        assert.equal((await restoreTo(at('whole.tar'), root)).code, 0);
        const held = await new Promise((resolve) => {
            const asking = spawn(path.resolve(process.env.IMU_BUILD || 'build', 'bin/invokemu'), ['users', 'add', 'new@example.com', '--password-stdin', '--root', root]);
            const look = () => (execFileSync('sh', ['-c', 'ls -l /proc/$0/fd', asking.pid], { encoding: 'utf8' }).includes('-use') ? resolve(asking) : setTimeout(look, 5));
            look();
        });
        try {
            const refused = await restoreTo(at('whole.tar'), root, '--force');
            assert.deepEqual([refused.code, /in use/.test(refused.err)], [1, true], refused.err);
        } finally {
            held.kill('SIGKILL');
        }
    });

    test('refuses what is newer, broken off, or no backup', async () => {
        const copy = (name) => {
            fs.cpSync(at('0-two'), at(name), { recursive: true });
            return at(name);
        };
        const newer = copy('newer');
        sql(path.join(newer, DATABASE), "INSERT INTO schema_migrations VALUES (9999, 'later', '2030-01-01')");
        const unfinished = copy('unfinished');
        fs.rmSync(path.join(unfinished, 'manifest.json'));
        const later = copy('later');
        fs.writeFileSync(path.join(later, 'manifest.json'), JSON.stringify({ ...JSON.parse(fs.readFileSync(path.join(newer, 'manifest.json'))), invokemu_backup: 2 }));
        const strange = copy('strange');
        fs.writeFileSync(path.join(strange, DATABASE), 'not a database');
        fs.writeFileSync(at('text.tar'), 'no tar');
        execFileSync('tar', ['-C', at('0-two'), '-cf', at('linked.tar'), '--transform=s,^manifest.json$,../escaped.json,', '-P', 'manifest.json', 'databases']);
        fs.writeFileSync(at('cut.tar'), fs.readFileSync(at('whole.tar')).subarray(0, 30000));
        const whole = fs.readFileSync(at('whole.tar'));
        fs.writeFileSync(at('longer.tar'), Buffer.concat([whole, Buffer.alloc(100000, 'x')]));
        fs.writeFileSync(at('later.tar'), Buffer.concat([whole, Buffer.alloc(100000), Buffer.from('x')]));
        // Up to the two empty blocks: the last file may well end with zeros of its own.
        let end = 0;
        while (whole[end]) {
            end += 512 + Math.ceil(parseInt(whole.subarray(end + 124, end + 136).toString(), 8) / 512) * 512;
        }
        fs.writeFileSync(at('endless.tar'), whole.subarray(0, end));
        const talkative = copy('talkative');
        fs.appendFileSync(path.join(talkative, 'manifest.json'), ' '.repeat(70000));
        const schema = copy('schema');
        fs.writeFileSync(path.join(schema, 'manifest.json'), JSON.stringify({ ...JSON.parse(fs.readFileSync(path.join(schema, 'manifest.json'))), schema: 99 }));
        for (const [from, why] of [[newer, /newer/], [later, /newer/], [schema, /has version 99, made by a newer invokemu/], [unfinished, /no backup/], [strange, /no database/], [at('text.tar'), /./], [at('linked.tar'), /no backup/], [at('cut.tar'), /./], [at('longer.tar'), /does not end/], [at('later.tar'), /does not end/], [at('endless.tar'), /does not end/], [talkative, /too long/], [at('nowhere'), /there is no backup/]]) {
            const root = at(`none-${path.basename(from)}`);
            const refused = await restoreTo(from, root);
            assert.deepEqual([refused.code, why.test(refused.err)], [1, true], `${from}: ${refused.err}`);
            assert.ok(!fs.existsSync(path.join(root, DATABASE)));
            assert.deepEqual(fs.existsSync(path.join(root, 'tmp')) ? fs.readdirSync(path.join(root, 'tmp')) : [], []);
        }
        assert.ok(!fs.existsSync(at('escaped.json')));
        assert.equal((await invokemu('restore')).code, 2);
        assert.equal((await invokemu('backup')).code, 2);
    });
});
