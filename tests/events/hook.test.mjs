// The test hook: moves a job through its life inside the server, and only in a server started for tests.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { setupAdmin } from '../lib/users.mjs';
import { QUEUE, enqueue, hook, item } from '../lib/queue.mjs';

describe('a server with the hook', () => {
    const server = useServer({ hook: true });
    let admin;
    before(async () => {
        admin = await setupAdmin(server);
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    });

    test('start makes the job the current one even while paused, complete ends it', async () => {
        const [id] = await enqueue(admin);
        assert.deepEqual(await hook(server, 'start', id), { code: 0, text: '' });
        const running = await item(admin, id);
        assert.equal(running.status, 'in_progress');
        assert.equal(running.status_sequence, 1);
        assert.ok(running.started_at);
        assert.equal((await admin.get(`${QUEUE}/current`)).body.item_id, id);
        assert.equal((await hook(server, 'progress', id)).code, 0);
        assert.equal((await hook(server, 'complete', id)).code, 0);
        const ended = await item(admin, id);
        assert.equal(ended.status, 'completed');
        assert.ok(ended.completed_at);
        assert.equal((await admin.get(`${QUEUE}/current`)).body, null);
    });

    test('fail ends a job with a reason', async () => {
        const [id] = await enqueue(admin);
        assert.equal((await hook(server, 'start', id)).code, 0);
        assert.equal((await hook(server, 'fail', id)).code, 0);
        const ended = await item(admin, id);
        assert.equal(ended.status, 'failed');
        assert.equal(ended.error_type, 'HookError');
        assert.ok(ended.error_message);
    });

    test('refuses steps that do not fit', async () => {
        const [id] = await enqueue(admin);
        assert.equal((await hook(server, 'complete', id)).code, 1);
        assert.equal((await hook(server, 'start', 999999)).code, 1);
        assert.equal((await hook(server, 'start', id)).code, 0);
        assert.equal((await hook(server, 'dance', id)).code, 1);
        assert.equal((await hook(server, 'start', id)).code, 1);
        assert.equal((await admin.put(`${QUEUE}/i/${id}/cancel`)).status, 200);
    });

    test('a canceled job stays canceled', async () => {
        const [id] = await enqueue(admin);
        assert.equal((await hook(server, 'start', id)).code, 0);
        assert.equal((await admin.put(`${QUEUE}/i/${id}/cancel`)).status, 200);
        await hook(server, 'complete', id);
        assert.equal((await item(admin, id)).status, 'canceled');
    });
});

describe('a normal server', () => {
    const server = useServer();

    test('has no hook', async () => {
        const admin = await setupAdmin(server);
        await admin.put(`${QUEUE}/processor/pause`);
        const [id] = await enqueue(admin);
        const answer = await hook(server, 'start', id);
        assert.equal(answer.code, 1);
        assert.match(answer.text, /InvokeMUTestHook/);
        assert.equal((await item(admin, id)).status, 'pending');
    });
});
