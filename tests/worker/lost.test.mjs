// A GPU that stops answering: its job ends with a sentence, its worker starts again, and nothing else is lost. The GPU is one that
// the processor plays, and that goes away at SIGUSR1.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { closeAll, listen } from '../lib/events.mjs';
import { BUILD, REPO, reach } from '../lib/paths.mjs';
import { enqueuePictures, pictureModel } from '../lib/pictures.mjs';
import { settled } from '../lib/queue.mjs';
import { until, useServer } from '../lib/server.mjs';
import { setupAdmin } from '../lib/users.mjs';

const server = useServer({
    worker: 1,
    models: path.join(REPO, 'tests/fixtures/diffusion'),
    workerArgs: ['--device', 'cuda', '--threads', '1'],
    // As `make run` does.
    workerCommand: (root) => [reach(path.join(REPO, 'tools/keep-running')), path.join(root, 'run/worker.pid'), reach(path.join(BUILD, 'tests/worker-emulated'))],
});
let admin, model, heard;
before(async () => {
    admin = await setupAdmin(server);
    model = await pictureModel(admin);
    heard = await listen(server, admin);
});
after(closeAll);

const log = () => fs.readFileSync(path.join(server.logs, 'worker0.log'), 'utf8');
/** The worker that the supervisor has started last. */
const worker = () => {
    const { pid } = server.workers[0];
    return Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
};

test('a job whose GPU is lost fails with a sentence, and the one that waits runs in the worker that comes after', async () => {
    const [first] = await enqueuePictures(admin, model, { steps: 1 });
    assert.equal((await settled(admin, first)).status, 'completed');
    const pid = worker();

    const [lost] = await enqueuePictures(admin, model, { steps: 500, seeds: [1] });
    const [waiting] = await enqueuePictures(admin, model, { steps: 1, seeds: [2] });
    await heard.heard('invocation_progress', (e) => e.item_id === lost && e.percentage > 0);
    process.kill(pid, 'SIGUSR1');

    const failed = await settled(admin, lost);
    assert.deepEqual([failed.status, failed.error_type], ['failed', 'DeviceLost']);
    assert.match(failed.error_message, /^The graphics card stopped answering .* try once more/);
    const done = await settled(admin, waiting);
    assert.equal(done.status, 'completed', done.error_message);
    assert.notEqual(worker(), pid);

    await until(() => /worker-emulated ended with status 75; starting it again/.test(log()), 'the supervisor to say so');
    assert.equal(log().match(/^device lost \(cuda, emulated, \w+\): .*lost on purpose; the worker ends with status 75 to be started again$/gm).length, 1);
    assert.equal(log().match(/^ready on /gm).length, 2);
});

test('a job that is cancelled when its GPU is lost is cancelled, and the worker starts again all the same', async () => {
    const pid = worker();
    const [id] = await enqueuePictures(admin, model, { steps: 500, seeds: [3] });
    await heard.heard('invocation_progress', (e) => e.item_id === id && e.percentage > 0);
    process.kill(pid, 'SIGUSR1');
    assert.equal((await admin.put(`/api/v1/queue/default/i/${id}/cancel`)).status, 200);
    assert.ok(['canceled', 'failed'].includes((await settled(admin, id)).status));
    const [next] = await enqueuePictures(admin, model, { steps: 1, seeds: [4] });
    assert.equal((await settled(admin, next)).status, 'completed');
    assert.notEqual(worker(), pid);
});
