// Pictures that tile, with a VAE of its own and layers of the text encoder left out: the graph that InvokeAI's client posts for them. And FreeU.
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { writeVae } from '../lib/checkpoint.mjs';
import { addModel, modelFolder, modelsByName, named } from '../lib/models.mjs';
import { pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const models = modelFolder();
addModel(models, 'tiny');
writeVae(path.join(models, 'ft-mse.safetensors'));
writeVae(path.join(models, 'sdxl-vae.safetensors'));
const server = useServer({ worker: 1, media: true, models });
let anna;
let known;

before(async () => {
    const admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = await modelsByName(anna);
});

/** @param {object|null} seamless seamless_x, seamless_y; null: no such node  @param {string|null} vae name of a VAE  @param {object} [freeu]  @param {object} [output] more fields of the last node */
async function draw(seamless, vae = 'ft-mse', freeu = null, output = {}) {
    const nodes = {
        seed: { type: 'integer' },
        positive_prompt: { type: 'string' },
        sd1_model_loader: { type: 'main_model_loader', model: known.tiny },
        clip_skip: { type: 'clip_skip', skipped_layers: 1 },
        pos_cond: { type: 'compel' },
        pos_cond_collect: { type: 'collect' },
        neg_cond: { type: 'compel', prompt: 'blurry' },
        neg_cond_collect: { type: 'collect' },
        noise: { type: 'noise', use_cpu: true, width: 128, height: 64 },
        denoise_latents: { type: 'denoise_latents', cfg_scale: 7.5, cfg_rescale_multiplier: 0.5, scheduler: 'dpmpp_3m_k', steps: 3, denoising_start: 0, denoising_end: 1 },
        core_metadata: { type: 'core_metadata', cfg_scale: 7.5, seamless_x: true, seamless_y: false, clip_skip: 1 },
        canvas_output: { type: 'l2i', fp32: true, is_intermediate: false, use_cache: false, ...output },
    };
    const lines = [
        'sd1_model_loader.clip clip_skip.clip', 'clip_skip.clip pos_cond.clip', 'clip_skip.clip neg_cond.clip', 'positive_prompt.value pos_cond.prompt',
        'pos_cond.conditioning pos_cond_collect.item', 'pos_cond_collect.collection denoise_latents.positive_conditioning',
        'neg_cond.conditioning neg_cond_collect.item', 'neg_cond_collect.collection denoise_latents.negative_conditioning',
        'seed.value noise.seed', 'noise.noise denoise_latents.noise', 'denoise_latents.latents canvas_output.latents',
        'seed.value core_metadata.seed', 'positive_prompt.value core_metadata.positive_prompt', 'core_metadata.metadata canvas_output.metadata',
    ];
    let decoder = 'sd1_model_loader';
    if (vae) {
        nodes.vae = { type: 'vae_loader', vae_model: named(known[vae]) };
        decoder = 'vae';
    }
    if (seamless) {
        nodes.seamless = { type: 'seamless', ...seamless };
        lines.push('sd1_model_loader.unet seamless.unet', `${decoder}.vae seamless.vae`, 'seamless.unet denoise_latents.unet', 'seamless.vae canvas_output.vae');
    } else {
        lines.push(`${decoder}.vae canvas_output.vae`);
        if (freeu) {
            nodes.freeu = { type: 'freeu', ...freeu };
            lines.push('sd1_model_loader.unet freeu.unet', 'freeu.unet denoise_latents.unet');
        } else {
            lines.push('sd1_model_loader.unet denoise_latents.unet');
        }
    }
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batchOf(nodes, lines, { 'seed.value': 7, 'positive_prompt.value': 'a wall' }));
    assert.equal(answer.status, 201, answer.text.slice(0, 400));
    const item = await settled(anna, answer.body.item_ids[0], ['completed', 'failed', 'canceled'], 60000);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return readPixels((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw);
}

test('a VAE of one file is on the list', () => {
    const kind = ({ type, base, format }) => [type, base, format];
    assert.deepEqual(kind(known['ft-mse']), ['vae', 'sd-1', 'checkpoint']);
    assert.deepEqual(kind(known['sdxl-vae']), ['vae', 'sdxl', 'checkpoint']);
});

test('the axes change the picture, each in its own way', async () => {
    const plain = await draw(null);
    assert.deepEqual([plain.width, plain.height], [128, 64]);
    const seen = [plain];
    for (const seamless of [{ seamless_x: true, seamless_y: false }, { seamless_x: false, seamless_y: true }, { seamless_x: true, seamless_y: true }]) {
        const picture = await draw(seamless);
        assert.ok(seen.every((other) => Buffer.compare(other.data, picture.data)), JSON.stringify(seamless));
        seen.push(picture);
    }
    assert.deepEqual((await draw({ seamless_x: false, seamless_y: false })).data, plain.data);
});

test('the VAE of one file decodes like that of the folder, one of XL by its own scale', async () => {
    const plain = await draw(null);
    assert.deepEqual((await draw(null, null)).data, plain.data);
    assert.notDeepEqual((await draw(null, 'sdxl-vae')).data, plain.data);
});

test('FreeU changes the picture, with factors of 1 it does not', async () => {
    const plain = await draw(null);
    assert.deepEqual((await draw(null, 'ft-mse', { b1: 1, b2: 1, s1: 1, s2: 1 })).data, plain.data);
    assert.notDeepEqual((await draw(null, 'ft-mse', {})).data, plain.data);
});

test('a picture decoded in tiles is nearly the same, and a tile as large as the picture changes nothing', async () => {
    const plain = await draw(null);
    const tiled = await draw(null, 'ft-mse', null, { tiled: true, tile_size: 64 });
    assert.deepEqual([tiled.width, tiled.height], [128, 64]);
    assert.notDeepEqual(tiled.data, plain.data);
    assert.deepEqual((await draw(null, 'ft-mse', null, { tiled: true, tile_size: 128 })).data, plain.data);
    await assert.rejects(draw(null, 'ft-mse', null, { tiled: true, tile_size: 8 }), /Tiles must be at least 64 pixels/);
});
