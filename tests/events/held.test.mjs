// Jobs that an import brought beside a running server wait for models that the server does not read yet, and are in nobody's way.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { FakeWorker } from '../lib/fake-worker.mjs';
import { addModel } from '../lib/models.mjs';
import { OldRoot, TIME } from '../lib/old-root.mjs';
import { QUEUE, enqueue, item, settled } from '../lib/queue.mjs';
import { startServer, until } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const KEYS = { away: '9413dbff-eb82-5178-94c6-34028aa4369d', dropped: '67bc4ab1-1d40-561a-bab0-5d5a1e6c9961', lost: '89e587c6-0c9c-5584-ab50-56fa43041230' };

for (const mode of ['RoundRobin', 'FIFO']) {
    describe(`jobs from another server, ${mode}`, () => {
        const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-held-'));
        const models = path.join(dir, 'old/models');
        const own = path.join(dir, 'own');
        const session = (key) => ({
            id: `session-${key}`, graph: { id: 'g', nodes: { load: { id: 'load', type: 'main_model_loader', model: { key, hash: 'x', name: key, base: 'sd-1', type: 'main' } } }, edges: [] },
        });
        let server, admin, ann, worker, ids;
        const places = async (client) => (await client.get(`${QUEUE}/item_ids?places=true`)).body.jobs_before;
        const held = async (client, id) => {
            const { status, held_for: model } = await item(client, id);
            return [status, model];
        };

        before(async () => {
            fs.chmodSync(dir, 0o755);
            fs.mkdirSync(own);
            const old = new OldRoot(path.join(dir, 'old'), '6.12');
            for (const [name, key] of Object.entries(KEYS)) {
                const config = { key, name, source: 'https://models.example/x', source_type: 'url', base: 'sd-1', type: 'main', format: 'diffusers', path: key, hash: `blake3:${key}`, file_size: 7 };
                old.row('models', { id: key, hash: config.hash, base: 'sd-1', type: 'main', path: key, name, config: JSON.stringify(config), created_at: TIME, updated_at: TIME });
                old.row('session_queue', { item_id: old.statements.length, batch_id: 'b', queue_id: 'default', session_id: `session-${key}`, session: JSON.stringify(session(key)), status: 'pending', user_id: 'system', created_at: TIME, updated_at: TIME });
                if (name !== 'lost') {
                    addModel(models, key);
                }
            }
            old.done();
            server = await startServer({ multiuser: true, models: own, conf: `InvokeMUQueueMode ${mode}` });
            admin = await setupAdmin(server);
            ann = await addUser(admin, 'Ann');
            worker = await new FakeWorker(path.join(server.run, 'worker.sock'), { auto: true }).listen();
            await worker.connected();
            const { code, err } = await run(server, 'invokemu', ['import', old.root, '--owner', admin.user.email]);
            assert.ok([0, 3].includes(code), err);
            ids = Object.fromEntries(Object.keys(KEYS).map((name) => [name, server.sql(`SELECT item_id FROM session_queue WHERE session_id = 'session-${KEYS[name]}'`)[0].item_id]));
        });
        after(async () => {
            worker?.die();
            await server?.stop();
            fs.rmSync(dir, { recursive: true, force: true });
        });

        test('wait for a model outside the model folder, whose owner reads which, and what can never be fails', async () => {
            await settled(admin, ids.lost);
            await until(async () => (await held(admin, ids.dropped))[1], 'the jobs to be held');
            assert.deepEqual(await held(admin, ids.away), ['pending', KEYS.away]);
            assert.deepEqual(await held(admin, ids.dropped), ['pending', KEYS.dropped]);
            assert.deepEqual(worker.runs.map((r) => r.item_id), [ids.lost], 'only the job whose model is nowhere');
            assert.equal((await item(ann, ids.away)).held_for, null, 'others are not told');
            const { out } = await run(server, 'invokemu', ['queue', 'list']);
            assert.match(out, new RegExp(`^ *${ids.away} .* waits for model ${KEYS.away}$`, 'm'));
            assert.equal((await admin.get(`${QUEUE}/next`)).body, null);
        });

        test('let others pass', async () => {
            await admin.put(`${QUEUE}/processor/pause`);
            const [of_ann, of_owner] = [...(await enqueue(ann)), ...(await enqueue(admin))];
            assert.deepEqual(Object.keys(await places(admin)).map(Number), [of_ann, of_owner]);
            assert.deepEqual(await places(ann), { [of_ann]: mode === 'FIFO' ? 0 : (await places(admin))[of_ann] });
            await admin.put(`${QUEUE}/processor/resume`);
            for (const id of [of_ann, of_owner]) {
                assert.equal((await settled(admin, id)).status, 'completed');
            }
        });

        test('do not wait for what an administrator removed', async () => {
            assert.equal((await admin.delete(`/api/v2/models/i/${KEYS.dropped}`)).status, 204);
            await settled(admin, ids.dropped);
            assert.ok(worker.runs.some((r) => r.item_id === ids.dropped), 'the worker says what is the matter');
            assert.deepEqual(await held(admin, ids.away), ['pending', KEYS.away]);
        });

        test('can be canceled, and run once as soon as the folder is named', async () => {
            const more = server.sql(
                `INSERT INTO session_queue (queue_id, batch_id, session_id, user_id, status, session, created_at, updated_at)
                 SELECT queue_id, batch_id, 'another', user_id, 'pending', session, created_at, updated_at FROM session_queue WHERE item_id = ${ids.away} RETURNING item_id`,
            )[0].item_id;
            await until(async () => (await held(admin, more))[1], 'the second job to be held');
            assert.equal((await admin.put(`${QUEUE}/i/${more}/cancel`)).status, 200);
            assert.deepEqual(await held(admin, more), ['canceled', null]);
            server.allowLog(/IMU0009: the model lost in/);
            server.options.models = models;
            fs.writeFileSync(server.conf, server.configuration());
            server.allowLog(/AH03490/); // children of before may still be on their way out
            await server.restart('graceful');
            assert.equal((await settled(admin, ids.away, undefined, 20000)).status, 'completed');
            assert.deepEqual(await held(admin, more), ['canceled', null]);
            assert.equal(worker.runs.filter((r) => r.item_id === ids.away).length, 1);
            assert.equal(worker.runs.filter((r) => r.item_id === more).length, 0);
        });
    });
}
