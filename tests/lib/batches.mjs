// Batches for the session queue.
import assert from 'node:assert/strict';

export const QUEUE = '/api/v1/queue/default';

/** A batch of one text node; `data`, `runs`, `destination`, … as in the API. */
export function textBatch({ value = 'hello', prepend = false, ...batch } = {}) {
    return {
        prepend,
        batch: {
            runs: 1,
            graph: { id: 'g', nodes: { text: { id: 'text', type: 'string', value } }, edges: [] },
            ...batch,
        },
    };
}

/** One datum of `batch.data` for the text node. */
export const texts = (...items) => ({ node_path: 'text', field_name: 'value', items });

/** Enqueues and insists on success. @returns {Promise<object>} the answer's body */
export async function enqueue(client, options) {
    const answer = await client.post(`${QUEUE}/enqueue_batch`, textBatch(options));
    assert.equal(answer.status, 201, `enqueue: ${answer.status} ${answer.text.slice(0, 300)}`);
    return answer.body;
}
