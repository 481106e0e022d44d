// Networks that enlarge pictures, from the model list to the picture.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { addModel, modelFolder, modelsByName, named } from '../lib/models.mjs';
import { REPO } from '../lib/paths.mjs';
import { pictureNames, rendered } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const models = modelFolder();
addModel(models, 'tiny');
for (const name of ['new', 'old', 'compact']) {
    fs.copyFileSync(path.join(REPO, `tests/fixtures/upscalers/${name}.safetensors`), path.join(models, `x-${name}.safetensors`));
}
fs.copyFileSync(path.join(REPO, 'tests/fixtures/upscalers/compact.safetensors'), path.join(models, 'RealESRGAN_x4plus.safetensors'));
const server = useServer({ worker: 1, media: true, models });
const ENDED = ['completed', 'failed', 'canceled'];
let admin;
let anna;
let known;
let image;

before(async () => {
    admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = await modelsByName(anna);
    image = await rendered(anna, { width: 64, height: 72 });
});

async function run(node) {
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batchOf({ up: { image, is_intermediate: false, ...node } }, []));
    assert.equal(answer.status, 201, answer.text.slice(0, 400));
    return settled(anna, answer.body.item_ids[0], ENDED, 60000);
}

async function enlarged(node) {
    const item = await run(node);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return readPixels((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw);
}

const upscale = (name, more = {}) => ({ type: 'spandrel_image_to_image', image_to_image_model: named(known[name]), ...more });
const autoscale = (name, more = {}) => ({ type: 'spandrel_image_to_image_autoscale', image_to_image_model: named(known[name]), ...more });
const size = ({ width, height }) => [width, height];

test('they are on the list as what they are', () => {
    for (const name of ['x-new', 'x-old', 'x-compact']) {
        assert.deepEqual([known[name].type, known[name].base, known[name].format], ['spandrel_image_to_image', 'any', 'checkpoint']);
    }
});

test('each enlarges by its own factor', async () => {
    assert.deepEqual(size(await enlarged(upscale('x-new'))), [256, 288]);
    assert.deepEqual(size(await enlarged(upscale('x-old'))), [128, 144]);
    const whole = await enlarged(upscale('x-compact', { tile_size: 0 }));
    assert.deepEqual(size(whole), [256, 288]);
    assert.notDeepEqual((await enlarged(upscale('x-compact', { tile_size: 64 }))).data, whole.data);
});

test('to a scale, whatever the network makes of it', async () => {
    assert.deepEqual(size(await enlarged(autoscale('x-old', { scale: 3 }))), [192, 216]);
    assert.deepEqual(size(await enlarged(autoscale('x-compact', { scale: 1.3, fit_to_multiple_of_8: true }))), [80, 88]);
});

test('a model of another kind is refused', async () => {
    const other = await run(upscale('tiny'));
    assert.equal(other.status, 'failed');
    assert.match(other.error_message, /upscaler "tiny" is not installed/);
});

test('names of InvokeAI’s list mean the installed model of that name, whatever it was renamed to', async () => {
    const whole = await enlarged(upscale('x-compact', { tile_size: 0 }));
    assert.deepEqual((await enlarged({ type: 'esrgan', tile_size: 0 })).data, whole.data);
    assert.deepEqual(size(await enlarged({ type: 'esrgan', model_name: 'RealESRGAN_x4plus.pth', tile_size: 64 })), [256, 288]);
    const renamed = await admin.patch(`/api/v2/models/i/${known.RealESRGAN_x4plus.key}`, { name: 'Sharp' });
    assert.equal(renamed.status, 200, renamed.text);
    assert.deepEqual(size(await enlarged({ type: 'esrgan' })), [256, 288]);
});

test('one of them that is not installed is named with its file', async () => {
    const other = await run({ type: 'esrgan', model_name: 'RealESRGAN_x2plus.pth' });
    assert.equal(other.status, 'failed');
    assert.match(other.error_message, /"RealESRGAN_x2plus" is not installed\..* as RealESRGAN_x2plus\.safetensors/);
    const unknown = await anna.post('/api/v1/queue/default/enqueue_batch', batchOf({ up: { image, type: 'esrgan', model_name: 'x.pth' } }, []));
    assert.equal(unknown.status, 422);
});
