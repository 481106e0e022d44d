// What administrators do on the machine itself, beside a server that runs: links, sessions, jobs, the audit log.
import assert from 'node:assert/strict';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { request } from '../lib/http.mjs';
import { BUILD } from '../lib/paths.mjs';
import { enqueue } from '../lib/queue.mjs';
import { until, useServer } from '../lib/server.mjs';
import { addUser, login, PASSWORD, setupAdmin, upload } from '../lib/users.mjs';

const NEW = 'Other-Lantern-81-Field';

describe('administration on the command line', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin;
    before(async () => {
        admin = await setupAdmin(server);
    });

    const invokemu = (...args) => run(server, 'invokemu', args);
    /** What a command says in JSON that must succeed. */
    const said = async (...args) => {
        const { code, out, err } = await invokemu(...args, '--json');
        assert.deepEqual([code, err], [0, ''], args.join(' '));
        return JSON.parse(out);
    };
    const log = async (action) => (await admin.get(`/api/v1/audit?action=${action}`)).body.entries;
    const open = (link, password) =>
        request(`${server.url}/api/v1/auth/accept-invitation`, { method: 'POST', json: { token: link.split('token=')[1], password } });

    test('hands a deleted account’s things to another one', async () => {
        const [anna, bert] = [await addUser(admin, 'Anna'), await addUser(admin, 'Bert')];
        const board = (await anna.post('/api/v1/boards/?board_name=Sea')).body;
        const picture = await upload(anna, { query: `&board_id=${board.board_id}` });
        const none = await invokemu('users', 'del', anna.user.email, '--transfer-to', 'nobody@example.com', '--force');
        assert.deepEqual([none.code, /no account nobody/.test(none.err)], [1, true]);
        assert.equal((await invokemu('users', 'del', anna.user.email, '--transfer-to', anna.user.email, '--force')).code, 1);
        assert.equal((await anna.get('/api/v1/auth/me')).status, 200, 'nothing happened yet');
        const done = await said('users', 'del', anna.user.email, '--transfer-to', bert.user.email, '--force');
        assert.equal(done.transferred_to, bert.user.user_id);
        assert.equal((await anna.get('/api/v1/auth/me')).status, 401);
        assert.equal((await bert.get(`/api/v1/images/i/${picture.image_name}`)).status, 200);
        assert.equal((await bert.get(`/api/v1/boards/${board.board_id}`)).body.board_name, 'Sea');
        const [entry] = await log('account_deleted');
        assert.deepEqual([entry.user_id, entry.address, entry.target_name], [null, 'local', anna.user.email]);
        assert.match(entry.user_email, /^command line: .*uid \d+/);
        assert.deepEqual(entry.detail, { transferred_to: bert.user.user_id, transferred_to_email: 'bert@example.com' });
    });

    test('a deletion that is killed in the middle leaves the account whole but for jobs, and the same command finishes it', async () => {
        const [emil, olga] = [await addUser(admin, 'Emil'), await addUser(admin, 'Olga')];
        const { image_name: picture } = await upload(emil);
        assert.equal((await admin.put('/api/v1/queue/default/processor/pause')).status, 200);
        await enqueue(emil, { runs: 9000 });
        const left = () => server.sql(`SELECT COUNT(*) AS n FROM session_queue WHERE user_id = '${emil.user.user_id}'`)[0].n;
        const args = ['users', 'del', emil.user.email, '--transfer-to', olga.user.email, '--force'];
        const child = spawn(path.join(BUILD, 'bin/invokemu'), args, { env: { ...process.env, INVOKEMU_ROOT: server.data }, stdio: 'ignore' });
        const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal)));
        await until(() => left() < 9000, 'some jobs to be gone');
        child.kill('SIGKILL');
        assert.equal(await ended, 'SIGKILL');
        assert.ok(left() > 0);
        assert.deepEqual([(await emil.get('/api/v1/auth/me')).status, (await emil.get(`/api/v1/images/i/${picture}`)).status], [200, 200]);
        assert.equal((await invokemu(...args)).code, 0);
        assert.deepEqual([left(), (await emil.get('/api/v1/auth/me')).status, (await olga.get(`/api/v1/images/i/${picture}`)).status], [0, 401, 200]);
        assert.equal((await admin.put('/api/v1/queue/default/processor/resume')).status, 200);
    });

    test('invites by a link that works once', async () => {
        const { link } = await said('invite', 'Carla@Example.com', '--name', 'Carla', '--admin', '--url', `${server.url}/`);
        assert.ok(link.startsWith(`${server.url}/invite?token=`), link);
        assert.equal((await open(link, 'short')).status, 400);
        assert.equal((await open(link, PASSWORD)).status, 200);
        const carla = await login(server, 'carla@example.com', PASSWORD);
        assert.deepEqual([carla.user.display_name, carla.user.is_admin], ['Carla', true]);
        assert.equal((await open(link, NEW)).status, 410);
        assert.equal((await invokemu('invite', 'carla@example.com')).code, 1, 'there is such an account');
        assert.equal((await log('invited'))[0].target_name, 'carla@example.com');
        assert.ok(!JSON.stringify((await admin.get('/api/v1/audit')).body).includes(link.split('token=')[1]), 'no link in the log');
    });

    test('lists open links, and ends one together with the account that nobody used', async () => {
        const plain = await invokemu('invite', 'dario@example.com');
        assert.match(plain.out, /^\/invite\?token=\S+\n/);
        const links = await said('links', 'list');
        const one = links.find((l) => l.email === 'dario@example.com');
        assert.deepEqual([one.purpose, one.expired], ['invitation', false]);
        assert.deepEqual((await admin.get('/api/v1/invitations')).body.invitations, links);
        assert.deepEqual(await said('links', 'end', one.invitation_id), { email: 'dario@example.com', account_deleted: true });
        assert.equal((await invokemu('links', 'end', one.invitation_id)).code, 1);
        assert.equal((await open(plain.out.split('\n')[0], PASSWORD)).status, 404);
    });

    test('resets a password by a link; the old one holds until then', async () => {
        const eva = await addUser(admin, 'Eva');
        const { link, hours } = await said('reset', eva.user.email, '--url', server.url);
        assert.equal(hours, 24);
        assert.equal((await eva.get('/api/v1/auth/me')).status, 200);
        assert.equal((await open(link, NEW)).status, 200);
        assert.equal((await eva.get('/api/v1/auth/me')).status, 401);
        await login(server, eva.user.email, NEW);
        assert.equal((await invokemu('reset', 'nobody@example.com')).code, 1);
        assert.equal((await invokemu('reset', eva.user.email, '--url', 'javascript:alert(1)')).code, 2);
    });

    test('ends one session, or all', async () => {
        await addUser(admin, 'Fred');
        const [one, two] = [await login(server, 'fred@example.com', PASSWORD), await login(server, 'fred@example.com', PASSWORD)];
        const ids = async () => (await said('sessions', 'list', 'fred@example.com')).map((s) => s.session_id);
        const before_ = await ids();
        const mine = (await one.get('/api/v1/auth/sessions')).body.sessions.find((s) => s.current).session_id;
        await said('sessions', 'end', 'fred@example.com', '--session', mine);
        assert.deepEqual([(await one.get('/api/v1/auth/me')).status, (await two.get('/api/v1/auth/me')).status], [401, 200]);
        assert.deepEqual(new Set(await ids()), new Set(before_.filter((id) => id !== mine)));
        assert.equal((await invokemu('sessions', 'end', 'fred@example.com', '--session', mine)).code, 1);
        await said('sessions', 'end', 'fred@example.com');
        assert.equal((await two.get('/api/v1/auth/me')).status, 401);
        assert.equal((await log('sessions_ended'))[0].target_name, 'fred@example.com');
    });

    test('pauses, lists, cancels and clears the queue', async () => {
        const [gina, hugo] = [await addUser(admin, 'Gina'), await addUser(admin, 'Hugo')];
        await said('queue', 'pause');
        assert.equal((await admin.get('/api/v1/queue/default/status')).body.processor.is_started, false);
        const ids = [...(await enqueue(gina, { runs: 3 })), ...(await enqueue(hugo, { runs: 2 }))];
        const status = async (...more) => (await said('queue', 'list', ...more)).map((j) => [j.item_id, j.status]);
        assert.deepEqual((await status()).map(([id]) => id).sort(), [...ids].sort());
        assert.equal((await status('--user', gina.user.email)).length, 3);
        assert.equal((await status('--limit', '2')).length, 2);
        assert.deepEqual(await said('queue', 'cancel', String(ids[0])), { canceled: 1 });
        assert.deepEqual(await said('queue', 'cancel', '--user', gina.user.email), { canceled: 2 });
        assert.equal((await said('queue', 'status')).queue.pending, 2);
        assert.deepEqual((await status('--status', 'canceled')).map(([id]) => id).sort(), ids.slice(0, 3).sort());
        for (const [code, ...wrong] of [[1, 'cancel', '999999'], [2, 'cancel', 'x'], [2, 'cancel', '99999999999999999999'], [1, 'clear'], [2, 'list', '--status', 'done'], [2, 'list', '--limit', '0']]) {
            const refused = await invokemu('queue', ...wrong);
            assert.equal(refused.code, code, wrong.join(' '));
            assert.ok(!refused.err.includes('9223372036854775807'), refused.err);
        }
        assert.deepEqual(await said('queue', 'prune'), { deleted: 3 });
        assert.deepEqual(await said('queue', 'clear', '--force'), { deleted: 2 });
        assert.equal((await admin.get('/api/v1/queue/default/status')).body.queue.total, 0);
        await said('queue', 'resume');
        assert.equal((await admin.get('/api/v1/queue/default/status')).body.processor.is_started, true);
        for (const action of ['queue_paused', 'queue_cleared', 'queue_resumed']) {
            assert.equal((await log(action))[0].address, 'local', action);
        }
    });

    test('shows and exports the audit log as the server does', async () => {
        const shown = await said('audit', '--action', 'account_created', '--limit', '2');
        assert.deepEqual(shown, (await admin.get('/api/v1/audit?action=account_created&limit=2')).body.entries);
        const csv = (await invokemu('audit', '--format', 'csv', '--search', 'anna')).out;
        assert.equal(csv, (await admin.get('/api/v1/audit?format=csv&search=anna')).text);
        const lines = (await invokemu('audit', '--format', 'jsonl')).out.trim().split('\n');
        assert.ok(lines.length > 10 && lines.every((l) => JSON.parse(l).entry_id > 0));
        assert.match((await invokemu('audit', '--result', 'ok', '--limit', '1')).out, /^\d{4}-\d\d-\d\d .* ok /);
        assert.deepEqual(await said('audit', '--until', '2001'), []);
        for (const wrong of [['--since', 'yesterday'], ['--since', '2026-13-01'], ['--until', '2026-02-30'], ['--result', 'maybe'], ['--format', 'pdf'], ['--limit', '0'], ['--limit', '1x']]) {
            assert.equal((await invokemu('audit', ...wrong)).code, 2, wrong.join(' '));
        }
    });

    test('that somebody has to choose a new password, or not any more, is written down', async () => {
        const uma = await addUser(admin, 'Uma');
        for (const option of ['--must-change', '--must-change', '--no-must-change']) {
            await said('users', 'mod', uma.user.email, option);
        }
        const entries = (await log('account_changed')).filter((e) => e.target_id === uma.user.user_id);
        assert.deepEqual(entries.map((e) => e.detail), [{ must_change_password: false }, { must_change_password: true }]);
    });

    test('each change says in JSON what it did', async () => {
        const added = await run(server, 'invokemu', ['users', 'add', 'ivo@example.com', '--password-stdin', '--json'], `${PASSWORD}\n`);
        assert.equal(JSON.parse(added.out).email, 'ivo@example.com');
        const changed = await said('users', 'mod', 'ivo@example.com', '--name', 'Ivo', '--admin');
        assert.deepEqual([changed.display_name, changed.is_admin], ['Ivo', true]);
        assert.deepEqual((await said('users', 'list', '--search', 'IVO')).map((u) => u.email), ['ivo@example.com']);
        assert.equal((await said('users', 'del', 'ivo@example.com', '--force')).transferred_to, null);
        const { from, to } = await said('migrate');
        assert.equal(from, to);
        assert.equal((await log('role_changed'))[0].target_name, 'ivo@example.com');
    });
});
