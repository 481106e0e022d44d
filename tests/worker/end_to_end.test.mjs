// From the request to the picture: real httpd, dispatcher, worker and model.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { closeAll, listen } from '../lib/events.mjs';
import { useServer } from '../lib/server.mjs';
import { REPO } from '../lib/paths.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { enqueuePictures, pictureModel, pictureNames } from '../lib/pictures.mjs';
import { settled } from '../lib/queue.mjs';
import { readPng } from '../lib/png.mjs';

const server = useServer({ worker: 1, media: true, models: path.join(REPO, 'tests/fixtures/diffusion') });
let anna;
let bert;
let model;

before(async () => {
    const admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    bert = await addUser(admin, 'Bert');
    model = await pictureModel(anna);
});

test('the worker has confined itself', () => {
    const status = fs.readFileSync(`/proc/${server.workers[0].pid}/status`, 'utf8');
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^Seccomp:\t2$/m);
});

test('a prompt becomes a picture in the gallery of its author, and of nobody else', async () => {
    const [id] = await enqueuePictures(anna, model, { prompt: 'a red lighthouse at night', seeds: [42] });
    const item = await settled(anna, id, ['completed', 'failed', 'canceled'], 60000);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    const [name] = pictureNames(item);
    const file = await anna.get(`/api/v1/images/i/${name}/full`);
    assert.equal(file.status, 200);
    const png = readPng(file.raw);
    assert.deepEqual([png.width, png.height], [64, 64]);
    const metadata = (await anna.get(`/api/v1/images/i/${name}/metadata`)).body;
    assert.equal(metadata.positive_prompt, 'a red lighthouse at night');
    assert.equal(metadata.seed, 42);
    const names = async (who) => (await who.get('/api/v1/images/names?is_intermediate=false')).body.image_names;
    assert.ok((await names(anna)).includes(name));
    assert.ok(!(await names(bert)).includes(name));
    assert.equal((await bert.get(`/api/v1/images/i/${name}`)).status, 403);
    const seen = (await bert.get(`/api/v1/queue/default/i/${id}`)).body;
    assert.doesNotMatch(JSON.stringify(seen), /lighthouse/);
});

test('the first use of a model is told as loading it, and no later one', async () => {
    await server.kill(server.workers[0]);
    await server.startWorker(0);
    const l = await listen(server, anna);
    const said = [];
    l.socket.on('invocation_progress', ({ item_id, invocation, message, percentage }) => said.push({ item_id, text: `${invocation.type}: ${message}`, percentage }));
    const ids = await enqueuePictures(anna, model, { prompt: 'loaded', seeds: [3, 4] });
    for (const id of ids) {
        assert.equal((await settled(anna, id, ['completed', 'failed', 'canceled'], 60000)).status, 'completed');
    }
    const of = (id) => said.filter((each) => each.item_id === id);
    for (const node of ['compel', 'denoise_latents']) {
        const loading = of(ids[0]).find(({ text }) => text === `${node}: Loading the model`);
        assert.ok(loading && loading.percentage >= 0 && loading.percentage < 1, JSON.stringify(said));
    }
    const first = of(ids[0]).map(({ text }) => text);
    assert.ok(first.indexOf('denoise_latents: Loading the model') < first.indexOf('denoise_latents: Denoising'));
    assert.ok(of(ids[1]).length > 0);
    assert.deepEqual(of(ids[1]).filter(({ text }) => /Loading/.test(text)), []);
});

test('the same seed gives the same picture', async () => {
    const ids = await enqueuePictures(anna, model, { seeds: [5, 5, 6] });
    const pictures = [];
    for (const id of ids) {
        const item = await settled(anna, id, ['completed', 'failed', 'canceled'], 60000);
        assert.equal(item.status, 'completed', item.error_message);
        pictures.push((await anna.get(`/api/v1/images/i/${pictureNames(item)[0]}/thumbnail`)).raw);
    }
    assert.ok(pictures[0].equals(pictures[1]));
    assert.ok(!pictures[0].equals(pictures[2]));
});

/** When the worker ended each of the first two steps of a job; resolves with the second, as soon as it is told. */
function firstSteps(listener, id, steps) {
    const ended = [];
    return new Promise((resolve) => {
        listener.socket.on('invocation_progress', ({ item_id, percentage }) => {
            // Said without a step when the node begins; from then on the share rises with each.
            const step = item_id === id ? Math.round(percentage * steps) : 0;
            if (step > 0) {
                ended[step] ??= performance.now();
            }
            if (step === 2) {
                resolve(ended);
            }
        });
    });
}

test('a running job is cancelled within a step: the worker is free before the step would have ended', async () => {
    const mine = await listen(server, anna);
    const theirs = await listen(server, bert);
    const [long] = await enqueuePictures(anna, model, { steps: 400, width: 512, height: 512 });
    const ended = await firstSteps(mine, long, 400);
    // The next job waits for the only worker: it starts when that has let go of this one.
    const [next] = await enqueuePictures(bert, model, { seeds: [1] });
    const asked = performance.now();
    const answer = await anna.put(`/api/v1/queue/default/i/${long}/cancel`);
    assert.equal(answer.status, 200, answer.text);
    await theirs.heard('queue_item_status_changed', ({ item_id, status }) => item_id === next && status === 'in_progress');
    const took = performance.now() - asked;
    const step = ended[2] - ended[1];
    closeAll();
    assert.ok(took < 0.75 * step, `the worker took the next job ${took} ms after the cancel; a step takes ${step} ms`);
    assert.equal(ended.length, 3, 'no third step ended');
    assert.equal((await settled(anna, long)).status, 'canceled');
    assert.equal((await settled(bert, next, ['completed', 'failed', 'canceled'], 60000)).status, 'completed');
    assert.match(fs.readFileSync(path.join(server.logs, 'worker0.log'), 'utf8'), new RegExp(`item ${long}: canceled`));
});
