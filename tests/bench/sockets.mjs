// Many idle event sockets, and how long an event takes to reach its owner among them.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { QUEUE, textGraph } from '../lib/queue.mjs';
import { until } from '../lib/server.mjs';

// The WebSocket library that socket.io-client brings along.
const require = createRequire(import.meta.resolve('engine.io-client'));
const WebSocket = require('ws');
const SAMPLES = 300;

/** Proportional share of memory of processes, in KiB: shared pages are divided among those who share them. */
export function memory(pids) {
    const one = (pid) => Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
    return pids.reduce((sum, pid) => sum + one(pid), 0);
}

/** A signed-in Socket.IO client in as few bytes as possible. `heard` is called with each event's text. */
function connect(server, token, { subscribe = false, heard = () => {} } = {}) {
    const url = `${server.url.replace(/^http/, 'ws')}/ws/socket.io/?EIO=4&transport=websocket`;
    return new Promise((resolve, reject) => {
        const socket = new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false });
        socket.on('error', reject);
        socket.on('close', () => reject(new Error('the server closed a socket')));
        socket.on('message', (data) => {
            const text = data.toString();
            if (text === '2') {
                socket.send('3');
            } else if (text[0] === '0') {
                socket.send(`40${JSON.stringify({ token })}`);
            } else if (text.startsWith('40')) {
                if (subscribe) {
                    socket.send('42["subscribe_queue",{"queue_id":"default"}]');
                }
                resolve(socket);
            } else if (text.startsWith('44')) {
                reject(new Error(`refused: ${text}`));
            } else {
                heard(text);
            }
        });
    });
}

async function connectMany(server, token, count, options) {
    const sockets = [];
    while (sockets.length < count) {
        const some = Array.from({ length: Math.min(50, count - sockets.length) }, () => connect(server, token, options));
        sockets.push(...(await Promise.all(some)));
    }
    return sockets;
}

function threads(pid) {
    return Number(/^Threads:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

/** Time from sending a request to the event that it causes, for its owner, in ms: sorted. */
async function delays(server, owner) {
    let arrived = null;
    const socket = await connect(server, owner.token, {
        subscribe: true,
        heard: (text) => text.startsWith('42["batch_enqueued"') && arrived?.(performance.now()),
    });
    const found = [];
    for (let i = 0; i < SAMPLES; i++) {
        const event = new Promise((resolve) => (arrived = resolve));
        const begin = performance.now();
        const answer = await owner.post(`${QUEUE}/enqueue_batch`, { batch: { graph: textGraph(), runs: 1 } });
        if (answer.status !== 201) {
            throw new Error(`enqueue: ${answer.status} ${answer.text}`);
        }
        found.push((await event) - begin);
    }
    socket.removeAllListeners('close');
    socket.terminate();
    return found.sort((a, b) => a - b);
}

/** @returns {Promise<object>} threads of a child, KiB for each socket, delays in ms without and with listeners besides the owner */
export async function measureSockets(server, admin, owner, count) {
    await admin.put(`${QUEUE}/processor/pause`);
    const processes = () => {
        const { httpd, children, dispatcher } = server.pids();
        return [httpd, dispatcher, ...children];
    };
    await delays(server, owner);
    const before = memory(processes());
    const idle = await connectMany(server, admin.token, count);
    const kib = (memory(processes()) - before) / count;
    const alone = await delays(server, owner);
    const most = Math.max(...server.pids().children.map(threads));
    idle.forEach((socket) => socket.send('42["subscribe_queue",{"queue_id":"default"}]'));
    await until(async () => (await admin.get('/api/v1/auth/me')).status === 200, 'the server to catch up');
    const crowd = await delays(server, owner);
    idle.forEach((socket) => {
        socket.removeAllListeners('close');
        socket.terminate();
    });
    return {
        threads: most,
        kib,
        p50: quantile(alone, 0.5),
        p99: quantile(alone, 0.99),
        all50: quantile(crowd, 0.5),
        all99: quantile(crowd, 0.99),
    };
}
