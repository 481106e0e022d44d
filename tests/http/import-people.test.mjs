// Whose the things become that are taken in from another server, and what becomes of the accounts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { OldRoot, TIME } from '../lib/old-root.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';

const server = useServer({ multiuser: true, media: true });
const thumbnail = Buffer.concat([Buffer.from('RIFF\x0c\0\0\0WEBPVP8L', 'latin1'), Buffer.alloc(8)]);
const times = { created_at: TIME, updated_at: TIME };
let admin, hash;

/** A root of people, each with a board and a picture: {name: columns of the account}. */
function rootOf(folder, people) {
    const old = new OldRoot(path.join(server.root, folder), '6.14');
    for (const [name, values] of Object.entries(people)) {
        const user_id = `${folder}-${name}`;
        old.row('users', { user_id, email: `${name}@example.com`, display_name: name, password_hash: hash, is_admin: 0, is_active: 1, ...times, ...values });
        old.row('boards', { board_id: `board-${user_id}`, board_name: `Of ${name}`, user_id, ...times });
        old.picture(`${user_id}.png`, { user_id, thumbnail, board: `board-${user_id}` });
    }
    old.done();
    return old;
}
const invokemu = (...args) => run(server, 'invokemu', args);
const importing = async (old, ...args) => {
    const { code, out, err } = await invokemu('import', old.root, '--json', ...args);
    assert.equal(err, '');
    return { code, ...JSON.parse(out) };
};
const account = (email) => server.sql(`SELECT * FROM users WHERE email = '${email}'`)[0];
const pictureOf = (name) => server.sql(`SELECT u.email FROM images i JOIN users u USING (user_id) WHERE image_name = '${name}.png'`)[0]?.email;
const links = async () => (await admin.get('/api/v1/invitations')).body.invitations;

before(async () => {
    admin = await setupAdmin(server);
    await addUser(admin, 'Model');
    hash = account('model@example.com').password_hash;
});

describe('an account that owns something outlives its links', () => {
    test('of somebody whose old password can’t be used', async () => {
        const { notes } = await importing(rootOf('lost', { lena: { password_hash: '$2b$31$aliGYd2HVVMTHl507KKSi.y8bQ7HkcVUv/.8SbYy8nVRVfpRo0bCy' } }));
        assert.ok(notes.some((note) => /lena@example.com has no password that works here/.test(note)), notes.join('\n'));
        const { user_id: id } = account('lena@example.com');
        assert.equal((await admin.post(`/api/v1/users/${id}/reset-password`)).body.purpose, 'reset');
        const [link] = await links();
        assert.deepEqual([link.email, link.purpose], ['lena@example.com', 'reset']);
        const ended = await admin.delete(`/api/v1/invitations/${link.invitation_id}`);
        assert.deepEqual([ended.status, ended.body], [200, { success: true, account_deleted: false }]);
        assert.equal(pictureOf('lost-lena'), 'lena@example.com');
        assert.equal((await invokemu('reset', 'lena@example.com')).code, 0);
        const [again] = await links();
        const done = await invokemu('links', 'end', again.invitation_id);
        assert.match(done.out, /works no more; the account stays as it is/);
        assert.equal(pictureOf('lost-lena'), 'lena@example.com');
        assert.deepEqual(server.sql(`SELECT 1 FROM audit_log WHERE action = 'account_deleted' AND target_id = '${id}'`), []);
    });

    test('of somebody invited who got what was nobody’s, or anything else', async () => {
        const made = (await admin.post('/api/v1/invitations', { email: 'olga@example.com' })).body;
        const id = made.user.user_id;
        const old = new OldRoot(path.join(server.root, 'nobodys'), '5');
        old.picture('nobodys.png', { thumbnail });
        old.done();
        await importing(old, '--owner', 'olga@example.com');
        const [link] = await links();
        assert.deepEqual([link.email, link.purpose], ['olga@example.com', 'reset'], 'its end takes no account away');
        assert.deepEqual((await admin.delete(`/api/v1/invitations/${link.invitation_id}`)).body.account_deleted, false);
        assert.equal(pictureOf('nobodys'), 'olga@example.com');
        for (const [what, row] of Object.entries({
            boards: `INSERT INTO boards (board_id, board_name, user_id, created_at, updated_at) VALUES ('b', 'b', 'ID', '${TIME}', '${TIME}')`,
            workflows: `INSERT INTO workflows (workflow_id, name, workflow, user_id, created_at, updated_at) VALUES ('w', 'w', '{}', 'ID', '${TIME}', '${TIME}')`,
            style_presets: `INSERT INTO style_presets (id, name, preset_data, user_id, created_at, updated_at) VALUES ('s', 's', '{}', 'ID', '${TIME}', '${TIME}')`,
            client_state: `INSERT INTO client_state (user_id, key, value, updated_at) VALUES ('ID', 'k', 'v', '${TIME}')`,
            session_queue: `INSERT INTO session_queue (queue_id, batch_id, session_id, session, status, user_id, created_at, updated_at) VALUES ('default', 'b', 's', '{}', 'completed', 'ID', '${TIME}', '${TIME}')`,
            shared_boards: `INSERT INTO shared_boards (board_id, user_id, permission, created_at, named_by) VALUES ('b', '${admin.user.user_id}', 'read', '${TIME}', 'ID')`,
        })) {
            const { user } = (await admin.post('/api/v1/invitations', { email: `${what.replace('_', '-')}@example.com` })).body;
            const [open] = await links();
            assert.equal(open.purpose, 'invitation', what);
            server.sql(row.replaceAll('ID', user.user_id));
            assert.equal((await admin.delete(`/api/v1/invitations/${open.invitation_id}`)).body.account_deleted, false, what);
            assert.equal((await admin.get(`/api/v1/auth/users/${user.user_id}`)).status, 200, what);
        }
        server.sql(`UPDATE images SET user_id = '${admin.user.user_id}' WHERE user_id = '${id}'`);
        assert.equal((await invokemu('reset', 'olga@example.com')).code, 0);
        const [last] = await links();
        assert.match((await invokemu('links', 'end', last.invitation_id)).out, /the account that nobody has used is gone/);
        assert.equal(account('olga@example.com'), undefined);
    });

    test('who was only invited here gets their old password with their pictures; whoever has one keeps it', async () => {
        await admin.post('/api/v1/invitations', { email: 'ivan@example.com' });
        await addUser(admin, 'Karl', { password: 'Another-Password-11-Here' });
        const old = rootOf('both', { ivan: {}, karl: {} });
        const { notes } = await importing(old);
        assert.ok(notes.some((note) => /^ivan@example.com .* gets the other one's, and its things/.test(note)), notes.join('\n'));
        assert.ok(notes.some((note) => /^karl@example.com .* keeps its password/.test(note)), notes.join('\n'));
        const ivan = await login(server, 'ivan@example.com', PASSWORD);
        assert.deepEqual((await ivan.get('/api/v1/images/?limit=9')).body.items.map((i) => i.image_name), ['both-ivan.png']);
        await login(server, 'karl@example.com', 'Another-Password-11-Here');
        const [link] = await links();
        assert.deepEqual([link.email, link.purpose], ['ivan@example.com', 'reset']);
        assert.equal((await admin.delete(`/api/v1/invitations/${link.invitation_id}`)).body.account_deleted, false);
        await login(server, 'ivan@example.com', PASSWORD);
    });
});

describe('nobody gets what is somebody else’s', () => {
    const twins = (folder) => rootOf(folder, { ada: { email: 'ADA@example.org', display_name: 'Ada One' }, adb: { email: 'ada@example.org', display_name: 'Ada Two' } });

    test('of two whose addresses are one here, the second is left out with what they had, by both names', async () => {
        const old = twins('twins');
        old.row('shared_boards', { board_id: 'board-twins-adb', user_id: 'twins-ada', can_edit: 0, shared_at: TIME });
        old.row('client_state', { user_id: 'twins-adb', key: 'k', value: '1', updated_at: TIME });
        old.row('workflow_library', { workflow_id: 'flow-adb', workflow: '{}', category: 'user', name: 'w', user_id: 'twins-adb', ...times });
        old.row('session_queue', { item_id: 7, batch_id: 'b', queue_id: 'default', session_id: 'job-adb', session: '{}', status: 'completed', user_id: 'twins-adb', ...times });
        old.done();
        for (const taken of [1, 0]) {
            const { code, counts, left_out } = await importing(old);
            const left = left_out.filter((l) => !/^video|^system/.test(l.what));
            assert.deepEqual([code, counts.accounts.taken, counts.pictures.taken, counts.boards.taken], [3, taken, taken, taken]);
            const [account_] = left.filter((l) => l.what === 'account');
            assert.equal(account_.name, 'ada@example.org (Ada Two)');
            assert.match(account_.reason, /that of ADA@example\.org \(Ada One\), written otherwise/);
            assert.deepEqual(left.filter((l) => l !== account_).map((l) => [l.what, l.name]).sort(), [['board', 'board-twins-adb'], ['job', '7'], ['picture', 'twins-adb.png'], ['setting of a person', 'twins-adb k'], ['share', 'board-twins-adb twins-ada'], ['workflow', 'flow-adb']]);
            assert.ok(left.every((l) => l === account_ || /got no account here|board is not here/.test(l.reason)), JSON.stringify(left));
        }
        assert.deepEqual([pictureOf('twins-ada'), pictureOf('twins-adb')], ['ada@example.org', undefined]);
        assert.ok(!fs.existsSync(path.join(server.data, 'outputs/images/twins-adb.png')));
        const { counts } = await importing(old, '--owner', 'model@example.com');
        assert.equal(counts.pictures.taken, 1);
        assert.deepEqual([pictureOf('twins-ada'), pictureOf('twins-adb')], ['ada@example.org', 'model@example.com']);
    });

    test('nor when the address is of an account that was here before', async () => {
        await addUser(admin, 'Here', { email: 'ada@example.org'.replace('ada', 'adele') });
        const old = rootOf('older', { ada: { email: 'ADELE@example.org' }, adb: { email: 'adele@example.org' } });
        await importing(old);
        assert.deepEqual([pictureOf('older-ada'), pictureOf('older-adb')], ['adele@example.org', undefined]);
    });
});

describe('what can’t be read or can’t be done any more', () => {
    test('is said of a last sign-in, which is not now', async () => {
        const report = await importing(rootOf('seen', { sara: { last_login_at: 'last week' }, seth: { last_login_at: TIME } }));
        assert.deepEqual(report.left_out.filter((l) => l.what === 'last sign-in').map((l) => l.name), ['sara@example.com']);
        assert.deepEqual([account('sara@example.com').last_login_at, account('seth@example.com').last_login_at], [null, TIME]);
    });

    test('jobs of suspended people do not wait for ever; those that a deleted account left wait as they did', async () => {
        const old = rootOf('jobs', { jana: {}, jost: { is_active: 0 } });
        ['jobs-jana', 'jobs-jost', 'deleted-there'].forEach((user_id, i) => old.row('session_queue', { item_id: i, batch_id: 'b', queue_id: 'default', session_id: user_id, session: '{}', status: 'pending', user_id, ...times }));
        old.done();
        const { notes } = await importing(old);
        assert.ok(notes.includes("1 waiting job of suspended people is canceled"), notes.join('\n'));
        const statusOf = (id) => server.sql(`SELECT status, completed_at IS NOT NULL AS ended FROM session_queue WHERE session_id = '${id}'`)[0];
        assert.deepEqual(['jobs-jana', 'jobs-jost', 'deleted-there'].map(statusOf), [{ status: 'pending', ended: 0 }, { status: 'canceled', ended: 1 }, { status: 'pending', ended: 0 }]);
    });
});

describe('people are called by the rule for names that are given here', () => {
    test('what no name can hold is made visible, too long ones are cut, and the report says so', async () => {
        const names = { nora: 'Nora\nAdmin', nils: '\u202eslin', nele: '  Nele  ', nick: 'é'.repeat(300), nobody: '\u200b \n', nina: '', nelly: 'فاطمة 🦊' };
        const { left_out: left } = await importing(rootOf('names', Object.fromEntries(Object.entries(names).map(([name, display_name]) => [name, { display_name }]))));
        const called = Object.fromEntries(Object.keys(names).map((name) => [name, account(`${name}@example.com`).display_name]));
        assert.deepEqual(called, { nora: 'Nora\\x0aAdmin', nils: '\\xe2\\x80\\xaeslin', nele: 'Nele', nick: 'é'.repeat(200), nobody: called.nobody, nina: '', nelly: names.nelly });
        assert.ok(!/[\r\n]/.test(called.nobody ?? ''), called.nobody);
        assert.deepEqual(left.filter((l) => l.what === 'name of a person').map((l) => l.name).sort(), ['nick@example.com', 'nils@example.com', 'nobody@example.com', 'nora@example.com']);
        const kept = (await admin.get('/api/v1/users?search=nora')).body.users[0];
        assert.equal((await admin.patch(`/api/v1/users/${kept.user_id}`, { display_name: kept.display_name })).status, 200, 'a page that saves it again may');
    });
});

describe('an account that stands for a deleted one', () => {
    test('is nobody’s: no password, no link, no address and no end of its suspension, but its things can be handed on', async () => {
        const old = rootOf('left', { lars: {} });
        old.picture('left-behind.png', { user_id: 'gone-there', thumbnail });
        old.done();
        await importing(old);
        const before_ = account(pictureOf('left-behind'));
        assert.match(before_.email, /^owner-[0-9a-f]{12}@deleted\.invalid$/);
        const refused = (answer) => assert.deepEqual([answer.status, /nobody can sign in to it\. Delete it/.test(answer.body.detail)], [409, true], answer.text);
        for (const change of [{ is_active: true }, { is_admin: true }, { email: 'mine@example.com' }, { password: PASSWORD }]) {
            refused(await admin.patch(`/api/v1/auth/users/${before_.user_id}`, change));
        }
        refused(await admin.post(`/api/v1/users/${before_.user_id}/reset-password`));
        for (const args of [['users', 'mod', before_.email, '--active'], ['users', 'mod', before_.email, '--admin'], ['reset', before_.email]]) {
            const { code, err } = await invokemu(...args);
            assert.deepEqual([code, /nobody can sign in to it/.test(err)], [1, true], err);
        }
        assert.deepEqual(account(before_.email), before_);
        const board = (await admin.post('/api/v1/boards/?board_name=Ours')).body.board_id;
        const shared = (whom) => admin.post(`/api/v1/boards/${board}/share`, { ...whom, permission: 'read' });
        const byId = await shared({ user_ids: [before_.user_id] });
        assert.deepEqual([byId.status, /has no account here/.test(byId.body.detail)], [404, true], byId.text);
        const unknown = await shared({ email: 'nobody-here@example.com' });
        assert.equal(unknown.status, 404);
        const { email: systems } = server.sql("SELECT email FROM users WHERE user_id = 'system'")[0];
        for (const email of [before_.email, systems]) {
            const same = await shared({ email });
            assert.deepEqual([same.status, same.body], [404, unknown.body], email);
        }
        const leaver = await addUser(admin, 'Leaver');
        const heir = await admin.delete(`/api/v1/users/${leaver.user.user_id}?delete_data=false&transfer_to=${before_.user_id}`);
        assert.deepEqual([heir.status, /deleted before it came here.*Choose somebody else/.test(heir.body.detail)], [400, true], heir.text);
        const named = await admin.patch(`/api/v1/auth/users/${before_.user_id}`, { email: before_.email, display_name: 'Of before', is_admin: false });
        assert.deepEqual([named.status, named.body.display_name], [200, 'Of before'], 'a page that saves all of it again may');
        assert.equal((await admin.delete(`/api/v1/users/${before_.user_id}?delete_data=false&transfer_to=left-lars`)).status, 200);
        assert.equal(pictureOf('left-behind'), 'lars@example.com');
    });
});

describe('what was done is in the audit log', () => {
    const entriesOf = (id) => server.sql(`SELECT action, detail FROM audit_log WHERE target_id = '${id}'`);

    test('an owner who is nowhere is found out before anything is done', async () => {
        const old = rootOf('typo', { tina: {}, theo: {} });
        const entries = server.sql('SELECT COUNT(*) AS n FROM audit_log');
        const { code, err } = await invokemu('import', old.root, '--owner', 'tinna@example.com');
        assert.deepEqual([code, /no account tinna@example\.com, here or there/.test(err)], [1, true], err);
        assert.equal(account('tina@example.com'), undefined);
        assert.deepEqual(server.sql('SELECT COUNT(*) AS n FROM audit_log'), entries);
        const { counts } = await importing(old, '--owner', 'TINA@example.com');
        assert.equal(counts.accounts.taken, 2, 'one that comes along may be it');
    });

    test('each account has an entry of its own, which the account can’t be without', async () => {
        assert.deepEqual(entriesOf('typo-tina'), [{ action: 'account_created', detail: JSON.stringify({ imported_from: path.join(server.root, 'typo') }) }]);
        // Beside the server: it does not expect its tables to change.
        const data = path.join(server.root, 'alone');
        const alone = (...args) => run({ data }, 'invokemu', args);
        const sql = (statement) => execFileSync('sqlite3', [path.join(data, 'databases/invokemu.db'), statement], { encoding: 'utf8' }).trim();
        fs.mkdirSync(data);
        assert.equal((await alone('migrate')).code, 0);
        const old = rootOf('unlogged', { ursula: {} });
        const people = "SELECT (SELECT COUNT(*) FROM users WHERE email LIKE 'ursula%'), (SELECT COUNT(*) FROM audit_log WHERE target_name LIKE 'ursula%')";
        sql("CREATE TRIGGER no_entry BEFORE INSERT ON audit_log WHEN new.target_name = 'ursula@example.com' BEGIN SELECT RAISE(ABORT, 'no room'); END");
        await alone('import', old.root);
        assert.equal(sql(people), '0|0');
        sql('DROP TRIGGER no_entry');
        for (let i = 0; i < 2; i++) {
            await alone('import', old.root);
            assert.equal(sql(people), '1|1', 'one only');
        }
    });
});
