// Root works in folders of the server's user, who may have laid links there: they lead root no further than that user gets.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterEach, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { OldRoot } from '../lib/old-root.mjs';
import { runUser } from '../lib/paths.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { setupAdmin, upload } from '../lib/users.mjs';

const user = runUser();
const THUMBNAIL = Buffer.concat([Buffer.from('RIFF\x0c\0\0\0WEBPVP8L', 'latin1'), Buffer.alloc(8)]);

describe('links in the server’s folders', { skip: !user && 'only root has rights to lose' }, () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, victim, elsewhere;
    const data = (...names) => path.join(server.data, ...names);
    /** In the place of a folder of the server's, a link to the victim's. */
    const lay = (name) => {
        const saved = `${data(name)}.saved`;
        if (fs.existsSync(data(name))) {
            fs.renameSync(data(name), saved);
        }
        fs.symlinkSync(victim, data(name));
        fs.lchownSync(data(name), user.uid, user.gid);
    };
    const lift = (name) => {
        fs.rmSync(data(name));
        if (fs.existsSync(`${data(name)}.saved`)) {
            fs.renameSync(`${data(name)}.saved`, data(name));
        }
    };
    const invokemu = (...args) => run(server, 'invokemu', args);
    const oldRoot = (name) => {
        const old = new OldRoot(path.join(elsewhere, name), '6.14');
        old.picture(`${name}.png`, { thumbnail: THUMBNAIL });
        old.done();
        return old.root;
    };
    /** Everything in the victim's folder, with its owners. */
    const seen = () =>
        fs.readdirSync(victim, { recursive: true }).sort().map((name) => {
            const st = fs.lstatSync(path.join(victim, name));
            return [name, st.uid, st.gid, st.mode, st.isFile() ? fs.readFileSync(path.join(victim, name), 'utf8') : ''];
        });

    before(async () => {
        admin = await setupAdmin(server);
        await upload(admin);
        elsewhere = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-links-'));
        victim = path.join(elsewhere, 'victim');
        fs.mkdirSync(path.join(victim, 'import'), { recursive: true });
        fs.writeFileSync(path.join(victim, 'import/kept'), 'kept');
        fs.writeFileSync(path.join(victim, 'secret.webp'), 'secret', { mode: 0o600 });
        fs.chmodSync(elsewhere, 0o755);
        fs.chmodSync(victim, 0o755);
        assert.equal((await invokemu('backup', path.join(elsewhere, 'good.tar'))).code, 0);
    });
    test('a link to the server’s folder may lie where its user can’t go', async () => {
        const closed = path.join(elsewhere, 'closed');
        fs.mkdirSync(closed, { mode: 0o700 });
        fs.symlinkSync(server.data, path.join(closed, 'data'));
        const { code, err } = await invokemu('users', 'list', '--root', path.join(closed, 'data'));
        assert.deepEqual([code, err], [0, '']);
    });

    afterEach(() => ['tmp', 'outputs', 'outputs/orphans', 'outputs/images', 'outputs/style_presets'].filter((name) => fs.lstatSync(data(name), { throwIfNoEntry: false })?.isSymbolicLink()).forEach(lift));
    process.on('exit', () => elsewhere && fs.rmSync(elsewhere, { recursive: true, force: true }));

    /** What must be left alone by a command, which may fail. */
    const untouched = async (link, ...args) => {
        const before_ = seen();
        lay(link);
        const done = await invokemu(...args);
        assert.deepEqual(seen(), before_, `${link}: ${args.join(' ')}: ${done.err}`);
        return done;
    };

    for (const link of ['tmp', 'outputs', 'outputs/images']) {
        test(`an import writes nothing through ${link}`, async () => {
            assert.equal((await untouched(link, 'import', oldRoot(`of-${link.replace('/', '-')}`))).code, 1);
        });
    }

    test('the doctor moves nothing through a link', async () => {
        const orphan = data('outputs/images', '11111111-1111-4111-8111-111111111111.png');
        fs.writeFileSync(orphan, makePng(8, 8));
        fs.chownSync(orphan, user.uid, user.gid);
        fs.utimesSync(orphan, 1, 1);
        assert.equal((await untouched('outputs/orphans', 'doctor', '--fix')).code, 1);
        lift('outputs/orphans');
        assert.ok(fs.existsSync(orphan));
        assert.equal((await invokemu('doctor', '--fix')).code, 0);
        assert.equal(fs.statSync(data('outputs/orphans', path.basename(orphan))).uid, user.uid);
    });

    test('pictures that are somebody else’s are named, not taken for torn ones', async () => {
        const { image_name: name } = await upload(admin, { png: makePng(20, 20) });
        fs.chownSync(data('outputs/images', name), 0, 0);
        fs.chmodSync(data('outputs/images', name), 0o600);
        const done = await invokemu('doctor', '--fix', '--json');
        assert.equal(done.code, 3);
        assert.deepEqual(JSON.parse(done.out).map((f) => [f.what, f.names, f.mended]), [['unreadable', [name], 0]]);
        fs.chownSync(data('outputs/images', name), user.uid, user.gid);
        assert.equal((await invokemu('doctor')).code, 0);
    });

    test('a backup holds nothing that the server’s user can’t read', async () => {
        const to = path.join(elsewhere, 'bad');
        const done = await untouched('outputs/style_presets', 'backup', to);
        assert.deepEqual([done.code, /left out: .*secret\.webp/.test(done.err)], [3, true], done.err);
        const held = fs.readdirSync(to, { recursive: true });
        assert.ok(!held.some((name) => name.endsWith('secret.webp')), held.join());
    });

    test('a restore writes nothing through a link', async () => {
        const root = path.join(elsewhere, 'restored');
        fs.mkdirSync(root);
        fs.symlinkSync(victim, path.join(root, 'tmp'));
        fs.chownSync(root, user.uid, user.gid);
        const before_ = seen();
        assert.equal((await invokemu('restore', path.join(elsewhere, 'good.tar'), '--root', root)).code, 1);
        assert.deepEqual(seen(), before_);
        fs.rmSync(path.join(root, 'tmp'));
        const done = await invokemu('restore', path.join(elsewhere, 'good.tar'), '--root', root);
        assert.deepEqual([done.code, done.err], [0, '']);
        const foreign = execFileSync('find', [root, '!', '-uid', String(user.uid)], { encoding: 'utf8' });
        assert.equal(foreign, '', 'all of it is the server’s');
    });

    test('nobody’s file is given away by a second name, and what comes is the server’s', async () => {
        fs.writeFileSync(path.join(elsewhere, 'roots-own'), 'x');
        fs.linkSync(path.join(elsewhere, 'roots-own'), data('outputs/images/second.png'));
        const root = oldRoot('plain');
        const copied = JSON.parse((await invokemu('import', root, '--json')).out);
        assert.deepEqual([copied.files, copied.counts.pictures.taken], [{ linked: 0, copied: 2 }, 1], 'root’s own pictures are copied');
        assert.equal(fs.statSync(path.join(elsewhere, 'roots-own')).uid, 0);
        const theirs = oldRoot('theirs');
        execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, theirs]);
        fs.chmodSync(theirs, 0o700);
        assert.deepEqual(JSON.parse((await invokemu('import', theirs, '--json')).out).files, { linked: 2, copied: 0 });
        fs.rmSync(data('outputs/images/second.png'));
        const foreign = execFileSync('find', [server.data, '!', '-uid', String(user.uid)], { encoding: 'utf8' });
        assert.equal(foreign, '');
    });
});
