// What enqueue_batch refuses before anything is queued, and where it says the fault is. The nodes that the server knows here are those of
// the worker's own declarations; no worker runs.
import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { setupAdmin } from '../lib/users.mjs';
import { QUEUE } from '../lib/batches.mjs';
import { pictureBatch } from '../lib/pictures.mjs';

const end = (text) => {
    const [node_id, field] = text.split('.');
    return { node_id, field };
};
const edge = (from, to) => ({ source: end(from), destination: end(to) });
const node = (id, type, fields = {}) => ({ id, type, ...fields });
/** A batch of these nodes; edges as pairs of "node.field". */
const batch = (nodes, edges = [], more = {}) => ({
    batch: { runs: 1, graph: { id: 'g', nodes: Object.fromEntries(nodes.map((n) => [n.id, n])), edges: edges.map(([from, to]) => edge(from, to)) }, ...more },
});
const datum = (path, ...items) => ({ node_path: end(path).node_id, field_name: end(path).field, items });
const whole = node('a', 'integer', { value: 1 });

describe('enqueueing', () => {
    const server = useServer({ multiuser: true, media: false });
    let admin;

    before(async () => {
        admin = await setupAdmin(server);
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    });
    beforeEach(async () => {
        assert.equal((await admin.put(`${QUEUE}/clear`)).status, 200);
    });
    const enqueue = (body) => admin.post(`${QUEUE}/enqueue_batch`, body);

    const NODES = 'batch graph nodes', EDGES = 'batch graph edges', DATA = 'batch data';
    const refused = {
        'a node of an unknown type': [batch([node('a', 'nope')]), `${NODES} a`, 'union_tag_invalid', /no node of type "nope"/],
        'a node without a type': [batch([{ id: 'a' }]), `${NODES} a`, 'union_tag_not_found', /type/],
        'an id longer than a worker takes': [batch([node('n'.repeat(201), 'integer')]), NODES, 'value_error', /200 bytes/],
        'a text for a whole number': [batch([node('a', 'integer', { value: 'xx' })]), `${NODES} a value`, 'int_type', /integer/],
        'a broken number for a whole one': [batch([node('a', 'integer', { value: 1.5 })]), `${NODES} a value`, 'int_type', /integer/],
        'a text for a number': [batch([node('a', 'float', { value: 'xx' })]), `${NODES} a value`, 'float_type', /number/],
        'a list for a text': [batch([node('a', 'string', { value: ['x'] })]), `${NODES} a value`, 'string_type', /string/],
        'a number for yes or no': [batch([node('a', 'boolean', { value: 7 })]), `${NODES} a value`, 'bool_type', /boolean/],
        'a common field of the wrong type': [batch([{ ...whole, use_cache: 'often' }]), `${NODES} a use_cache`, 'bool_type', /boolean/],
        'null where a value is needed': [batch([node('a', 'add', { b: null })]), `${NODES} a b`, 'null_type', /null/],
        'a word that is no choice': [batch([node('a', 'noise', { noise_type: 'loud' })]), `${NODES} a noise_type`, 'literal_error', /one of '/],
        'too small a number': [batch([node('a', 'noise', { width: -8 })]), `${NODES} a width`, 'greater_than', /greater than 0/],
        'too large a number': [batch([node('a', 'noise', { seed: 4294967296 })]), `${NODES} a seed`, 'less_than_equal', /4294967295/],
        'no multiple of eight': [batch([node('a', 'noise', { width: 13 })]), `${NODES} a width`, 'multiple_of', /multiple of 8/],
        'one value for a list': [batch([node('a', 'integer_collection', { collection: 4 })]), `${NODES} a collection`, 'list_type', /list/],
        'a list with a wrong item': [batch([node('a', 'integer_collection', { collection: [1, 'x'] })]), `${NODES} a collection`, 'int_type', /integer/],
        'a text for a picture': [batch([node('a', 'image', { image: 'x.png' })]), `${NODES} a image`, 'model_type', /image_name/],
        'an edge from a node that is not there': [batch([whole], [['z.value', 'a.value']]), EDGES, 'value_error', /does not exist/],
        'an edge from an output that is not there': [batch([whole, node('b', 'add')], [['a.nope', 'b.a']]), EDGES, 'value_error', /source field "nope".*"a"/],
        'an edge to an input that is not there': [batch([whole, node('b', 'add')], [['a.value', 'b.nope']]), EDGES, 'value_error', /destination field "nope".*"b"/],
        'an edge to what takes none': [batch([node('a', 'boolean'), node('b', 'add')], [['a.value', 'b.use_cache']]), EDGES, 'value_error', /takes no edge/],
        'an edge from an output that is not there to a node that does not run here': [batch([whole, node('b', 'lora_selector')], [['a.nope', 'b.weight']]), EDGES, 'value_error', /"nope"/],
        'an edge to an input that is not there from a node that does not run here': [batch([node('a', 'tomask'), node('b', 'save_image')], [['a.image', 'b.nope']]), EDGES, 'value_error', /"nope"/],
        'an edge to another type': [batch([whole, node('b', 'compel')], [['a.value', 'b.clip']]), EDGES, 'value_error', /types do not match/],
        'a list of texts, gathered, to whole numbers': [batch([node('a', 'string'), node('c', 'collect'), node('b', 'integer_collection')], [['a.value', 'c.item'], ['c.collection', 'b.collection']]), EDGES, 'value_error', /types do not match.*"c"/],
        'a text out of a list to a whole number': [batch([node('r', 'string_collection'), node('i', 'iterate'), node('m', 'mul')], [['r.collection', 'i.collection'], ['i.item', 'm.a']]), EDGES, 'value_error', /types do not match.*"i"/],
        'a collector of pictures and numbers': [batch([node('a', 'image'), node('b', 'integer'), node('c', 'collect')], [['a.image', 'c.item'], ['b.value', 'c.item']]), EDGES, 'value_error', /one type/],
        'two edges into one input': [batch([whole, node('c', 'integer'), node('b', 'add')], [['a.value', 'b.a'], ['c.value', 'b.a']]), EDGES, 'value_error', /one edge/],
        'a cycle': [batch([node('a', 'add'), node('b', 'add')], [['a.value', 'b.a'], ['b.value', 'a.a']]), 'batch graph', 'value_error', /cycles/],
        'nodes as a list': [{ batch: { runs: 1, graph: { nodes: [] } } }, 'batch graph', 'value_error', /nodes/],
        'no graph': [{ batch: { runs: 1 } }, 'batch graph', 'missing', /required/],
        'runs of zero': [batch([whole], [], { runs: 0 }), 'batch runs', 'greater_than_equal', /from 1/],
        'data for a node that is not there': [batch([whole], [], { data: [[datum('z.value', 1)]] }), DATA, 'value_error', /"z" not found in graph/],
        'data for a field that is not there': [batch([whole], [], { data: [[datum('a.nope', 1)]] }), DATA, 'value_error', /"nope" not found in node "a"/],
        'data for what a node is': [batch([whole], [], { data: [[datum('a.type', 'string')]] }), DATA, 'value_error', /"type" not found/],
        'data of the wrong type': [batch([whole], [], { data: [[datum('a.value', 'x', 'y')]] }), `${DATA} a value`, 'int_type', /integer/],
        'data out of range': [batch([node('a', 'noise')], [], { data: [[datum('a.seed', 1, -1)]] }), `${DATA} a seed`, 'greater_than_equal', /or equal to 0/],
        'data of mixed types': [batch([node('a', 'string')], [], { data: [[datum('a.value', 'x', 1)]] }), `${DATA} a value`, 'value_error', /same type/],
    };
    for (const [what, [body, loc, type, msg]] of Object.entries(refused)) {
        test(`${what} is refused, and the answer says where it is`, async () => {
            const answer = await enqueue(body);
            assert.equal(answer.status, 422, answer.text.slice(0, 300));
            assert.equal(answer.body.detail.length, 1, answer.text.slice(0, 600));
            const [fault] = answer.body.detail;
            assert.deepEqual([fault.loc, fault.type], [['body', ...loc.split(' ')], type]);
            assert.match(fault.msg, msg);
            assert.equal((await admin.get(`${QUEUE}/status`)).body.queue.pending, 0);
        });
    }

    test('a graph with several faults names each of them', async () => {
        const answer = await enqueue(batch([node('a', 'integer', { value: 'x' }), node('b', 'add', { a: 'x', b: [] }), node('c', 'nope')]));
        assert.deepEqual(answer.body.detail.map((fault) => fault.loc.slice(4).join('.')), ['a.value', 'b.a', 'b.b', 'c']);
    });

    const taken = {
        'fields that a node does not declare': batch([{ ...whole, notes: 'mine', version: 3 }]),
        'numbers that fit another type': batch([node('a', 'float', { value: 5 }), node('b', 'integer', { value: 5.0 }), node('c', 'string', { value: 5 })]),
        'many edges into a collector': batch([whole, node('b', 'integer'), node('c', 'collect')], [['a.value', 'c.item'], ['b.value', 'c.item']]),
        'whole numbers, gathered and gone through, to a number': batch(
            [whole, node('c', 'collect'), node('d', 'collect'), node('i', 'iterate'), node('f', 'float')],
            [['a.value', 'c.item'], ['c.collection', 'd.collection'], ['d.collection', 'i.collection'], ['i.item', 'f.value']],
        ),
        'collectors of collectors': batch([whole, node('c', 'collect'), node('d', 'collect')], [['a.value', 'c.item'], ['c.collection', 'd.item']]),
        'a list through an iteration': batch([node('r', 'range'), node('i', 'iterate'), node('m', 'mul')], [['r.collection', 'i.collection'], ['i.item', 'm.a']]),
        'a whole number into a text': batch([whole, node('b', 'string')], [['a.value', 'b.value']]),
        'metadata under names of its own': batch([whole, node('m', 'core_metadata', { ref_images: [], any: { thing: 1 } })], [['a.value', 'm.whatever']]),
        'required inputs that are missing': batch([node('a', 'l2i'), node('b', 'image')]),
        'pictures as data': batch([node('a', 'image')], [], { data: [[datum('a.image', { image_name: 'x.png' }, { image_name: 'y.png' })]] }),
        'lists as data': batch([node('a', 'integer_collection')], [], { data: [[datum('a.collection', [1, 2], [3])]] }),
        'nodes that clients know and the worker does not':
            batch([whole, node('b', 'unsharp_mask', { radius: 2 }), node('c', 'save_image')], [['a.value', 'b.strength'], ['b.image', 'c.image']], { data: [[datum('b.radius', 1, 2)]] }),
        'no nodes at all': batch([]),
        'the graph of a picture': pictureBatch({ key: 'k', hash: 'h', name: 'm', base: 'sd-1', type: 'main' }, { prompt: 'a fox', seeds: [1, 2] }),
    };
    for (const [what, body] of Object.entries(taken)) {
        test(`${what} can be queued`, async () => {
            const answer = await enqueue(body);
            assert.equal(answer.status, 201, answer.text.slice(0, 300));
        });
    }
});
