// A worker that does what a test says: it speaks docs/worker-protocol.md from the worker's side, and renders nothing. Descriptors can't
// be passed from here, so it makes no pictures.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { randomUUID } from 'node:crypto';
import { until } from './server.mjs';

export const T = {
    RUN: 1, CANCEL: 2, UNLOAD: 3, ACK: 4, PING: 5,
    HELLO: 16, NODE_STARTED: 17, PROGRESS: 18, NODE_COMPLETED: 19, NODE_FAILED: 20, DONE: 21, MODEL_LOAD: 22, PONG: 23, GOODBYE: 24, EVENT: 49,
};

/** The bytes of one frame; a header that is no object is taken as raw bytes. */
export function frame(type, header, payload = Buffer.alloc(0)) {
    const text = Buffer.isBuffer(header) ? header : Buffer.from(JSON.stringify(header));
    const head = Buffer.alloc(9);
    head.writeUInt32BE(5 + text.length + payload.length, 0);
    head.writeUInt8(type, 4);
    head.writeUInt32BE(text.length, 5);
    return Buffer.concat([head, text, payload]);
}

export class FakeWorker {
    /** @param options  name, loaded (model keys), auto (true: runs every job to its end at once), device */
    constructor(path, options = {}) {
        this.path = path;
        this.options = { name: 'fake', loaded: [], device: 'cpu', auto: false, ...options };
        this.running = null;
        this.held = [];
        this.received = [];
        this.runs = [];
        this.seen = 0;
        this.socket = null;
        this.connections = 0;
    }

    async listen() {
        fs.rmSync(this.path, { force: true });
        this.server = net.createServer((socket) => this.accept(socket));
        this.server.listen(this.path);
        await once(this.server, 'listening');
        fs.chmodSync(this.path, 0o666);
        return this;
    }

    accept(socket) {
        let bytes = Buffer.alloc(0);
        this.socket?.destroy();
        this.socket = socket;
        this.connections++;
        socket.on('error', () => {});
        socket.on('close', () => {
            if (this.socket === socket) {
                this.socket = null;
            }
        });
        socket.on('data', (data) => {
            bytes = Buffer.concat([bytes, data]);
            while (bytes.length >= 9 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
                const end = 4 + bytes.readUInt32BE(0);
                const headerEnd = 9 + bytes.readUInt32BE(5);
                this.take(bytes.readUInt8(4), JSON.parse(bytes.subarray(9, headerEnd)));
                bytes = bytes.subarray(end);
            }
        });
        this.send(T.HELLO, this.hello());
        this.held.forEach(([type, header, payload]) => this.send(type, header, payload));
    }

    hello() {
        const { name, device, loaded } = this.options;
        const ref = ({ run_id, item_id }) => ({ run_id, item_id });
        const held = new Map(this.held.map(([, h]) => [h.run_id, ref(h)]));
        return {
            protocol: 1, name, device, device_name: 'Fake', memory_bytes: 1, threads: 1, loaded, nodes: {},
            running: this.running && ref(this.running), held: [...held.values()], ...this.options.hello,
        };
    }

    take(type, header) {
        this.received.push({ type, header });
        if (type === T.PING) {
            this.send(T.PONG, { token: header.token });
        } else if (type === T.ACK) {
            this.held = this.held.filter(([, h]) => h.run_id !== header.run_id || h.seq !== header.seq);
        } else if (type === T.RUN) {
            this.runs.push(header);
            this.running = { run_id: header.run_id, item_id: header.item_id, session: header.session, seq: 0 };
            if (this.options.auto) {
                this.finish();
            }
        } else if (type === T.CANCEL && this.options.obey !== false && this.running?.run_id === header.run_id) {
            this.done('canceled');
        }
    }

    send(type, header, payload) {
        this.socket?.write(Buffer.isBuffer(type) ? type : frame(type, header, payload));
    }

    /** A result, kept until it is acknowledged. */
    result(type, header, payload) {
        const { run_id, item_id } = this.running;
        const whole = { run_id, item_id, seq: ++this.running.seq, ...header };
        this.held.push([type, whole, payload]);
        this.send(type, whole, payload);
    }

    node(extra = {}) {
        const { run_id, item_id, session } = this.running;
        const [source_id, posted] = Object.entries(session.graph.nodes)[0];
        this.running.prepared ??= randomUUID();
        const node_id = this.running.prepared;
        return { run_id, item_id, node_id, source_id, invocation: { ...posted, id: node_id }, ...extra };
    }

    started() {
        this.send(T.NODE_STARTED, this.node());
    }

    progress(percentage = 0.5) {
        const { invocation, ...rest } = this.node();
        this.send(T.PROGRESS, { ...rest, invocation: { id: invocation.id, type: invocation.type }, message: 'Working', step: 1, total: 2, percentage,
            image: { width: 8, height: 8, mime: 'image/jpeg' } }, Buffer.from('not really a picture'));
    }

    completed(value = 'done') {
        const { run_id, item_id, ...node } = this.node();
        this.result(T.NODE_COMPLETED, { ...node, result: { type: 'string_output', value }, images: [] });
    }

    /** Ends the run: 'completed', 'failed' or 'canceled'. */
    done(status = 'completed', extra = {}) {
        const { session, prepared } = this.running;
        const [source_id] = Object.keys(session.graph.nodes);
        const state = {
            ...session, execution_graph: session.graph, executed: [prepared], executed_history: [source_id],
            results: prepared ? { [prepared]: { type: 'string_output', value: 'done' } } : {}, errors: {},
            prepared_source_mapping: prepared ? { [prepared]: source_id } : {}, source_prepared_mapping: prepared ? { [source_id]: [prepared] } : {},
        };
        this.result(T.DONE, { status, session_id: session.id, error_type: null, error_message: null, error_traceback: null, ...extra }, Buffer.from(JSON.stringify(state)));
        this.running = null;
    }

    /** The whole course of a job. */
    finish() {
        this.started();
        this.progress();
        this.completed();
        this.done();
    }

    /** Waits for the next job that no test has asked for yet, or for number `count` since the start. */
    run(count = this.seen + 1, ms) {
        this.seen = count;
        return until(() => this.runs.length >= count && this.runs[count - 1], `RUN number ${count}`, ms);
    }

    /** Waits for a frame that the test describes. */
    heard(type, match = () => true, ms) {
        return until(() => this.received.find((f) => f.type === type && match(f.header)), `frame ${type}`, ms);
    }

    /** Waits until the dispatcher has connected for the `count`th time. */
    connected(count = 1, ms) {
        return until(() => this.connections >= count && this.socket, `connection ${count}`, ms);
    }

    /** Breaks the connection, but goes on running. */
    cut() {
        assert.ok(this.socket, 'connected');
        this.socket.destroy();
        this.socket = null;
    }

    /** Ends like a process that is stopped: says so, waits until it has been heard, and is gone. */
    async leave() {
        const { socket } = this;
        this.send(T.GOODBYE, {});
        // It closes this connection, and soon tries another.
        await until(() => this.socket !== socket, 'the dispatcher to answer GOODBYE');
        this.die();
    }

    /** Ends like a killed process: nothing is left of runs and results. */
    die() {
        this.running = null;
        this.held = [];
        this.socket?.destroy();
        this.socket = null;
        this.server.close();
        fs.rmSync(this.path, { force: true });
    }
}
