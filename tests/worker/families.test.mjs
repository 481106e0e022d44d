// Models of the other families, from the model list to the picture, by the graphs that InvokeAI's client posts for them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { modelFolder } from '../lib/models.mjs';
import { enqueuePictures, pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { writeModel } from '../lib/tiny-models.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const ENDED = ['completed', 'failed', 'canceled'];
const models = modelFolder();
for (const kind of ['sd-2', 'sdxl', 'sdxl-refiner']) {
    writeModel(path.join(models, kind), kind);
}
const server = useServer({ worker: 1, media: true, models });
let anna;
const known = {};

before(async () => {
    const admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    for (const model of (await anna.get('/api/v2/models/')).body.models) {
        known[model.base] = model;
    }
});

/** Runs a batch to its end. */
async function run(batch) {
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batch);
    assert.equal(answer.status, 201, `enqueue: ${answer.status} ${answer.text.slice(0, 400)}`);
    return settled(anna, answer.body.item_ids[0], ENDED, 60000);
}

/** The pixels of the one picture that an item made. */
async function pictureOf(item) {
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    const [name, ...more] = pictureNames(item);
    assert.deepEqual(more, []);
    return readPixels((await anna.get(`/api/v1/images/i/${name}/full`)).raw);
}

/** "Text to picture" of XL as the client builds it. */
const largeNodes = (model, size = {}) => ({
    sdxl_model_loader: { type: 'sdxl_model_loader', model },
    positive_prompt: { type: 'string' },
    negative_prompt: { type: 'string' },
    pos_cond: { type: 'sdxl_compel_prompt', ...size },
    pos_cond_collect: { type: 'collect' },
    neg_cond: { type: 'sdxl_compel_prompt', ...size },
    neg_cond_collect: { type: 'collect' },
    seed: { type: 'integer' },
    noise: { type: 'noise', use_cpu: true, width: 64, height: 96 },
    denoise_latents: { type: 'denoise_latents', cfg_scale: 7.5, cfg_rescale_multiplier: 0, scheduler: 'dpmpp_3m_k', steps: 4, denoising_start: 0, denoising_end: 1 },
    core_metadata: { type: 'core_metadata', cfg_scale: 7.5, steps: 4, width: 64, height: 96, generation_mode: 'sdxl_txt2img' },
    canvas_output: { type: 'l2i', fp32: true, is_intermediate: false, use_cache: false },
});
const LARGE_EDGES = [
    'sdxl_model_loader.unet denoise_latents.unet',
    'sdxl_model_loader.clip pos_cond.clip', 'sdxl_model_loader.clip neg_cond.clip',
    'sdxl_model_loader.clip2 pos_cond.clip2', 'sdxl_model_loader.clip2 neg_cond.clip2',
    'positive_prompt.value pos_cond.prompt', 'positive_prompt.value pos_cond.style',
    'negative_prompt.value neg_cond.prompt', 'negative_prompt.value neg_cond.style',
    'pos_cond.conditioning pos_cond_collect.item', 'pos_cond_collect.collection denoise_latents.positive_conditioning',
    'neg_cond.conditioning neg_cond_collect.item', 'neg_cond_collect.collection denoise_latents.negative_conditioning',
    'seed.value noise.seed', 'noise.noise denoise_latents.noise', 'denoise_latents.latents canvas_output.latents',
    'seed.value core_metadata.seed', 'positive_prompt.value core_metadata.positive_prompt',
    'negative_prompt.value core_metadata.negative_prompt',
    'sdxl_model_loader.vae canvas_output.vae', 'core_metadata.metadata canvas_output.metadata',
];
const words = { 'seed.value': 77, 'positive_prompt.value': 'a red fox in snow', 'negative_prompt.value': '' };
const large = (change = {}) => batchOf(largeNodes(known.sdxl, change.size), LARGE_EDGES, { ...words, ...change.words });

test('the list says of which family each model is', () => {
    assert.deepEqual(Object.keys(known).sort(), ['sd-2', 'sdxl', 'sdxl-refiner']);
    assert.deepEqual(Object.values(known).map((m) => [m.type, m.format, m.variant]), Array(3).fill(['main', 'diffusers', 'normal']));
    assert.equal(known['sd-2'].prediction_type, 'v_prediction');
});

test('SD 2 draws', async () => {
    const [id] = await enqueuePictures(anna, known['sd-2'], {});
    const { width, height } = await pictureOf(await settled(anna, id, ENDED, 60000));
    assert.deepEqual([width, height], [64, 64]);
});

test('SDXL draws; both prompts and the sizes that it is told count', async () => {
    const first = await pictureOf(await run(large()));
    assert.deepEqual([first.width, first.height], [64, 96]);
    assert.deepEqual(await pictureOf(await run(large())), first, 'the same job gives the same picture');
    assert.notDeepEqual(await pictureOf(await run(large({ words: { 'positive_prompt.value': 'a blue boat' } }))), first);
    assert.notDeepEqual(await pictureOf(await run(large({ words: { 'negative_prompt.value': 'blurry' } }))), first);
    assert.notDeepEqual(await pictureOf(await run(large({ size: { original_width: 64 } }))), first);
});

test('a refiner goes on where SDXL stopped', async () => {
    const nodes = {
        ...largeNodes(known.sdxl),
        refiner: { type: 'sdxl_refiner_model_loader', model: known['sdxl-refiner'] },
        better: { type: 'sdxl_refiner_compel_prompt', style: 'a red fox', aesthetic_score: 6 },
        worse: { type: 'sdxl_refiner_compel_prompt', style: '', aesthetic_score: 2.5 },
        refine: { type: 'denoise_latents', cfg_scale: 5, scheduler: 'dpmpp_3m_k', steps: 4, denoising_start: 0.5, denoising_end: 1 },
    };
    nodes.denoise_latents.denoising_end = 0.5;
    const edges = [
        ...LARGE_EDGES.filter((line) => !line.startsWith('denoise_latents.latents')),
        'refiner.unet refine.unet', 'refiner.clip2 better.clip2', 'refiner.clip2 worse.clip2',
        'better.conditioning refine.positive_conditioning', 'worse.conditioning refine.negative_conditioning',
        'denoise_latents.latents refine.latents', 'refine.latents canvas_output.latents',
    ];
    await pictureOf(await run(batchOf(nodes, edges, words)));
});

test("a prompt of one family and a UNet of another don't go together", async () => {
    const nodes = { ...largeNodes(known.sdxl), other: { type: 'main_model_loader', model: known['sd-2'] } };
    const edges = ['other.unet denoise_latents.unet', ...LARGE_EDGES.filter((line) => !line.endsWith('denoise_latents.unet'))];
    const item = await run(batchOf(nodes, edges, words));
    assert.equal(item.status, 'failed');
    assert.match(item.error_message, /encoded by a sdxl model/);
});
