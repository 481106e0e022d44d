// What only rendering finds out about a model: people get a plain sentence, the log and the traceback the technical one.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { addModel, modelFolder } from '../lib/models.mjs';
import { enqueuePictures, pictureModel } from '../lib/pictures.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const PLAIN = "This model can't be used just now: ask the person who looks after this server.";
const ENDED = ['completed', 'failed', 'canceled'];

const models = modelFolder();
const folder = addModel(models, 'tiny');
const server = useServer({ multiuser: true, worker: 1, media: true, models });
let admin, anna, model;

before(async () => {
    admin = await setupAdmin(server);
    anna = await addUser(admin, 'Anna');
    model = await pictureModel(anna);
});

/** A picture from beginning to end. */
const run = async () => {
    const [id] = await enqueuePictures(anna, model);
    return settled(anna, id, ENDED, 60000);
};

/** Changes a part's configuration, in a way that no header shows, as long as `during` runs. */
async function changed(part, change, during) {
    const file = path.join(folder, part, 'config.json');
    const whole = fs.readFileSync(file, 'utf8');
    const config = JSON.parse(whole);
    change(config);
    fs.writeFileSync(file, JSON.stringify(config));
    try {
        return await during();
    } finally {
        fs.writeFileSync(file, whole);
    }
}

/** What becomes of a job that was queued before a part of the model (or all of it) went away; it is back afterwards. */
async function without(part) {
    const place = path.join(folder, part);
    const away = path.join(models, '.away');
    assert.equal((await admin.put('/api/v1/queue/default/processor/pause')).status, 200);
    const [id] = await enqueuePictures(anna, model);
    fs.renameSync(place, away);
    assert.equal((await admin.put('/api/v1/queue/default/processor/resume')).status, 200);
    const item = await settled(anna, id, ENDED, 60000);
    fs.renameSync(away, place);
    return item;
}

test('weights that contradict the configuration', async () => {
    const item = await changed('vae', (c) => (c.block_out_channels = c.block_out_channels.map((n) => n * 2)), run);
    assert.deepEqual([item.status, item.error_type, item.error_message], ['failed', 'InvalidModel', PLAIN]);
    assert.match(item.error_traceback, /^InvalidModel in node "picture" \(l2i\): .*[a-z_]+\.[a-z_.0-9]+/);
    assert.notEqual(item.error_traceback, PLAIN);
    assert.ok(!JSON.stringify(item).includes(models), 'no path of the server');
    assert.ok(server.allLogs().includes(item.error_traceback.replace(/^.*?\): /, '')), 'the technical words are in the log');
});

test('a network that the engine does not know', async () => {
    const item = await changed('vae', (c) => (c.act_fn = 'gelu'), run);
    assert.deepEqual([item.status, item.error_message], ['failed', PLAIN]);
    assert.match(item.error_traceback, /act_fn/);
});

test('a part that goes away while its job waits; the worker opens what was mended anew', async () => {
    const item = await without('vae');
    assert.deepEqual([item.status, item.error_type, item.error_message], ['failed', 'InvalidModel', PLAIN]);
    assert.match(item.error_traceback, /The model in tiny lacks its VAE/);
    assert.equal((await run()).status, 'completed');
});

test('a folder that goes away while its job waits', async () => {
    const item = await without('');
    assert.deepEqual([item.status, item.error_message], ['failed', PLAIN]);
    assert.match(item.error_traceback, /The model's files are missing/);
    assert.equal((await run()).status, 'completed');
});
