// Whose the things become that are taken in from another server, and what becomes of the accounts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
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
