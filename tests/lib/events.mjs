// Live events for the tests: a recording socket.io client, and a browser's end of a WebSocket that may misbehave.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import net from 'node:net';
import path from 'node:path';
import { io } from 'socket.io-client';
import { frame, T } from './fake-worker.mjs';
import { WAIT_MS } from './waits.mjs';

const open = new Set();

/** Closes what is still open; call after each test. */
export function closeAll() {
    for (const each of open) {
        each.close();
    }
    open.clear();
}

/** Waits for `probe` to answer something true, looking again whenever `source.poke()` is called. */
function waitFor(source, probe, what, ms = WAIT_MS) {
    return new Promise((resolve, reject) => {
        const look = () => {
            const found = probe();
            if (found) {
                clearTimeout(timer);
                source.waiters.delete(look);
                resolve(found);
            }
        };
        const timer = setTimeout(() => {
            source.waiters.delete(look);
            reject(new Error(`waited ${ms} ms in vain for ${what}`));
        }, ms);
        source.waiters.add(look);
        look();
    });
}

/** What one socket.io client hears. */
export class Listener {
    constructor(socket) {
        this.socket = socket;
        this.events = [];
        this.waiters = new Set();
        this.ended = null;
        this.connects = 0;
        socket.onAny((name, data) => this.note(() => this.events.push({ name, data })));
        socket.on('connect', () => this.note(() => this.connects++));
        socket.on('disconnect', (reason) => this.note(() => (this.ended = reason)));
        open.add(this);
    }
    note(change) {
        change();
        for (const look of [...this.waiters]) {
            look();
        }
    }
    all(name) {
        return this.events.filter((e) => e.name === name).map((e) => e.data);
    }
    /** The first event of that name, past or future, that matches. */
    heard(name, match = () => true, ms) {
        return waitFor(this, () => this.all(name).find(match), `the event ${name}`, ms);
    }
    /** Why the server ended the connection. */
    dropped(ms) {
        return waitFor(this, () => this.ended, 'the connection to be closed', ms);
    }
    connected(times = 1, ms) {
        return waitFor(this, () => this.connects >= times, `${times} connections`, ms);
    }
    upgraded(ms) {
        const engine = this.socket.io.engine;
        engine.on('upgrade', () => this.note(() => {}));
        return waitFor(this, () => engine.transport.name === 'websocket', 'the upgrade to a WebSocket', ms);
    }
    subscribe(queue = 'default') {
        this.socket.emit('subscribe_queue', { queue_id: queue });
        return this;
    }
    text() {
        return JSON.stringify(this.events);
    }
    close() {
        this.socket.disconnect();
    }
}

/** Connects; rejects with the server's refusal. options: token, header (send it there), transports, reconnection */
export function connect(server, { token, header = false, transports = ['polling', 'websocket'], reconnection = false } = {}) {
    const socket = io(server.url, {
        path: '/ws/socket.io',
        transports,
        reconnection,
        reconnectionDelay: 50,
        reconnectionDelayMax: 300,
        forceNew: true,
        timeout: WAIT_MS,
        rejectUnauthorized: false,
        ...(token && !header ? { auth: { token } } : {}),
        ...(token && header ? { extraHeaders: { Authorization: `Bearer ${token}` } } : {}),
    });
    const listener = new Listener(socket);
    return new Promise((resolve, reject) => {
        socket.once('connect', () => resolve(listener));
        socket.once('connect_error', (error) => {
            if (!reconnection) {
                listener.close();
                reject(error);
            }
        });
    });
}

/** Connects and listens to the queue. Resolves when the server has taken the subscription. */
export async function listen(server, client, options) {
    const listener = await connect(server, { token: client?.token, ...options });
    listener.subscribe();
    await settle(listener);
    return listener;
}

/** Resolves when the server has handled all that was sent before, and all it sent before has arrived. */
export function settle(listener) {
    return listener.socket.timeout(WAIT_MS).emitWithAck('settle');
}

/** Publishes events as a child of httpd does: [{name, owner, data}]. */
export function publish(server, events) {
    return new Promise((resolve, reject) => {
        const socket = net.connect(path.join(server.run, 'dispatch.sock'));
        const frames = events.map(({ name, owner, data }) => frame(T.EVENT, { name, owner }, Buffer.from(JSON.stringify(data))));
        socket.on('error', reject).on('close', resolve).resume();
        socket.end(Buffer.concat(frames));
    });
}

/** A browser's end of a WebSocket, byte by byte; `from` is the local address. */
export class RawSocket {
    constructor(server, { path = '/ws/socket.io/?EIO=4&transport=websocket', headers = {}, from } = {}) {
        const all = {
            Host: `127.0.0.1:${server.port}`,
            Upgrade: 'websocket',
            Connection: 'Upgrade',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': crypto.randomBytes(16).toString('base64'),
            ...headers,
        };
        this.waiters = new Set();
        this.data = Buffer.alloc(0);
        this.ended = false;
        this.key = all['Sec-WebSocket-Key'];
        this.socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress: from });
        this.socket.on('data', (data) => this.note(() => (this.data = Buffer.concat([this.data, data]))));
        this.socket.on('end', () => this.note(() => (this.ended = true)));
        this.socket.on('close', () => this.note(() => (this.ended = true)));
        this.socket.on('error', () => this.note(() => (this.ended = true)));
        const lines = Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
        this.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
        open.add(this);
    }
    note(change) {
        change();
        for (const look of [...this.waiters]) {
            look();
        }
    }
    /** The status of the answer; what follows its header stays in `data`. */
    async status() {
        const at = await waitFor(this, () => this.data.indexOf('\r\n\r\n') + 1, 'an answer');
        this.head = this.data.subarray(0, at - 1).toString('latin1');
        this.data = this.data.subarray(at + 3);
        return Number(this.head.split(' ')[1]);
    }
    frame(opcode, data, { fin = true, mask = true } = {}) {
        const body = Buffer.from(data);
        const length = body.length < 126 ? Buffer.of(body.length) : Buffer.of(126, body.length >> 8, body.length & 255);
        const key = mask ? crypto.randomBytes(4) : Buffer.alloc(0);
        length[0] |= mask ? 0x80 : 0;
        const masked = Buffer.from(body.map((byte, i) => (mask ? byte ^ key[i & 3] : byte)));
        return Buffer.concat([Buffer.of((fin ? 0x80 : 0) | opcode), length, key, masked]);
    }
    send(text) {
        this.socket.write(this.frame(1, text));
    }
    take() {
        if (this.data.length < 2) {
            return null;
        }
        const short = this.data[1] & 127;
        const [length, head] = short < 126 ? [short, 2] : short === 126 ? [this.data.length >= 4 ? this.data.readUInt16BE(2) : Infinity, 4] : [this.data.length >= 10 ? Number(this.data.readBigUInt64BE(2)) : Infinity, 10];
        if (this.data.length < head + length) {
            return null;
        }
        const frame = { opcode: this.data[0] & 15, body: this.data.subarray(head, head + length) };
        this.data = this.data.subarray(head + length);
        return frame;
    }
    /** The next frame: {opcode, body}. */
    next(ms) {
        return waitFor(this, () => this.take(), 'a frame', ms);
    }
    async text(ms) {
        const frame = await this.next(ms);
        assert.equal(frame.opcode, 1);
        return frame.body.toString('utf8');
    }
    /** The code of the close frame that comes, whatever comes before it. Answers it, as a browser does. */
    async closeCode(ms) {
        for (;;) {
            const frame = await this.next(ms);
            if (frame.opcode === 8) {
                this.socket.write(this.frame(8, frame.body));
                return frame.body.readUInt16BE(0);
            }
        }
    }
    end(ms) {
        return waitFor(this, () => this.ended, 'the end of the connection', ms);
    }
    close() {
        this.socket.destroy();
    }
}
