// The dispatcher and a worker, whatever goes away in the middle: no job lost, none run twice to its end.
import assert from 'node:assert/strict';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { SANITIZED } from '../lib/paths.mjs';
import { processInfo, until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { addModel, modelFolder, modelsByName, named } from '../lib/models.mjs';
import { QUEUE, enqueue, item, settled, textGraph } from '../lib/queue.mjs';
import { FakeWorker, T, frame } from '../lib/fake-worker.mjs';

describe('the dispatcher with one worker', () => {
    const server = useServer();
    let admin, worker;
    before(async () => {
        admin = await setupAdmin(server);
    });
    beforeEach(async () => {
        worker = await new FakeWorker(path.join(server.run, 'worker.sock')).listen();
    });
    afterEach(async () => {
        worker.die();
        await admin.put(`${QUEUE}/clear`);
    });
    const acked = (run, seq) => worker.heard(T.ACK, (h) => h.run_id === run.run_id && h.seq === seq);

    test('hands out a job, stores its state and acknowledges', async () => {
        const [id] = await enqueue(admin, { graph: textGraph('a word') });
        const run = await worker.run();
        assert.equal(run.item_id, id);
        assert.match(run.run_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
        assert.equal(run.session.graph.nodes.text.value, 'a word');
        assert.deepEqual([run.models, run.images, run.workflow], [[], [], null]);
        assert.ok(run.metadata_extra.app_version);
        assert.equal((await item(admin, id)).status, 'in_progress');
        worker.finish();
        await acked(run, 2);
        const ended = await item(admin, id);
        assert.equal(ended.status, 'completed');
        const [prepared] = ended.session.source_prepared_mapping.text;
        assert.deepEqual(ended.session.results[prepared], { type: 'string_output', value: 'done' });
        assert.ok(ended.completed_at >= ended.started_at);
        await acked(run, 1);
        assert.equal(worker.held.length, 0);
    });

    test('a failed job tells why', async () => {
        const [id] = await enqueue(admin);
        await worker.run();
        worker.started();
        worker.send(T.NODE_FAILED, worker.node({ error_type: 'ValueError', error_message: 'too red', error_traceback: 'line 1' }));
        worker.done('failed', { error_type: 'ValueError', error_message: 'too red', error_traceback: 'line 1' });
        const ended = await settled(admin, id);
        assert.deepEqual([ended.status, ended.error_type, ended.error_message, ended.error_traceback], ['failed', 'ValueError', 'too red', 'line 1']);
    });

    test('a job that is canceled while it runs is stopped, and the next one gets its turn', async () => {
        const [first, second] = await enqueue(admin, { runs: 2 });
        const run = await worker.run();
        assert.equal(run.item_id, first);
        assert.equal((await admin.put(`${QUEUE}/i/${first}/cancel`)).status, 200);
        await worker.heard(T.CANCEL, (h) => h.run_id === run.run_id);
        assert.equal((await worker.run(2)).item_id, second);
        worker.finish();
        assert.equal((await settled(admin, second)).status, 'completed');
        assert.equal((await item(admin, first)).status, 'canceled');
    });

    test('a result that crosses its cancel changes nothing', async () => {
        worker.options.obey = false;
        const [id] = await enqueue(admin);
        const run = await worker.run();
        await admin.put(`${QUEUE}/i/${id}/cancel`);
        await worker.heard(T.CANCEL);
        worker.finish();
        await acked(run, 2);
        assert.equal((await item(admin, id)).status, 'canceled');
    });

    test('a job deleted while it runs is stopped', async () => {
        const [id] = await enqueue(admin);
        const run = await worker.run();
        assert.equal((await admin.delete(`${QUEUE}/i/${id}`)).status, 200);
        await worker.heard(T.CANCEL, (h) => h.run_id === run.run_id);
    });

    test('the job of an account that is deleted is stopped at once', async () => {
        const gone = await addUser(admin, 'Gone');
        await enqueue(gone);
        const run = await worker.run();
        assert.equal((await admin.delete(`/api/v1/auth/users/${gone.user.user_id}`)).status, 204);
        await worker.heard(T.CANCEL, (h) => h.run_id === run.run_id, 3000);
    });

    test('a worker that dies costs its job one retry', async () => {
        const [id] = await enqueue(admin);
        const run = await worker.run();
        worker.die();
        await worker.listen();
        const again = await worker.run(2);
        assert.equal(again.item_id, id);
        assert.notEqual(again.run_id, run.run_id);
        worker.finish();
        assert.equal((await settled(admin, id)).status, 'completed');
    });

    test('a worker that dies twice costs the job', async () => {
        const [id] = await enqueue(admin);
        for (const n of [1, 2]) {
            await worker.run(n);
            worker.die();
            await worker.listen();
        }
        const ended = await settled(admin, id);
        assert.deepEqual([ended.status, ended.error_type], ['failed', 'WorkerLost']);
        assert.ok(ended.error_message);
        const [next] = await enqueue(admin);
        assert.equal((await worker.run(3)).item_id, next);
    });

    test('a worker that is stopped costs no attempt, however often', async () => {
        const [id] = await enqueue(admin);
        for (const n of [1, 2, 3]) {
            await worker.run(n);
            worker.started();
            await worker.leave();
            await settled(admin, id, ['pending']);
            await worker.listen();
        }
        await worker.run(4);
        assert.equal(server.sql(`SELECT attempts FROM session_queue WHERE item_id = ${id}`)[0].attempts, 1);
        worker.finish();
        assert.equal((await settled(admin, id)).status, 'completed');
    });

    test('server and worker stopped and started again cost no attempt, whoever goes first', async () => {
        const [id] = await enqueue(admin);
        for (const n of [1, 2, 3]) {
            await worker.run(n);
            const { dispatcher } = server.pids();
            if (n % 2) {
                process.kill(server.httpd.pid, 'SIGTERM');
                await until(() => server.httpd.gone && !processInfo(dispatcher), 'httpd to end');
                worker.die();
            } else {
                await worker.leave();
                process.kill(server.httpd.pid, 'SIGTERM');
                await until(() => server.httpd.gone && !processInfo(dispatcher), 'httpd to end');
            }
            await worker.listen();
            await server.launch();
        }
        await worker.run(4);
        // It counts again once the next dispatcher has found the worker with it.
        const before = worker.connections;
        await server.restart('graceful');
        await worker.connected(before + 1);
        worker.die();
        await worker.listen();
        await worker.run(5);
        assert.equal(server.sql(`SELECT attempts FROM session_queue WHERE item_id = ${id}`)[0].attempts, 2);
        worker.finish();
        assert.equal((await settled(admin, id)).status, 'completed');
    });

    test('a lost connection is taken up again, and the run goes on', async () => {
        const [id] = await enqueue(admin);
        const run = await worker.run();
        worker.cut();
        await worker.connected(2);
        worker.finish();
        await acked(run, 2);
        assert.equal((await item(admin, id)).status, 'completed');
        assert.equal(worker.runs.length, 1);
    });

    test('results made while nobody listened arrive after the reconnect', async () => {
        const [id] = await enqueue(admin);
        const run = await worker.run();
        worker.cut();
        worker.finish();
        await acked(run, 2);
        assert.equal((await settled(admin, id)).status, 'completed');
        assert.equal(worker.runs.length, 1);
    });

    for (const how of ['graceful', 'hard']) {
        test(`a ${how} restart of httpd in the middle of a job leaves the job alone`, async () => {
            const [first, second] = await enqueue(admin, { runs: 2 });
            const run = await worker.run();
            worker.started();
            await server.restart(how);
            await worker.connected(2);
            worker.finish();
            await acked(run, 2);
            assert.equal((await item(admin, first)).status, 'completed');
            assert.equal((await worker.run(2)).item_id, second);
            worker.finish();
            assert.equal((await settled(admin, second)).status, 'completed');
            assert.equal(worker.runs.length, 2);
        });
    }

    test('a killed dispatcher is replaced and takes up what runs', async () => {
        server.allowLog(/IMU0401/);
        const [id] = await enqueue(admin);
        const run = await worker.run();
        const { dispatcher } = server.pids();
        assert.ok(dispatcher);
        process.kill(dispatcher, 'SIGKILL');
        worker.finish(); // nobody listens
        await worker.connected(2);
        await acked(run, 2);
        assert.equal((await item(admin, id)).status, 'completed');
        assert.equal(worker.runs.length, 1);
        assert.notEqual(server.pids().dispatcher, dispatcher);
    });

    test('httpd killed outright takes the dispatcher along, and a new one takes up what runs', async () => {
        server.allowLog(/AH00098/); // the pid file of the one that was killed
        const [id] = await enqueue(admin);
        const run = await worker.run();
        const { dispatcher, children } = server.pids();
        await server.kill(server.httpd);
        children.forEach((pid) => process.kill(pid, 'SIGKILL'));
        await until(() => !processInfo(dispatcher), 'the dispatcher to end');
        worker.finish();
        await server.launch();
        await worker.connected(2);
        await acked(run, 2);
        assert.equal((await item(admin, id)).status, 'completed');
        assert.equal(worker.runs.length, 1);
    });

    test('the folder of a dispatcher that hangs belongs to nobody else', async () => {
        const { dispatcher } = server.pids();
        await worker.connected();
        process.kill(dispatcher, 'SIGSTOP');
        const { status } = spawnSync('flock', ['--nonblock', path.join(server.run, 'dispatch.lock'), 'true']);
        process.kill(dispatcher, 'SIGCONT');
        assert.equal(status, 1);
        const [id] = await enqueue(admin);
        await worker.run();
        worker.finish();
        assert.equal((await settled(admin, id)).status, 'completed');
    });

    test('dispatcher and worker killed together: the job is run again', async () => {
        server.allowLog(/IMU0401/);
        const [id] = await enqueue(admin);
        await worker.run();
        process.kill(server.pids().dispatcher, 'SIGKILL');
        worker.die();
        await worker.listen();
        assert.equal((await worker.run(2)).item_id, id);
        worker.finish();
        assert.equal((await settled(admin, id)).status, 'completed');
    });

    test('a run that nobody knows is canceled, its results dropped', async () => {
        const stranger = { run_id: '0b9a4a40-7d5b-4b3e-9d36-3c3f4a4f5a5b', item_id: 1 };
        await worker.connected();
        worker.cut();
        worker.running = { ...stranger, session: { graph: textGraph() }, seq: 0 };
        await worker.heard(T.CANCEL, (h) => h.run_id === stranger.run_id);
        await worker.heard(T.ACK, (h) => h.run_id === stranger.run_id && h.seq === 1);
        const [id] = await enqueue(admin);
        await worker.run();
        worker.finish();
        assert.equal((await settled(admin, id)).status, 'completed');
    });

    test('a busy worker costs no attempt', async () => {
        const [id] = await enqueue(admin);
        await worker.run();
        worker.done('failed', { error_type: 'WorkerBusy', error_message: 'running another', error_traceback: null });
        await worker.run(2);
        assert.equal(server.sql(`SELECT attempts FROM session_queue WHERE item_id = ${id}`)[0].attempts, 1);
        worker.finish();
        assert.equal((await settled(admin, id)).status, 'completed');
    });

    test('a paused queue hands out nothing until it is resumed', async () => {
        await worker.connected();
        await admin.put(`${QUEUE}/processor/pause`);
        const [id] = await enqueue(admin);
        // The dispatcher has looked at the queue once the next question to it has been answered.
        await admin.put(`${QUEUE}/processor/pause`);
        assert.equal((await item(admin, id)).status, 'pending');
        assert.equal(worker.runs.length, 0);
        await admin.put(`${QUEUE}/processor/resume`);
        assert.equal((await worker.run()).item_id, id);
    });

    const broken = {
        'bytes that are no frame': () => Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        'a header that is no object': () => frame(T.PROGRESS, []),
        'a header that is no JSON': () => frame(T.PROGRESS, Buffer.from('{"run_id":')),
        'an unknown type': () => frame(99, { run_id: worker.running.run_id, item_id: worker.running.item_id }),
        'a second HELLO': () => frame(T.HELLO, worker.hello()),
        'no run': () => frame(T.DONE, { seq: 1, status: 'completed' }),
        'a run_id that is none': () => frame(T.DONE, { run_id: "' OR 1=1", item_id: 1, seq: 1, status: 'completed' }),
        'a result without seq': () => frame(T.DONE, { ...worker.running, seq: undefined, status: 'completed' }),
        'an unknown status': () => frame(T.DONE, { ...worker.running, seq: 1, status: 'gone' }),
        'a percentage of 7': () => frame(T.PROGRESS, worker.node({ percentage: 7 })),
        'preview bytes without an image': () => frame(T.PROGRESS, worker.node(), Buffer.from('x')),
        'a preview that is a script': () => frame(T.PROGRESS, worker.node({ image: { width: 1, height: 1, mime: 'text/html' } }), Buffer.from('x')),
        'a picture without descriptors': () =>
            frame(T.NODE_COMPLETED, worker.node({ seq: 1, result: { type: 'image_output' }, images: [
                { image_name: '0b9a4a40-7d5b-4b3e-9d36-3c3f4a4f5a5b.png', width: 8, height: 8, category: 'general', fd: 0, thumbnail_fd: 1 }] })),
        'descriptors that did not come': () => frame(T.NODE_COMPLETED, worker.node({ seq: 1, fds: 2, result: { type: 'image_output' }, images: [] })),
    };
    for (const [what, bytes] of Object.entries(broken)) {
        test(`${what}: ends the connection, not the job`, async () => {
            const [id] = await enqueue(admin);
            const run = await worker.run();
            worker.send(bytes());
            await worker.connected(2);
            worker.finish();
            await acked(run, 2);
            assert.equal((await item(admin, id)).status, 'completed');
        });
    }

    test('a worker without a proper HELLO gets nothing to do', async () => {
        worker.die();
        worker.options.hello = { protocol: 2 };
        await worker.listen();
        const [id] = await enqueue(admin);
        await until(() => worker.connections >= 3, 'the dispatcher to try again');
        assert.equal(worker.runs.length, 0);
        delete worker.options.hello;
        assert.equal((await worker.run()).item_id, id);
    });
});

/** The waiting jobs of these people in the order that the server foretells, each told by whom it concerns. */
async function foretold(clients) {
    const places = [];
    for (const client of new Set(clients)) {
        const { item_ids: own, jobs_before: before } = (await client.get(`${QUEUE}/item_ids?mine=true&places=true`)).body;
        assert.deepEqual(Object.keys(before).map(Number).sort(), [...own].sort(), 'of one’s own jobs, and of all of them');
        Object.entries(before).forEach(([id, n]) => (places[n] = Number(id)));
    }
    return places;
}

/** The owners of the jobs in the order in which they were handed out, which is the one that was foretold. */
async function order(server, admin, worker, jobs) {
    await admin.put(`${QUEUE}/processor/pause`);
    const owner = new Map();
    for (const [client, options] of jobs) {
        for (const id of await enqueue(client, options)) {
            owner.set(id, `${client.user.display_name}${options?.tag ?? ''}`);
        }
    }
    const places = await foretold(jobs.map(([client]) => client));
    await admin.put(`${QUEUE}/processor/resume`);
    await until(() => worker.runs.length === owner.size, 'all jobs to be handed out');
    assert.deepEqual(worker.runs.map((run) => run.item_id), places);
    return worker.runs.map((run) => owner.get(run.item_id)).join(' ');
}

for (const [mode, expected] of [
    ['RoundRobin', 'Ann Bob Ann Bob Ann Ann'],
    ['FIFO', 'Ann Ann Ann Ann Bob Bob'],
]) {
    describe(`the order of ${mode}`, () => {
        const server = useServer({ conf: `InvokeMUQueueMode ${mode}` });
        let worker;
        after(() => worker?.die());

        test(`is ${expected}`, async () => {
            const admin = await setupAdmin(server);
            const [ann, bob] = [await addUser(admin, 'Ann'), await addUser(admin, 'Bob')];
            worker = await new FakeWorker(path.join(server.run, 'worker.sock'), { auto: true }).listen();
            await worker.connected();
            assert.equal(await order(server, admin, worker, [[ann, { runs: 4 }], [bob, { runs: 2 }]]), expected);
        });
    });
}

for (const [mode, expected] of [
    ['RoundRobin', 'Ann2 Bob1 Ann1 Bob2'],
    ['FIFO', 'Ann2 Ann1 Bob1 Bob2'],
]) describe(`people and their own order, ${mode}`, () => {
    const server = useServer({ conf: `InvokeMUQueueMode ${mode}` });
    let worker;
    after(() => worker?.die());

    test('what is put first by one person does not push the other aside', async () => {
        const admin = await setupAdmin(server);
        const [ann, bob] = [await addUser(admin, 'Ann'), await addUser(admin, 'Bob')];
        worker = await new FakeWorker(path.join(server.run, 'worker.sock'), { auto: true }).listen();
        await worker.connected();
        const jobs = [[ann, { tag: 1 }], [bob, { tag: 1 }], [bob, { tag: 2 }], [ann, { tag: 2, prepend: true }]];
        assert.equal(await order(server, admin, worker, jobs), expected);
    });
});

describe('two workers', () => {
    const models = modelFolder();
    ['fox', 'owl'].forEach((name) => addModel(models, name));
    const server = useServer({ models, conf: ['a', 'b'].map((n) => `InvokeMUWorker "/tmp/imu-fake-${process.pid}-${n}.sock"`) });
    const workers = [];
    let admin;
    after(() => workers.forEach((w) => w.die()));

    test('share the work, and a job goes on with the other when its worker is gone', async () => {
        admin = await setupAdmin(server);
        for (const n of ['a', 'b']) {
            workers.push(await new FakeWorker(`/tmp/imu-fake-${process.pid}-${n}.sock`, { name: n }).listen());
        }
        const [a, b] = workers;
        await Promise.all([a.connected(), b.connected()]);
        const ids = await enqueue(admin, { runs: 2 });
        const [ra, rb] = await Promise.all([a.run(1), b.run(1)]);
        assert.deepEqual([ra.item_id, rb.item_id].sort(), ids);
        b.finish();
        assert.equal((await settled(admin, rb.item_id)).status, 'completed');
        a.die();
        const again = await b.run(2);
        assert.equal(again.item_id, ra.item_id);
        b.finish();
        assert.equal((await settled(admin, ra.item_id)).status, 'completed');
    });

    test('a job goes to the one that has its model in memory, which what made room for another is no more', async () => {
        const { fox, owl } = await modelsByName(admin);
        const [a, b] = workers;
        b.die();
        for (const worker of workers) {
            worker.options.loaded = [fox.key];
            const { connections } = worker;
            await worker.listen();
            await worker.connected(connections + 1);
        }
        await until(async () => (await admin.get(`${QUEUE}/status`)).body.processor.workers === 2, 'both to be known');
        const job = (model) => enqueue(admin, { graph: { id: 'g', nodes: { load: { id: 'load', type: 'main_model_loader', model: named(model) } }, edges: [] } });
        const given = async (model, worker, loaded) => {
            const [id] = await job(model);
            assert.equal((await worker.run()).item_id, id);
            worker.started();
            worker.done('completed', { loaded });
            await settled(admin, id);
        };
        await given(fox, a, [owl.key]);
        await given(fox, b, [fox.key]);
        await given(owl, a, [owl.key]);
    });
});

for (const mpm of ['worker', 'prefork']) {
    describe(`the dispatcher under the ${mpm} MPM`, () => {
        const server = useServer({ mpm });
        let worker;
        server.guests.push(() => worker?.die());

        test('is there after each kind of restart, and ends with the server', async () => {
            server.allowLog(/IMU0313/); // events hold a thread there
            // prefork's children clear their pools within the signal handler, which waits in vain when it interrupted a thread that
            // holds the lock of tests/tools/pool-blocks.c. Without that tool, none has to be killed.
            if (SANITIZED && mpm === 'prefork') {
                server.allowLog(/AH00046: child process \d+ still did not exit, sending a SIGKILL/);
            }
            const admin = await setupAdmin(server);
            worker = await new FakeWorker(path.join(server.run, 'worker.sock'), { auto: true }).listen();
            for (const how of ['graceful', 'hard', null]) {
                const [id] = await enqueue(admin);
                assert.equal((await settled(admin, id)).status, 'completed');
                if (how) {
                    await server.restart(how);
                }
            }
        });
    });
}
