// The audit log: what goes in, who reads it, as pages and as files, and what takes entries away.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Client, request } from '../lib/http.mjs';
import { QUEUE } from '../lib/batches.mjs';
import { until, useServer } from '../lib/server.mjs';
import { ADMIN, addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';

const NEXT = 'Lantern-Orchard-27q';

describe('the audit log', () => {
    const server = useServer({ multiuser: true });
    let admin, berta;

    before(async () => {
        admin = await setupAdmin(server);
        berta = await addUser(admin, 'Berta');
    });

    const ok = async (answer, status = 200) => {
        const got = await answer;
        assert.equal(got.status, status, got.text.slice(0, 300));
        return got.body;
    };
    const entries = async (query = '') => (await ok(admin.get(`/api/v1/audit${query}`))).entries;
    /** What `act` adds, oldest first, without times and numbers. */
    async function added(act) {
        const [last] = await entries('?limit=1');
        await act();
        const fresh = (await entries('?limit=1000')).filter((e) => e.entry_id > last.entry_id).reverse();
        return fresh.map(({ entry_id: id, created_at: at, ...rest }) => {
            assert.ok(id > 0);
            assert.match(at, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/);
            return rest;
        });
    }
    const by = (who) => ({ user_id: who.user.user_id, user_email: who.user.email, address: '127.0.0.1' });
    const account = (id, email) => ({ target_type: 'account', target_id: id, target_name: email });
    const own = (who) => ({ ...by(who), ...account(who.user.user_id, who.user.email) });
    const board = (id, name) => ({ target_type: 'board', target_id: id, target_name: name });

    test('begins with the set-up', async () => {
        const all = (await entries()).reverse();
        assert.deepEqual(all.slice(0, 3).map((e) => [e.action, e.result, e.user_email, e.target_name]), [
            ['set_up', 'ok', ADMIN.email, ADMIN.email],
            ['sign_in', 'ok', ADMIN.email, ADMIN.email],
            ['account_created', 'ok', ADMIN.email, 'berta@example.com'],
        ]);
    });

    test('has sign-ins, failed ones, and sign-outs, and no password', async () => {
        const wrong = 'Wrong-Password-99x';
        const seen = await added(async () => {
            assert.equal((await request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: 'berta@example.com', password: wrong } })).status, 401);
            assert.equal((await request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: 'nobody@example.com', password: wrong } })).status, 401);
            const again = await login(server, 'berta@example.com', PASSWORD);
            await ok(again.post('/api/v1/auth/logout'));
        });
        const refused = { action: 'sign_in', result: 'refused', user_id: null, address: '127.0.0.1', detail: { reason: 'wrong address or password' } };
        assert.deepEqual(seen, [
            { ...refused, user_email: 'berta@example.com', ...account(berta.user.user_id, 'berta@example.com') },
            { ...refused, user_email: 'nobody@example.com', ...account(null, 'nobody@example.com') },
            { action: 'sign_in', result: 'ok', ...own(berta), detail: null },
            { action: 'sign_out', result: 'ok', ...own(berta), detail: null },
        ]);
        const text = server.sql('SELECT * FROM audit_log').map((row) => JSON.stringify(row)).join('\n');
        assert.ok(!text.includes(wrong) && !text.includes(PASSWORD) && !text.includes(ADMIN.password));
    });

    test('has what administrators do to accounts, one entry for each kind of change', async () => {
        const made = (await ok(admin.post('/api/v1/auth/users', { email: 'carl@example.com', password: PASSWORD, is_admin: false }), 201)).user_id;
        const path = `/api/v1/auth/users/${made}`;
        const seen = await added(async () => {
            await ok(admin.patch(path, { display_name: 'Carl', is_admin: true }));
            await ok(admin.patch(path, { is_admin: true }));
            await ok(admin.patch(path, { is_active: false }));
            await ok(admin.patch(path, { is_active: true, password: NEXT }));
            await ok(admin.post(`/api/v1/users/${made}/reset-password`));
            await ok(admin.delete(path), 204);
        });
        const common = { result: 'ok', ...by(admin), ...account(made, 'carl@example.com') };
        assert.deepEqual(seen, [
            { action: 'account_changed', ...common, detail: null },
            { action: 'role_changed', ...common, detail: { is_admin: true } },
            { action: 'account_suspended', ...common, detail: null },
            { action: 'account_restored', ...common, detail: null },
            { action: 'password_changed', ...common, detail: null },
            { action: 'reset_link_made', ...common, detail: null },
            { action: 'account_deleted', ...common, detail: null },
        ]);
    });

    test('has invitations, and who took them up', async () => {
        let user;
        const seen = await added(async () => {
            const { invitation_link: link, user: invited } = await ok(admin.post('/api/v1/users', { email: 'dora@example.com', send_invitation: true }), 201);
            user = invited;
            const token = new URL(link).searchParams.get('token');
            await ok(request(`${server.url}/api/v1/auth/accept-invitation`, { method: 'POST', json: { token, password: PASSWORD } }));
        });
        const about = account(user.user_id, 'dora@example.com');
        assert.deepEqual(seen.map((e) => [e.action, e.user_email, e.target_id]), [
            ['account_created', ADMIN.email, about.target_id],
            ['invited', ADMIN.email, about.target_id],
            ['link_redeemed', 'dora@example.com', about.target_id],
        ]);
    });

    test('has changed and mistaken passwords, and sessions ended elsewhere', async () => {
        const seen = await added(async () => {
            const change = (current_password, new_password) => berta.post('/api/v1/auth/change-password', { current_password, new_password });
            await ok(change('not it', NEXT), 400);
            await ok(change(PASSWORD, NEXT));
            berta = await login(server, 'berta@example.com', NEXT);
            await ok(berta.delete('/api/v1/auth/sessions'));
        });
        assert.deepEqual(seen, [
            { action: 'password_changed', result: 'refused', ...own(berta), detail: { reason: 'wrong current password' } },
            { action: 'password_changed', result: 'ok', ...own(berta), detail: null },
            { action: 'sign_in', result: 'ok', ...own(berta), detail: null },
            { action: 'sessions_ended', result: 'ok', ...own(berta), detail: null },
        ]);
    });

    test('has shares and the visibility of boards, by the names that all had then', async () => {
        const { board_id: id } = await ok(berta.post('/api/v1/boards/?board_name=Surprise'), 201);
        const seen = await added(async () => {
            await ok(berta.post(`/api/v1/boards/${id}/share`, { email: ADMIN.email, permission: 'read' }));
            await ok(berta.patch(`/api/v1/boards/${id}`, { board_visibility: 'public' }), 201);
            await ok(berta.patch(`/api/v1/boards/${id}`, { board_name: 'Secret surprise' }), 201);
            await ok(berta.delete(`/api/v1/boards/${id}/share/${admin.user.user_id}`));
            await ok(berta.delete(`/api/v1/boards/${id}`));
        });
        const common = { result: 'ok', ...by(berta) };
        assert.deepEqual(seen, [
            { action: 'board_shared', ...common, ...board(id, 'Surprise'), detail: { permission: 'read', user_ids: [admin.user.user_id], people: [ADMIN.email] } },
            { action: 'board_visibility_changed', ...common, ...board(id, 'Surprise'), detail: { board_visibility: 'public' } },
            { action: 'board_unshared', ...common, ...board(id, 'Secret surprise'), detail: { user_id: admin.user.user_id, people: [ADMIN.email] } },
        ]);
        assert.deepEqual((await entries('?search=secret%20surp')).map((e) => e.action), ['board_unshared']);
    });

    test('has what administrators do to the queue', async () => {
        const seen = await added(async () => {
            await ok(admin.put(`${QUEUE}/processor/pause`));
            await ok(admin.put(`${QUEUE}/processor/resume`));
            await ok(admin.put(`${QUEUE}/clear`));
            await ok(berta.put(`${QUEUE}/clear`));
        });
        const common = { result: 'ok', ...by(admin), target_type: 'queue', target_id: 'default', target_name: null, detail: null };
        assert.deepEqual(seen, ['queue_paused', 'queue_resumed', 'queue_cleared'].map((action) => ({ action, ...common })));
    });

    test('is read by administrators alone, and by nobody changed', async () => {
        assert.equal((await berta.get('/api/v1/audit')).status, 403);
        assert.equal((await new Client(server.url).get('/api/v1/audit')).status, 401);
        for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
            assert.equal((await admin.send(method, '/api/v1/audit')).status, 405);
        }
    });

    test('is found through by person, action, result, words and days', async () => {
        const all = await entries('?limit=1000');
        const today = all[0].created_at.slice(0, 10);
        const matching = async (query, want) => {
            const found = await entries(`?limit=1000&${query}`);
            assert.deepEqual(found.map((e) => e.entry_id), all.filter(want).map((e) => e.entry_id), query);
            assert.ok(found.length > 0, query);
        };
        await matching('action=sign_in', (e) => e.action === 'sign_in');
        await matching('result=refused', (e) => e.result === 'refused');
        await matching(`user_id=${berta.user.user_id}&action=sign_out`, (e) => e.user_id === berta.user.user_id && e.action === 'sign_out');
        await matching('search=CARL%40', (e) => e.target_name?.includes('carl@'));
        await matching(`since=${today}&until=${today}T23:59:59.999`, (e) => e.created_at.startsWith(today));
        await matching(`until=${today}`, () => true);
        assert.deepEqual(await entries('?search=%25'), []);
        assert.deepEqual(await entries('?since=2999'), []);
        assert.deepEqual(await entries('?until=1999-12-31'), []);
        assert.equal((await admin.get('/api/v1/audit?since=2026-11-21%2009')).status, 200);
        for (const bad of ['result=maybe', 'since=yesterday', 'until=2026-1-1', 'limit=0', 'limit=1001', 'before=0', 'format=xml']) {
            assert.equal((await admin.get(`/api/v1/audit?${bad}`)).status, 422, bad);
        }
    });

    test('is paged without a gap while entries are added', async () => {
        const all = await entries('?limit=1000');
        const seen = [];
        let next = null;
        do {
            const page = await ok(admin.get(`/api/v1/audit?limit=7${next ? `&before=${next}` : ''}`));
            seen.push(...page.entries.map((e) => e.entry_id));
            next = page.next;
            await login(server, ADMIN.email, ADMIN.password);
        } while (next);
        assert.deepEqual(seen, all.map((e) => e.entry_id));
    });

    test('is given out as lines of JSON and as a table that no spreadsheet computes', async () => {
        await request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: '=cmd|x!a1@example.com', password: 'x' } });
        const all = await entries('?limit=1000');
        assert.equal(all[0].user_email, '=cmd|x!a1@example.com');
        const lines = await admin.get('/api/v1/audit?format=jsonl');
        assert.match(lines.headers['content-disposition'], /attachment; filename="audit\.jsonl"/);
        assert.deepEqual(lines.raw.toString().trimEnd().split('\n').map((line) => JSON.parse(line)), all);
        const csv = await admin.get('/api/v1/audit?format=csv');
        assert.match(csv.headers['content-type'], /^text\/csv/);
        const rows = csv.raw.toString().split('\r\n');
        assert.equal(rows[0], 'entry_id,created_at,action,result,user_id,user_email,address,target_type,target_id,target_name,detail');
        assert.equal(rows.length, all.length + 2);
        assert.match(rows[1], /,'=cmd/);
        assert.ok(rows.some((row) => row.includes('"{""reason"":')));
        const few = await admin.get('/api/v1/audit?format=csv&limit=2');
        assert.equal(few.raw.toString().split('\r\n').length, 4);
    });

    test('is given out whole when it is longer than a page', async () => {
        const row = "SELECT '2020-01-01 00:00:00.000', 'sign_in', 'ok'";
        server.sql(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO audit_log (created_at, action, result) ${row} FROM n`);
        const rows = (await admin.get('/api/v1/audit?format=csv&until=2020-01-01')).raw.toString().split('\r\n').slice(1, -1);
        assert.equal(new Set(rows).size, 2500);
    });
});

describe('an audit log without sign-ins, kept for a day', () => {
    const server = useServer({ multiuser: true, conf: ['InvokeMUAuditSignIns Off', 'InvokeMUAuditDays 1'] });

    test('has changes alone, and old entries go', async () => {
        const admin = await setupAdmin(server);
        await addUser(admin, 'Emil');
        const actions = async () => (await admin.get('/api/v1/audit')).body.entries.map((e) => e.action);
        assert.deepEqual(await actions(), ['account_created', 'set_up']);
        server.sql("UPDATE audit_log SET created_at = '2020-01-01 00:00:00.000' WHERE action = 'set_up'");
        await server.restart();
        await until(async () => !(await actions()).includes('set_up'), 'the old entry to go');
        assert.deepEqual(await actions(), ['account_created']);
    });
});

describe('an audit log that strangers try to fill', () => {
    const server = useServer({ multiuser: true });

    test('keeps what was done', async () => {
        const admin = await setupAdmin(server);
        const rows = (n, result) => server.sql(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${n}) INSERT INTO audit_log (created_at, action, result) SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), 'sign_in', '${result}' FROM n`);
        rows(100300, 'refused');
        await server.restart();
        const left = () => Object.fromEntries(server.sql('SELECT result, COUNT(*) AS n FROM audit_log GROUP BY 1').map(({ result, n }) => [result, n]));
        await until(() => left().refused === 100000, 'the oldest refusals to go');
        assert.equal(left().ok, 2);
        assert.deepEqual((await admin.get('/api/v1/audit?result=ok')).body.entries.map((e) => e.action), ['sign_in', 'set_up']);
    });
});

describe('in single-user mode', () => {
    const server = useServer({ multiuser: false });

    test('the one user reads what was changed', async () => {
        const client = new Client(server.url);
        assert.equal((await client.put(`${QUEUE}/processor/pause`)).status, 200);
        const [entry] = (await client.get('/api/v1/audit')).body.entries;
        assert.deepEqual([entry.action, entry.user_id], ['queue_paused', 'system']);
    });
});
