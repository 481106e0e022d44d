// Whether anybody renders: said to everybody, at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listen } from '../lib/events.mjs';
import { QUEUE } from '../lib/queue.mjs';
import { until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const server = useServer({ multiuser: true, worker: true });

test('the queue’s status says how many workers there are, and everybody hears of a change', async () => {
    const admin = await setupAdmin(server);
    const ann = await addUser(admin, 'Ann');
    const workers = async () => (await ann.get(`${QUEUE}/status`)).body.processor.workers;
    await until(async () => (await workers()) === 1, 'the worker to be known');
    const l = await listen(server, ann);
    server.workers[0].kill('SIGTERM');
    assert.deepEqual(Object.keys(await l.heard('workers_changed')), ['timestamp']);
    assert.equal(await workers(), 0);
    l.events.length = 0;
    await server.startWorker(0);
    await l.heard('workers_changed');
    assert.equal(await workers(), 1);
});
