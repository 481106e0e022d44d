// Live events while processes come and go, and with more open pages than there are threads.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import { afterEach, before, describe, test } from 'node:test';
import { closeAll, connect, listen, publish, settle } from '../lib/events.mjs';
import { request } from '../lib/http.mjs';
import { enqueue, QUEUE } from '../lib/queue.mjs';
import { MODULES } from '../lib/paths.mjs';
import { until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const FEW_THREADS = 'ThreadsPerChild 5\nServerLimit 2\nStartServers 1\nMaxRequestWorkers 10\nMinSpareThreads 1\nMaxSpareThreads 10\nInvokeMUMaxSockets 1000\nInvokeMUMaxPersonSockets 1000\n';

async function people(server) {
    const admin = await setupAdmin(server);
    const ann = await addUser(admin, 'Ann');
    assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    return { admin, ann };
}

/** Listeners that come back by themselves and subscribe again, over both transports. */
async function faithful(server, who) {
    const all = [];
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
        const l = await connect(server, { token: who.token, transports, reconnection: true });
        l.socket.on('connect', () => l.subscribe());
        l.subscribe();
        await settle(l);
        all.push(l);
    }
    return all;
}

async function hear(listeners, who) {
    await Promise.all(listeners.map((l) => settle(l)));
    const before = listeners.map((l) => l.all('batch_enqueued').length);
    await enqueue(who);
    await Promise.all(listeners.map((l, i) => until(() => l.all('batch_enqueued').length === before[i] + 1, 'the event')));
}

describe('live events go on', () => {
    const server = useServer();
    let admin, ann;

    before(async () => ({ admin, ann } = await people(server)));
    afterEach(closeAll);

    test('when the dispatcher is killed', async () => {
        server.allowLog(/dispatcher/i);
        const all = await faithful(server, ann);
        await hear(all, ann);
        const { dispatcher } = server.pids();
        process.kill(dispatcher, 'SIGKILL');
        await Promise.all(all.map((l) => l.connected(2)));
        assert.notEqual(server.pids().dispatcher, dispatcher);
        await hear(all, ann);
    });
    test('when an httpd child is killed', async () => {
        server.allowLog(/child pid \d+ exit signal Killed|AH00052|AH10392/);
        const all = await faithful(server, ann);
        server.pids().children.forEach((pid) => process.kill(pid, 'SIGKILL'));
        await until(() => all.every((l) => l.socket.connected && l.connects >= (l.socket.io.engine.transport.name === 'websocket' ? 2 : 1)), 'all to be back');
        await hear(all, ann);
    });
    for (const kind of ['graceful', 'hard']) {
        test(`over a ${kind} restart, and no old child stays`, async () => {
            const all = await faithful(server, ann);
            const old = server.pids().children;
            await server.restart(kind);
            await until(() => old.every((pid) => !fs.existsSync(`/proc/${pid}`)), 'the old children to end');
            await until(() => all.every((l) => l.socket.connected), 'all to be back');
            await hear(all, ann);
        });
    }
});

describe('open pages and threads', () => {
    const server = useServer({ conf: FEW_THREADS });
    server.allowLog(/AH00484: server reached MaxRequestWorkers/); // for a moment, while ten connect at once
    let admin, ann;

    before(async () => ({ admin, ann } = await people(server)));
    afterEach(closeAll);

    test('300 WebSockets and 60 waiting polls leave the server free with 10 threads', async () => {
        const l = await listen(server, ann);
        for (let i = 0; i < 30; i++) {
            await Promise.all(Array.from({ length: 10 }, () => connect(server, { token: ann.token, transports: ['websocket'] })));
        }
        for (let i = 0; i < 6; i++) {
            await Promise.all(Array.from({ length: 10 }, () => connect(server, { token: ann.token, transports: ['polling'] })));
        }
        const started = Date.now();
        for (let i = 0; i < 50; i++) {
            assert.equal((await request(`${server.url}/api/v1/auth/status`)).status, 200);
        }
        assert.ok(Date.now() - started < 20000, `50 requests took ${Date.now() - started} ms`);
        await hear([l], ann);
        const threads = server.pids().children.map((pid) => fs.readdirSync(`/proc/${pid}/task`).length);
        assert.ok(Math.max(...threads) <= 10, `threads: ${threads}`);
        closeAll();
        const files = () => server.pids().children.map((pid) => fs.readdirSync(`/proc/${pid}/fd`).length);
        await until(() => Math.max(...files()) < 100, 'the connections to be let go');
    });
});

describe('live events over TLS', () => {
    const server = useServer({ tls: true, conf: `LoadModule http2_module ${MODULES}/mod_http2.so`, vhost: 'Protocols h2 http/1.1' });
    let admin, ann;

    before(async () => {
        process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
        ({ admin, ann } = await people(server));
    });
    afterEach(closeAll);

    test('arrive over all transports, in large pieces too', async () => {
        const all = await faithful(server, ann);
        await hear(all, ann);
        const result = 'y'.repeat(300000);
        await publish(server, Array.from({ length: 5 }, (_, n) => ({ name: 'invocation_complete', owner: ann.user.user_id, data: { queue_id: 'default', n, result } })));
        await Promise.all(all.map((l) => l.heard('invocation_complete', (e) => e.n === 4 && e.result === result)));
        assert.ok(all.every((l) => l.all('invocation_complete').length === 5));
    });
    test('arrive by long polls over HTTP/2', async () => {
        const session = http2.connect(server.url, { rejectUnauthorized: false });
        const ask = (path, body) =>
            new Promise((resolve, reject) => {
                const stream = session.request({ ':path': path, ':method': body ? 'POST' : 'GET' });
                let text = '';
                stream.setEncoding('utf8').on('data', (data) => (text += data)).on('end', () => resolve(text)).on('error', reject);
                stream.end(body);
            });
        const path = '/ws/socket.io/?EIO=4&transport=polling';
        const { sid } = JSON.parse((await ask(path)).slice(1));
        assert.equal(await ask(`${path}&sid=${sid}`, `40{"token":"${ann.token}"}\x1e42["subscribe_queue",{"queue_id":"default"}]`), 'ok');
        assert.match(await ask(`${path}&sid=${sid}`), /^40/);
        const waiting = ask(`${path}&sid=${sid}`);
        await enqueue(ann);
        assert.match(await waiting, /^42\["batch_enqueued"/);
        session.close();
    });
});

describe('live events without the event MPM', () => {
    const server = useServer({ mpm: 'worker' });
    let admin, ann;

    before(async () => {
        server.allowLog(/IMU0313|AH00287/);
        ({ admin, ann } = await people(server));
    });
    afterEach(closeAll);

    test('hold a few threads, never all of them', async () => {
        const all = await faithful(server, ann);
        await hear(all, ann);
        const tries = await Promise.allSettled(Array.from({ length: 60 }, () => connect(server, { token: ann.token, transports: ['websocket'] })));
        assert.ok(tries.some((t) => t.status === 'rejected'), 'there is a limit');
        for (let i = 0; i < 20; i++) {
            assert.equal((await request(`${server.url}/api/v1/auth/status`)).status, 200);
        }
    });
});
