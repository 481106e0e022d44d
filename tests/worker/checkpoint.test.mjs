// A checkpoint of one file draws what the same model draws as a folder.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { writeCheckpoint } from '../lib/checkpoint.mjs';
import { run as invokemu } from '../lib/cli.mjs';
import { addModel, modelFolder, modelsByName } from '../lib/models.mjs';
import { enqueuePictures, pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { startServer, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const models = modelFolder();
addModel(models, 'tiny');
const schedule = path.join(addModel(models, 'other'), 'scheduler/scheduler_config.json');
fs.writeFileSync(schedule, JSON.stringify({ ...JSON.parse(fs.readFileSync(schedule)), prediction_type: 'v_prediction' }));
writeCheckpoint(path.join(models, 'one.safetensors'));
const server = useServer({ worker: 1, media: true, models });
let admin;
let anna;
let known;

before(async () => {
    admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = await modelsByName(anna);
});

async function run(model) {
    const [id] = await enqueuePictures(anna, model, { prompt: 'a (red)1.4 fox', scheduler: 'dpmpp_2m_k' });
    return settled(anna, id, ['completed', 'failed', 'canceled'], 60000);
}

async function draw(model) {
    const item = await run(model);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return readPixels((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw).data;
}

test('it is on the list as what it is', () => {
    const { base, type, format, variant, prediction_type: prediction, path: place } = known.one;
    assert.deepEqual([base, type, format, variant, prediction, place], ['sd-1', 'main', 'checkpoint', 'normal', 'epsilon', 'one.safetensors']);
});

test('its pictures are those of the folder, pixel by pixel', async () => {
    assert.deepEqual(await draw(known.one), await draw(known.tiny));
});

test('what it predicts is what an administrator says, also after a scan', async () => {
    const place = `/api/v2/models/i/${known.one.key}`;
    assert.equal((await admin.patch(place, { prediction_type: 'noise' })).status, 422);
    assert.equal((await admin.patch(`/api/v2/models/i/${known.tiny.key}`, { prediction_type: 'v_prediction' })).body.prediction_type, 'epsilon', 'a folder says it itself');
    assert.equal((await admin.patch(place, { prediction_type: 'v_prediction' })).status, 200);
    const picture = await draw(known.one);
    assert.deepEqual(picture, await draw(known.other));
    assert.notDeepEqual(picture, await draw(known.tiny));
    assert.equal((await invokemu(server, 'invokemu', ['models', 'scan'])).code, 0);
    assert.equal((await admin.get(place)).body.prediction_type, 'v_prediction');
    assert.equal((await admin.patch(place, { prediction_type: 'epsilon' })).status, 200);
    assert.deepEqual(await draw(known.one), await draw(known.tiny));
});

test('without a tokenizer beside it, the job says what to bring, and goes on once it is there', async () => {
    const alone = modelFolder();
    fs.copyFileSync(path.join(models, 'one.safetensors'), path.join(alone, 'one.safetensors'));
    const other = await startServer({ worker: 1, media: true, models: alone });
    try {
        const someone = await addUser(await setupAdmin(other), 'Bert');
        const [model] = (await someone.get('/api/v2/models/')).body.models;
        const outcome = async () => {
            const [id] = await enqueuePictures(someone, model, {});
            return settled(someone, id, ['completed', 'failed', 'canceled'], 60000);
        };
        const item = await outcome();
        assert.deepEqual([item.status, item.error_type], ['failed', 'InvalidModel']);
        assert.match(item.error_message, /^This model is a single file and needs a tokenizer.*install a model of the same family that is a folder.*beside it/);
        assert.ok(!item.error_message.includes(alone), item.error_message);
        // A refiner's folder has no other than its second.
        fs.cpSync(path.join(models, 'tiny/tokenizer'), path.join(alone, 'family/tokenizer_2'), { recursive: true, dereference: true });
        assert.equal((await outcome()).status, 'completed');
    } finally {
        await other.stop();
    }
});
