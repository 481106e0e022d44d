// Tokenizers that the server keeps for models of one file: those of models that are folders, also when these are gone, and those that
// the administrator brings. Nothing is used that isn't what it was when it was kept.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { writeCheckpoint } from '../lib/checkpoint.mjs';
import { run } from '../lib/cli.mjs';
import { addModel, modelFolder } from '../lib/models.mjs';
import { enqueuePictures, pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { startServer } from '../lib/server.mjs';
import { setupAdmin } from '../lib/users.mjs';

const FILES = ['vocab.json', 'merges.txt'];
const hashOf = (folder) => FILES.reduce((hash, name) => hash.update(fs.readFileSync(path.join(folder, name))), crypto.createHash('sha256')).digest('hex');

/** A server with that models folder, and what the tests do with it. */
class Place {
    constructor() {
        this.models = modelFolder();
        writeCheckpoint(path.join(this.models, 'one.safetensors'));
    }

    async start() {
        this.server = await startServer({ worker: 1, media: true, models: this.models });
        this.admin = await setupAdmin(this.server);
    }

    kept(...names) {
        return path.join(this.server.data, 'tokenizers', ...names);
    }

    list() {
        return fs.readdirSync(this.kept()).sort();
    }

    invokemu(...args) {
        return run(this.server, 'invokemu', ['models', ...args]);
    }

    /** The picture of the model of one file as pixels, or the sentence why there is none. */
    async draw() {
        const { models } = (await this.admin.get('/api/v2/models/')).body;
        const [id] = await enqueuePictures(this.admin, models.find((m) => m.format === 'checkpoint'), { prompt: 'a (red)1.4 fox' });
        const item = await settled(this.admin, id, ['completed', 'failed', 'canceled'], 60000);
        return item.status === 'completed' ? readPixels((await this.admin.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw).data : item.error_message;
    }

    /** A new worker, which has read nothing. */
    async forget() {
        await this.server.kill(this.server.workers[0]);
        await this.server.startWorker(0);
    }
}

describe('a model that was there', () => {
    const place = new Place();
    const lender = addModel(place.models, 'tiny');
    const hash = hashOf(path.join(lender, 'tokenizer'));
    let picture;

    before(async () => {
        await place.start();
        picture = await place.draw();
    });
    after(() => place.server?.stop());

    test('lends its tokenizer, which the server keeps by its hash', () => {
        assert.ok(Buffer.isBuffer(picture) || ArrayBuffer.isView(picture), picture);
        assert.deepEqual(place.list(), [hash]);
        assert.equal(hashOf(place.kept(hash)), hash);
        for (const name of FILES) {
            assert.equal(fs.statSync(place.kept(hash, name)).mode & 0o777, 0o644, 'the worker is another user');
        }
    });

    test('is not needed any more', async () => {
        fs.rmSync(lender, { recursive: true });
        await place.forget();
        assert.deepEqual(await place.draw(), picture);
    });

    test('what was kept is not used once it was changed, be it by one letter', async () => {
        const file = place.kept(hash, 'merges.txt');
        const text = fs.readFileSync(file, 'latin1');
        fs.writeFileSync(file, text.replace('i n\n', 'n i\n'), 'latin1');
        assert.notEqual(hashOf(place.kept(hash)), hash);
        await place.forget();
        assert.match(await place.draw(), /needs a tokenizer.*The one that was kept is damaged\..*invokemu models tokenizer FOLDER/);
    });

    test('is mended by a model that brings the same again', async () => {
        const again = addModel(place.models, 'again');
        assert.equal((await place.admin.post('/api/v2/models/install?source=again')).status, 201);
        fs.rmSync(again, { recursive: true });
        assert.equal(hashOf(place.kept(hash)), hash);
        assert.deepEqual(await place.draw(), picture);
    });

    test('a scan keeps those of all models', async () => {
        fs.rmSync(place.kept(hash), { recursive: true });
        const more = addModel(place.models, 'more');
        const refiner = path.join(more, 'tokenizer_2');
        fs.renameSync(path.join(more, 'tokenizer'), refiner);
        fs.appendFileSync(path.join(refiner, 'merges.txt'), '\n');
        addModel(place.models, 'other');
        assert.equal((await place.invokemu('scan')).code, 0);
        assert.deepEqual(place.list(), [hash, hashOf(refiner)].sort());
    });

    test('what is no tokenizer is not kept', async () => {
        const torn = addModel(place.models, 'torn');
        fs.writeFileSync(path.join(torn, 'tokenizer/merges.txt'), '#version: 0.2\nno such\n');
        const kept = place.list();
        assert.equal((await place.invokemu('scan')).code, 0);
        assert.deepEqual(place.list(), kept);
    });
});

describe('the administrator', () => {
    const place = new Place();
    const brought = path.join(modelFolder(), 'brought');
    let hash;

    before(() => place.start());
    after(() => place.server?.stop());
    beforeEach(() => {
        fs.rmSync(brought, { recursive: true, force: true });
        fs.cpSync(path.join(addModel(modelFolder(), 'tiny'), 'tokenizer'), brought, { recursive: true });
        hash = hashOf(brought);
    });

    const refused = async (pattern, ...args) => {
        const { code, err } = await place.invokemu('tokenizer', brought, ...args);
        assert.equal(code, 1, err);
        assert.match(err, pattern);
        assert.deepEqual(place.list(), []);
    };

    test('is told that files are others than CLIP’s, with their size and hash', () => refused(new RegExp(`not the files that CLIP was published with: vocab\\.json has \\d+ bytes, merges\\.txt \\d+, and their hash is ${hash}.*--hash`)));

    test('is told that files have another hash than was said', () => refused(new RegExp(`other files: their hash is ${hash}, not 0{64}`), '--hash', '0'.repeat(64)));

    test('is told that files have the right size, but not the right content', () => {
        fs.writeFileSync(path.join(brought, 'vocab.json'), Buffer.alloc(1059962, ' '));
        fs.writeFileSync(path.join(brought, 'merges.txt'), Buffer.alloc(524619, '\n'));
        return refused(/as long as those that CLIP was published with, but hold something else: their hash is [0-9a-f]{64}/);
    });

    test('is told what is wrong with what is no tokenizer, also with the right hash', async () => {
        fs.appendFileSync(path.join(brought, 'merges.txt'), 'no such\n');
        await refused(/no tokenizer: merges\.txt: line \d+ is not in the vocabulary/, '--hash', hashOf(brought));
        fs.writeFileSync(path.join(brought, 'vocab.json'), '{"a": 1, "a": 2}');
        await refused(/no tokenizer: vocab\.json says one key twice, in line 1/, '--hash', hashOf(brought));
        fs.rmSync(path.join(brought, 'vocab.json'));
        await refused(/vocab\.json: No such file/);
        const { code, err } = await place.invokemu('tokenizer', brought, '--hash', 'abc');
        assert.deepEqual([code, /64 digits/.test(err)], [2, true]);
    });

    test('brings one with its hash, and it is used', async () => {
        assert.match(await place.draw(), /needs a tokenizer.*such files lack\. Whoever looks after/);
        const { code, out, err } = await place.invokemu('tokenizer', brought, '--hash', hash.toUpperCase());
        assert.deepEqual([code, err], [0, '']);
        assert.ok(out.includes(hash), out);
        assert.deepEqual(place.list(), [hash]);
        assert.match((await place.invokemu('tokenizer', brought, '--hash', hash)).out, /there already/);
        const picture = await place.draw();
        assert.ok(ArrayBuffer.isView(picture), picture);
        const { entries } = (await place.admin.get('/api/v1/audit?action=tokenizer_kept')).body;
        assert.deepEqual(entries.map((entry) => entry.target_name), [hash]);
    });
});
