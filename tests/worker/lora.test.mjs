// LoRAs from the model list to the picture, by the graphs that InvokeAI's client posts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { addModel, modelFolder, modelsByName, named } from '../lib/models.mjs';
import { REPO } from '../lib/paths.mjs';
import { pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { writeLargeLora, writeModel } from '../lib/tiny-models.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const models = modelFolder();
addModel(models, 'tiny');
writeModel(path.join(models, 'large'), 'sdxl');
fs.copyFileSync(path.join(REPO, 'tests/fixtures/diffusion/tiny-sd15.lora.f16.safetensors'), path.join(models, 'night.safetensors'));

writeLargeLora(path.join(models, 'offset.safetensors'));
writeLargeLora(path.join(models, 'misfit.safetensors'), 18, 16);
fs.writeFileSync(path.join(models, 'half.safetensors'), 'a copy that is under way');

const server = useServer({ worker: 1, media: true, models });
let anna;
let known;

before(async () => {
    const admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = await modelsByName(anna);
});

/** The graph of the client's list of LoRAs: one selector each, collected. */
function withLoras(nodes, edges, loader, loras) {
    nodes.lora_collector = { type: 'collect' };
    loras.forEach(([name, weight], i) => {
        nodes[`lora_selector_${i}`] = { type: 'lora_selector', lora: named(known[name]), weight };
        edges.push(`lora_selector_${i}.lora lora_collector.item`);
    });
    nodes.loras = { type: loader };
    edges.push('lora_collector.collection loras.loras');
}

function smallBatch(loras) {
    const nodes = {
        loader: { type: 'main_model_loader', model: named(known.tiny) },
        skip: { type: 'clip_skip', skipped_layers: 0 },
        pos_cond: { type: 'compel', prompt: 'a red fox' },
        neg_cond: { type: 'compel', prompt: '' },
        noise: { type: 'noise', use_cpu: true, width: 64, height: 64, seed: 3 },
        denoise: { type: 'denoise_latents', cfg_scale: 5, scheduler: 'euler', steps: 2, denoising_start: 0, denoising_end: 1 },
        canvas_output: { type: 'l2i', is_intermediate: false, use_cache: false },
    };
    const from = loras.length ? 'loras' : 'loader';
    const edges = [
        `${from}.unet denoise.unet`, `${from}.clip skip.clip`, 'skip.clip pos_cond.clip', 'skip.clip neg_cond.clip',
        'pos_cond.conditioning denoise.positive_conditioning', 'neg_cond.conditioning denoise.negative_conditioning',
        'noise.noise denoise.noise', 'denoise.latents canvas_output.latents', 'loader.vae canvas_output.vae',
    ];
    if (loras.length) {
        withLoras(nodes, edges, 'lora_collection_loader', loras);
        edges.push('loader.unet loras.unet', 'loader.clip loras.clip');
    }
    return batchOf(nodes, edges);
}

function largeBatch(loras) {
    const nodes = {
        loader: { type: 'sdxl_model_loader', model: named(known.large) },
        pos_cond: { type: 'sdxl_compel_prompt', prompt: 'a red fox' },
        neg_cond: { type: 'sdxl_compel_prompt', prompt: '' },
        noise: { type: 'noise', use_cpu: true, width: 64, height: 64, seed: 3 },
        denoise: { type: 'denoise_latents', cfg_scale: 5, scheduler: 'euler', steps: 2, denoising_start: 0, denoising_end: 1 },
        canvas_output: { type: 'l2i', is_intermediate: false, use_cache: false },
    };
    const edges = [
        'loras.unet denoise.unet', 'loras.clip pos_cond.clip', 'loras.clip neg_cond.clip', 'loras.clip2 pos_cond.clip2',
        'loras.clip2 neg_cond.clip2', 'loader.unet loras.unet', 'loader.clip loras.clip', 'loader.clip2 loras.clip2',
        'pos_cond.conditioning denoise.positive_conditioning', 'neg_cond.conditioning denoise.negative_conditioning',
        'noise.noise denoise.noise', 'denoise.latents canvas_output.latents', 'loader.vae canvas_output.vae',
    ];
    withLoras(nodes, edges, 'sdxl_lora_collection_loader', loras);
    return batchOf(nodes, edges);
}

async function run(batch) {
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batch);
    assert.equal(answer.status, 201, `enqueue: ${answer.status} ${answer.text.slice(0, 400)}`);
    return settled(anna, answer.body.item_ids[0], ['completed', 'failed', 'canceled'], 60000);
}

async function picture(batch) {
    const item = await run(batch);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return readPixels((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw).data;
}

test('files that hold a LoRA are on the list, with the family that they are for', () => {
    const loras = Object.values(known).filter((m) => m.type === 'lora');
    assert.deepEqual(loras.map((m) => [m.name, m.base, m.format, m.path]).sort(), [
        ['misfit', 'sdxl', 'lycoris', 'misfit.safetensors'],
        ['night', 'sd-1', 'lycoris', 'night.safetensors'],
        ['offset', 'sdxl', 'lycoris', 'offset.safetensors'],
    ]);
    assert.ok(loras.every((m) => /^sha256:[0-9a-f]{64}$/.test(m.hash) && m.file_size > 100));
});

test('a LoRA changes the picture by its weight, and leaves nothing behind', async () => {
    const plain = await picture(smallBatch([]));
    const strong = await picture(smallBatch([['night', 0.75]]));
    assert.notDeepEqual(strong, plain);
    assert.notDeepEqual(await picture(smallBatch([['night', 0.3]])), strong);
    assert.deepEqual(await picture(smallBatch([])), plain);
    assert.deepEqual(await picture(smallBatch([['night', 0]])), plain);
    assert.deepEqual(await picture(smallBatch([['night', 0.75]])), strong);
});

test('SDXL: on the UNet and on both text encoders', async () => {
    const weak = await picture(largeBatch([['offset', 0]]));
    assert.notDeepEqual(await picture(largeBatch([['offset', 1]])), weak);
});

test('one of another family is refused by its name, one of another shape as what it is', async () => {
    const other = await run(smallBatch([['offset', 1]]));
    assert.equal(other.status, 'failed');
    assert.match(other.error_message, /"offset" is for sdxl models/);
    const misfit = await run(largeBatch([['misfit', 1]]));
    assert.equal(misfit.status, 'failed');
    assert.match(fs.readFileSync(path.join(server.logs, 'worker0.log'), 'utf8'), /mid_block_attentions_0_transformer_blocks_0_attn1_to_q/);
    await picture(largeBatch([['offset', 1]]));
});
