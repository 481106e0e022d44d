// The batches that InvokeAI's own web client posts, each to its picture: recordings of 6.14 in tests/fixtures/captures, with
// fewer steps, smaller sizes, and names in place of models and pictures; those of 6.12 differ as told below.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { batchOf } from '../lib/captured.mjs';
import { writeControl, writeVae } from '../lib/checkpoint.mjs';
import { addModel, modelFolder, named } from '../lib/models.mjs';
import { REPO } from '../lib/paths.mjs';
import { makePng, readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { LARGE_ENOUGH, writeLargeControl, writeLargeLora, writeModel } from '../lib/tiny-models.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

const SIDE = 128;
const SMALL = 96;
const CAPTURES = path.join(REPO, 'tests/fixtures/captures');
const KINDS = fs.readdirSync(CAPTURES).map((file) => path.basename(file, '.json'));
const models = modelFolder();
addModel(models, 'tiny');
writeModel(path.join(models, 'large'), 'sdxl', LARGE_ENOUGH);
fs.copyFileSync(path.join(REPO, 'tests/fixtures/diffusion/tiny-sd15.lora.f16.safetensors'), path.join(models, 'night.safetensors'));
fs.copyFileSync(path.join(REPO, 'tests/fixtures/upscalers/new.safetensors'), path.join(models, 'x4.safetensors'));
writeLargeLora(path.join(models, 'offset.safetensors'), LARGE_ENOUGH.widths[1]);
writeControl(path.join(models, 'tile.safetensors'));
writeLargeControl(path.join(models, 'tile-large.safetensors'));
writeVae(path.join(models, 'ft-mse.safetensors'));
const server = useServer({ worker: 1, media: true, models });
let anna;
/** By base and type, as the recordings name them. */
let known;
let pictures;

before(async () => {
    const admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    known = Object.fromEntries((await anna.get('/api/v2/models/')).body.models.map((model) => [`${model.base} ${model.type}`, model]));
    const put = async (side, pixel) => ({ image_name: (await upload(anna, { png: makePng(side, side, { pixel }) })).image_name });
    pictures = {
        photo: await put(SIDE, (x, y) => [2 * x, 2 * y, 255 - x - y]),
        small: { ...await put(SMALL, (x, y) => [2 * x, (x * y) % 256, 2 * y]), width: SMALL, height: SMALL },
        mask: await put(SIDE, (x, y) => (Math.hypot(x - 64, y - 64) < 32 ? [0, 0, 0] : [255, 255, 255])),
        clear: await put(SIDE, (x, y) => [2 * x, 2 * y, 90, x < 96 ? 255 : 0]),
    };
});

/** The recording with this server's models and pictures. */
function fill(value) {
    if (value === null || typeof value !== 'object') {
        return value;
    }
    if (Array.isArray(value)) {
        return value.map(fill);
    }
    if (typeof value.model === 'string') {
        assert.ok(known[value.model], `there is a model ${value.model}`);
        return value.record ? known[value.model] : named(known[value.model]);
    }
    if (typeof value.image === 'string') {
        return value.sized ? pictures.small : pictures[value.image];
    }
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fill(one)]));
}

const recording = (kind) => JSON.parse(fs.readFileSync(path.join(CAPTURES, `${kind}.json`), 'utf8'));

/** What 6.12 posts for the same: the negative prompt stands where it is used, and HiDiffusion is unknown. */
function older({ nodes, edges, data, ...rest }) {
    const [, [positive, negative]] = data;
    const gone = `${negative.node_path}.value `;
    for (const target of edges.filter((edge) => edge.startsWith(gone)).map((edge) => edge.slice(gone.length))) {
        nodes[target.split('.')[0]][target.split('.')[1]] = negative.items[0];
    }
    const kept = Object.entries(nodes).filter(([id]) => id !== negative.node_path);
    const fields = (node) => Object.fromEntries(Object.entries(node).filter(([name]) => !name.startsWith('hidiffusion')));
    return {
        ...rest, edges: edges.filter((edge) => !edge.startsWith(gone)), data: [data[0], [positive]],
        nodes: Object.fromEntries(kept.map(([id, node]) => [id, fields(node)])),
    };
}

async function post({ nodes, edges, ...batch }) {
    const body = batchOf(fill(nodes), edges);
    Object.assign(body.batch, batch);
    return anna.post('/api/v1/queue/default/enqueue_batch', body);
}

async function finished(batch) {
    const answer = await post(batch);
    assert.equal(answer.status, 201, answer.text.slice(0, 400));
    return Promise.all(answer.body.item_ids.map((id) => settled(anna, id, undefined, 60000)));
}

/** The pictures of the node that ends the graph, one for each job. */
async function drawn(batch) {
    const output = ['canvas_output:x', 'l2i:x'].find((id) => batch.nodes[id]);
    return Promise.all((await finished(batch)).map(async (item) => {
        assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
        const [id] = item.session.source_prepared_mapping[output];
        const answer = await anna.get(`/api/v1/images/i/${item.session.results[id].image.image_name}/full`);
        assert.equal(answer.status, 200);
        return readPixels(answer.raw);
    }));
}

/** Of the size that it should have, and not of one colour. */
function check(picture, side) {
    assert.deepEqual([picture.width, picture.height], [side, side]);
    assert.ok(new Set(picture.data).size > 16, 'something is drawn');
}

assert.equal(KINDS.length, 14);
for (const kind of KINDS) {
    test(`${kind}: the pictures of 6.14 and 6.12, which are the same`, async () => {
        const [newer] = await drawn(recording(kind));
        const [old] = await drawn(older(recording(kind)));
        check(newer, kind.endsWith('upscale') ? 2 * SMALL : SIDE);
        assert.ok(newer.data.equals(old.data));
    });
}

test('several pictures at once, and prompts with choices', async () => {
    const batch = recording('sd15-txt2img');
    batch.data[0][0].items = [42, 43, 44];
    const three = await drawn(batch);
    three.forEach((picture) => check(picture, SIDE));
    assert.equal(new Set(three.map((picture) => picture.data.toString('base64'))).size, 3);
    batch.data[0][0].items = [42];
    batch.data[1][0].items = ['a {red|blue} fox'];
    check((await drawn(batch))[0], SIDE);
});

test('a workflow of one node', async () => {
    const workflow = { name: 'My Flow', author: '', description: '', version: '', contact: '', tags: '', notes: '', nodes: [], edges: [], exposedFields: [], meta: { category: 'user', version: '3.0.0' } };
    const [item] = await finished({ nodes: { sum: { type: 'add', a: 0, b: 0 } }, edges: [], data: [], origin: 'workflows', destination: 'gallery', workflow });
    assert.equal(item.status, 'completed');
    assert.equal(Object.values(item.session.results)[0].value, 0);
});

for (const kind of ['sd15-upscale', 'sdxl-upscale']) {
    test(`${kind}: tiles and what steers them count, and what can not be is refused`, async () => {
        const change = (fields, node = 'tiled_multidiffusion_denoise_latents:x') => {
            const batch = recording(kind);
            Object.assign(batch.nodes[node], fields);
            return batch;
        };
        const ways = [
            change({}), change({ tile_width: 1024, tile_height: 1024 }), change({ tile_height: 192 }), change({ scheduler: 'kdpm_2_a' }),
            change({ control_weight: 0 }, 'controlnet_1'), change({ strength: 0 }, 'unsharp_2:x'),
        ];
        const seen = [];
        for (const way of ways) {
            const [picture] = await drawn(way);
            assert.ok(!seen.some((other) => other.equals(picture.data)), `way ${seen.length}`);
            seen.push(picture.data);
        }
        const [wide] = await finished(change({ tile_overlap: 128 }));
        assert.match(wide.error_message, /"tile_overlap" must be less/);
        const tiny = change({ tile_width: 16, tile_height: 16, tile_overlap: 8 });
        tiny.nodes['spandrel_autoscale:x'].scale = 4;
        const [many] = await finished(tiny);
        assert.match(many.error_message, /more than 1024 tiles/);
        assert.equal((await post(change({ tile_width: 100 }))).status, 422);
        assert.equal((await post(change({ radius: 0 }, 'unsharp_2:x'))).status, 422);
    });
}
