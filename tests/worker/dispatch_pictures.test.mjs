// What becomes of pictures between worker, dispatcher and gallery: whose they are, on which board they land, which ones a job may read,
// and that none is lost when somebody is killed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { QUEUE, enqueue, settled } from '../lib/queue.mjs';
import { pictureNames } from '../lib/pictures.mjs';

const server = useServer({ worker: 1 });
let admin, anna, bert;

before(async () => {
    admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    bert = await addUser(admin, 'Bert');
});

/** One picture of one colour. */
const blank = (extra = {}) => ({
    id: 'blank', nodes: { picture: { id: 'picture', type: 'blank_image', width: 64, height: 32, is_intermediate: false, use_cache: false, ...extra } }, edges: [],
});

/** A copy of a picture of the gallery. */
const copy = (name) => ({
    id: 'copy', nodes: { picture: { id: 'picture', type: 'save_image', image: { image_name: name }, is_intermediate: false, use_cache: false } }, edges: [],
});

const board = async (client, name) => (await client.post(`/api/v1/boards/?board_name=${name}`)).body.board_id;
const dto = async (client, name) => (await client.get(`/api/v1/images/i/${name}`)).body;

/** Runs a graph to its end. @returns its one picture as DTO */
async function make(client, graph) {
    const [id] = await enqueue(client, { graph });
    const item = await settled(client, id);
    assert.equal(item.status, 'completed', `${item.error_type}: ${item.error_message}`);
    const [name] = pictureNames(item);
    return dto(client, name);
}

test('a picture belongs to whom the job belongs, with both files', async () => {
    const picture = await make(anna, blank());
    assert.deepEqual([picture.width, picture.height, picture.image_origin, picture.is_intermediate], [64, 32, 'internal', false]);
    assert.ok(picture.session_id);
    assert.ok(picture.node_id);
    for (const what of ['full', 'thumbnail']) {
        assert.equal((await anna.get(`/api/v1/images/i/${picture.image_name}/${what}`)).status, 200);
    }
    assert.equal((await bert.get(`/api/v1/images/i/${picture.image_name}`)).status, 403);
});

test('it lands on the board that was asked for, where its owner may write', async () => {
    const own = await board(anna, 'Own');
    assert.equal((await make(anna, blank({ board: { board_id: own } }))).board_id, own);
    const open = await board(bert, 'Open');
    assert.equal((await bert.patch(`/api/v1/boards/${open}`, { board_visibility: 'public' })).status, 201);
    assert.equal((await make(anna, blank({ board: { board_id: open } }))).board_id, open);
});

test('it lands on no board where its owner may not write, or that does not exist', async () => {
    const closed = await board(bert, 'Closed');
    assert.equal((await make(anna, blank({ board: { board_id: closed } }))).board_id, null);
    assert.equal((await bert.patch(`/api/v1/boards/${closed}`, { board_visibility: 'shared' })).status, 201);
    assert.equal((await make(anna, blank({ board: { board_id: closed } }))).board_id, null);
    assert.equal((await make(anna, blank({ board: { board_id: 'no-such-board' } }))).board_id, null);
});

test('a job reads pictures that its owner may see, and no others', async () => {
    const secret = await make(bert, blank());
    const own = await make(anna, blank());
    assert.notEqual((await make(anna, copy(own.image_name))).image_name, own.image_name);
    const [id] = await enqueue(anna, { graph: copy(secret.image_name) });
    const failed = await settled(anna, id);
    assert.equal(failed.status, 'failed');
    assert.ok(failed.error_message);
    const shared = await board(bert, 'Shared');
    await bert.patch(`/api/v1/boards/${shared}`, { board_visibility: 'shared' });
    await bert.post('/api/v1/board_images/batch', { board_id: shared, image_names: [secret.image_name] });
    assert.equal((await make(anna, copy(secret.image_name))).width, 64);
    assert.equal((await make(admin, copy(own.image_name))).width, 64);
});

test('whoever is killed, every job ends once and every completed one has its picture', async () => {
    server.allowLog(/IMU0401/);
    const ids = await enqueue(anna, { graph: blank(), runs: 30 });
    for (let round = 0; round < 3; round++) {
        await until(async () => (await anna.get(`${QUEUE}/status`)).body.queue.pending < 25 - round * 8, 'some jobs to end', 30000);
        process.kill(server.pids().dispatcher, 'SIGKILL');
        await until(() => server.pids().dispatcher, 'another dispatcher');
        await server.kill(server.workers[0]);
        await server.startWorker(0);
    }
    for (const id of ids) {
        const item = await settled(anna, id);
        if (item.status === 'completed') {
            const [name] = pictureNames(item);
            assert.equal((await dto(anna, name)).image_name, name);
            assert.ok(fs.existsSync(path.join(server.data, 'outputs/images', name)));
        } else {
            assert.deepEqual([item.status, item.error_type], ['failed', 'WorkerLost']);
        }
    }
});
