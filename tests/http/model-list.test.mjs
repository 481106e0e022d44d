// What administrators do with the list of models: take one off, bring it back, look for new ones; covers and suggestions.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { closeAll, listen } from '../lib/events.mjs';
import { Client } from '../lib/http.mjs';
import { addModel, modelFolder } from '../lib/models.mjs';
import { pictureBatch } from '../lib/pictures.mjs';
import { makePng } from '../lib/png.mjs';
import { startServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const MODELS = '/api/v2/models';
const PLAIN = "This model can't be used just now: ask the person who looks after this server.";
const TINY_WEBP = Buffer.from('UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==', 'base64');

const list = async (who, where = '/') => (await who.get(MODELS + where)).body.models;
const names = async (who) => (await list(who)).map((m) => m.name);
const enqueue = (who, model) => who.post('/api/v1/queue/default/enqueue_batch', pictureBatch(model));
const install = (who, source, body = {}) => who.post(`${MODELS}/install?source=${encodeURIComponent(source)}`, body);

describe('the list of models', () => {
    const dir = modelFolder();
    addModel(dir, 'alpha', { name: 'Alpha' });
    addModel(dir, 'omega', { name: 'Omega' });
    let server, admin, user, alpha, again;
    const scan = async () => Object.fromEntries((await admin.get(`${MODELS}/scan_folder?scan_path=${encodeURIComponent(dir)}`)).body.map((f) => [path.basename(f.path), f]));

    before(async () => {
        server = await startServer({ multiuser: true, models: dir });
        admin = await setupAdmin(server);
        user = await addUser(admin, 'Olga');
        [alpha] = await list(admin);
        assert.equal((await admin.patch(`${MODELS}/i/${alpha.key}`, { name: 'Alpha one', description: 'Said by a person' })).status, 200);
    });
    after(async () => {
        closeAll();
        await server?.stop();
    });

    test('a job that is to be run again', async () => {
        const { status, body } = await enqueue(user, alpha);
        assert.equal(status, 201);
        [again] = body.item_ids;
        assert.equal((await user.put(`/api/v1/queue/default/i/${again}/cancel`)).status, 200);
    });

    test('removed: offered to nobody, in no list, not recalled, jobs are refused', async () => {
        assert.equal((await user.delete(`${MODELS}/i/${alpha.key}`)).status, 403);
        assert.equal((await admin.delete(`${MODELS}/i/${alpha.key}`)).status, 204);
        assert.equal((await admin.delete(`${MODELS}/i/${alpha.key}`)).status, 404);
        for (const who of [admin, user]) {
            assert.deepEqual(await names(who), ['Omega']);
            assert.deepEqual(await list(who, '/missing'), []);
            assert.equal((await who.get(`${MODELS}/i/${alpha.key}`)).status, 404);
            assert.equal((await who.get(`${MODELS}/get_by_attrs?name=Alpha%20one&base=sd-1&type=main`)).status, 404);
        }
        assert.equal((await user.get(`${MODELS}/get_by_hash?hash=${alpha.hash}`)).body.name, 'Omega');
        assert.equal((await user.post('/api/v1/recall/default', { model: 'Alpha one' })).body.parameters.model, 'Alpha one', 'found by no name');
        assert.deepEqual([(await enqueue(user, alpha)).status, (await enqueue(user, alpha)).body], [409, { detail: PLAIN }]);
        assert.match((await enqueue(admin, alpha)).body.detail, /It was removed/);
        const retried = await user.put('/api/v1/queue/default/retry_items_by_id', [again, 987654321]);
        assert.deepEqual([retried.status, retried.body], [409, { detail: PLAIN }]);
        assert.equal((await admin.patch(`${MODELS}/i/${alpha.key}`, { name: 'x' })).status, 404);
        assert.ok(fs.existsSync(path.join(dir, 'alpha/model_index.json')), 'its files stay');
    });

    test('removed: a start does not bring it back', async () => {
        server.allowLog(/AH03490/); // children of before may still be on their way out
        await server.restart('graceful');
        assert.deepEqual(await names(admin), ['Omega']);
    });

    test('the folder is looked through for administrators alone, and no other folder is', async () => {
        fs.mkdirSync(path.join(dir, 'no-model'));
        assert.deepEqual(await scan(), {
            alpha: { path: path.join(dir, 'alpha'), is_installed: false, name: 'Alpha one', removed: true },
            omega: { path: path.join(dir, 'omega'), is_installed: true, name: 'Omega', removed: false },
        });
        assert.equal((await admin.get(`${MODELS}/scan_folder`)).body.length, 2);
        assert.equal((await admin.get(`${MODELS}/scan_folder?scan_path=${dir}//`)).body.length, 2);
        for (const other of ['/etc', path.join(dir, 'alpha'), path.dirname(dir), `${dir}/../`, '', '.']) {
            const refused = await admin.get(`${MODELS}/scan_folder?scan_path=${encodeURIComponent(other)}`);
            assert.deepEqual([refused.status, refused.body.detail], [400, `Only the server's model folder is looked through: ${dir}`], other);
        }
        assert.equal((await user.get(`${MODELS}/scan_folder`)).status, 403);
        assert.equal((await install(user, 'alpha')).status, 403);
    });

    test('brought back: the same key and what people wrote; everybody hears of it, administrators of what', async () => {
        const [boss, other] = [await listen(server, admin), await listen(server, user)];
        const { status, body: job } = await install(admin, path.join(dir, 'alpha'));
        assert.equal(status, 201);
        assert.deepEqual([job.status, job.config_out.key, job.config_out.description, job.error], ['completed', alpha.key, 'Said by a person', null]);
        assert.deepEqual(job.source, { path: path.join(dir, 'alpha'), inplace: true, type: 'local' });
        assert.ok(Number.isInteger(job.id) && job.total_bytes === alpha.file_size);
        const done = await boss.heard('model_install_complete');
        assert.deepEqual([done.id, done.key, done.config.name], [job.id, alpha.key, 'Alpha one']);
        assert.deepEqual(Object.keys(await other.heard('models_changed')), ['timestamp']);
        assert.equal(other.all('model_install_complete').length, 0);
        assert.deepEqual(await names(user), ['Alpha one', 'Omega']);
        assert.equal((await enqueue(user, alpha)).status, 201);
        assert.deepEqual((await user.put('/api/v1/queue/default/retry_items_by_id', [again])).body.retried_item_ids, [again]);
        assert.equal((await install(admin, 'alpha')).status, 409, 'it is there');
    });

    test('a change and a removal are heard of as well', async () => {
        const other = await listen(server, user);
        assert.equal((await admin.patch(`${MODELS}/i/${alpha.key}`, { description: 'Again' })).status, 200);
        await other.heard('models_changed');
        const third = await listen(server, user);
        assert.deepEqual((await admin.post(`${MODELS}/i/bulk_delete`, { keys: [alpha.key] })).body, { deleted: [alpha.key], failed: [] });
        await third.heard('models_changed');
        assert.equal((await install(admin, 'alpha')).status, 201);
    });

    test('a folder that appeared is registered without a restart, with what the caller says of it', async () => {
        addModel(dir, 'newer', { name: 'Newer' });
        assert.deepEqual((await scan()).newer, { path: path.join(dir, 'newer'), is_installed: false, name: 'newer', removed: false });
        const { status, body } = await install(admin, 'newer', { description: 'Just came' });
        assert.equal(status, 201);
        assert.match(body.config_out.hash, /^sha256:/);
        const model = (await list(user)).find((m) => m.name === 'Newer');
        assert.equal(model.description, 'Just came');
        assert.equal((await enqueue(user, model)).status, 201);
        assert.equal((await install(admin, 'newer', { name: 7 })).status, 422);
        assert.equal((await admin.send('POST', `${MODELS}/install?source=newer`)).status, 409, 'no body is fine');
    });

    test('what is no folder of the model folder, or no model, is refused', async () => {
        addModel(dir, 'torn');
        fs.rmSync(path.join(dir, 'torn/vae'), { recursive: true });
        fs.mkdirSync(path.join(dir, 'xl'));
        fs.writeFileSync(path.join(dir, 'xl/model_index.json'), '{"_class_name": "StableDiffusionXLPipeline"}');
        assert.equal((await scan()).torn.problem, 'Its file vae/config.json is missing.');
        const answers = {
            torn: 415,
            xl: 415,
            nothing: 404,
            'no-model': 415,
            '/etc': 501,
            '../alpha': 501,
            '.hidden': 501,
            [`${dir}/alpha/unet`]: 501,
            [`${dir}/..`]: 501,
            [`${dir}x/alpha`]: 501,
            'someone/some-model': 501,
            'https://example.com/model.safetensors': 501,
            [dir]: 501,
        };
        for (const [source, status] of Object.entries(answers)) {
            const answer = await install(admin, source);
            assert.deepEqual([answer.status, typeof answer.body.detail], [status, 'string'], source);
        }
        assert.equal((await admin.post(`${MODELS}/install`, {})).status, 422);
        assert.equal(server.sql('SELECT key FROM models').length, 3);
    });

    test('each removal and each return is in the audit log', async () => {
        const { entries } = (await admin.get('/api/v1/audit?search=Alpha')).body;
        const seen = entries.filter((e) => e.target_id === alpha.key).map((e) => e.action).reverse();
        assert.deepEqual(seen, ['model_changed', 'model_deleted', 'model_installed', 'model_changed', 'model_deleted', 'model_installed']);
    });
});

describe('what a model says of itself', () => {
    const dir = modelFolder();
    const folder = addModel(dir, 'small', {
        name: 'Zeta',
        sample: true,
        suggestions: ['a cat', '', 7, 'x'.repeat(201), 'ü'.repeat(200), 'bell\u0007', ...Array.from({ length: 30 }, (_, i) => `idea ${i}`)],
    });
    addModel(dir, 'large', { name: 'Large', sample: 'yes', untrained: true, suggestions: 'a cat' });
    let server, admin, sample;

    before(async () => {
        fs.writeFileSync(path.join(folder, 'cover.webp'), TINY_WEBP);
        server = await startServer({ multiuser: true, models: dir });
        admin = await setupAdmin(server);
    });
    after(() => server?.stop());

    test('a sample comes first, with its suggestions; what is none is left out', async () => {
        const models = await list(await addUser(admin, 'Olga'));
        assert.deepEqual(models.map((m) => [m.name, m.sample, m.untrained]), [['Zeta', true, undefined], ['Large', undefined, true]]);
        [sample] = models;
        assert.deepEqual(sample.suggestions, ['a cat', 'ü'.repeat(200), ...Array.from({ length: 22 }, (_, i) => `idea ${i}`)]);
        assert.equal(models[1].suggestions, undefined);
        assert.equal(models[1].cover_image, null);
    });

    test('its cover is served to whoever knows the key, for as long as it is on the list', async () => {
        const stranger = new Client(server.url);
        assert.match(sample.cover_image, new RegExp(`^/api/v2/models/i/${sample.key}/image\\?[0-9a-f-]+$`));
        const cover = await stranger.get(sample.cover_image);
        assert.equal(cover.status, 200);
        assert.deepEqual(cover.raw, TINY_WEBP);
        assert.equal(cover.headers['content-type'], 'image/webp');
        assert.equal(cover.headers['x-content-type-options'], 'nosniff');
        assert.equal(cover.headers['cache-control'], 'private, max-age=300');
        assert.match(cover.headers.etag, /^"[0-9a-f-]+"$/);
        assert.equal((await stranger.get(sample.cover_image, { headers: { 'if-none-match': cover.headers.etag } })).status, 304);
        assert.equal((await admin.delete(`${MODELS}/i/${sample.key}`)).status, 204);
        assert.equal((await stranger.get(sample.cover_image)).status, 404);
        assert.equal((await install(admin, 'small')).body.config_out.cover_image, sample.cover_image);
        assert.equal((await admin.delete(`${MODELS}/i/${sample.key}/image`)).status, 409);
        assert.equal((await stranger.get(sample.cover_image)).status, 200);
    });

    test('only a picture of bounded size is a cover, and no link', async () => {
        const stranger = new Client(server.url);
        const where = `${MODELS}/i/${sample.key}/image`;
        const file = (name) => path.join(folder, name);
        const png = makePng(8, 8);
        fs.rmSync(file('cover.webp'));
        assert.equal((await stranger.get(where)).status, 404);
        fs.writeFileSync(file('cover.png'), png);
        const cover = await stranger.get(where);
        assert.deepEqual([cover.headers['content-type'], cover.raw], ['image/png', png]);
        fs.writeFileSync(file('cover.png'), '<script>alert(1)</script>');
        assert.equal((await stranger.get(where)).status, 404);
        fs.writeFileSync(file('cover.png'), Buffer.concat([png, Buffer.alloc(2 * 1024 * 1024)]));
        assert.equal((await stranger.get(where)).status, 404);
        fs.rmSync(file('cover.png'));
        fs.writeFileSync(path.join(dir, 'elsewhere.png'), png);
        fs.symlinkSync(path.join(dir, 'elsewhere.png'), file('cover.png'));
        assert.equal((await stranger.get(where)).status, 404);
        assert.equal((await list(admin))[0].cover_image, null);
    });
});

describe('a server without a model folder', () => {
    test('says so', async () => {
        const server = await startServer({ multiuser: true });
        try {
            const admin = await setupAdmin(server);
            const scan = await admin.get(`${MODELS}/scan_folder`);
            assert.deepEqual([scan.status, /InvokeMUModels/.test(scan.body.detail)], [400, true]);
            assert.equal((await install(admin, 'alpha')).status, 501);
        } finally {
            await server.stop();
        }
    });
});
