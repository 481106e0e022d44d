// What a worker computes with, and whether guidance takes one call or two: options of its own, and the same picture.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { REPO } from '../lib/paths.mjs';
import { enqueuePictures, pictureModel, pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { setupAdmin } from '../lib/users.mjs';

const server = useServer({ worker: 1, models: path.join(REPO, 'tests/fixtures/diffusion') });
let admin, model;
before(async () => {
    admin = await setupAdmin(server);
    model = await pictureModel(admin);
});

/** The pixels that a worker with these options makes of the same wish. */
async function drawn(seed, ...options) {
    await server.kill(server.workers[0], 'SIGTERM');
    server.options.workerArgs = ['--device', 'cpu', '--threads', '1', ...options];
    await server.startWorker(0);
    const [id] = await enqueuePictures(admin, model, { steps: 1, seeds: [seed] });
    const item = await settled(admin, id);
    assert.equal(item.status, 'completed', item.error_message);
    return readPixels((await admin.get(`/api/v1/images/i/${pictureNames(item)[0]}/full`)).raw).data;
}

/** The largest difference of a channel, and the mean one. */
function difference(a, b) {
    const all = Array.from(a, (value, i) => Math.abs(value - b[i]));
    return { most: Math.max(...all), mean: all.reduce((x, y) => x + y, 0) / all.length };
}

test('guidance in two calls, and in bf16, makes the picture of float32', async () => {
    const exact = await drawn(8, '--precision', 'f32');
    assert.match(fs.readFileSync(path.join(server.logs, 'worker0.log'), 'utf8'), /^ready on \S+ \(cpu, 1 thread, f32\)$/m);
    const apart = difference(exact, await drawn(8, '--precision', 'f32', '--sequential-guidance'));
    assert.ok(apart.most <= 1, JSON.stringify(apart));
    // A random network makes more of rounding than a trained one does: less than another seed all the same.
    const another = difference(exact, await drawn(9, '--precision', 'f32'));
    for (const options of [[], ['--sequential-guidance']]) {
        const rounded = difference(exact, await drawn(8, '--precision', 'bf16', ...options));
        assert.ok(rounded.mean < another.mean / 2, JSON.stringify([rounded, another]));
    }
});
