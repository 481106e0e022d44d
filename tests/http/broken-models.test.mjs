// Models whose files are gone or broken: nobody is offered them, administrators are told why, and what was mended counts at once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { addModel, modelFolder } from '../lib/models.mjs';
import { pictureBatch } from '../lib/pictures.mjs';
import { startServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const MODELS = '/api/v2/models';
const PLAIN = "This model can't be used just now: ask the person who looks after this server.";
const WEIGHTS = 'unet/diffusion_pytorch_model.fp16.safetensors';

const list = async (who, where = '/') => (await who.get(MODELS + where)).body.models;
const names = async (who, where) => (await list(who, where)).map((m) => m.name);
const enqueue = (who, model) => who.post('/api/v1/queue/default/enqueue_batch', pictureBatch(model));

describe('a model whose folder goes and comes', () => {
    const dir = modelFolder();
    const folder = addModel(dir, 'alpha', { name: 'Alpha' });
    const copy = addModel(dir, 'omega', { name: 'Omega' });
    const away = path.join(dir, '.away');
    let server, admin, user, alpha;

    before(async () => {
        server = await startServer({ multiuser: true, models: dir });
        admin = await setupAdmin(server);
        user = await addUser(admin, 'Olga');
        [alpha] = await list(admin);
        assert.equal(alpha.name, 'Alpha');
        assert.equal((await admin.patch(`${MODELS}/i/${alpha.key}`, { name: 'Alpha', description: 'Said by a person' })).status, 200);
    });
    after(() => server?.stop());

    test('gone: ordinary people are not offered it, administrators see it last and why', async () => {
        fs.renameSync(folder, away);
        assert.deepEqual(await names(user), ['Omega']);
        assert.deepEqual(await names(admin), ['Omega', 'Alpha'], 'never the first, which clients take when nothing is chosen');
        const [, shown] = await list(admin);
        assert.deepEqual([shown.missing, shown.problem], [true, 'The folder "alpha" is gone from the server\'s model folder.']);
        for (const who of [admin, user]) {
            assert.deepEqual(await names(who, '/missing'), ['Alpha']);
        }
        assert.equal((await list(user, '/missing'))[0].problem, PLAIN);
        const one = (await user.get(`${MODELS}/i/${alpha.key}`)).body;
        assert.deepEqual([one.name, one.problem], ['Alpha', PLAIN]);
    });

    test('gone: another model with the same weights or name is found before it', async () => {
        assert.equal((await user.get(`${MODELS}/get_by_hash?hash=${alpha.hash}`)).body.name, 'Omega');
        const [omega] = await list(user);
        assert.equal((await admin.patch(`${MODELS}/i/${omega.key}`, { name: 'Alpha' })).status, 200);
        assert.equal((await user.get(`${MODELS}/get_by_attrs?name=Alpha&base=sd-1&type=main`)).body.key, omega.key);
        assert.equal((await user.post('/api/v1/recall/default', { model: 'Alpha' })).body.parameters.model, omega.key);
        assert.equal((await admin.patch(`${MODELS}/i/${omega.key}`, { name: 'Omega' })).status, 200);
    });

    test('gone: jobs are refused in plain words, also when a value of the batch names it', async () => {
        const refused = await enqueue(user, alpha);
        assert.deepEqual([refused.status, refused.body], [409, { detail: PLAIN }]);
        const told = await enqueue(admin, alpha);
        assert.deepEqual([told.status, told.body.detail], [409, 'The model "Alpha" can\'t be used just now. The folder "alpha" is gone from the server\'s model folder.']);
        const [omega] = await list(user);
        const body = pictureBatch(omega);
        body.batch.data.push([{ node_path: 'loader', field_name: 'model', items: [alpha] }]);
        assert.equal((await user.post('/api/v1/queue/default/enqueue_batch', body)).status, 409);
        // What a picture was made with may be said of a model that is gone.
        const about = pictureBatch(omega);
        about.batch.graph.nodes.metadata.model = alpha;
        assert.equal((await user.post('/api/v1/queue/default/enqueue_batch', about)).status, 201);
    });

    test('back: there again by itself, with what people wrote', async () => {
        server.allowLog(/AH03490/); // children of before may still be on their way out
        server.allowLog(/IMU0009: the model Alpha in .* can't be used: The folder "alpha" is gone/);
        await server.restart('graceful');
        assert.deepEqual(await names(user), ['Omega'], 'a start without the disk forgets nothing');
        fs.renameSync(away, folder);
        const [back] = await list(user);
        assert.deepEqual([back.key, back.description, back.problem], [alpha.key, 'Said by a person', undefined]);
        assert.deepEqual(await list(user, '/missing'), []);
        assert.equal((await enqueue(user, alpha)).status, 201);
    });

    test('gone for good: an administrator takes it off the list', async () => {
        fs.renameSync(folder, away);
        assert.equal((await user.delete(`${MODELS}/i/${alpha.key}`)).status, 403);
        assert.equal((await admin.delete(`${MODELS}/i/${alpha.key}`)).status, 204);
        assert.equal((await admin.delete(`${MODELS}/i/${alpha.key}`)).status, 404);
        assert.deepEqual(await names(admin), ['Omega']);
        assert.deepEqual(await list(admin, '/missing'), []);
    });

    test('several at once: what stays is said why', async () => {
        const [omega] = await list(admin);
        fs.rmSync(copy, { recursive: true });
        const gone = (await admin.post(`${MODELS}/i/bulk_delete`, { keys: [omega.key, 'nobody'] })).body;
        assert.deepEqual([gone.deleted, gone.failed], [[omega.key], [{ key: 'nobody', error: 'There is no such model.' }]]);
        assert.deepEqual(await list(admin), []);
        assert.deepEqual(server.sql('SELECT key FROM models'), [], 'of a model without a folder nothing stays');
    });
});

describe('a model with broken files', () => {
    const dir = modelFolder();
    const cut = (file, size) => fs.truncateSync(file, size);
    const header = (file, change) => {
        const bytes = fs.readFileSync(file);
        change(bytes);
        fs.writeFileSync(file, bytes);
    };
    /** What breaks a model, by folder: the file, what is done to it, and what administrators read. */
    const faults = {
        'cut-weights': [WEIGHTS, (f) => cut(f, fs.statSync(f).size - 1), `Its file ${WEIGHTS} is damaged or not complete.`],
        'cut-header': [WEIGHTS, (f) => cut(f, 100), `Its file ${WEIGHTS} is damaged or not complete.`],
        'empty-weights': [WEIGHTS, (f) => cut(f, 0), `Its file ${WEIGHTS} is damaged or not complete.`],
        'wild-length': [WEIGHTS, (f) => header(f, (b) => b.writeBigUInt64LE(2n ** 63n, 0)), `Its file ${WEIGHTS} is damaged or not complete.`],
        'wild-header': [WEIGHTS, (f) => header(f, (b) => b.write('}}', 8)), `Its file ${WEIGHTS} is damaged or not complete.`],
        forbidden: [WEIGHTS, (f) => fs.chmodSync(f, 0), `Its file ${WEIGHTS} can't be read by the server.`],
        'no-vae': ['vae', (f) => fs.rmSync(f, { recursive: true }), 'Its file vae/config.json is missing.'],
        'no-text-weights': ['text_encoder/model.fp16.safetensors', (f) => fs.rmSync(f), 'Its folder text_encoder holds no weights in safetensors form.'],
        'no-json': ['unet/config.json', (f) => fs.writeFileSync(f, '<html>404</html>'), 'Its file unet/config.json is damaged: it holds no JSON.'],
        'no-tokenizer': ['tokenizer', (f) => fs.rmSync(f, { recursive: true }), 'Its file tokenizer/vocab.json is missing.'],
        'no-merges': ['tokenizer/merges.txt', (f) => fs.rmSync(f), 'Its file tokenizer/merges.txt is missing.'],
        'no-schedule': ['scheduler/scheduler_config.json', (f) => fs.writeFileSync(f, ''), 'Its file scheduler/scheduler_config.json is damaged: it holds no JSON.'],
    };
    let server, admin, user, healthy;

    before(async () => {
        for (const [name, [file, damage]] of Object.entries(faults)) {
            damage(path.join(addModel(dir, name), file));
        }
        addModel(dir, 'healthy', { name: 'Healthy' });
        server = await startServer({ multiuser: true, models: dir });
        server.allowLog(/IMU0009: the model [a-z-]+ in .* can't be used: Its (file|folder) /);
        admin = await setupAdmin(server);
        user = await addUser(admin, 'Olga');
    });
    after(() => server?.stop());

    test('found broken: not offered, and administrators read which file it is', async () => {
        [healthy] = await list(user);
        assert.deepEqual(await names(user), ['Healthy']);
        const broken = Object.fromEntries((await list(admin, '/missing')).map((m) => [m.path, m.problem]));
        assert.deepEqual(broken, Object.fromEntries(Object.entries(faults).map(([name, fault]) => [name, fault[2]])));
        assert.equal((await list(admin))[0].name, 'Healthy');
        assert.equal((await list(admin)).length, Object.keys(faults).length + 1);
        assert.ok((await list(user, '/missing')).every((m) => m.problem === PLAIN && m.missing === false));
        assert.ok(!JSON.stringify(await list(admin)).includes(dir), 'no path of the server');
        for (const model of await list(admin, '/missing')) {
            assert.equal((await enqueue(user, model)).body.detail, PLAIN);
        }
        assert.match(server.errorLog(), /the model cut-weights in .*damaged or not complete\. \(The safetensors header is damaged: .*outside the file/);
    });

    test('broken while the server runs: noticed; mended: offered again, both without a restart', async () => {
        const folder = path.join(dir, 'healthy');
        const safe = path.join(dir, '.safe');
        for (const [file, damage, words] of Object.values(faults)) {
            fs.cpSync(folder, safe, { recursive: true });
            damage(path.join(folder, file));
            assert.deepEqual(await names(user), [], file);
            assert.deepEqual((await list(admin)).find((m) => m.key === healthy.key).problem, words);
            assert.equal((await enqueue(user, healthy)).status, 409);
            fs.rmSync(folder, { recursive: true });
            fs.renameSync(safe, folder);
            assert.deepEqual(await names(user), ['Healthy'], file);
        }
        assert.equal((await enqueue(user, healthy)).status, 201);
    });

    test('mended after it was found broken: read anew when it is installed', async () => {
        fs.rmSync(path.join(dir, 'no-json'), { recursive: true });
        addModel(dir, 'no-json');
        const seen = async (who) => (await list(who)).find((m) => m.path === 'no-json');
        assert.equal((await seen(admin)).problem, 'Its files are in order by now: "Look for new models" on the page Models reads them.');
        assert.equal(await seen(user), undefined);
        assert.equal((await admin.get(`${MODELS}/scan_folder`)).body.find((f) => f.name === 'no-json').is_installed, false);
        const { key } = await seen(admin);
        assert.equal((await admin.post(`${MODELS}/install?source=no-json`, {})).status, 201);
        const model = await seen(user);
        assert.equal(model.key, key);
        assert.match(model.hash, /^sha256:[0-9a-f]{64}$/);
        assert.equal((await enqueue(user, model)).status, 201);
    });

    test('in the log, a broken model that was healthy before keeps its record', async () => {
        fs.truncateSync(path.join(dir, 'healthy', WEIGHTS), 1000);
        server.allowLog(/AH03490/);
        server.allowLog(/IMU0009: the model Healthy in/);
        await server.restart('graceful');
        const shown = (await list(admin)).find((m) => m.key === healthy.key);
        assert.deepEqual([shown.name, shown.hash, shown.file_size], ['Healthy', healthy.hash, healthy.file_size]);
    });
});
