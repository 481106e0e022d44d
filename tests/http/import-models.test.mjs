// Models that came from another server: which are there, what is said of those that can't be used, how they go and come back.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { addModel } from '../lib/models.mjs';
import { request } from '../lib/http.mjs';
import { OldRoot, TIME } from '../lib/old-root.mjs';
import { startServer } from '../lib/server.mjs';
import { Tensors } from '../lib/tiny-models.mjs';
import { setupAdmin } from '../lib/users.mjs';

const MODELS = '/api/v2/models';
const WEBP = Buffer.concat([Buffer.from('RIFF\x0c\0\0\0WEBPVP8L', 'latin1'), Buffer.alloc(8)]);
const OUTSIDE = "It lies outside the server's model folder (InvokeMUModels).";

describe('models of another server', () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-their-models-'));
    const models = path.join(dir, 'old/models');
    /** By key: where it lies, how it comes there, and what administrators read. */
    const theirs = {
        control: ['sd-1/controlnet/canny.safetensors', (file) => strange(file), /its tensors are of no model/],
        pickle: ['sd-1/main/old.ckpt', (file) => fs.writeFileSync(file, 'x'), /may hold programs/],
        gguf: ['big.gguf', (file) => fs.writeFileSync(file, 'x'), /models of one file have to be safetensors/],
        flux: ['flux/main/Flux', (folder) => pipeline(folder), /names no Stable Diffusion pipeline/],
        bare: ['any/Folder', (folder) => fs.mkdirSync(folder), /its folder holds no model_index\.json/],
        other: [path.join(dir, 'disk/lora.safetensors'), (file) => strange(file), OUTSIDE],
        lost: ['sd-1/main/lost.safetensors', null, 'The file "lost.safetensors" is gone from the server\'s model folder.'],
        folder: ['sd-1/main/Lost', null, 'The folder "Lost" is gone from the server\'s model folder.'],
        away: [path.join(dir, 'nowhere/away.safetensors'), null, 'The file "away.safetensors" is gone; it lay outside the server\'s model folder.'],
    };
    const there = Object.keys(theirs).filter((key) => theirs[key][1]);
    const gone = Object.keys(theirs).filter((key) => !theirs[key][1]);
    const strange = (file) => {
        const tensors = new Tensors();
        tensors.linear('nothing.known', 2, 2);
        tensors.write(file);
    };
    const pipeline = (folder) => {
        fs.mkdirSync(folder);
        fs.writeFileSync(path.join(folder, 'model_index.json'), '{"_class_name": "FluxPipeline"}');
    };
    let server, admin, old, early;
    const list = async (where = '/') => Object.fromEntries((await admin.get(MODELS + where)).body.models.filter((m) => m.key !== early).map((m) => [m.key, m]));
    const invokemu = async (...args) => {
        const { code, out, err } = await run(server, 'invokemu', [...args, '--json']);
        assert.equal(err, '');
        return { code, ...JSON.parse(out) };
    };
    const image = (key) => path.join(models, 'model_images', `${key}.webp`);
    const rows = () => server.sql("SELECT key, removed_at IS NOT NULL AS removed FROM models WHERE name <> 'Early' ORDER BY key");

    before(async () => {
        fs.chmodSync(dir, 0o755);
        addModel(models, 'early', { name: 'Early' });
        old = new OldRoot(path.join(dir, 'old'), '6.12');
        for (const [key, [where, make]] of Object.entries({ ...theirs, early: ['early'] })) {
            const place = path.resolve(models, where);
            if (make) {
                fs.mkdirSync(path.dirname(place), { recursive: true });
                make(place);
            }
            const config = JSON.stringify({ key, name: key, base: 'sd-1', type: 'main', format: 'checkpoint', path: where, hash: `blake3:${key}`, file_size: 1 });
            old.row('models', { id: key, hash: `blake3:${key}`, base: 'sd-1', type: 'main', path: where, name: key, config, created_at: TIME, updated_at: TIME });
        }
        const pictures = { control: [WEBP], flux: [Buffer.from('<svg/>')], pickle: [Buffer.concat([WEBP, Buffer.alloc(2 << 20)])], lost: [WEBP], bare: [] };
        fs.mkdirSync(path.join(models, 'model_images'));
        for (const [key, [content]] of Object.entries(pictures)) {
            content ? fs.writeFileSync(image(key), content) : fs.symlinkSync('control.webp', image(key));
        }
        old.done();
        server = await startServer({ multiuser: true, models });
        admin = await setupAdmin(server);
        [early] = Object.keys(await list());
        const { counts, left_out: left } = await invokemu('import', old.root);
        assert.deepEqual(counts.models, { taken: Object.keys(theirs).length, there: 1 });
        assert.deepEqual(left.map((l) => [l.what, l.name, /on the list here already/.test(l.reason)]), [['picture of a model', image('bare'), false], ['model', 'early', true], ['picture of a model', image('flux'), false], ['picture of a model', image('pickle'), false]]);
    });
    after(async () => {
        await server?.stop();
        fs.rmSync(dir, { recursive: true, force: true });
    });

    test('are missing only where nothing lies, and what is the matter is said', async () => {
        for (const where of ['/', '/missing']) {
            const listed = await list(where);
            assert.deepEqual(Object.keys(listed).sort(), Object.keys(theirs).sort());
            for (const [key, [, make, why]] of Object.entries(theirs)) {
                assert.equal(listed[key].missing, !make, key);
                (typeof why === 'string' ? assert.equal : assert.match)(listed[key].problem, why, key);
            }
        }
    });

    test('have the pictures that they had', async () => {
        const listed = await list();
        const shown = Object.keys(listed).filter((key) => listed[key].cover_image).sort();
        assert.deepEqual(shown, ['control', 'lost']);
        const picture = await request(server.url + listed.control.cover_image);
        assert.deepEqual([picture.status, picture.headers['content-type'], picture.raw], [200, 'image/webp', WEBP]);
        for (const key of ['flux', 'bare', 'pickle', 'gguf']) {
            assert.equal((await request(`${server.url}${MODELS}/i/${key}/image`)).status, 404, key);
        }
    });

    test('that are there go and come back, by the page and on the command line', async () => {
        for (const key of there) {
            assert.equal((await admin.delete(`${MODELS}/i/${key}`)).status, 204, key);
        }
        assert.deepEqual(rows(), Object.keys(theirs).sort().map((key) => ({ key, removed: Number(there.includes(key)) })));
        const removed = (await admin.get(`${MODELS}/scan_folder`)).body.filter((found) => found.removed);
        assert.deepEqual(removed.map((found) => found.path).sort(), there.map((key) => path.resolve(models, theirs[key][0])).sort());
        // By what a record says of its place, as Undo does, and by what the list of removed ones says.
        for (const [i, key] of there.entries()) {
            const { status, body } = await admin.post(`${MODELS}/install?source=${encodeURIComponent(i % 2 ? theirs[key][0] : path.resolve(models, theirs[key][0]))}`, {});
            assert.deepEqual([status, body.config_out?.key], [201, key], JSON.stringify(body));
        }
        assert.deepEqual(Object.keys(await list()).sort(), Object.keys(theirs).sort());
        for (const key of there) {
            assert.equal((await invokemu('models', 'remove', key)).key, key);
            assert.equal((await invokemu('models', 'restore', key)).key, key);
        }
        assert.deepEqual(Object.keys(await list()).sort(), Object.keys(theirs).sort());
        assert.equal((await admin.post(`${MODELS}/install?source=${encodeURIComponent(theirs.control[0])}`, {})).status, 501, 'what is on the list, or was never there');
    });

    test('that are gone are forgotten, and so is one that went after it was removed', async () => {
        for (const key of gone) {
            assert.equal((await admin.delete(`${MODELS}/i/${key}`)).status, 204, key);
        }
        assert.deepEqual(rows().map((row) => row.key), there.toSorted());
        assert.equal((await admin.delete(`${MODELS}/i/pickle`)).status, 204);
        fs.rmSync(path.join(models, theirs.pickle[0]));
        assert.deepEqual((await admin.get(`${MODELS}/scan_folder`)).body.filter((found) => found.removed), []);
        assert.equal((await admin.post(`${MODELS}/install?source=${encodeURIComponent(theirs.pickle[0])}`, {})).status, 404);
    });
});

describe('what another server said of its models', () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-told-models-'));
    const models = path.join(dir, 'old/models');
    const KEYS = ['9413dbff-eb82-5178-94c6-34028aa4369d', '67bc4ab1-1d40-561a-bab0-5d5a1e6c9961'];
    /** As people see a model, and what other programs know it by. */
    const told = { name: 'Juggernaut XL v9', description: 'From before', trigger_phrases: ['juggernaut'], default_settings: { steps: 12, width: 1024 }, source: 'https://models.example/j', source_type: 'url', usage_info: 'With care' };
    const parts = (record, names) => Object.fromEntries(names.map((name) => [name, record?.[name]]));
    let server, admin;
    const one = async (key) => (await admin.get(`${MODELS}/i/${key}`)).body;
    const scan = async () => assert.equal((await run(server, 'invokemu', ['models', 'scan', '--models', models])).code, 0);
    const holds = async (words, what) => {
        for (const key of KEYS) {
            assert.deepEqual(parts(await one(key), Object.keys(words)), words, `${what}: ${key}`);
        }
    };

    before(async () => {
        fs.chmodSync(dir, 0o755);
        const old = new OldRoot(path.join(dir, 'old'), '6.12');
        for (const [i, key] of KEYS.entries()) {
            addModel(models, key, { name: 'What the folder says' });
            // The first one's size is another, so that its weights are read anew; the second one's was never written down.
            const config = { key, ...told, base: 'sdxl', type: 'main', format: 'diffusers', variant: 'inpaint', path: key, hash: `blake3:${key}`, ...(i ? {} : { file_size: 7 }) };
            old.row('models', { id: key, hash: config.hash, base: 'sdxl', type: 'main', path: key, name: told.name, config: JSON.stringify(config), created_at: TIME, updated_at: TIME });
        }
        old.done();
        server = await startServer({ multiuser: true });
        admin = await setupAdmin(server);
        assert.equal((await run(server, 'invokemu', ['import', old.root])).code, 0);
    });
    after(async () => {
        await server?.stop();
        fs.rmSync(dir, { recursive: true, force: true });
    });

    test('a size that it never wrote down is taken from the files', async () => {
        const { file_size: size } = await one(KEYS[1]);
        assert.equal(size, (await fs.promises.readdir(path.join(models, KEYS[1]), { recursive: true, withFileTypes: true })).filter((f) => f.isFile()).reduce((sum, f) => sum + fs.statSync(path.join(f.path, f.name)).size, 0));
    });

    test('outlives the scans of its folder, which renew what the files say', async () => {
        for (const time of ['once', 'twice']) {
            await scan();
            await holds({ ...told, base: 'sd-1', variant: 'normal', format: 'diffusers' }, time);
            assert.match((await one(KEYS[0])).hash, /^sha256:[0-9a-f]{64}$/, 'its files were read');
            assert.equal((await one(KEYS[1])).hash, `blake3:${KEYS[1]}`, 'nothing about its files is new');
        }
        assert.deepEqual(server.sql('SELECT DISTINCT name, base FROM models'), [{ name: told.name, base: 'sd-1' }]);
    });

    test('outlives being removed and brought back', async () => {
        for (const key of KEYS) {
            assert.equal((await run(server, 'invokemu', ['models', 'remove', key])).code, 0);
            assert.equal((await run(server, 'invokemu', ['models', 'restore', key])).code, 0);
        }
        await scan();
        await holds(told, 'brought back');
    });

    test('and what an administrator says later counts more', async () => {
        const later = { name: 'Mine', description: null, default_settings: { steps: 3 } };
        for (const key of KEYS) {
            assert.equal((await admin.patch(`${MODELS}/i/${key}`, later)).status, 200);
        }
        await scan();
        await holds({ ...told, ...later }, 'edited');
    });
});

describe('a folder of models of another server that is named after the import', () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-named-models-'));
    const models = path.join(dir, 'models');
    fs.mkdirSync(models);
    const KEY = '9413dbff-eb82-5178-94c6-34028aa4369d';
    const told = { name: 'Juggernaut', description: 'From before', source: 'https://models.example/j' };
    let server, admin;
    const seen = async () => {
        const { key, name, description, source } = (await admin.get(`${MODELS}/i/${KEY}`)).body;
        return { key, name, description, source };
    };

    before(async () => {
        fs.chmodSync(dir, 0o755);
        server = await startServer({ multiuser: true, models });
        admin = await setupAdmin(server);
        const config = { key: KEY, ...told, source_type: 'url', base: 'sd-1', type: 'main', format: 'diffusers', path: KEY, hash: 'blake3:1', file_size: 7 };
        server.sql(`INSERT INTO models (key, hash, base, type, name, path, record, created_at, updated_at) VALUES ('${KEY}', 'blake3:1', 'sd-1', 'main', 'Juggernaut', '${models}/${KEY}', '${JSON.stringify(config)}', '${TIME}', '${TIME}')`);
        addModel(models, KEY);
    });
    after(async () => {
        await server?.stop();
        fs.rmSync(dir, { recursive: true, force: true });
    });

    test('its records keep their words when Apache starts', async () => {
        server.allowLog(/AH03490/); // children of before may still be on their way out
        await server.restart('graceful');
        assert.deepEqual(await seen(), { key: KEY, ...told });
    });

    test('and when it is brought back by Look for new models', async () => {
        assert.equal((await admin.delete(`${MODELS}/i/${KEY}`)).status, 204);
        const { status } = await admin.post(`${MODELS}/install?source=${KEY}`, {});
        assert.deepEqual([status, await seen()], [201, { key: KEY, ...told }]);
    });
});
