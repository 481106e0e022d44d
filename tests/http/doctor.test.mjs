// invokemu doctor: each fault is found, left alone without --fix, mended with it, and then gone.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

describe('doctor', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, ruth;
    const invokemu = (...args) => run(server, 'invokemu', ['doctor', '--media', path.join(server.run, 'media.sock'), ...args]);
    const doctor = async (...args) => {
        const { code, out, err } = await invokemu(...args, '--json');
        return { code, err, found: Object.fromEntries(JSON.parse(out).map((f) => [f.what, f])) };
    };
    const images = (...more) => path.join(server.data, 'outputs/images', ...more);
    const orphans = (name) => path.join(server.data, 'outputs/orphans', name);
    const thumbnail = (name) => images('thumbnails', name.replace('.png', '.webp'));
    const old = (file) => {
        fs.utimesSync(file, 1e9, 1e9);
        server.own(file);
    };
    const status = async (name, what = '') => (await ruth.get(`/api/v1/images/i/${name}${what}`)).status;
    /** The fault is found, alone; nothing happens; --fix mends it; then it is gone. */
    const mends = async (what, { count = 1, names } = {}) => {
        const first = await doctor();
        assert.deepEqual([first.code, Object.keys(first.found)], [3, [what]], JSON.stringify(first.found));
        assert.deepEqual([first.found[what].count, first.found[what].mended], [count, 0]);
        if (names) {
            assert.deepEqual(first.found[what].names, names);
        }
        const again = await doctor();
        assert.deepEqual(again.found, first.found, 'looking changes nothing');
        const fixed = await doctor('--fix');
        assert.deepEqual([fixed.code, fixed.err, fixed.found[what].mended], [0, '', count]);
        assert.deepEqual(await doctor(), { code: 0, err: '', found: {} });
    };

    before(async () => {
        admin = await setupAdmin(server);
        ruth = await addUser(admin, 'Ruth');
    });

    test('finds nothing where nothing is wrong', async () => {
        for (let i = 0; i < 12; i++) {
            await upload(ruth, { png: makePng(9 + i, 9) });
        }
        assert.deepEqual(await doctor(), { code: 0, err: '', found: {} });
        assert.match((await invokemu()).out, /^Database and files are in order\. \(Whether server and workers run, .* was not looked at\.\)\n$/);
    });

    test('a picture without a row is moved aside', async () => {
        for (const name of [`${crypto.randomUUID()}.png`, 'upload-ÄÖÜ 2024.png']) {
            fs.writeFileSync(images(name), makePng(4, 4));
            old(images(name));
            await mends('orphans', { names: [name] });
            assert.deepEqual(fs.readFileSync(orphans(name)), makePng(4, 4));
        }
    });

    test('a row whose picture was moved aside gets it back', async () => {
        const { image_name: name } = await upload(ruth, { png: makePng(30, 5) });
        fs.renameSync(images(name), orphans(name));
        await mends('came_back', { names: [name] });
        assert.equal(await status(name, '/full'), 200);
    });

    test('a torn picture whose whole file was moved aside gets that back, and its thumbnail', async () => {
        const { image_name: name } = await upload(ruth, { png: makePng(32, 5) });
        const whole = fs.readFileSync(images(name));
        fs.renameSync(images(name), orphans(name));
        fs.writeFileSync(images(name), whole.subarray(0, 50));
        server.own(images(name));
        await mends('came_back', { names: [name] });
        assert.deepEqual([fs.readFileSync(images(name)), fs.readFileSync(orphans(`2/${name}`))], [whole, whole.subarray(0, 50)]);
        fs.rmSync(orphans(`2/${name}`));
        // Of two orphans of one name, the whole one.
        fs.writeFileSync(orphans(name), 'torn');
        fs.renameSync(images(name), orphans(`2/${name}`));
        fs.rmSync(thumbnail(name));
        const { code, found } = await doctor('--fix');
        assert.deepEqual([code, Object.keys(found).sort()], [0, ['came_back', 'thumbnails']]);
        assert.deepEqual([await status(name, '/full'), await status(name, '/thumbnail')], [200, 200]);
        assert.deepEqual(await doctor(), { code: 0, err: '', found: {} });
    });

    test('no orphan takes the place of another one, unless it is the same', async () => {
        const name = `${crypto.randomUUID()}.png`;
        const contents = [makePng(5, 4), makePng(6, 4), makePng(5, 4), makePng(7, 4)];
        for (const content of contents) {
            fs.writeFileSync(images(name), content);
            old(images(name));
            await mends('orphans', { names: [name] });
        }
        assert.deepEqual([name, `2/${name}`, `3/${name}`].map((n) => fs.readFileSync(orphans(n))), [contents[0], contents[1], contents[3]]);
        assert.ok(!fs.existsSync(orphans(`4/${name}`)));
        // Torn pictures and what their rows said.
        const { image_name: torn } = await upload(ruth, { png: makePng(33, 5) });
        fs.writeFileSync(orphans(torn), 'other');
        fs.writeFileSync(orphans(`${torn}.json`), '{"earlier": 1}');
        fs.writeFileSync(images(torn), 'torn');
        await mends('torn', { names: [torn] });
        assert.deepEqual([orphans(torn), orphans(`${torn}.json`), orphans(`2/${torn}`)].map((f) => fs.readFileSync(f, 'utf8')), ['other', '{"earlier": 1}', 'torn']);
        assert.equal(JSON.parse(fs.readFileSync(orphans(`2/${torn}.json`), 'utf8')).picture.width, 33);
    });

    test('a row without a picture is written down and taken out', async () => {
        const board = (await ruth.post('/api/v1/boards/?board_name=Lost')).body;
        const { image_name: name } = await upload(ruth, { png: makePng(31, 5), query: `&board_id=${board.board_id}` });
        fs.rmSync(images(name));
        // A link at the record's place: root must not write where it leads.
        const elsewhere = path.join(server.root, 'elsewhere.json');
        fs.symlinkSync(elsewhere, orphans(`${name}.json`));
        await mends('missing', { names: [name] });
        assert.ok(!fs.existsSync(elsewhere));
        assert.ok(fs.lstatSync(orphans(`${name}.json`)).isSymbolicLink());
        assert.equal((await admin.get(`/api/v1/images/i/${name}`)).status, 404);
        const record = JSON.parse(fs.readFileSync(orphans(`2/${name}.json`), 'utf8'));
        assert.deepEqual([record.picture.user_id, record.picture.width, record.board.board_name], [ruth.user.user_id, 31, 'Lost']);
        await ruth.delete(`/api/v1/boards/${board.board_id}`);
        fs.rmSync(orphans(`${name}.json`));
    });

    test('a disk that is not mounted is not taken for pictures that are gone', async () => {
        fs.renameSync(images(), `${images()}-away`);
        for (const args of [[], ['--fix']]) {
            const { code, found } = await doctor(...args);
            assert.deepEqual([code, Object.keys(found), found.missing.mended], [3, ['missing'], 0]);
            assert.match(found.missing.sentence, /not mounted/);
        }
        fs.renameSync(`${images()}-away`, images());
        assert.deepEqual((await doctor()).found, {});
    });

    test('a lost thumbnail is made anew, and a torn one', async () => {
        const [one, two] = [await upload(ruth, { png: makePng(40, 20) }), await upload(ruth, { png: makePng(41, 20) })].map((i) => i.image_name);
        const whole = fs.readFileSync(thumbnail(one));
        fs.rmSync(thumbnail(one));
        fs.writeFileSync(thumbnail(two), whole.subarray(0, 40));
        const names = [one, two];
        const { found } = await doctor();
        assert.deepEqual(found.thumbnails.names.sort(), names.sort());
        const alone = await run(server, 'invokemu', ['doctor', '--fix', '--media', '/nonexistent']);
        assert.deepEqual([alone.code, /--media/.test(alone.err)], [3, true]);
        await mends('thumbnails', { count: 2 });
        assert.deepEqual(fs.readFileSync(thumbnail(one)), whole);
        assert.equal(await status(two, '/thumbnail'), 200);
    });

    test('half-written files are removed when they have no name yet, and moved aside when they have', async () => {
        const part = images('.part-1');
        fs.writeFileSync(part, 'half');
        old(part);
        await mends('temporary', { names: ['.part-1'] });
        assert.ok(!fs.existsSync(part));
        const { image_name: name } = await upload(ruth, { png: makePng(50, 50) });
        const torn = fs.readFileSync(images(name)).subarray(0, 60);
        fs.writeFileSync(images(name), torn);
        await mends('torn', { names: [name] });
        assert.deepEqual(fs.readFileSync(orphans(name)), torn);
        assert.equal(JSON.parse(fs.readFileSync(orphans(`${name}.json`), 'utf8')).picture.width, 50);
        assert.equal((await admin.get(`/api/v1/images/i/${name}`)).status, 404);
    });

    for (const [what, put] of [
        ['a link', (name, whole) => (fs.renameSync(images(name), whole), fs.symlinkSync(whole, images(name)))],
        ['a link to nowhere', (name) => (fs.rmSync(images(name)), fs.symlinkSync('/nowhere/at-all', images(name)))],
        ['a pipe', (name) => (fs.rmSync(images(name)), execFileSync('mkfifo', [images(name)]))],
        ['a folder', (name) => (fs.rmSync(images(name)), fs.mkdirSync(images(name)), server.own(images(name)))],
    ]) {
        test(`${what} in the place of a picture is moved aside`, async () => {
            const { image_name: name } = await upload(ruth, { png: makePng(51, 50) });
            put(name, path.join(server.root, `${name}-kept`));
            await mends('strange', { names: [name] });
            assert.ok(!fs.lstatSync(images(name), { throwIfNoEntry: false }));
            assert.ok(fs.lstatSync(orphans(name)));
            assert.equal(JSON.parse(fs.readFileSync(orphans(`${name}.json`), 'utf8')).picture.width, 51);
            assert.equal((await admin.get(`/api/v1/images/i/${name}`)).status, 404);
        });
    }

    for (const [what, put] of [
        ['a link', (file) => (fs.renameSync(file, `${file}-kept`), fs.symlinkSync(`${file}-kept`, file))],
        ['a pipe', (file) => (fs.rmSync(file), execFileSync('mkfifo', [file]))],
        ['a folder', (file) => (fs.rmSync(file), fs.mkdirSync(file), fs.writeFileSync(path.join(file, 'mine'), 'x'), server.own(file))],
    ]) {
        test(`${what} in the place of a thumbnail gives way to one that is made anew`, async () => {
            const { image_name: name } = await upload(ruth, { png: makePng(52, 50) });
            put(thumbnail(name));
            fs.rmSync(`${thumbnail(name)}-kept`, { force: true });
            await mends('thumbnails', { names: [name] });
            assert.ok(fs.lstatSync(thumbnail(name)).isFile());
            assert.equal(await status(name, '/thumbnail'), 200);
        });
    }

    test('links, pipes and folders without a row are moved aside, and nothing behind a link', async () => {
        const elsewhere = path.join(server.root, 'elsewhere.png');
        fs.writeFileSync(elsewhere, makePng(5, 5));
        fs.symlinkSync(elsewhere, images('link.png'));
        fs.symlinkSync('/nowhere', images('thumbnails', 'nowhere.webp'));
        execFileSync('mkfifo', [images('pipe.png')]);
        fs.mkdirSync(images('sub'));
        fs.writeFileSync(images('sub', 'inside.png'), makePng(6, 6));
        assert.deepEqual((await doctor()).found, {}, 'somebody may be at work');
        for (const name of ['link.png', 'pipe.png', 'sub', 'thumbnails/nowhere.webp']) {
            execFileSync('touch', ['-h', '-d', '2001-01-01', images(name)]);
        }
        server.own(images('sub'));
        fs.utimesSync(elsewhere, 1e9, 1e9);
        const { found } = await doctor();
        assert.deepEqual(found.strangers.names.sort(), ['link.png', 'pipe.png', 'sub', 'thumbnails/nowhere.webp'].map((n) => `outputs/images/${n}`));
        await mends('strangers', { count: 4 });
        assert.deepEqual(fs.readFileSync(orphans('sub/inside.png')), makePng(6, 6));
        assert.deepEqual([fs.readlinkSync(orphans('link.png')), fs.readlinkSync(orphans('nowhere.webp'))], [elsewhere, '/nowhere']);
        assert.ok(fs.lstatSync(orphans('pipe.png')).isFIFO());
        assert.deepEqual(fs.readFileSync(elsewhere), makePng(5, 5));
    });

    test('what is found reads well as one and as several', async () => {
        for (const [n, words] of [[1, '1 deleted picture with files that have still to go'], [2, '2 deleted pictures with files that have still to go']]) {
            server.sql(`INSERT INTO deleted_pictures VALUES ('gone-${n}.png')`);
            assert.equal((await invokemu()).out.split('\n')[0], words);
        }
        assert.equal((await invokemu('--fix')).code, 0);
    });

    test('a board whose cover is deleted is no damage', async () => {
        const { board_id: id } = (await ruth.post('/api/v1/boards/?board_name=Covered')).body;
        const { image_name: name } = await upload(ruth, { query: `&board_id=${id}` });
        assert.equal((await ruth.patch(`/api/v1/boards/${id}`, { cover_image_name: name })).status, 201);
        await ruth.delete(`/api/v1/images/i/${name}`);
        assert.deepEqual(await doctor(), { code: 0, err: '', found: {} });
    });

    test('wrong marks are counted anew', async () => {
        const board = (await ruth.post('/api/v1/boards/?board_name=Marked')).body;
        server.sql(`UPDATE boards SET is_shared = 1 WHERE board_id = '${board.board_id}'`);
        await mends('share_marks');
        server.sql(`UPDATE images SET has_workflow = 1 WHERE image_name = (SELECT MIN(image_name) FROM images)`);
        await mends('workflow_marks');
        server.sql(`UPDATE boards SET cover_image_name = 'gone.png' WHERE board_id = '${board.board_id}'`);
        await mends('covers');
        assert.equal((await ruth.get(`/api/v1/boards/${board.board_id}`)).status, 200);
    });

    test('texts that are no UTF-8 can be read again', async () => {
        const board = (await ruth.post('/api/v1/boards/?board_name=broken')).body.board_id;
        server.sql(`UPDATE boards SET board_name = CAST(X'4A6F73E9' AS TEXT) WHERE board_id = '${board}'`);
        server.sql(`UPDATE users SET display_name = CAST(X'52FF' AS TEXT) WHERE user_id = '${ruth.user.user_id}'`);
        await mends('texts', { count: 2, names: ['R\\xff', 'Jos\\xe9'] });
        const list = await ruth.get('/api/v1/boards/?all=true');
        assert.deepEqual([list.status, list.body.find((b) => b.board_id === board).board_name], [200, 'Jos\\xe9']);
        assert.equal((await ruth.get('/api/v1/auth/me')).body.display_name, 'R\\xff');
        assert.equal((await ruth.delete(`/api/v1/boards/${board}`)).status, 200);
    });

    test('dangling shares and places go', async () => {
        const board = (await ruth.post('/api/v1/boards/?board_name=Shared')).body;
        server.sql(`INSERT INTO shared_boards (board_id, user_id, permission, created_at) VALUES ('gone', '${ruth.user.user_id}', 'read', '2026'),
            ('${board.board_id}', 'nobody', 'read', '2026'), ('${board.board_id}', '${ruth.user.user_id}', 'read', '2026')`);
        server.sql(`UPDATE boards SET is_shared = 1 WHERE board_id = '${board.board_id}'`);
        await mends('shares', { count: 3 });
        server.sql(`INSERT INTO board_images VALUES ('gone.png', '${board.board_id}', '2026', '2026')`);
        await mends('places');
    });

    test('what belonged to an account that is gone is kept, for administrators', async () => {
        const { image_name: name } = await upload(ruth, { png: makePng(60, 5) });
        server.sql(`UPDATE images SET user_id = 'nobody' WHERE image_name = '${name}'`);
        await mends('ownerless_pictures');
        assert.equal((await admin.get(`/api/v1/images/i/${name}`)).status, 200);
        assert.notEqual(await status(name), 200);
    });

    test('what has expired goes', async () => {
        server.sql(`INSERT INTO user_sessions (session_id, user_id, token_hash, expires_at, created_at, last_activity_at)
            VALUES ('over', '${ruth.user.user_id}', 'x', '2020', '2020', '2020')`);
        await mends('sessions');
        server.sql(`INSERT INTO email_changes VALUES ('${ruth.user.user_id}', 'new@example.com', 'y', '2020', '2020')`);
        await mends('addresses');
        server.sql(`INSERT INTO bulk_downloads (name, user_id, created_at) VALUES ('${crypto.randomUUID()}.zip', '${ruth.user.user_id}', '2020')`);
        await mends('downloads');
        assert.equal((await ruth.get('/api/v1/auth/me')).status, 200);
    });

    test('a link holds when only who made it is gone; it goes with its account, or long after its end', async () => {
        await admin.post('/api/v1/invitations', { email: 'ines@example.com' });
        const listed = async () => (await admin.get('/api/v1/invitations')).body.invitations.find((one) => one.email === 'ines@example.com');
        const { invitation_id: invited } = await listed();
        const days = (n) => new Date(Date.now() + n * 86400000).toISOString().replace('T', ' ').replace('Z', '');
        const link = (id, email, by, expires, used) =>
            server.sql(`INSERT INTO user_invitations (invitation_id, email, token_hash, invited_by_user_id, expires_at, used_at, created_at)
                VALUES ('${id}', '${email}', '${id}', ${by}, '${expires}', ${used}, '2020-01-01 00:00:00.000')`);
        const left = () => server.sql('SELECT invitation_id FROM user_invitations ORDER BY 1').map((r) => r.invitation_id);
        link('inviter-gone', ruth.user.email, "'nobody'", days(1), 'NULL');
        await mends('inviters');
        link('account-gone', 'nobody@example.com', 'NULL', days(1), 'NULL');
        await mends('links');
        link('used-long-ago', ruth.user.email, 'NULL', days(-40), `'${days(-31)}'`);
        link('used', ruth.user.email, 'NULL', days(-40), `'${days(-29)}'`);
        link('over-long-ago', ruth.user.email, 'NULL', days(-31), 'NULL');
        link('over', ruth.user.email, 'NULL', days(-29), 'NULL');
        await mends('old_links', { count: 2 });
        // An invitation that nobody took is still shown to administrators.
        server.sql(`UPDATE user_invitations SET expires_at = '2020-01-01 00:00:00.000' WHERE email = 'ines@example.com'`);
        assert.deepEqual((await doctor()).found, {});
        assert.deepEqual(left(), [invited, 'inviter-gone', 'over', 'used'].sort());
        assert.ok((await listed()).expired);
    });

    test('networks of an account that is gone go', async () => {
        server.sql(`INSERT INTO known_networks VALUES ('nobody', '10.0.0.1', '2026')`);
        await mends('networks');
        assert.deepEqual(server.sql('PRAGMA foreign_key_check'), []);
    });

    test('what was mended is in the audit log', async () => {
        const { entries } = (await admin.get('/api/v1/audit?action=data_mended')).body;
        assert.ok(entries.length > 8);
        assert.deepEqual([entries[0].address, entries[0].detail], ['local', { findings: 1 }]);
    });

    test('a database that is damaged is left alone', async () => {
        const root = path.join(server.root, 'damaged');
        assert.equal((await run(server, 'invokemu', ['backup', root])).code, 0);
        const file = path.join(root, 'databases/invokemu.db');
        const bytes = fs.readFileSync(file);
        const page = Number(execFileSync('sqlite3', [file, "SELECT rootpage FROM sqlite_master WHERE name = 'idx_images_created'"], { encoding: 'utf8' }));
        bytes.fill(0xff, 4096 * (page - 1), 4096 * page);
        fs.writeFileSync(file, bytes);
        const { code, found } = await doctor('--fix', '--root', root);
        assert.deepEqual([code, Object.keys(found)], [3, ['database']]);
    });
});
