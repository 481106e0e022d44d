// From the request to the picture: real httpd, dispatcher, worker and model.
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
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

test('a running job is cancelled within a step', async () => {
    const [id] = await enqueuePictures(anna, model, { steps: 400, width: 256, height: 256 });
    await settled(anna, id, ['in_progress'], 60000);
    const answer = await anna.put(`/api/v1/queue/default/i/${id}/cancel`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await settled(anna, id)).status, 'canceled');
    const [next] = await enqueuePictures(anna, model, { seeds: [1] });
    assert.equal((await settled(anna, next, ['completed', 'failed', 'canceled'], 60000)).status, 'completed');
});
