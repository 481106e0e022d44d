// The audit log: what goes in, who reads it, as pages and as files, and what takes entries away.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import fs from 'node:fs';
import { Client, request } from '../lib/http.mjs';
import { enqueue, QUEUE } from '../lib/batches.mjs';
import { until, useServer } from '../lib/server.mjs';
import { ADMIN, addUser, login, PASSWORD, setupAdmin, upload } from '../lib/users.mjs';

const NEXT = 'Lantern-Orchard-27q';

describe('the audit log', () => {
    const server = useServer({ multiuser: true, media: true });
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

    test('has what administrators do to other people’s jobs, and not what people do to their own', async () => {
        await ok(admin.put(`${QUEUE}/processor/pause`));
        const run = async (who, n = 1) => (await enqueue(who, { runs: n })).item_ids;
        const act = async (what) => (await added(what)).map((e) => [e.action, e.user_email, e.target_type, e.detail]);
        const theirs = (jobs) => ({ jobs, owners: [berta.user.email] });
        const entry = (action, jobs) => [action, ADMIN.email, 'queue', theirs(jobs)];
        const [one, two, three] = [...(await run(berta, 3))].sort((a, b) => a - b);
        const [mine] = await run(admin);
        assert.deepEqual(await act(() => ok(admin.put(`${QUEUE}/i/${one}/cancel`))), [entry('jobs_canceled', 1)]);
        assert.deepEqual(await act(() => ok(admin.put(`${QUEUE}/i/${mine}/cancel`))), []);
        assert.deepEqual(await act(() => ok(berta.put(`${QUEUE}/i/${two}/cancel`))), []);
        assert.deepEqual(await act(() => ok(admin.put(`${QUEUE}/retry_items_by_id`, [one]))), [entry('jobs_retried', 1)]);
        assert.deepEqual(await act(() => ok(admin.put(`${QUEUE}/cancel_all_except_current`))), [entry('jobs_canceled', 2)]);
        assert.deepEqual(await act(() => ok(admin.delete(`${QUEUE}/i/${three}`))), [entry('jobs_deleted', 1)]);
        assert.deepEqual(await act(() => ok(admin.put(`${QUEUE}/prune?mine=true`))), []);
        assert.deepEqual(await act(() => ok(admin.put(`${QUEUE}/prune`))), [entry('jobs_deleted', 3)]);
        await run(berta, 2);
        assert.deepEqual(await act(() => ok(admin.put(`${QUEUE}/clear`))), [entry('jobs_deleted', 2), ['queue_cleared', ADMIN.email, 'queue', null]]);
        const [foreign] = await run(admin);
        const [refused] = await act(() => ok(berta.put(`${QUEUE}/i/${foreign}/cancel`), 403));
        assert.deepEqual([refused[0], refused[1], refused[3].method], ['not_allowed', berta.user.email, 'PUT']);
        await ok(admin.put(`${QUEUE}/clear`));
        await ok(admin.put(`${QUEUE}/processor/resume`));
    });

    test('has what administrators do to other people’s boards and pictures', async () => {
        const act = async (what) => (await added(what)).map((e) => [e.action, e.user_email, e.target_name, e.detail]);
        const { board_id: id } = await ok(berta.post('/api/v1/boards/?board_name=Hers'), 201);
        const pictures = [];
        for (const query of [`&board_id=${id}`, '', '']) {
            pictures.push((await upload(berta, { query })).image_name);
        }
        const owners = [berta.user.email];
        assert.deepEqual(await act(() => ok(berta.patch(`/api/v1/boards/${id}`, { board_name: 'Hers alone' }), 201)), []);
        assert.deepEqual(await act(() => ok(admin.patch(`/api/v1/boards/${id}`, { board_name: 'Mine', archived: true }), 201)), [['board_changed', ADMIN.email, 'Hers alone', { board_name: 'Mine', archived: true, owners }]]);
        assert.deepEqual(await act(() => ok(admin.patch(`/api/v1/images/i/${pictures[1]}`, { starred: true }))), [['pictures_changed', ADMIN.email, pictures[1], { images: 1, owners }]]);
        assert.deepEqual(await act(() => ok(admin.post('/api/v1/board_images/batch', { board_id: id, image_names: pictures.slice(1) }), 201)), [['pictures_changed', ADMIN.email, null, { images: 2, owners }]]);
        assert.deepEqual(await act(() => ok(admin.post('/api/v1/board_images/batch/delete', { image_names: pictures.slice(1) }), 201)), [['pictures_changed', ADMIN.email, null, { images: 2, owners }]]);
        assert.deepEqual(await act(() => ok(admin.delete(`/api/v1/images/i/${pictures[1]}`))), [['pictures_deleted', ADMIN.email, pictures[1], { images: 1, owners }]]);
        assert.deepEqual(await act(() => ok(berta.delete(`/api/v1/images/i/${pictures[2]}`))), []);
        assert.deepEqual(await act(() => ok(admin.delete(`/api/v1/boards/${id}?include_images=true`))), [['board_deleted', ADMIN.email, 'Mine', { images: 1, owners }]]);
        await upload(berta);
        await upload(admin);
        assert.deepEqual(await act(() => ok(admin.delete('/api/v1/images/uncategorized'))), [['pictures_deleted', ADMIN.email, (await entries('?limit=1'))[0].target_name, { images: 1, owners }]]);
    });

    test('has workflows and style presets that are opened to everybody, and closed again', async () => {
        const workflow = { name: 'Lamps', author: '', description: '', version: '1', contact: '', tags: '', notes: '', nodes: [], edges: [], exposedFields: [], meta: { category: 'user', version: '3.0.0' }, form: null };
        const { workflow_id: id } = await ok(berta.post('/api/v1/workflows/', { workflow }));
        const form = (isPublic) => ({ form: [{ name: 'data', value: JSON.stringify({ name: 'Oils', positive_prompt: 'oil', negative_prompt: '', type: 'user', is_public: isPublic }) }] });
        let preset;
        const seen = await added(async () => {
            await ok(berta.patch(`/api/v1/workflows/i/${id}/is_public`, { is_public: true }));
            await ok(berta.patch(`/api/v1/workflows/i/${id}/is_public`, { is_public: true }));
            await ok(berta.patch(`/api/v1/workflows/i/${id}/is_public`, { is_public: false }));
            preset = (await ok(berta.send('POST', '/api/v1/style_presets/', form(false)))).id;
            await ok(berta.send('PATCH', `/api/v1/style_presets/i/${preset}`, form(true)));
            await ok(berta.send('PATCH', `/api/v1/style_presets/i/${preset}`, form(true)));
        });
        const common = { result: 'ok', ...by(berta) };
        const flow = { target_type: 'workflow', target_id: id, target_name: 'Lamps' };
        assert.deepEqual(seen, [
            { action: 'workflow_visibility_changed', ...common, ...flow, detail: { is_public: true } },
            { action: 'workflow_visibility_changed', ...common, ...flow, detail: { is_public: false } },
            { action: 'preset_visibility_changed', ...common, target_type: 'style_preset', target_id: preset, target_name: 'Oils', detail: { is_public: true } },
        ]);
    });

    test('has what administrators do to other people’s workflows and style presets', async () => {
        const act = async (what) => (await added(what)).map((e) => [e.action, e.user_email, e.target_type, e.target_id, e.target_name, e.detail]);
        const workflow = (name, id) => ({ workflow: { id, name, author: '', description: '', version: '1', contact: '', tags: '', notes: '', nodes: [], edges: [], exposedFields: [], meta: { category: 'user', version: '3.0.0' }, form: null } });
        const form = (name, isPublic = false) => ({ form: [{ name: 'data', value: JSON.stringify({ name, positive_prompt: 'oil', negative_prompt: '', type: 'user', is_public: isPublic }) }] });
        const { workflow_id: flow } = await ok(berta.post('/api/v1/workflows/', workflow('Lamps')));
        const preset = (await ok(berta.send('POST', '/api/v1/style_presets/', form('Oils')))).id;
        const owners = [berta.user.email];
        const flows = (action, name, detail) => [[action, ADMIN.email, 'workflow', flow, name, { ...detail, owners }]];
        const presets = (action, name, detail) => [[action, ADMIN.email, 'style_preset', preset, name, { ...detail, owners }]];
        const one = `/api/v1/workflows/i/${flow}`;
        const style = `/api/v1/style_presets/i/${preset}`;
        assert.deepEqual(await act(() => ok(berta.patch(one, workflow('Lanterns', flow)))), []);
        assert.deepEqual(await act(() => ok(admin.patch(one, workflow('Lanterns', flow)))), flows('workflow_changed', 'Lanterns', {}));
        assert.deepEqual(await act(() => ok(admin.patch(one, workflow('Mine', flow)))), flows('workflow_changed', 'Lanterns', { new_name: 'Mine' }));
        assert.deepEqual(await act(() => ok(admin.delete(`${one}/thumbnail`))), flows('workflow_changed', 'Mine', { thumbnail: false }));
        assert.deepEqual(await act(() => ok(admin.put(`${one}/opened_at`))), [], 'looking at it changes nothing');
        assert.deepEqual(await act(() => ok(admin.delete(one))), flows('workflow_deleted', 'Mine', {}));
        assert.deepEqual(await act(() => ok(berta.send('PATCH', style, form('Oil')))), []);
        assert.deepEqual(await act(() => ok(admin.send('PATCH', style, form('Oil')))), [], 'the same again');
        assert.deepEqual(await act(() => ok(admin.send('PATCH', style, form('Mine')))), presets('preset_changed', 'Oil', { new_name: 'Mine' }));
        assert.deepEqual((await act(() => ok(admin.send('PATCH', style, form('Mine', true))))).map(([action]) => action), ['preset_visibility_changed']);
        assert.deepEqual(await act(() => ok(admin.delete(style))), presets('preset_deleted', 'Mine', {}));
    });

    test('has people who rename themselves', async () => {
        const seen = await added(() => ok(berta.patch('/api/v1/auth/me', { display_name: 'Berta B.' })));
        assert.deepEqual(seen, [{ action: 'account_changed', result: 'ok', ...own(berta), detail: null }]);
    });

    test('has what was refused: accounts, roles, shares, models, settings and this log, to those who may not', async () => {
        const { board_id: id } = await ok(admin.post('/api/v1/boards/?board_name=Closed'), 201);
        const tries = [
            ['PATCH', `/api/v1/users/${berta.user.user_id}`, '/api/v1/users/{user_id}', { is_admin: true }, 'account', berta.user.email],
            ['PATCH', `/api/v1/auth/users/${admin.user.user_id}`, '/api/v1/auth/users/{user_id}', { is_admin: false }, 'account', ADMIN.email],
            ['DELETE', `/api/v1/users/${admin.user.user_id}`, '/api/v1/users/{user_id}', undefined, 'account', ADMIN.email],
            ['GET', '/api/v1/users', '/api/v1/users', undefined, 'account', null],
            ['GET', '/api/v1/audit', '/api/v1/audit', undefined, 'server', null],
            ['POST', `/api/v1/boards/${id}/share`, '/api/v1/boards/{board_id}/share', { user_ids: [berta.user.user_id], permission: 'read' }, 'board', 'Closed'],
            ['POST', '/api/v2/models/install?source=x', '/api/v2/models/install', {}, 'model', null],
            ['PUT', `${QUEUE}/processor/pause`, '/api/v1/queue/{queue_id}/processor/pause', undefined, 'queue', null],
            ['PATCH', '/api/v1/app/runtime_config', '/api/v1/app/runtime_config', {}, 'server', null],
        ];
        for (const [method, path, template, json, type, name] of tries) {
            const [entry, ...more] = await added(async () => assert.equal((await berta.send(method, path, { json })).status, 403, path));
            assert.deepEqual([entry.action, entry.result, entry.user_email, entry.target_type, entry.target_name, entry.detail.method, entry.detail.path, more], ['not_allowed', 'refused', berta.user.email, type, name, method, template, []]);
        }
        assert.deepEqual(await added(async () => assert.equal((await berta.get('/api/v1/app/runtime_config')).status, 403)), [], 'pages ask for what they may read');
        const last = await added(async () => {
            await ok(admin.patch(`/api/v1/users/${admin.user.user_id}`, { is_admin: false }), 400);
            await ok(admin.patch(`/api/v1/users/${admin.user.user_id}`, { is_active: false }), 400);
            await ok(admin.delete(`/api/v1/users/${admin.user.user_id}`), 400);
        });
        assert.deepEqual(last.map((e) => [e.action, e.result, e.target_name]), ['role_changed', 'account_suspended', 'account_deleted'].map((action) => [action, 'refused', ADMIN.email]));
    });

    test('is not filled by somebody who tries again and again', async () => {
        const eager = await addUser(admin, 'Eager');
        const seen = await added(async () => {
            for (let i = 0; i < 130; i++) {
                assert.equal((await eager.put(`${QUEUE}/processor/pause`)).status, 403);
            }
        });
        assert.ok(seen.length >= 100 && seen.length < 110, `${seen.length} entries`);
    });

    test('has links that open nothing any more', async () => {
        const { invitation_link: link } = await ok(admin.post('/api/v1/users', { email: 'emma@example.com', send_invitation: true }), 201);
        const token = new URL(link).searchParams.get('token');
        const post = (path, json) => request(`${server.url}/api/v1/auth/${path}`, { method: 'POST', json });
        await ok(post('accept-invitation', { token, password: PASSWORD }));
        const seen = await added(async () => {
            await ok(post('check-link', { token }), 410);
            await ok(post('accept-invitation', { token, password: NEXT }), 410);
            await ok(post('reset-password', { token: 'nothing', password: NEXT }), 404);
            await ok(post('check-link', { token: 'nothing', purpose: 'email' }), 404);
            await ok(post('confirm-email', { token: 'nothing' }), 404);
        });
        assert.deepEqual(seen.map((e) => [e.action, e.result, e.user_id, e.target_name]), [
            ['link_redeemed', 'refused', null, 'emma@example.com'],
            ['link_redeemed', 'refused', null, 'emma@example.com'],
            ['link_redeemed', 'refused', null, null],
            ['email_changed', 'refused', null, null],
            ['email_changed', 'refused', null, null],
        ]);
        assert.ok(!JSON.stringify(seen).includes(token));
    });

    test('says nothing of a share that was not there', async () => {
        const { board_id: id } = await ok(berta.post('/api/v1/boards/?board_name=Unshared'), 201);
        assert.deepEqual(await added(() => ok(berta.delete(`/api/v1/boards/${id}/share/whatever`))), []);
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
        for (const good of ['since=2024-02-29', 'since=2026-12-31T23:59:59', 'until=2000-02-29']) {
            assert.equal((await admin.get(`/api/v1/audit?${good}`)).status, 200, good);
        }
        for (const bad of ['result=maybe', 'since=yesterday', 'since=2026-13-01', 'since=2026-02-30', 'since=2026-00', 'until=2025-02-29', 'until=1900-02-29', 'since=2026-01-01T24:00', 'since=2026-01-01%2009:60', 'until=2026-1-1', 'limit=0', 'limit=1001', 'before=0', 'format=xml']) {
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
        const rows = (n, action, result) => server.sql(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${n}) INSERT INTO audit_log (created_at, action, result) SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), '${action}', '${result}' FROM n`);
        rows(50000, 'sign_in', 'refused');
        rows(50300, 'reset_asked', 'ok');
        await server.restart();
        const left = () => Object.fromEntries(server.sql('SELECT action, COUNT(*) AS n FROM audit_log GROUP BY 1').map(({ action, n }) => [action, n]));
        await until(() => left().sign_in === 49701, 'the oldest of what strangers did to go');
        assert.deepEqual(left(), { set_up: 1, sign_in: 49701, reset_asked: 50300 });
        server.sql("DELETE FROM audit_log WHERE action = 'reset_asked'");
        assert.deepEqual((await admin.get('/api/v1/audit?result=ok')).body.entries.map((e) => e.action), ['sign_in', 'set_up']);
    });
});

describe('a configuration that is changed', () => {
    let hours = 24;
    const server = useServer({ multiuser: true, conf: () => [`InvokeMUSessionHours ${hours}`, `InvokeMUQueueMode ${hours === 24 ? 'RoundRobin' : 'FIFO'}`] });

    test('is told of at the next start, once, with what it said before', async () => {
        const admin = await setupAdmin(server);
        const told = async () => (await admin.get('/api/v1/audit?action=settings_changed')).body.entries;
        await server.restart();
        assert.deepEqual(await told(), [], 'nothing has changed');
        hours = 48;
        fs.writeFileSync(server.conf, server.configuration());
        await server.restart();
        await server.restart();
        const [entry, ...more] = await told();
        assert.deepEqual(more, []);
        assert.deepEqual([entry.user_id, entry.user_email, entry.result, entry.target_type], ['system', 'system', 'ok', 'server']);
        assert.deepEqual(entry.detail, { settings: { InvokeMUSessionHours: { from: 24, to: 48 }, InvokeMUQueueMode: { from: 'RoundRobin', to: 'FIFO' } } });
        assert.ok(!JSON.stringify(server.sql("SELECT value FROM app_settings WHERE key = 'server'")).includes('$2'), 'no hash of a password');
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
