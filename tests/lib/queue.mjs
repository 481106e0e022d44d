// Jobs for the tests: small graphs, what becomes of them, and the hook that moves them on without a worker.
import assert from 'node:assert/strict';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { until } from './server.mjs';
import { BUILD } from './paths.mjs';

export const QUEUE = '/api/v1/queue/default';

/** A graph of one node that makes a text. */
export function textGraph(value = 'hello') {
    return { id: 'graph', nodes: { text: { id: 'text', type: 'string', value, is_intermediate: true, use_cache: true } }, edges: [] };
}

/** Puts `runs` copies of a graph into the queue. @returns {Promise<number[]>} their item ids */
export async function enqueue(client, { graph = textGraph(), runs = 1, prepend = false, ...batch } = {}) {
    const answer = await client.post(`${QUEUE}/enqueue_batch`, { prepend, batch: { graph, runs, ...batch } });
    assert.equal(answer.status, 201, `enqueue: ${answer.status} ${answer.text.slice(0, 300)}`);
    return answer.body.item_ids;
}

/** One job as `client` sees it. */
export async function item(client, id) {
    const answer = await client.get(`${QUEUE}/i/${id}`);
    assert.equal(answer.status, 200, `item ${id}: ${answer.status} ${answer.text.slice(0, 300)}`);
    return answer.body;
}

/** Waits until a job has one of these states. @returns {Promise<object>} the job */
export async function settled(client, id, states = ['completed', 'failed', 'canceled'], ms) {
    let last;
    return until(async () => {
        last = await item(client, id);
        return states.includes(last.status) && last;
    }, `job ${id} to be ${states.join(' or ')}`, ms).catch((error) => {
        error.message += `; it is ${last?.status} (${last?.error_message})`;
        throw error;
    });
}

/** Moves the clock by which sessions, links and mails of a server with `hook: true` end. */
export async function later(server, seconds) {
    const { code, text } = await hook(server, 'clock', seconds);
    assert.equal(code, 0, text);
}

/** Runs the hook's program. @returns {Promise<{code: number, text: string}>} */
export function hook(server, step, id) {
    return new Promise((resolve, reject) => {
        const child = spawn(path.join(BUILD, 'imu-hook'), [server.run, step, String(id)], { stdio: ['ignore', 'ignore', 'pipe'] });
        let text = '';
        child.stderr.on('data', (data) => (text += data));
        child.on('error', reject);
        child.on('close', (code) => resolve({ code, text }));
    });
}
