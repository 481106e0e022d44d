// Jobs that make a picture with a Stable Diffusion 1 model, as a client builds them.
import assert from 'node:assert/strict';
import { settled } from './queue.mjs';

/** The first model for pictures that the server offers. */
export async function pictureModel(client) {
    const answer = await client.get('/api/v2/models/');
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
    const model = answer.body.models.find((m) => m.type === 'main');
    assert.ok(model, 'the server offers a model for pictures');
    return model;
}

/**
 * The body of an enqueue_batch for text to picture.
 * @param {object} model record of the model
 * @param {object} [options] prompt, negative, width, height, steps, guidance, scheduler, seeds (one picture each), board
 */
export function pictureBatch(model, options = {}) {
    const { prompt = 'a lighthouse', negative = '', width = 64, height = 64, steps = 3, guidance = 5, scheduler = 'euler', seeds = [7], board } = options;
    const common = { is_intermediate: true, use_cache: true };
    const list = [
        { id: 'seed', type: 'integer' },
        { id: 'prompt', type: 'string' },
        { id: 'loader', type: 'main_model_loader', model },
        { id: 'skip', type: 'clip_skip', skipped_layers: 0 },
        { id: 'positive', type: 'compel' },
        { id: 'positives', type: 'collect' },
        { id: 'negative', type: 'compel', prompt: negative },
        { id: 'negatives', type: 'collect' },
        { id: 'noise', type: 'noise', use_cpu: true, width, height },
        { id: 'denoise', type: 'denoise_latents', cfg_scale: guidance, cfg_rescale_multiplier: 0, scheduler, steps, denoising_start: 0, denoising_end: 1 },
        { id: 'metadata', type: 'core_metadata', cfg_scale: guidance, steps, scheduler, width, height, negative_prompt: negative, generation_mode: 'txt2img' },
        { id: 'picture', type: 'l2i', fp32: true, is_intermediate: false, use_cache: false, ...(board ? { board: { board_id: board } } : {}) },
    ];
    const lines = [
        'loader.unet denoise.unet', 'loader.clip skip.clip', 'skip.clip positive.clip', 'skip.clip negative.clip', 'prompt.value positive.prompt',
        'positive.conditioning positives.item', 'positives.collection denoise.positive_conditioning',
        'negative.conditioning negatives.item', 'negatives.collection denoise.negative_conditioning',
        'seed.value noise.seed', 'noise.noise denoise.noise', 'denoise.latents picture.latents', 'loader.vae picture.vae',
        'seed.value metadata.seed', 'prompt.value metadata.positive_prompt', 'metadata.metadata picture.metadata',
    ];
    const end = (text) => ({ node_id: text.split('.')[0], field: text.split('.')[1] });
    const graph = {
        id: 'graph',
        nodes: Object.fromEntries(list.map((node) => [node.id, { ...common, ...node }])),
        edges: lines.map((line) => line.split(' ')).map(([from, to]) => ({ source: end(from), destination: end(to) })),
    };
    const data = [
        [{ node_path: 'seed', field_name: 'value', items: seeds }],
        [{ node_path: 'prompt', field_name: 'value', items: [prompt] }],
    ];
    return { prepend: false, batch: { graph, runs: 1, data, origin: 'generate', destination: 'generate' } };
}

/** Enqueues pictures. @returns {Promise<number[]>} item ids */
export async function enqueuePictures(client, model, options) {
    const answer = await client.post('/api/v1/queue/default/enqueue_batch', pictureBatch(model, options));
    assert.equal(answer.status, 201, `enqueue: ${answer.status} ${answer.text.slice(0, 400)}`);
    return answer.body.item_ids;
}

/** Names of the pictures in the results of a finished job. */
export function pictureNames(item) {
    return Object.values(item.session.results).flatMap((result) => (result.type === 'image_output' ? [result.image.image_name] : []));
}

/** A picture that the server draws with its own model, as nodes name it: {image_name}. */
export async function rendered(client, options) {
    const [id] = await enqueuePictures(client, await pictureModel(client), options);
    return { image_name: pictureNames(await settled(client, id, undefined, 60000))[0] };
}
