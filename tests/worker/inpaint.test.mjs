// Painting a part of a picture anew, and around it, by the graphs that InvokeAI's canvas posts.
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { modelFolder } from '../lib/models.mjs';
import { makePng, readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { writeModel } from '../lib/tiny-models.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const SIDE = 128;
const models = modelFolder();
for (const kind of ['sd-1', 'inpaint']) {
    writeModel(path.join(models, kind), kind);
}
const server = useServer({ worker: 1, media: true, models });
let anna;
let known;
let photo;
let mask;
let clear;

async function upload(value) {
    const form = [{ name: 'file', filename: 'a.png', type: 'image/png', value }];
    const answer = await anna.send('POST', '/api/v1/images/upload?image_category=user&is_intermediate=false', { form });
    assert.equal(answer.status, 201, answer.text);
    return { image_name: answer.body.image_name };
}

before(async () => {
    const admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = Object.fromEntries((await anna.get('/api/v2/models/')).body.models.map((m) => [m.path, m]));
    photo = await upload(makePng(SIDE, SIDE));
    // Black, which is painted anew, in the middle.
    mask = await upload(makePng(SIDE, SIDE, { pixel: (x, y) => (Math.hypot(x - 64, y - 64) < 24 ? [0, 0, 0] : [255, 255, 255]) }));
    clear = await upload(makePng(SIDE, SIDE, { pixel: (x, y) => [x * 2, y * 2, 90, x < 96 ? 255 : 0] }));
});

const nodes = (model) => ({
    loader: { type: 'main_model_loader', model },
    pos_cond: { type: 'compel', prompt: 'a red fox' },
    neg_cond: { type: 'compel', prompt: '' },
    noise: { type: 'noise', use_cpu: true, width: SIDE, height: SIDE, seed: 3 },
    denoise: { type: 'denoise_latents', cfg_scale: 7.5, scheduler: 'dpmpp_3m_k', steps: 4, denoising_start: 0.25, denoising_end: 1 },
    i2l: { type: 'i2l', fp32: true, image: photo },
    l2i: { type: 'l2i', fp32: true },
    gradient: { type: 'create_gradient_mask', coherence_mode: 'Gaussian Blur', minimum_denoise: 0, edge_radius: 16, fp32: true, image: photo, mask },
    fade: { type: 'expand_mask_with_fade', fade_size_px: 16 },
    canvas_output: { type: 'apply_mask_to_image', invert_mask: true, is_intermediate: false, use_cache: false },
});
const EDGES = [
    'loader.unet denoise.unet', 'loader.clip pos_cond.clip', 'loader.clip neg_cond.clip',
    'pos_cond.conditioning denoise.positive_conditioning', 'neg_cond.conditioning denoise.negative_conditioning',
    'noise.noise denoise.noise', 'denoise.latents l2i.latents', 'loader.vae l2i.vae', 'loader.vae i2l.vae',
    'loader.vae gradient.vae', 'loader.unet gradient.unet', 'i2l.latents denoise.latents', 'gradient.denoise_mask denoise.denoise_mask',
    'gradient.expanded_mask_area fade.mask', 'fade.image canvas_output.mask', 'l2i.image canvas_output.image',
];

/** Runs a graph; gives the pixels of what a node made. */
async function run(list, edges) {
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batchOf(list, edges));
    assert.equal(answer.status, 201, `enqueue: ${answer.status} ${answer.text.slice(0, 400)}`);
    const item = await settled(anna, answer.body.item_ids[0], ['completed', 'failed', 'canceled'], 60000);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return async (node) => {
        const { image, expanded_mask_area: area } = item.session.results[item.session.source_prepared_mapping[node][0]];
        return readPixels((await anna.get(`/api/v1/images/i/${(image || area).image_name}/full`)).raw);
    };
}

test('only what the mask reaches changes, and only that is given back', async () => {
    const made = await run(nodes(known['sd-1']), EDGES);
    const plain = { type: 'l2i', fp32: true, is_intermediate: false };
    const original = await run({ loader: nodes(known['sd-1']).loader, i2l: nodes().i2l, plain }, ['loader.vae i2l.vae', 'loader.vae plain.vae', 'i2l.latents plain.latents']);
    const [untouched, after, area, result] = [await original('plain'), await made('l2i'), await made('gradient'), await made('canvas_output')];
    const at = (p, x, y) => p.data.subarray((y * p.width + x) * p.channels, (y * p.width + x + 1) * p.channels);
    // The latents of the corner stay as they were; its pixels do so nearly, because the VAE norms over the whole picture.
    const change = (left, top) => {
        let sum = 0;
        for (let y = top; y < top + 16; y++) {
            for (let x = left; x < left + 16; x++) {
                at(after, x, y).forEach((v, c) => (sum += Math.abs(v - at(untouched, x, y)[c])));
            }
        }
        return sum / (16 * 16 * 3);
    };
    assert.ok(change(56, 56) > 2 * change(0, 0), `the middle changes by ${change(56, 56)}, the corner by ${change(0, 0)}`);
    assert.equal(at(area, 64, 64)[0], 0);
    assert.equal(at(area, 2, 2)[0], 255);
    assert.equal(at(result, 64, 64)[3], 255);
    assert.ok(at(result, 2, 2)[3] <= 2, 'the curve of the fade ends just short of white');
    const edge = Array.from({ length: 64 }, (_, x) => at(result, x, 64)[3]);
    assert.ok(edge.some((a) => a > 0 && a < 255), 'the edge fades');
    assert.ok(edge.every((a, x) => x === 0 || a >= edge[x - 1]), 'towards the middle');
});

for (const coherence_mode of ['Box Blur', 'Staged']) {
    test(`an edge by ${coherence_mode}, a model made for inpainting`, async () => {
        const list = nodes(known.inpaint);
        Object.assign(list.gradient, { coherence_mode, minimum_denoise: 0.25 });
        const made = await run(list, EDGES);
        assert.ok((await made('canvas_output')).data.length > 0);
    });
}

test('a mask without an edge, for both kinds of model', async () => {
    for (const model of [known['sd-1'], known.inpaint]) {
        const list = nodes(model);
        list.gradient = { type: 'create_denoise_mask', mask, ...(model === known.inpaint ? { image: photo } : {}) };
        const edges = EDGES.filter((line) => !/unet gradient|fade|canvas_output/.test(line));
        delete list.fade;
        delete list.canvas_output;
        list.l2i.is_intermediate = false;
        const made = await run(list, edges);
        assert.equal((await made('l2i')).width, SIDE);
    }
});

test('painting on beyond the edge: what is transparent is filled first', async () => {
    const list = {
        ...nodes(known['sd-1']),
        infill_lama: { type: 'infill_lama', image: clear },
        alpha: { type: 'tomask', image: clear },
        combine: { type: 'mask_combine', mask1: mask },
    };
    Object.assign(list.gradient, { image: clear, mask: undefined });
    delete list.i2l.image;
    const made = await run(list, [...EDGES, 'alpha.image combine.mask2', 'combine.image gradient.mask', 'infill_lama.image i2l.image']);
    const filled = await made('infill_lama');
    assert.equal(filled.channels, 3);
    const red = (x) => filled.data[(64 * SIDE + x) * 3];
    assert.equal(red(40), 80, 'what was there stays');
    assert.ok(Math.abs(red(97) - 190) < 24, `the hole begins like what is beside it: ${red(97)}`);
    const both = await made('combine');
    assert.deepEqual([both.data[64 * SIDE + 120], both.data[64 * SIDE + 64], both.data[2 * SIDE + 2]], [0, 0, 255]);
});

test('a mask of a picture that is not given is refused', async () => {
    const edges = EDGES.filter((line) => !line.startsWith('i2l.latents'));
    await assert.rejects(run(nodes(known['sd-1']), edges), /"denoise_mask" needs "latents"/);
});
