// Many idle event sockets, and how long an event takes to reach its owner among them.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { QUEUE, textGraph } from '../lib/queue.mjs';
import { until } from '../lib/server.mjs';
import { connect, end, subscribe } from './socket.mjs';

const SAMPLES = 300;
/** Between two events when all sockets listen: what two jobs that run beside each other report in a second. */
const CROWD_PAUSE_MS = 200;
const CROWD_SAMPLES = 100;

/** Proportional share of memory of processes, in KiB: shared pages are divided among those who share them. */
export function memory(pids) {
    const one = (pid) => Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
    return pids.reduce((sum, pid) => sum + one(pid), 0);
}

function threads(pid) {
    return Number(/^Threads:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

/** Time from sending a request to the event that it causes, for its owner, in ms: sorted. */
async function delays(server, owner, samples, wait = 0) {
    const agent = new (server.url.startsWith('https:') ? https : http).Agent({ keepAlive: true, maxSockets: 1 });
    let arrived = null;
    const socket = await connect(server.url, owner.token, (text) => text.startsWith('42["batch_enqueued"') && arrived?.(performance.now()));
    const found = [];
    subscribe(socket);
    for (let i = 0; i < samples; i++) {
        const event = new Promise((resolve) => (arrived = resolve));
        const begin = performance.now();
        const answer = await owner.post(`${QUEUE}/enqueue_batch`, { batch: { graph: textGraph(), runs: 1 } }, { agent });
        if (answer.status !== 201) {
            throw new Error(`enqueue: ${answer.status} ${answer.text}`);
        }
        found.push((await event) - begin);
        await pause(wait);
    }
    end(socket);
    agent.destroy();
    return found.sort((a, b) => a - b);
}

/** Idle sockets in a process of their own: tell() orders something and waits until it is done. */
function crowd() {
    const child = fork(new URL('./crowd.mjs', import.meta.url));
    const ended = once(child, 'exit').then(() => {
        throw new Error('the process with the idle sockets ended');
    });
    ended.catch(() => {});
    return {
        async tell(order) {
            const done = once(child, 'message');
            child.send(order);
            await Promise.race([done, ended]);
        },
        async stop() {
            child.disconnect();
            await ended.catch(() => {});
        },
    };
}

/** @returns {Promise<object>} threads of a child with and without the sockets, KiB for each socket, delays in ms without and with listeners besides the owner */
export async function measureSockets(server, admin, owner, count) {
    await admin.put(`${QUEUE}/processor/pause`);
    const processes = () => {
        const { httpd, children, dispatcher } = server.pids();
        return [httpd, dispatcher, ...children];
    };
    const most = () => Math.max(...server.pids().children.map(threads));
    await delays(server, owner, SAMPLES);
    const before = memory(processes());
    const threadsWithout = most();
    const idle = crowd();
    await idle.tell({ base: server.url, token: admin.token, count });
    const kib = (memory(processes()) - before) / count;
    const alone = await delays(server, owner, SAMPLES);
    const threadsWith = most();
    await idle.tell('subscribe');
    await until(async () => (await admin.get('/api/v1/auth/me')).status === 200, 'the server to catch up');
    const among = await delays(server, owner, CROWD_SAMPLES, CROWD_PAUSE_MS);
    await idle.stop();
    return {
        threads: threadsWith,
        threadsWithout,
        kib,
        p50: quantile(alone, 0.5),
        p99: quantile(alone, 0.99),
        all50: quantile(among, 0.5),
        all99: quantile(among, 0.99),
    };
}
