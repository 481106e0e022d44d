// Models found in the model folder, client state, and what clients ask about the server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { addModel, modelFolder } from '../lib/models.mjs';
import { startServer, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

/** A folder with one pipeline that can be rendered with and several that can't. */
function folders() {
    const dir = modelFolder();
    const put = (name, value) => {
        const file = path.join(dir, name);
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    };
    addModel(dir, 'good', { name: 'A good one', description: 'Made for a test', default_settings: { steps: 9, width: 'wide', scheduler: 'ddim', extra: 1 } });
    put('good/scheduler/scheduler_config.json', { prediction_type: 'v_prediction' });
    put('flux/model_index.json', { _class_name: 'FluxPipeline' });
    put('depth/model_index.json', { _class_name: 'StableDiffusionPipeline' });
    put('depth/unet/config.json', { in_channels: 5, cross_attention_dim: 1024 });
    put('no-weights/model_index.json', { _class_name: 'StableDiffusionPipeline' });
    put('no-weights/unet/config.json', { in_channels: 4, cross_attention_dim: 768 });
    put('broken/model_index.json', '{"_class_name": ');
    put('loose-file.txt', 'not a model');
    return dir;
}

describe('models', () => {
    const dir = folders();

    test('the folder is read at start; keys, edits and hashes survive a restart', async () => {
        const server = await startServer({ multiuser: true, models: dir });
        server.allowLog(/IMU0009: the model (no-weights|broken) in/);
        try {
            const admin = await setupAdmin(server);
            const user = await addUser(admin, 'Olga');
            const { models } = (await user.get('/api/v2/models/')).body;
            assert.deepEqual(models.map((m) => m.name), ['A good one']);
            const [model] = models;
            assert.deepEqual(
                [model.base, model.type, model.format, model.variant, model.prediction_type, model.path],
                ['sd-1', 'main', 'diffusers', 'normal', 'v_prediction', 'good'],
            );
            assert.deepEqual(model.default_settings, { steps: 9, scheduler: 'ddim' });
            assert.match(model.hash, /^sha256:[0-9a-f]{64}$/);
            assert.ok(!JSON.stringify(models).includes(dir), 'no path of the server');
            assert.deepEqual((await user.get(`/api/v2/models/i/${model.key}`)).body, model);
            assert.equal((await user.get(`/api/v2/models/get_by_hash?hash=${model.hash}`)).body.key, model.key);
            assert.equal((await user.get('/api/v2/models/get_by_attrs?name=A%20good%20one&base=sd-1&type=main')).body.key, model.key);
            assert.equal((await user.get('/api/v2/models/get_by_attrs?name=A%20good%20one')).status, 422);
            assert.equal((await user.get('/api/v2/models/get_by_hash?hash=x')).status, 404);
            assert.equal((await user.get('/api/v2/models/?base_models=sdxl')).body.models.length, 0);
            assert.equal((await user.get('/api/v2/models/?base_models=sdxl&base_models=sd-1&model_type=main')).body.models.length, 1);
            assert.deepEqual((await user.get('/api/v2/models/missing')).body.models.map((m) => m.path), ['broken', 'no-weights']);

            assert.equal((await user.patch(`/api/v2/models/i/${model.key}`, { name: 'Mine' })).status, 403);
            assert.equal((await admin.patch(`/api/v2/models/i/${model.key}`, { name: 'Renamed', default_settings: { steps: 3 } })).status, 200);
            server.allowLog(/AH03490/); // children of before may still be on their way out
            await server.restart('graceful');
            const again = (await user.get('/api/v2/models/')).body.models;
            assert.deepEqual(again.map((m) => [m.key, m.name, m.description, m.hash]), [[model.key, 'Renamed', 'Made for a test', model.hash]]);
            assert.deepEqual(again[0].default_settings, { steps: 3 });

            fs.renameSync(path.join(dir, 'good'), path.join(dir, '.away'));
            assert.deepEqual((await user.get('/api/v2/models/missing')).body.models.map((m) => m.path), ['broken', 'no-weights', 'good']);
        } finally {
            await server.stop();
        }
    });
});

describe('client state', () => {
    const server = useServer({ multiuser: true });
    const at = (call, key) => `/api/v1/client_state/default/${call}?key=${encodeURIComponent(key)}`;
    let admin;
    before(async () => (admin = await setupAdmin(server)));

    test('the bare text of the web client and the JSON string of a program are stored alike', async () => {
        const text = JSON.stringify({ a: 'ü "quoted"', b: [1, 2] });
        const bare = await admin.post(at('set_by_key', 'one'), undefined, { body: text, headers: { 'content-type': 'text/plain;charset=UTF-8' } });
        assert.deepEqual([bare.status, bare.body], [200, text]);
        assert.equal((await admin.get(at('get_by_key', 'one'))).body, text);
        assert.equal((await admin.post(at('set_by_key', 'two'), text)).body, text);
        assert.equal((await admin.get(at('get_by_key', 'two'))).body, text);
        assert.equal((await admin.post(at('set_by_key', 'two'), { not: 'text' })).status, 422);
        assert.equal((await admin.post(at('set_by_key', 'two'), undefined, { body: Buffer.from([0x61, 0xff, 0]), headers: { 'content-type': 'text/plain' } })).status, 422);
    });

    test('a large painting fits, an enormous one is refused', async () => {
        const painting = 'p'.repeat(8 * 1024 * 1024);
        const kept = await admin.post(at('set_by_key', 'canvas'), undefined, { body: painting, headers: { 'content-type': 'text/plain' } });
        assert.equal(kept.status, 200);
        assert.equal((await admin.get(at('get_by_key', 'canvas'))).body.length, painting.length);
        const huge = await admin
            .post(at('set_by_key', 'canvas'), undefined, { body: 'x', headers: { 'content-type': 'text/plain', 'content-length': String(2 ** 40) } })
            .catch((error) => ({ status: error.code }));
        assert.ok([413, 'ECONNRESET', 'EPIPE'].includes(huge.status), `${huge.status}`);
    });

    test('a person keeps a bounded number of keys', async () => {
        const nora = await addUser(admin, 'Nora');
        server.sql(
            `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO client_state (user_id, key, value, updated_at) SELECT '${nora.user.user_id}', 'k' || i, 'v', '2020-01-01 00:00:00.000' FROM n`,
        );
        assert.equal((await nora.post(at('set_by_key', 'one more'), 'v')).status, 413);
        assert.equal((await nora.post(at('set_by_key', 'k1'), 'w')).status, 200, 'replacing goes on');
        assert.equal((await nora.post('/api/v1/client_state/default/delete')).status, 204);
        assert.equal((await nora.post(at('set_by_key', 'one more'), 'v')).status, 200);
    });
});
