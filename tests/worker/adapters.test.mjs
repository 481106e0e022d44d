// T2I and IP adapters, and folders that hold one network, from the model list to the picture.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { addModel, modelFolder, modelsByName, named } from '../lib/models.mjs';
import { REPO } from '../lib/paths.mjs';
import { pictureNames, rendered } from '../lib/pictures.mjs';
import { makePng, readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { LARGE_ENOUGH, writeIp, writeModel, writeT2i, writeVision } from '../lib/tiny-models.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

const FIXTURES = path.join(REPO, 'tests/fixtures/diffusion');
const ENDED = ['completed', 'failed', 'canceled'];
const models = modelFolder();
const at = (...names) => path.join(models, ...names);
addModel(models, 'tiny');
writeModel(at('large'), 'sdxl', LARGE_ENOUGH);
writeT2i(at('depth'), 'full_adapter', [32, 32, 32, 32]);
writeT2i(at('colour'), 'light_adapter', [32, 32, 32]);
writeT2i(at('depth-large'), 'full_adapter_xl', [32, 64, 64, 64]);
writeT2i(at('misfit'), 'full_adapter', [32, 32, 64, 32]);
fs.cpSync(path.join(FIXTURES, 'tiny-control'), at('edges'), { recursive: true });
fs.cpSync(path.join(FIXTURES, 'tiny-sd15/vae'), at('own-vae'), { recursive: true });
writeT2i(at('damaged'), 'full_adapter', [32, 32, 32, 32]);
fs.truncateSync(at('damaged', 'diffusion_pytorch_model.safetensors'), 5000);
writeT2i(at('empty'), 'full_adapter', [32, 32, 32, 32]);
fs.rmSync(at('empty', 'diffusion_pytorch_model.safetensors'));
fs.mkdirSync(at('notes'));
fs.writeFileSync(at('notes', 'config.json'), JSON.stringify({ _class_name: 'FluxTransformer2DModel' }));
writeVision(at('eyes'));
writeIp(at('look.safetensors'));
writeIp(at('look-plus.safetensors'), { plus: true });
writeIp(at('look-odd.safetensors'), { from: 99 });
writeIp(at('look-misfit.safetensors'), { widths: Array(16).fill(64) });
writeIp(at('look-folder', 'ip_adapter.safetensors'));
fs.writeFileSync(at('look-folder', 'image_encoder.txt'), 'InvokeAI/ip_adapter_sd_image_encoder\n');
fs.mkdirSync(at('look-pickle'));
fs.writeFileSync(at('look-pickle', 'image_encoder.txt'), 'InvokeAI/ip_adapter_sd_image_encoder\n');
fs.writeFileSync(at('look-pickle', 'ip_adapter.bin'), 'PK');
const server = useServer({ worker: 1, media: true, models });
server.allowLog(/IMU0009: the model (damaged|empty|look-pickle) /);
let admin;
let anna;
let known;
let image;

before(async () => {
    admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = await modelsByName(anna);
    image = await rendered(anna, { width: 64, height: 128, seeds: [3] });
});

/** The graph of a picture with what steers it: fields of nodes, each by its type. */
async function run(steering, { model = known.tiny, width = 64, height = 64, vae, more = {} } = {}) {
    const large = model.base === 'sdxl';
    const nodes = {
        seed: { type: 'integer' },
        model: { type: large ? 'sdxl_model_loader' : 'main_model_loader', model: named(model) },
        pos: { type: large ? 'sdxl_compel_prompt' : 'compel', prompt: 'a wall' },
        neg: { type: large ? 'sdxl_compel_prompt' : 'compel', prompt: 'blurry' },
        noise: { type: 'noise', use_cpu: true, width, height },
        denoise: { type: 'denoise_latents', cfg_scale: 7.5, scheduler: 'euler', steps: 4, denoising_start: 0, denoising_end: 1, ...more },
        out: { type: 'l2i', fp32: true, is_intermediate: false, use_cache: false },
    };
    const lines = ['pos', 'neg'].flatMap((id) => (large ? [`model.clip ${id}.clip`, `model.clip2 ${id}.clip2`] : [`model.clip ${id}.clip`]));
    lines.push(
        'pos.conditioning denoise.positive_conditioning', 'neg.conditioning denoise.negative_conditioning', 'seed.value noise.seed',
        'noise.noise denoise.noise', 'model.unet denoise.unet', 'denoise.latents out.latents', `${vae ? 'vae' : 'model'}.vae out.vae`,
    );
    if (vae) {
        nodes.vae = { type: 'vae_loader', vae_model: named(vae) };
    }
    const inputs = { ip_adapter: ['ip_adapter', 'ip_adapter'], t2i_adapter: ['t2i_adapter', 't2i_adapter'], controlnet: ['control', 'control'] };
    steering.forEach(({ type, masks = [], ...fields }, i) => {
        const [output, input] = inputs[type];
        nodes[`steer${i}`] = { type, image, ...fields };
        masks.forEach((mask, k) => {
            nodes[`mask${i}_${k}`] = mask;
            lines.push(`mask${i}_${k}.mask ${k + 1 < masks.length ? `mask${i}_${k + 1}` : `steer${i}`}.mask`);
        });
        nodes[`all_${type}`] = { type: 'collect' };
        lines.push(`steer${i}.${output} all_${type}.item`, ...(lines.includes(`all_${type}.collection denoise.${input}`) ? [] : [`all_${type}.collection denoise.${input}`]));
    });
    const answer = await anna.post('/api/v1/queue/default/enqueue_batch', batchOf(nodes, lines, { 'seed.value': 7 }));
    assert.equal(answer.status, 201, answer.text.slice(0, 400));
    return settled(anna, answer.body.item_ids[0], ENDED, 60000);
}

async function draw(steering, options) {
    const item = await run(steering, options);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    return readPixels((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw).data;
}

const ip = (name, fields = {}) => ({ type: 'ip_adapter', ip_adapter_model: named(known[name]), ...fields });
const t2i = (name, fields = {}) => ({ type: 't2i_adapter', t2i_adapter_model: named(known[name]), ...fields });

test('folders with one network are on the list as what they are', () => {
    const kinds = Object.fromEntries(Object.values(known).map((m) => [m.name, `${m.type} ${m.base} ${m.format}`]));
    assert.deepEqual(kinds, {
        tiny: 'main sd-1 diffusers', large: 'main sdxl diffusers', depth: 't2i_adapter sd-1 diffusers', colour: 't2i_adapter sd-1 diffusers',
        'depth-large': 't2i_adapter sdxl diffusers', misfit: 't2i_adapter sd-1 diffusers', edges: 'controlnet sd-1 diffusers', 'own-vae': 'vae sd-1 diffusers',
        eyes: 'clip_vision any diffusers', look: 'ip_adapter sd-1 checkpoint', 'look-plus': 'ip_adapter sd-1 checkpoint', 'look-odd': 'ip_adapter sd-1 checkpoint',
        'look-misfit': 'ip_adapter sd-1 checkpoint', 'look-folder': 'ip_adapter sd-1 invokeai',
    });
    assert.equal(known['look-folder'].image_encoder_model_id, 'InvokeAI/ip_adapter_sd_image_encoder');
    assert.match(known['look-folder'].hash, /^sha256:/);
    assert.match(known.depth.hash, /^sha256:/);
    assert.notEqual(known.depth.hash, known.colour.hash);
});

test('broken ones are shown to administrators, with what is wrong', async () => {
    const all = await modelsByName(admin);
    assert.match(JSON.stringify(all.damaged), /Its file diffusion_pytorch_model\.safetensors is damaged or not complete/);
    assert.match(JSON.stringify(all.empty), /It holds no weights in safetensors form/);
    assert.match(JSON.stringify(all['look-pickle']), /ip_adapter\.bin may hold programs, which this server never runs: convert it to safetensors first/);
    assert.equal(all.notes, undefined);
});

test('a ControlNet and a VAE in folders draw', async () => {
    const plain = await draw([]);
    assert.notDeepEqual(await draw([{ type: 'controlnet', control_model: named(known.edges), control_weight: 1 }]), plain);
    assert.deepEqual(await draw([], { vae: known['own-vae'] }), plain);
});

test('weight, part of the run, and how the picture is made to fit: each changes what is drawn', async () => {
    const seen = [await draw([])];
    const ways = [
        {}, { weight: 0.5 }, { begin_step_percent: 0.5 }, { end_step_percent: 0.25 }, { weight: [1, 0, 0, 0] }, { resize_mode: 'crop_resize' }, { resize_mode: 'fill_resize' },
    ];
    for (const way of ways) {
        const picture = await draw([t2i('depth', way)]);
        assert.ok(seen.every((other) => Buffer.compare(other, picture)), JSON.stringify(way));
        seen.push(picture);
    }
    assert.notDeepEqual(await draw([t2i('colour')]), seen[0]);
});

test('a weight of nothing changes nothing, two halves are one whole; it goes with a ControlNet', async () => {
    assert.deepEqual(await draw([t2i('depth', { weight: 0 })]), await draw([]));
    const [whole, halves] = [await draw([t2i('depth')]), await draw([t2i('depth', { weight: 0.5 }), t2i('depth', { weight: 0.5 })])];
    const far = whole.reduce((most, value, i) => Math.max(most, Math.abs(value - halves[i])), 0);
    assert.ok(far <= 3, `off by ${far}`);
    assert.notDeepEqual(await draw([t2i('depth'), { type: 'controlnet', control_model: named(known.edges) }]), whole);
});

test('of XL, and sizes that do not halve evenly', async () => {
    for (const size of [{ width: 64, height: 64 }, { width: 72, height: 104 }]) {
        const options = { model: known.large, ...size };
        assert.notDeepEqual(await draw([t2i('depth-large')], options), await draw([], options));
        assert.notDeepEqual(await draw([t2i('depth')], size), await draw([], size));
    }
});

test('what can not be is refused with a sentence', async () => {
    assert.match((await run([t2i('depth', { begin_step_percent: 0.8, end_step_percent: 0.2 })])).error_message, /must not be more than/);
    assert.match((await run([t2i('depth', { weight: 3 })])).error_message, /"weight" must be a number from 0 to 2/);
    assert.match((await run([t2i('tiny')])).error_message, /T2I adapter "tiny" is not installed/);
    assert.match((await run([t2i('depth')], { model: known.large })).error_message, /is for sd-1 models, this one is of sdxl/);
    assert.match((await run([t2i('misfit')])).error_message, /T2I adapter was made for another kind of model/);
});

test('pictures to take after: weight, part of the run, method, which pictures: each changes what is drawn', async () => {
    const second = await rendered(anna, { width: 128, height: 64, seeds: [4] });
    const seen = [await draw([])];
    const ways = [
        {}, { weight: 0.5 }, { weight: -1 }, { begin_step_percent: 0.5 }, { end_step_percent: 0.25 }, { weight: [1, 0, 0, 0] }, { image: second }, { image: [image, second] },
        { method: 'style' }, { method: 'composition' }, { method: 'style_strong' }, { method: 'style_precise' },
    ];
    for (const way of ways) {
        const picture = await draw([ip('look', way)]);
        assert.ok(seen.every((one) => Buffer.compare(one, picture)), JSON.stringify(way));
        seen.push(picture);
    }
    const plus = await draw([ip('look-plus')]);
    assert.ok(seen.every((one) => Buffer.compare(one, plus)));
    assert.deepEqual(await draw([ip('look-folder')]), seen[1]);
});

test('no weight changes nothing; several together, and with a T2I adapter; without guidance', async () => {
    assert.deepEqual(await draw([ip('look', { weight: 0 })]), await draw([]));
    const one = await draw([ip('look')]);
    const two = await draw([ip('look'), ip('look-plus')]);
    assert.notDeepEqual(two, one);
    assert.notDeepEqual(await draw([ip('look'), t2i('depth')]), one);
    const [plain, steered] = [await draw([], { more: { cfg_scale: 1 } }), await draw([ip('look')], { more: { cfg_scale: 1 } })];
    assert.notDeepEqual(steered, plain);
});

test('only where a mask says so', async () => {
    const put = async (pixel) => ({ image_name: (await upload(anna, { png: makePng(48, 48, { pixel }) })).image_name });
    const [half, none, dark] = [await put((x) => [9, 9, 9, x < 24 ? 255 : 0]), await put(() => [9, 9, 9, 0]), await put((x) => (x < 24 ? [0, 0, 0] : [255, 255, 255]))];
    const masked = (...masks) => draw([ip('look', { masks })]);
    const alpha = (picture, invert = false) => ({ type: 'alpha_mask_to_tensor', image: picture, invert });
    const [everywhere, nowhere] = [await draw([ip('look')]), await draw([])];
    const left = await masked(alpha(half));
    assert.notDeepEqual(left, everywhere);
    assert.notDeepEqual(left, nowhere);
    assert.deepEqual(await masked(alpha(none)), nowhere);
    assert.deepEqual(await masked(alpha(none, true)), everywhere);
    assert.deepEqual(await masked({ type: 'image_mask_to_tensor', image: dark }), left);
    assert.deepEqual(await masked({ type: 'image_mask_to_tensor', image: dark, invert: true }, { type: 'invert_tensor_mask' }), left);
});

test('what IP adapters can not be used for is refused with a sentence', async () => {
    assert.match((await run([ip('look-odd')])).error_message, /No encoder of pictures is installed that this IP adapter was made for/);
    assert.match((await run([ip('look-misfit')])).error_message, /IP adapter was made for another kind of model/);
    assert.match((await run([ip('look')], { model: known.large })).error_message, /is for sd-1 models, this one is of sdxl/);
    assert.match((await run([ip('tiny')])).error_message, /IP adapter "tiny" is not installed/);
    assert.match((await run([ip('look', { weight: 3 })])).error_message, /"weight" must be a number from -1 to 2/);
    assert.match((await run([ip('look', { begin_step_percent: 0.8, end_step_percent: 0.2 })])).error_message, /must not be more than/);
    assert.equal((await run([ip('look', { mask: { tensor_name: 'x' } })])).status, 'failed');
});
