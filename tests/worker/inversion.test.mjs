// Textual inversions from the model list to the picture: a prompt names them in angle brackets.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { addModel, modelFolder, modelsByName } from '../lib/models.mjs';
import { enqueuePictures, pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { Tensors, writeModel } from '../lib/tiny-models.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const models = modelFolder();
addModel(models, 'tiny');
writeModel(path.join(models, 'large'), 'sdxl');
const write = (name, tensors) => {
    const t = new Tensors(9);
    for (const [key, shape] of tensors) {
        t.add(key, shape, 1);
    }
    t.write(path.join(models, `${name}.safetensors`));
};
write('night-style', [['emb_params', [3, 32]]]);
write('second', [['<second>', [1024]]]);
write('fog', [['clip_l', [2, 8]], ['clip_g', [2, 12]]]);
write('misfit', [['emb_params', [1, 33]]]);
fs.writeFileSync(path.join(models, 'old.pt'), 'PK');

const server = useServer({ worker: 1, media: true, models });
let admin;
let anna;
let known;

before(async () => {
    admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = await modelsByName(anna);
});

const ENDED = ['completed', 'failed', 'canceled'];

async function pictureOf(id) {
    const item = await settled(anna, id, ENDED, 60000);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return readPixels((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw).data;
}

async function draw(prompt, options = {}) {
    const [id] = await enqueuePictures(anna, known.tiny, { prompt, ...options });
    return pictureOf(id);
}

async function drawLarge(prompt) {
    const nodes = {
        loader: { type: 'sdxl_model_loader', model: known.large },
        positive: { type: 'sdxl_compel_prompt', prompt },
        negative: { type: 'sdxl_compel_prompt', prompt: 'blur' },
        noise: { type: 'noise', use_cpu: true, width: 64, height: 64 },
        denoise: { type: 'denoise_latents', cfg_scale: 5, scheduler: 'euler', steps: 2 },
        picture: { type: 'l2i', is_intermediate: false },
    };
    const lines = [
        'loader.clip positive.clip', 'loader.clip2 positive.clip2', 'loader.clip negative.clip', 'loader.clip2 negative.clip2', 'loader.unet denoise.unet',
        'positive.conditioning denoise.positive_conditioning', 'negative.conditioning denoise.negative_conditioning', 'noise.noise denoise.noise',
        'denoise.latents picture.latents', 'loader.vae picture.vae',
    ];
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batchOf(nodes, lines));
    assert.equal(answer.status, 201, answer.text.slice(0, 400));
    return pictureOf(answer.body.item_ids[0]);
}

test('they are on the list by what they were made for', () => {
    const kinds = Object.fromEntries(['night-style', 'second', 'fog'].map((name) => [name, [known[name].type, known[name].format, known[name].base]]));
    assert.deepEqual(kinds, {
        'night-style': ['embedding', 'embedding_file', 'sd-1'], second: ['embedding', 'embedding_file', 'sd-2'], fog: ['embedding', 'embedding_file', 'sdxl'],
    });
});

test('a trigger means its vectors in the prompt and in what is not wanted; other words in brackets stay words', async () => {
    const plain = await draw('a house');
    const styled = await draw('a house <night-style>');
    assert.notDeepEqual(styled, plain);
    assert.notDeepEqual(await draw('a house (<night-style>)0.5'), styled);
    assert.notDeepEqual(await draw('a house <night-styles>'), styled);
    assert.notDeepEqual(await draw('a house', { negative: '<night-style>' }), plain);
    assert.deepEqual(await draw('a house  <night-style>'), styled, 'spaces count for nothing');
    await draw('a house <second> <fog> <nobody>');
});

test('those of XL have vectors for both text encoders', async () => {
    const styled = await drawLarge('a house <fog>');
    assert.notDeepEqual(styled, await drawLarge('a house'));
    assert.notDeepEqual(styled, await drawLarge('a house <fig>'));
});

test('vectors of another width end the job with a sentence', async () => {
    const [id] = await enqueuePictures(anna, known.tiny, { prompt: 'a <misfit>' });
    const item = await settled(anna, id, ENDED, 60000);
    assert.equal(item.status, 'failed');
    assert.match(item.error_message, /textual inversion .* another kind of model/);
});

test('a file that would have to be unpickled is refused with a sentence', async () => {
    const answer = await admin.post('/api/v2/models/install?source=old.pt');
    assert.equal(answer.status, 415);
    assert.match(answer.body.detail, /convert it to safetensors/);
    assert.equal(known.old, undefined);
});
