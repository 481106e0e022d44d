// Graphs in the shape in which InvokeAI's own client posts them.

const end = (text) => ({ node_id: text.split('.')[0], field: text.split('.')[1] });

/**
 * The body of an enqueue_batch.
 * @param {object} nodes by id; `is_intermediate` and `use_cache` are true unless said
 * @param {string[]} lines edges as 'from.output to.input'
 * @param {object} [data] values of fields, as {'id.field': value}
 */
export function batchOf(nodes, lines, data = {}) {
    const graph = {
        id: 'graph',
        nodes: Object.fromEntries(Object.entries(nodes).map(([id, node]) => [id, { is_intermediate: true, use_cache: true, id, ...node }])),
        edges: lines.map((line) => line.split(' ')).map(([from, to]) => ({ source: end(from), destination: end(to) })),
    };
    const fields = Object.entries(data).map(([name, value]) => [{ node_path: end(name).node_id, field_name: end(name).field, items: [value] }]);
    return { prepend: false, batch: { graph, runs: 1, data: fields, origin: 'generate', destination: 'generate' } };
}
