// People administration: who may, what it does to the person at once, and that somebody can always administer.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { startServer, useServer } from '../lib/server.mjs';
import { Client, request } from '../lib/http.mjs';
import { closeAll, listen } from '../lib/events.mjs';
import { enqueue } from '../lib/queue.mjs';
import { ADMIN, addUser, login, PASSWORD, setupAdmin, upload } from '../lib/users.mjs';

const ME = '/api/v1/auth/me';
const USERS = '/api/v1/auth/users';
const NEXT = 'Lantern-Orchard-27q';

describe('people', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin;
    before(async () => (admin = await setupAdmin(server)));

    test('whoever was invited to administer counts only with a password', async () => {
        const made = await admin.post('/api/v1/users', { email: 'deputy@example.com', send_invitation: true, is_admin: true });
        assert.equal(made.status, 201);
        const refused = [await admin.delete(`${USERS}/${admin.user.user_id}`), await admin.patch(`${USERS}/${admin.user.user_id}`, { is_admin: false })];
        for (const answer of refused) {
            assert.equal(answer.status, 400, answer.text);
        }
        assert.equal((await request(`${server.url}/api/v1/auth/status`)).body.setup_required, false);
        assert.equal((await admin.delete(`${USERS}/${made.body.user.user_id}`)).status, 204);
    });

    test('two last administrators cannot demote each other at the same time', async () => {
        for (const attempt of ['first', 'second', 'third']) {
            const other = await addUser(admin, `Rival-${attempt}`, { isAdmin: true });
            const answers = await Promise.all([
                admin.patch(`${USERS}/${other.user.user_id}`, { is_admin: false }),
                other.patch(`${USERS}/${admin.user.user_id}`, { is_admin: false }),
            ]);
            // Whoever comes second finds either no administrator's rights or the last administrator.
            assert.deepEqual(answers.map((a) => a.status).filter((s) => s === 200).length, 1, answers.map((a) => `${a.status} ${a.text}`).join('\n'));
            assert.ok(answers.every((a) => [200, 400, 403].includes(a.status)));
            const left = server.sql("SELECT user_id FROM users WHERE is_admin = 1 AND is_active = 1 AND user_id <> 'system'");
            assert.equal(left.length, 1);
            const winner = left[0].user_id === admin.user.user_id ? admin : other;
            assert.equal((await winner.patch(`${USERS}/${admin.user.user_id}`, { is_admin: true })).status, 200);
            if (winner === other) {
                assert.equal((await admin.patch(`${USERS}/${other.user.user_id}`, { is_admin: false })).status, 200);
            }
            assert.equal((await admin.delete(`${USERS}/${other.user.user_id}`)).status, 204);
        }
    });

    test('many deletions of many administrators at once leave one', async () => {
        const others = [];
        for (const name of ['Ida', 'Jana', 'Karl']) {
            others.push(await addUser(admin, name, { isAdmin: true }));
        }
        const all = [admin, ...others];
        const answers = await Promise.all(all.map((who, i) => who.delete(`${USERS}/${all[(i + 1) % all.length].user.user_id}`)));
        assert.ok(answers.every((a) => [204, 400, 401, 403, 404].includes(a.status)), answers.map((a) => a.status).join());
        const left = server.sql("SELECT email FROM users WHERE is_admin = 1 AND is_active = 1 AND user_id <> 'system'");
        assert.ok(left.length >= 1);
        const survivor = all.find((a) => a.user.email === left[0].email);
        if (survivor !== admin) {
            assert.equal((await survivor.post(USERS, { email: 'root2@example.com', password: PASSWORD, is_admin: true })).status, 201);
            admin = await login(server, 'root2@example.com', PASSWORD);
        }
    });

    test('names are of what can be seen, on one line, wherever they are given; letters of all scripts count as one', async () => {
        const nina = await addUser(admin, 'Nina');
        const places = [
            (name) => nina.patch(ME, { display_name: name }),
            (name) => admin.patch(`${USERS}/${nina.user.user_id}`, { display_name: name }),
            (name) => admin.patch(`/api/v1/users/${nina.user.user_id}`, { display_name: name }),
            (name) => admin.post(USERS, { email: 'x1@example.com', password: PASSWORD, display_name: name }),
            (name) => admin.post('/api/v1/users', { email: 'x2@example.com', initial_password: PASSWORD, display_name: name }),
            (name) => admin.post('/api/v1/invitations', { email: 'x3@example.com', display_name: name }),
        ];
        for (const bad of ['  ', '\u200b', '\u2060\ufeff', 'A\nB', 'A\rB', 'A\tB', 'Anna\u202enimdA', 'A\u2066B', 'A\u2028B', '界'.repeat(201)]) {
            for (const [i, give] of places.entries()) {
                const answer = await give(bad);
                assert.equal(answer.status, 422, `${JSON.stringify(bad)} at place ${i}: ${answer.text.slice(0, 200)}`);
            }
        }
        assert.equal((await nina.get(ME)).body.display_name, 'Nina');
        assert.equal((await nina.patch(ME, { display_name: ' \u00a0Nina Ö. \n' })).body.display_name, 'Nina Ö.');
        assert.equal((await nina.patch(ME, { display_name: '界'.repeat(200) })).body.display_name, '界'.repeat(200));
        for (const email of ['ni\u200bna@example.com', 'nina@exam\u00adple.com', 'n\ufeffina@example.com']) {
            assert.equal((await admin.post('/api/v1/invitations', { email })).status, 422, JSON.stringify(email));
        }
    });

    test('suspension and deletion end sessions on the next request, and with them what they owned', async () => {
        const lena = await addUser(admin, 'Lena');
        assert.equal((await lena.post('/api/v1/client_state/default/set_by_key?key=k', 'v')).status, 200);
        assert.equal((await admin.patch(`${USERS}/${lena.user.user_id}`, { is_active: false })).status, 200);
        assert.equal((await lena.get(ME)).status, 401);
        assert.equal((await request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: 'lena@example.com', password: PASSWORD } })).status, 403);
        assert.equal((await admin.patch(`${USERS}/${lena.user.user_id}`, { is_active: true })).status, 200);
        assert.equal((await lena.get(ME)).status, 401, 'a session that was ended stays ended');
        const again = await login(server, 'lena@example.com', PASSWORD);
        assert.equal((await again.get('/api/v1/client_state/default/get_by_key?key=k')).body, 'v');
        assert.equal((await admin.delete(`${USERS}/${lena.user.user_id}`)).status, 204);
        assert.equal((await again.get(ME)).status, 401);
        assert.deepEqual(server.sql(`SELECT (SELECT COUNT(*) FROM client_state WHERE user_id = '${lena.user.user_id}') + (SELECT COUNT(*) FROM user_sessions WHERE user_id = '${lena.user.user_id}') AS n`), [{ n: 0 }]);
    });

    test('what a deleted person owned can become somebody else’s: all of it, and nothing else', async () => {
        const [leaver, friend] = [await addUser(admin, 'Lena'), await addUser(admin, 'Fritz')];
        let heir = await addUser(admin, 'Hanna');
        const board = async (who, name) => (await who.post(`/api/v1/boards/?board_name=${name}`)).body.board_id;
        const share = (who, id, whom, permission) => who.post(`/api/v1/boards/${id}/share`, { user_ids: [whom.user.user_id], permission });
        const [left, friends] = [await board(leaver, 'Left'), await board(friend, 'Friends')];
        assert.equal((await share(leaver, left, heir, 'read')).status, 200);
        assert.equal((await share(leaver, left, friend, 'read')).status, 200);
        assert.equal((await share(friend, friends, leaver, 'write')).status, 200);
        const { image_name: onBoard } = await upload(leaver, { query: `&board_id=${left}` });
        const { image_name: loose } = await upload(leaver);
        const { image_name: elsewhere } = await upload(leaver, { query: `&board_id=${friends}` });
        const preset = (await leaver.send('POST', '/api/v1/style_presets/', { form: [{ name: 'data', value: JSON.stringify({ name: 'Oils', positive_prompt: 'oil', negative_prompt: '', type: 'user', is_public: false }) }] })).body;
        assert.ok(preset.id);
        await enqueue(leaver, { runs: 3 });
        const path = (query) => `/api/v1/users/${leaver.user.user_id}${query}`;

        for (const [query, status] of [['?delete_data=false', 422], ['?delete_data=false&delete_data=true', 422], ['?delete_data=true&delete_data=true', 422], [`?delete_data=false&transfer_to=${friend.user.user_id}&transfer_to=${heir.user.user_id}`, 422], [`?delete_data=true&transfer_to=${heir.user.user_id}`, 422], ['?delete_data=false&transfer_to=nobody', 400], ['?delete_data=false&transfer_to=system', 400], [`?delete_data=false&transfer_to=${leaver.user.user_id}`, 400]]) {
            assert.equal((await admin.delete(path(query))).status, status, query);
        }
        const invited = (await admin.post('/api/v1/invitations', { email: 'not-yet@example.com' })).body.user.user_id;
        const early = await admin.delete(path(`?delete_data=false&transfer_to=${invited}`));
        assert.deepEqual([early.status, /accept their invitation/.test(early.body.detail)], [400, true]);
        assert.equal((await admin.delete(`${USERS}/${leaver.user.user_id}?delete_data=false`)).status, 422, 'upstream’s route loses nothing either');
        assert.equal((await leaver.get(ME)).status, 200, 'nothing happened yet');
        assert.equal((await heir.delete(path(`?delete_data=false&transfer_to=${heir.user.user_id}`))).status, 403);
        const suspend = (yes) => admin.patch(`${USERS}/${heir.user.user_id}`, { is_active: !yes });
        assert.equal((await suspend(true)).status, 200);
        const unreachable = await admin.delete(path(`?delete_data=false&transfer_to=${heir.user.user_id}`));
        assert.deepEqual([unreachable.status, /suspended/.test(unreachable.body.detail)], [400, true]);
        assert.equal((await leaver.get(ME)).status, 200);
        assert.equal((await suspend(false)).status, 200);
        heir = await login(server, heir.user.email, PASSWORD);
        assert.equal((await admin.delete(path(`?delete_data=false&transfer_to=${heir.user.user_id}`))).status, 200);

        const [entry] = (await admin.get('/api/v1/audit?action=account_deleted&limit=1')).body.entries;
        assert.deepEqual([entry.target_id, entry.detail], [leaver.user.user_id, { transferred_to: heir.user.user_id, transferred_to_email: heir.user.email, jobs_ended: 3 }]);
        assert.equal((await leaver.get(ME)).status, 401);
        assert.deepEqual((await heir.get(`/api/v1/boards/${left}`)).body.user_id, heir.user.user_id);
        assert.deepEqual((await heir.get(`/api/v1/boards/${left}/shares`)).body.shares.map((s) => s.user_id), [friend.user.user_id]);
        for (const name of [onBoard, loose, elsewhere]) {
            assert.equal((await heir.get(`/api/v1/images/i/${name}/full`)).status, 200, name);
        }
        assert.equal((await friend.get(`/api/v1/images/i/${loose}`)).status, 403);
        assert.deepEqual((await friend.get(`/api/v1/boards/${friends}/shares`)).body.shares, []);
        assert.equal((await friend.get(`/api/v1/boards/${friends}`)).body.user_id, friend.user.user_id);
        assert.equal((await heir.get(`/api/v1/style_presets/i/${preset.id}`)).status, 200);
        assert.equal((await heir.delete(`/api/v1/boards/${left}?include_images=true`)).status, 200);
        assert.equal((await admin.get(`/api/v1/images/i/${onBoard}`)).status, 404);
    });

    /** Gives the database a rule of its own for a while; httpd's statements are prepared anew for it, so the server starts once more. */
    const meanwhile = async (rule, what) => {
        server.sql(`CREATE TRIGGER meanwhile ${rule}`);
        await server.restart('hard');
        try {
            await what();
        } finally {
            server.sql('DROP TRIGGER meanwhile');
            await server.restart('hard');
        }
    };
    const jobsOf = (who) => server.sql(`SELECT COUNT(*) AS n FROM session_queue WHERE user_id = '${who.user.user_id}'`)[0].n;
    const deletions = async () => (await admin.get('/api/v1/audit?action=account_deleted&limit=1')).body.entries[0];
    const FULL = "BEFORE DELETE ON users BEGIN SELECT RAISE(ABORT, 'no room'); END";

    for (const [jobs, left] of [[3, 3], [1200, 0]]) {
        test(`a deletion that fails at its end leaves the account as it was, with ${left} of ${jobs} jobs, and is done by another one`, async () => {
            const [leaver, heir] = [await addUser(admin, `Leaver${jobs}`), await addUser(admin, `Heir${jobs}`)];
            const path = `/api/v1/users/${leaver.user.user_id}?delete_data=false&transfer_to=${heir.user.user_id}`;
            const { image_name: picture } = await upload(leaver);
            assert.equal((await admin.put('/api/v1/queue/default/processor/pause')).status, 200);
            await enqueue(leaver, { runs: jobs });
            const before = await deletions();
            server.allowLog(/IMU0101: DELETE .*user_delete failed .*no room/);
            await meanwhile(FULL, async () => {
                const [ear, all] = [await listen(server, leaver), await listen(server, admin)];
                const failed = await admin.delete(path);
                assert.ok(failed.status >= 400, failed.text);
                assert.equal(/so far: 1200\. Nothing else has changed; delete it once more/.test(failed.body.detail), left === 0, failed.text);
                assert.equal((await leaver.get(ME)).body.is_active, true, 'the person is still signed in');
                assert.deepEqual([jobsOf(leaver), (await leaver.get(`/api/v1/images/i/${picture}`)).status], [left, 200]);
                const entry = await deletions();
                if (left) {
                    assert.equal(entry.entry_id, before.entry_id, 'nothing happened');
                } else {
                    assert.deepEqual([entry.result, entry.target_id, entry.detail.jobs_ended], ['refused', leaver.user.user_id, 1200]);
                    await Promise.all([ear, all].map((l) => l.heard('queue_pruned')));
                }
                assert.equal(ear.ended, null);
                closeAll();
            });
            assert.equal((await admin.delete(path)).status, 200);
            assert.equal((await leaver.get(ME)).status, 401);
            assert.equal((await heir.get(`/api/v1/images/i/${picture}`)).status, 200);
        });
    }

    test('whom a person’s things were to go to is suspended meanwhile: the command line says what became of the jobs, and goes on from there', async () => {
        const [leaver, heir] = [await addUser(admin, 'Emil'), await addUser(admin, 'Fatima')];
        const del = ['users', 'del', leaver.user.email, '--transfer-to', heir.user.email, '--force'];
        await enqueue(leaver, { runs: 900 });
        await meanwhile(`AFTER DELETE ON session_queue BEGIN UPDATE users SET is_active = 0 WHERE user_id = '${heir.user.user_id}'; END`, async () => {
            const failed = await run(server, 'invokemu', del);
            assert.equal(failed.code, 1);
            assert.match(failed.err, /is suspended .*so far: 900\. Nothing else has changed; delete it once more/s);
        });
        assert.deepEqual([(await leaver.get(ME)).status, jobsOf(leaver)], [200, 0]);
        const entry = await deletions();
        assert.deepEqual([entry.result, entry.target_id, entry.detail.jobs_ended, /is suspended/.test(entry.detail.reason)], ['refused', leaver.user.user_id, 900, true]);
        assert.equal((await admin.patch(`${USERS}/${heir.user.user_id}`, { is_active: true })).status, 200);
        assert.equal((await run(server, 'invokemu', del)).code, 0);
        assert.equal((await leaver.get(ME)).status, 401);
    });

    test('a link ends with the address that it was made for: it opens no account that has that address later', async () => {
        const check = (link) => request(`${server.url}/api/v1/auth/check-link`, { method: 'POST', json: { token: new URL(link).searchParams.get('token') } });
        const redeem = (link) => request(`${server.url}/api/v1/auth/reset-password`, { method: 'POST', json: { token: new URL(link).searchParams.get('token'), password: NEXT } });
        const mover = await addUser(admin, 'Mover');
        const link = (await admin.post(`/api/v1/users/${mover.user.user_id}/reset-password`)).body.reset_link;
        assert.equal((await check(link)).status, 200);
        assert.equal((await admin.patch(`/api/v1/users/${mover.user.user_id}`, { email: 'moved@example.com' })).status, 200);
        const next = await addUser(admin, 'Mover');
        assert.notEqual(next.user.user_id, mover.user.user_id);
        assert.deepEqual([(await check(link)).status, (await redeem(link)).status], [404, 404]);
        await login(server, 'mover@example.com', PASSWORD);
        await login(server, 'moved@example.com', PASSWORD);
    });

    test('a board is marked as shared for as long as it is, whoever goes', async () => {
        const [owner, first, second, heir] = [await addUser(admin, 'Olga'), await addUser(admin, 'Fanny'), await addUser(admin, 'Sonja'), await addUser(admin, 'Herta')];
        const { board_id: id } = (await owner.post('/api/v1/boards/?board_name=Marked')).body;
        const marked = () => server.sql(`SELECT is_shared AS yes FROM boards WHERE board_id = '${id}'`)[0].yes;
        const share = (whom) => owner.post(`/api/v1/boards/${id}/share`, { user_ids: [whom.user.user_id], permission: 'read' });
        assert.equal(marked(), 0);
        assert.equal((await share(first)).status, 200);
        assert.equal(marked(), 1);
        assert.equal((await owner.delete(`/api/v1/boards/${id}/share/${first.user.user_id}`)).status, 200);
        assert.equal(marked(), 0);
        assert.deepEqual([(await share(first)).status, (await share(second)).status], [200, 200]);
        assert.equal((await admin.delete(`/api/v1/users/${first.user.user_id}`)).status, 200);
        assert.equal(marked(), 1);
        assert.equal((await admin.delete(`/api/v1/users/${second.user.user_id}?delete_data=false&transfer_to=${heir.user.user_id}`)).status, 200);
        assert.equal(marked(), 0, 'the last one it was shared with is gone');
        assert.equal((await share(heir)).status, 200);
        assert.equal((await admin.delete(`/api/v1/users/${owner.user.user_id}?delete_data=false&transfer_to=${heir.user.user_id}`)).status, 200);
        assert.equal(marked(), 0, 'it became that of whom it was shared with');
    });

    test('administrators see and end anybody’s sessions, and nobody else does', async () => {
        const person = await addUser(admin, 'Sina');
        const other = await login(server, 'sina@example.com', PASSWORD);
        const path = `/api/v1/users/${person.user.user_id}/sessions`;
        const { sessions } = (await admin.get(path)).body;
        assert.equal(sessions.length, 2);
        assert.ok(sessions.every((s) => !s.current && s.ip_address === '127.0.0.1'));
        for (const [method, where] of [['GET', path], ['DELETE', path], ['DELETE', `${path}/${sessions[0].session_id}`]]) {
            assert.equal((await person.send(method, where)).status, 403);
        }
        const own = (await admin.get('/api/v1/auth/sessions')).body.sessions.find((s) => s.current).session_id;
        assert.equal((await admin.delete(`${path}/${own}`)).status, 404, 'a session of somebody else');
        assert.equal((await admin.delete(`${path}/${sessions[0].session_id}`)).status, 200);
        const left = [person, other].map(async (who) => (await who.get(ME)).status);
        assert.deepEqual((await Promise.all(left)).sort(), [200, 401]);
        assert.equal((await admin.delete(path)).status, 200);
        assert.deepEqual((await Promise.all([person, other].map(async (who) => (await who.get(ME)).status))), [401, 401]);

        const chief = await addUser(admin, 'Chief', { isAdmin: true });
        const again = await login(server, 'chief@example.com', PASSWORD);
        assert.equal((await chief.delete(`/api/v1/users/${chief.user.user_id}/sessions`)).status, 200);
        assert.deepEqual([(await chief.get(ME)).status, (await again.get(ME)).status], [200, 401], 'one’s own: all others');
        assert.equal((await admin.delete(`${USERS}/${chief.user.user_id}`)).status, 204);
        for (const nobody of ['nobody', 'system']) {
            assert.equal((await admin.get(`/api/v1/users/${nobody}/sessions`)).status, 404);
        }
    });

    test('a password that an administrator chose opens only its own change', async () => {
        const made = await admin.post('/api/v1/users', { email: 'mia@example.com', display_name: 'Mia', initial_password: PASSWORD });
        assert.equal(made.status, 201);
        assert.equal(made.body.user.must_change_password, true);
        const mia = await login(server, 'mia@example.com', PASSWORD);
        assert.equal((await mia.get('/api/v1/boards/?all=true')).status, 403);
        assert.equal((await mia.get(USERS)).status, 403);
        assert.equal((await mia.get('/api/v1/auth/sessions')).status, 403);
        assert.equal((await mia.delete('/api/v1/auth/sessions')).status, 403);
        assert.equal((await mia.get('/api/v1/auth/generate-password')).status, 200);
        assert.equal((await mia.get(ME)).body.must_change_password, true);
        const same = await mia.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: PASSWORD });
        assert.equal(same.status, 400, 'the given one is no choice of theirs');
        const done = await mia.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: NEXT });
        assert.equal(done.status, 200);
        const after = new Client(server.url, { token: done.headers['x-refreshed-token'] });
        assert.equal((await after.get('/api/v1/boards/?all=true')).status, 200);
    });

    test('an invitation lets its holder choose a password, once', async () => {
        const accept = (token, password) => request(`${server.url}/api/v1/auth/accept-invitation`, { method: 'POST', json: { token, password } });
        const made = await admin.post('/api/v1/users', { email: 'guest@example.com', display_name: 'Guest', send_invitation: true });
        assert.equal(made.status, 201);
        const token = new URL(made.body.invitation_link).searchParams.get('token');
        assert.ok(made.body.invitation_link.startsWith(server.url), made.body.invitation_link);
        assert.ok(!JSON.stringify(server.sql('SELECT * FROM user_invitations')).includes(token), 'the token itself is not stored');
        assert.equal((await accept('A'.repeat(43), NEXT)).status, 404);
        assert.equal((await accept(token, 'weak')).status, 400);
        const both = await Promise.all([accept(token, NEXT), accept(token, PASSWORD)]);
        assert.deepEqual(both.map((a) => a.status).sort(), [200, 410]);
        assert.equal(both.find((a) => a.status === 200).body.email, 'guest@example.com');
        const guest = await login(server, 'guest@example.com', both[0].status === 200 ? NEXT : PASSWORD);
        assert.equal(guest.user.must_change_password, false);
        const again = await accept(token, NEXT);
        assert.equal(again.status, 410);
        assert.match(again.body.detail, /already used/);
    });

    test('a link is looked at without being used, and tells its holder what redeeming it would', async () => {
        const ask = (route, json) => request(`${server.url}/api/v1/auth/${route}`, { method: 'POST', json });
        const check = (link) => ask('check-link', { token: new URL(link).searchParams.get('token') });
        const made = (await admin.post('/api/v1/users', { email: 'look@example.com', display_name: 'Look', send_invitation: true })).body;
        const before = server.sql('SELECT * FROM user_invitations UNION ALL SELECT * FROM user_invitations');
        for (let i = 0; i < 3; i++) {
            const answer = await check(made.invitation_link);
            assert.equal(answer.status, 200);
            assert.deepEqual(answer.body, { success: true, email: 'look@example.com' });
            assert.equal(answer.headers['set-cookie'], undefined);
        }
        assert.deepEqual(server.sql('SELECT * FROM user_invitations UNION ALL SELECT * FROM user_invitations'), before);
        assert.equal((await ask('check-link', {})).status, 422);
        assert.equal((await ask('check-link', { token: 7 })).status, 422);
        assert.equal((await ask('check-link', { token: 'x'.repeat(201) })).status, 422);
        const unknown = await ask('check-link', { token: 'A'.repeat(43) });
        assert.equal(unknown.status, 404);
        assert.equal((await ask('accept-invitation', { token: new URL(made.invitation_link).searchParams.get('token'), password: NEXT })).status, 200);
        const used = await check(made.invitation_link);
        assert.equal(used.status, 410);
        assert.match(used.body.detail, /already used/);
        const late = (await admin.post(`/api/v1/users/${made.user.user_id}/reset-password`)).body.reset_link;
        server.sql("UPDATE user_invitations SET expires_at = '2020-01-01 00:00:00.000' WHERE used_at IS NULL");
        const expired = await check(late);
        assert.equal(expired.status, 410);
        assert.match(expired.body.detail, /expired/);
        const open = (await admin.get('/api/v1/invitations')).body.invitations.find((one) => one.email === 'look@example.com');
        assert.equal((await admin.delete(`/api/v1/invitations/${open.invitation_id}`)).status, 200);
        assert.deepEqual([(await check(late)).status, (await check(late)).body.detail], [404, unknown.body.detail], 'one that was ended looks like one that never was');
        for (const answer of [used, expired, unknown]) {
            assert.ok(!answer.text.includes('look@') && !answer.text.includes('Look'), answer.text);
        }
    });

    test('open links are listed, and can be ended: an account that nobody has used goes with its invitation', async () => {
        const list = async () => (await admin.get('/api/v1/invitations')).body.invitations;
        for (const { invitation_id: id } of await list()) {
            assert.equal((await admin.delete(`/api/v1/invitations/${id}`)).status, 200);
        }
        const made = await admin.post('/api/v1/invitations', { email: 'Ines@Example.com', display_name: 'Ines', is_admin: true });
        assert.equal(made.status, 201, made.text);
        assert.match(made.body.invitation_link, /\/invite\?token=/);
        const person = await addUser(admin, 'Rolf');
        const reset = (await admin.post(`/api/v1/users/${person.user.user_id}/reset-password`)).body.reset_link;
        const open = await list();
        assert.deepEqual(open.map((l) => [l.email, l.purpose, l.is_admin, l.expired]), [['rolf@example.com', 'reset', false, false], ['ines@example.com', 'invitation', true, false]]);
        assert.ok(open.every((l) => l.invited_by_user_id === admin.user.user_id && l.created_at < l.expires_at));
        assert.ok(!JSON.stringify(open).includes(new URL(reset).searchParams.get('token')));
        assert.equal((await person.get('/api/v1/invitations')).status, 403);

        for (const { invitation_id: id } of open) {
            assert.equal((await admin.delete(`/api/v1/invitations/${id}`)).status, 200);
            assert.equal((await admin.delete(`/api/v1/invitations/${id}`)).status, 404);
        }
        assert.deepEqual(await list(), []);
        for (const link of [reset, made.body.invitation_link]) {
            const token = new URL(link).searchParams.get('token');
            const answer = await request(`${server.url}/api/v1/auth/accept-invitation`, { method: 'POST', json: { token, password: PASSWORD } });
            assert.equal(answer.status, 404);
        }
        assert.equal((await admin.get(`${USERS}/${made.body.user.user_id}`)).status, 404);
        assert.equal((await person.get(ME)).status, 200, 'a person with a password stays');
        assert.equal((await admin.post('/api/v1/invitations', { email: 'rolf@example.com' })).status, 400);
        assert.equal((await admin.post('/api/v1/invitations', { email: 'nonsense' })).status, 422);
    });

    test('an invitation outlives the account of the administrator who made it', async () => {
        const deputy = await addUser(admin, 'Deputy-Two', { isAdmin: true });
        const made = (await deputy.post('/api/v1/invitations', { email: 'orphan@example.com' })).body;
        assert.equal((await admin.delete(`${USERS}/${deputy.user.user_id}`)).status, 204);
        const open = (await admin.get('/api/v1/invitations')).body.invitations.find((one) => one.email === 'orphan@example.com');
        assert.equal(open.invited_by_user_id, null);
        const token = new URL(made.invitation_link).searchParams.get('token');
        assert.equal((await request(`${server.url}/api/v1/auth/accept-invitation`, { method: 'POST', json: { token, password: PASSWORD } })).status, 200);
        await login(server, 'orphan@example.com', PASSWORD);
    });

    test('a new password that an administrator sets has to be changed, where the page or the configuration says so', async () => {
        const tom = await addUser(admin, 'Tom');
        const path = `${USERS}/${tom.user.user_id}`;
        const due = async (password) => (await login(server, 'tom@example.com', password)).user.must_change_password;
        assert.equal((await admin.patch(path, { password: NEXT })).body.must_change_password, false, 'InvokeAI’s own client has no page for it');
        assert.equal(await due(NEXT), false);
        assert.equal((await admin.patch(path, { password: PASSWORD, must_change_password: true })).body.must_change_password, true);
        assert.equal(await due(PASSWORD), true);
        const again = await login(server, 'tom@example.com', PASSWORD);
        assert.equal((await again.get('/api/v1/boards/?all=true')).status, 403);
        assert.equal((await admin.patch(path, { display_name: 'Tommy' })).body.must_change_password, true, 'nothing else ends it');
        assert.equal((await admin.post(USERS, { email: 'tim@example.com', password: PASSWORD, must_change_password: true })).body.must_change_password, true);
        assert.equal((await admin.patch(path, { password: NEXT, must_change_password: 'yes' })).status, 422);
    });

    test('pages of people fit together without gap or repetition, beyond the largest page', async () => {
        const rows = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)';
        server.sql(`${rows} INSERT INTO users (user_id, email, display_name, password_hash, is_admin, created_at, updated_at) SELECT printf('many-%04d', i), printf('many-%04d@example.com', i), 'Many', '*', 0, '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000' FROM n`);
        const seen = [];
        let page;
        do {
            page = (await admin.get(`/api/v1/users?limit=1000&offset=${seen.length}&search=many-`)).body;
            seen.push(...page.users.map((one) => one.user_id));
        } while (seen.length < page.total);
        assert.deepEqual([page.total, new Set(seen).size, seen.length], [1100, 1100, 1100]);
        assert.equal((await admin.get('/api/v1/users?limit=1001')).status, 422);
        server.sql("DELETE FROM users WHERE user_id LIKE 'many-%'");
    });

    test('a reset link leaves the old password alone until it is used, and a newer link replaces it', async () => {
        const accept = (link, password) => request(`${server.url}/api/v1/auth/accept-invitation`, { method: 'POST', json: { token: new URL(link).searchParams.get('token'), password } });
        const rosa = await addUser(admin, 'Rosa');
        const link = async () => (await admin.post(`/api/v1/users/${rosa.user.user_id}/reset-password`)).body.reset_link;
        const first = await link();
        const second = await link();
        assert.equal((await rosa.get(ME)).status, 200);
        assert.equal((await accept(first, NEXT)).status, 404);
        assert.equal((await accept(second, NEXT)).status, 200);
        assert.equal((await rosa.get(ME)).status, 401, 'sessions of before are over');
        await login(server, 'rosa@example.com', NEXT);
        const third = await link();
        server.sql("UPDATE user_invitations SET expires_at = '2020-01-01 00:00:00.000' WHERE used_at IS NULL");
        const late = await accept(third, PASSWORD);
        assert.equal(late.status, 410, 'links expire');
        assert.match(late.body.detail, /expired/);
        const fourth = await link();
        assert.equal((await admin.patch(`${USERS}/${rosa.user.user_id}`, { password: PASSWORD })).status, 200);
        assert.equal((await accept(fourth, NEXT)).status, 404, 'a changed password closes open links');
        assert.equal((await admin.post('/api/v1/users/system/reset-password')).status, 404);
    });

    test('the last page, roles and a literal search', async () => {
        await addUser(admin, 'Percent');
        const by = async (query) => (await admin.get(`/api/v1/users?${query}`)).body;
        assert.equal((await by('search=%25')).total, 0);
        assert.equal((await by('search=_')).total, 0);
        assert.equal((await by('search=PERCENT')).total, 1);
        const admins = await by('role_filter=admin');
        assert.ok(admins.users.length >= 1 && admins.users.every((u) => u.is_admin));
        const users = await by('role_filter=user');
        assert.ok(users.users.every((u) => !u.is_admin));
        assert.equal((await by('')).total, admins.total + users.total);
        assert.equal((await admin.get('/api/v1/users?limit=0')).status, 422);
        assert.equal((await admin.get('/api/v1/users?offset=-1')).status, 422);
        assert.equal((await admin.get('/api/v1/users?role_filter=king')).status, 422);
    });

    test('what is wrong with a body is said field by field, and nothing is created', async () => {
        const bad = await admin.post(USERS, { email: 'x', password: 7, is_admin: 'yes' });
        assert.equal(bad.status, 422);
        assert.deepEqual(bad.body.detail.map((d) => d.loc.join('.')).sort(), ['body.email', 'body.is_admin', 'body.password']);
        assert.ok(!bad.text.includes('"7"'));
        for (const password of ['Short1', 'Password1', 'x'.repeat(73) + 'A1']) {
            assert.equal((await admin.post(USERS, { email: 'weak@example.com', password })).status, 400, password);
        }
        assert.equal((await admin.post(USERS, { email: 'weak@example.com', password: `${PASSWORD}\u0000` })).status, 422);
        assert.equal((await admin.get('/api/v1/users?search=weak')).body.total, 0);
    });

    test('nobody gets an address that stands for a deleted account', async () => {
        const kept = (answer) => assert.deepEqual([answer.status, /^Addresses at deleted\.invalid are kept/.test(answer.body.detail)], [400, true], answer.text);
        const person = await addUser(admin, 'Kept');
        const email = 'Owner-Dan@deleted.INVALID';
        kept(await admin.post(USERS, { email, password: PASSWORD }));
        kept(await admin.post('/api/v1/users', { email, initial_password: PASSWORD }));
        kept(await admin.post('/api/v1/users', { email, send_invitation: true }));
        kept(await admin.post('/api/v1/invitations', { email }));
        kept(await admin.patch(`${USERS}/${person.user.user_id}`, { email }));
        for (const args of [['users', 'add', '--email', email, '--password-stdin'], ['invite', email]]) {
            const { code, err } = await run(server, 'invokemu', args, `${PASSWORD}\n`);
            assert.deepEqual([code, /Addresses at deleted\.invalid are kept/.test(err)], [1, true], err);
        }
        assert.deepEqual(server.sql("SELECT email FROM users WHERE email LIKE '%deleted.invalid'"), []);
        // One of before, which somebody signs in with, is a person's as any other.
        server.sql(`UPDATE users SET email = 'owner-dan@deleted.invalid' WHERE user_id = '${person.user.user_id}'`);
        assert.equal((await admin.patch(`${USERS}/${person.user.user_id}`, { email: 'dan@example.com' })).status, 200);
        const first = await startServer({ multiuser: true });
        kept(await request(`${first.url}/api/v1/auth/setup`, { method: 'POST', json: { ...ADMIN, email } }));
        await first.stop();
    });

    test('one address, one account, even when asked for twice at once', async () => {
        const answers = await Promise.all([1, 2, 3].map(() => admin.post(USERS, { email: 'Once@example.com', password: PASSWORD })));
        assert.deepEqual(answers.map((a) => a.status).sort(), [201, 400, 400]);
        assert.equal(answers.find((a) => a.status === 201).body.email, 'once@example.com');
    });
});

test('the configuration may ask for a change of every password that an administrator sets, and say a word of welcome', async () => {
    const server = await startServer({ multiuser: true, conf: ['InvokeMUForcePasswordChange On', 'InvokeMUWelcome "Pictures of the <house>. Ask Ada."'] });
    try {
        const admin = await setupAdmin(server);
        const made = (await admin.post(USERS, { email: 'ulf@example.com', password: PASSWORD })).body;
        assert.equal(made.must_change_password, true);
        const path = `${USERS}/${made.user_id}`;
        assert.equal((await admin.patch(path, { password: NEXT })).body.must_change_password, true);
        assert.equal((await admin.patch(path, { password: PASSWORD, must_change_password: false })).body.must_change_password, false);
        assert.equal((await admin.patch(`${USERS}/${admin.user.user_id}`, { password: NEXT })).body.must_change_password, false, 'one’s own is one’s own choice');
        assert.equal((await request(`${server.url}/api/v1/auth/status`)).body.welcome, 'Pictures of the <house>. Ask Ada.');
    } finally {
        await server.stop();
    }
});

test('in single-user mode there is nobody to administer and nothing to sign in to', async () => {
    const server = await startServer({ multiuser: false });
    try {
        const me = new Client(server.url);
        const status = (await me.get('/api/v1/auth/status')).body;
        assert.deepEqual([status.multiuser_enabled, status.setup_required], [false, false]);
        assert.equal((await me.post('/api/v1/auth/login', { email: ADMIN.email, password: ADMIN.password })).status, 403);
        assert.equal((await me.post('/api/v1/auth/setup', ADMIN)).status, 403);
        for (const path of [ME, USERS, '/api/v1/users', '/api/v1/auth/sessions']) {
            assert.equal((await me.get(path)).status, 401, path);
        }
        const cookie = await me.post('/api/v1/auth/media-cookie');
        assert.equal(cookie.status, 200);
        assert.equal(cookie.headers['set-cookie'], undefined);
        assert.equal((await me.get('/api/v1/app/runtime_config')).body.config.multiuser, false);
    } finally {
        await server.stop();
    }
});
