// What was made in single-user mode: who is asked for whom it is, and who receives it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, test } from 'node:test';
import { Client, request } from '../lib/http.mjs';
import { startServer } from '../lib/server.mjs';
import { ADMIN, addUser, login, setupAdmin, upload } from '../lib/users.mjs';

const COUNTS = { boards: 1, images: 2, workflows: 0, style_presets: 0 };

/** A server that was used without accounts, and is started again with them. */
async function grown(t, conf = '') {
    const server = await startServer({ multiuser: false, media: true });
    t.after(() => server.stop());
    const anyone = new Client(server.url);
    const board = (await anyone.post('/api/v1/boards/?board_name=Old')).body;
    const pictures = [await upload(anyone), await upload(anyone, { query: `&board_id=${board.board_id}` })];
    await upload(anyone, { intermediate: true });
    assert.equal((await anyone.post('/api/v1/client_state/default/set_by_key?key=ui', 'dark')).status, 200);
    server.options.multiuser = true;
    server.options.conf = conf;
    fs.writeFileSync(server.conf, server.configuration());
    await server.restart();
    return { server, board, pictures };
}

const status = async (server) => (await request(`${server.url}/api/v1/auth/status`)).body;
const setUp = (server, more) => request(`${server.url}/api/v1/auth/setup`, { method: 'POST', json: { ...ADMIN, ...more } });
const total = async (who) => (await who.get('/api/v1/images/?is_intermediate=false')).body.total;

describe('data from before there were accounts', () => {
    test('goes to the first administrator who says so at the set-up', async (t) => {
        const { server, board, pictures } = await grown(t);
        assert.deepEqual((await status(server)).legacy_data, COUNTS);
        assert.equal((await setUp(server, { legacy_data: 'everybody' })).status, 422);
        assert.equal((await setUp(server, { legacy_data: 'me' })).status, 200);
        const admin = await login(server, ADMIN.email, ADMIN.password);
        assert.equal((await status(server)).legacy_data, null);
        assert.deepEqual((await admin.get('/api/v1/boards/?all=true')).body.map((b) => [b.board_id, b.asset_count]), [[board.board_id, 1]]);
        assert.equal(await total(admin), 2);
        for (const { image_name: name } of pictures) {
            assert.equal((await admin.get(`/api/v1/images/i/${name}/full`)).status, 200);
        }
        assert.deepEqual((await admin.get('/api/v1/legacy-data')).body, { legacy_data: null });
        assert.equal((await admin.get('/api/v1/client_state/default/get_by_key?key=ui')).body, 'dark');
        const { entries } = (await admin.get('/api/v1/audit?action=legacy_data_assigned')).body;
        assert.deepEqual(entries.map((e) => [e.user_email, e.target_name, e.detail]), [[ADMIN.email, ADMIN.email, COUNTS]]);
    });

    test('waits otherwise, and goes to any account that an administrator names', async (t) => {
        const { server, board } = await grown(t);
        const admin = await setupAdmin({ url: server.url });
        assert.equal((await status(server)).legacy_data, null, 'strangers are told nothing after the set-up');
        assert.deepEqual((await admin.get('/api/v1/legacy-data')).body, { legacy_data: COUNTS });
        const nina = await addUser(admin, 'Nina');
        assert.equal(await total(nina), 0);
        assert.equal((await nina.get('/api/v1/legacy-data')).status, 403);
        assert.equal((await nina.post('/api/v1/legacy-data', { user_id: nina.user.user_id })).status, 403);
        const invited = (await admin.post('/api/v1/invitations', { email: 'later@example.com' })).body.user.user_id;
        const away = (await addUser(admin, 'Away')).user.user_id;
        assert.equal((await admin.patch(`/api/v1/users/${away}`, { is_active: false })).status, 200);
        for (const [id, want] of [['system', 404], ['nobody', 404], [invited, 400], [away, 400], ['', 422]]) {
            assert.equal((await admin.post('/api/v1/legacy-data', { user_id: id })).status, want, id);
        }
        const answer = await admin.post('/api/v1/legacy-data', { user_id: nina.user.user_id });
        assert.deepEqual([answer.status, answer.body], [200, { legacy_data: COUNTS }]);
        assert.deepEqual((await nina.get('/api/v1/boards/?all=true')).body.map((b) => b.board_id), [board.board_id]);
        assert.equal(await total(nina), 2);
        assert.deepEqual((await admin.get('/api/v1/legacy-data')).body, { legacy_data: null });
    });

    test('is nobody’s business in single-user mode', async (t) => {
        const server = await startServer({ multiuser: false });
        t.after(() => server.stop());
        assert.equal((await status(server)).legacy_data, null);
        assert.equal((await request(`${server.url}/api/v1/legacy-data`)).status, 401);
    });
});
