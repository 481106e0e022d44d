// ControlNets from the model list to the picture, by the graph that InvokeAI's client posts for them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { writeControl } from '../lib/checkpoint.mjs';
import { addModel, modelFolder, modelsByName, named } from '../lib/models.mjs';
import { pictureNames, rendered } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { writeModel } from '../lib/tiny-models.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const models = modelFolder();
addModel(models, 'tiny');
writeModel(path.join(models, 'second'), 'sd-2');
writeControl(path.join(models, 'tile.safetensors'));
writeControl(path.join(models, 'more.safetensors'), 'control_model.zero_convs.99.0.weight');
const server = useServer({ worker: 1, media: true, models });
const ENDED = ['completed', 'failed', 'canceled'];
let anna;
let known;
let image;

before(async () => {
    const admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = await modelsByName(anna);
    image = await rendered(anna, { width: 64, height: 128, seeds: [3] });
});

/** @param {object[]} controls fields of the ControlNets  @param {object} [model] */
async function run(controls, model = known.tiny) {
    const nodes = {
        seed: { type: 'integer' },
        positive_prompt: { type: 'string' },
        sd1_model_loader: { type: 'main_model_loader', model },
        clip_skip: { type: 'clip_skip', skipped_layers: 0 },
        pos_cond: { type: 'compel' },
        pos_cond_collect: { type: 'collect' },
        neg_cond: { type: 'compel', prompt: 'blurry' },
        neg_cond_collect: { type: 'collect' },
        noise: { type: 'noise', use_cpu: true, width: 64, height: 64 },
        denoise_latents: { type: 'denoise_latents', cfg_scale: 7.5, scheduler: 'euler', steps: 4, denoising_start: 0, denoising_end: 1 },
        canvas_output: { type: 'l2i', fp32: true, is_intermediate: false, use_cache: false },
    };
    const lines = [
        'sd1_model_loader.clip clip_skip.clip', 'clip_skip.clip pos_cond.clip', 'clip_skip.clip neg_cond.clip', 'positive_prompt.value pos_cond.prompt',
        'pos_cond.conditioning pos_cond_collect.item', 'pos_cond_collect.collection denoise_latents.positive_conditioning',
        'neg_cond.conditioning neg_cond_collect.item', 'neg_cond_collect.collection denoise_latents.negative_conditioning',
        'seed.value noise.seed', 'noise.noise denoise_latents.noise', 'sd1_model_loader.unet denoise_latents.unet',
        'denoise_latents.latents canvas_output.latents', 'sd1_model_loader.vae canvas_output.vae',
    ];
    if (controls.length) {
        nodes.control_net_collector = { type: 'collect' };
        lines.push('control_net_collector.collection denoise_latents.control');
    }
    controls.forEach((control, i) => {
        nodes[`control_layer_${i}`] = { type: 'controlnet', control_model: named(known.tile), image, ...control };
        lines.push(`control_layer_${i}.control control_net_collector.item`);
    });
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batchOf(nodes, lines, { 'seed.value': 7, 'positive_prompt.value': 'a wall' }));
    assert.equal(answer.status, 201, answer.text.slice(0, 400));
    return settled(anna, answer.body.item_ids[0], ENDED, 60000);
}

async function draw(controls) {
    const item = await run(controls);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return readPixels((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw).data;
}

test('it is on the list as what it is', () => {
    assert.deepEqual([known.tile.type, known.tile.base, known.tile.format], ['controlnet', 'sd-1', 'checkpoint']);
});

test('weight, part of the run, mode, and how the picture is made to fit: each changes what is drawn', async () => {
    const seen = [await draw([]), await draw([{ control_weight: 0.75, end_step_percent: 0.75 }])];
    const ways = [
        { control_weight: 0.5, end_step_percent: 0.75 }, { control_weight: 0.75, begin_step_percent: 0.5 }, { control_weight: [0.75, 0, 0, 0] },
        { control_mode: 'more_prompt' }, { control_mode: 'more_control' }, { control_mode: 'unbalanced' },
        { control_weight: 0.9, resize_mode: 'crop_resize' }, { control_weight: 0.9, resize_mode: 'fill_resize' }, { control_weight: 0.9 },
    ];
    for (const way of ways) {
        const picture = await draw([way]);
        assert.ok(seen.every((other) => Buffer.compare(other, picture)), JSON.stringify(way));
        seen.push(picture);
    }
});

test('a weight of nothing changes nothing, two halves are one whole', async () => {
    assert.deepEqual(await draw([{ control_weight: 0 }]), await draw([]));
    const [whole, halves] = [await draw([{ control_weight: 1 }]), await draw([{ control_weight: 0.5 }, { control_weight: 0.5 }])];
    const far = whole.reduce((most, value, i) => Math.max(most, Math.abs(value - halves[i])), 0);
    assert.ok(far <= 3, `off by ${far}`);
});

test('one whose file holds more than its shape has a place for is not used', async () => {
    const { status, error_message: message, error_traceback: trace } = await run([{ control_model: named(known.more) }]);
    assert.equal(status, 'failed');
    assert.match(message, /can't be used/);
    assert.match(trace, /no place in it: control_model\.zero_convs\.99\.0\.weight/);
});

test('what can not be is refused with a sentence', async () => {
    const backwards = await run([{ begin_step_percent: 0.8, end_step_percent: 0.2 }]);
    assert.match(backwards.error_message, /must not be more than/);
    const strong = await run([{ control_weight: 3 }]);
    assert.match(strong.error_message, /from -1 to 2/);
    const other = await run([{ control_model: named(known.tiny) }]);
    assert.match(other.error_message, /ControlNet "tiny" is not installed/);
    const family = await run([{}], known.second);
    assert.match(family.error_message, /is for sd-1 models, this one is of sd-2/);
});
