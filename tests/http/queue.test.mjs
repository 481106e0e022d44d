// The session queue over HTTP: what a batch becomes, who sees what of it, who may change it. No worker runs here and the queue is
// paused, so every item stays where the test put it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { before, beforeEach, describe, test } from 'node:test';
import { Client } from '../lib/http.mjs';
import { SANITIZED } from '../lib/paths.mjs';
import { until, useServer } from '../lib/server.mjs';
import { addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';
import { enqueue, QUEUE, textBatch, texts } from '../lib/batches.mjs';

const MIB = 1024 * 1024;

describe('the session queue', () => {
    const server = useServer({ multiuser: true, media: false });
    let admin, ann, ben;

    before(async () => {
        admin = await setupAdmin(server);
        ann = await addUser(admin, 'Ann');
        ben = await addUser(admin, 'Ben');
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    });
    beforeEach(async () => {
        assert.equal((await admin.put(`${QUEUE}/clear`)).status, 200);
    });

    const ok = async (answer, status = 200) => {
        const got = await answer;
        assert.equal(got.status, status, got.text.slice(0, 400));
        return got.body;
    };
    const item = (client, id) => client.get(`${QUEUE}/i/${id}`);
    const values = async (client) => (await ok(client.get(`${QUEUE}/list_all`))).map((i) => i.session.graph.nodes.text.value);

    test('ids can be asked for of one’s own jobs alone', async () => {
        const { item_ids: own } = await enqueue(ann);
        await enqueue(ben);
        assert.deepEqual(await ok(ann.get(`${QUEUE}/item_ids?mine=true`)), { item_ids: own, total_count: 1 });
        assert.deepEqual(await ok(admin.get(`${QUEUE}/item_ids?mine=true`)), { item_ids: [], total_count: 0 });
        assert.equal((await ok(ann.get(`${QUEUE}/item_ids`))).total_count, 2);
    });

    test('how many jobs come before each waiting one: of one’s own, counting everybody’s, as the turns go', async () => {
        const places = async (who, query = 'mine=true&') => (await ok(who.get(`${QUEUE}/item_ids?${query}places=true`))).jobs_before;
        const { item_ids: [a, b, c] } = await enqueue(ann, { runs: 3 });
        const { item_ids: [d] } = await enqueue(ben);
        assert.deepEqual(await places(ann), { [a]: 0, [b]: 2, [c]: 3 });
        assert.deepEqual(await places(ben), { [d]: 1 });
        assert.deepEqual(await places(ben, ''), { [d]: 1 }, 'nothing of others without "mine" either');
        assert.deepEqual(await places(admin), {});
        const lists = async (query) => Object.values(await ok(ben.get(`${QUEUE}/item_ids?${query}places=true`))).filter(Array.isArray);
        assert.deepEqual(await lists('mine=true&'), [[d], [], [d]]);
        assert.deepEqual(await lists(''), [[d, c, b, a], [], [a, b, c, d]], 'ids and states are everybody’s, turns are not');
        assert.deepEqual(await places(admin, ''), { [a]: 0, [b]: 2, [c]: 3, [d]: 1 });
        await ok(ann.put(`${QUEUE}/i/${a}/cancel`));
        assert.deepEqual([await places(ann), await places(ben)], [{ [b]: 0, [c]: 2 }, { [d]: 1 }]);
        await ok(admin.patch(`/api/v1/auth/users/${ben.user.user_id}`, { is_active: false }));
        assert.deepEqual(await places(ann), { [b]: 0, [c]: 1 }, 'jobs that nobody will run are not before it');
        await ok(admin.patch(`/api/v1/auth/users/${ben.user.user_id}`, { is_active: true }));
        ben = await login(server, 'ben@example.com', PASSWORD);
        assert.equal((await ok(ann.get(`${QUEUE}/item_ids?mine=true`))).jobs_before, undefined);
        assert.equal((await ann.get(`${QUEUE}/item_ids?places=maybe`)).status, 422);
    });

    test('what a deleted account left waiting stands in the list as in the counts, without a place, in nobody’s way', async () => {
        const { item_ids: [left] } = await enqueue(ben);
        const { item_ids: [own] } = await enqueue(ann);
        const id = ben.user.user_id;
        server.sql(`UPDATE users SET is_active = 0 WHERE user_id = '${id}'`);
        try {
            const ids = await ok(admin.get(`${QUEUE}/item_ids?places=true`));
            assert.deepEqual([ids.pending, ids.jobs_before], [[left, own], { [own]: 0 }]);
            assert.equal((await ok(admin.get(`${QUEUE}/status`))).queue.pending, 2);
            await ok(admin.put(`${QUEUE}/i/${left}/cancel`));
            assert.deepEqual((await ok(admin.get(`${QUEUE}/item_ids?places=true`))).pending, [own]);
        } finally {
            server.sql(`UPDATE users SET is_active = 1 WHERE user_id = '${id}'`);
        }
    });

    test('nothing is queued for an account that is suspended, by nobody', async () => {
        const { item_ids: [id] } = await enqueue(ben);
        await ok(admin.patch(`/api/v1/auth/users/${ben.user.user_id}`, { is_active: false }));
        assert.equal((await ok(item(admin, id))).status, 'canceled');
        const again = await admin.put(`${QUEUE}/retry_items_by_id`, [id]);
        assert.equal(again.status, 409, again.text);
        assert.match(again.body.detail, /suspended/);
        assert.equal((await ok(admin.get(`${QUEUE}/status`))).queue.pending, 0);
        await ok(admin.patch(`/api/v1/auth/users/${ben.user.user_id}`, { is_active: true }));
        ben = await login(server, 'ben@example.com', PASSWORD);
        assert.deepEqual((await ok(ben.put(`${QUEUE}/retry_items_by_id`, [id]))).retried_item_ids, [id]);
    });

    test('who is suspended while batches of theirs come in has none waiting afterwards', async () => {
        for (let round = 0; round < 3; round++) {
            const sent = Array.from({ length: 6 }, () => ben.post(`${QUEUE}/enqueue_batch`, textBatch({ runs: 200 })));
            await Promise.any(sent);
            await ok(admin.patch(`/api/v1/auth/users/${ben.user.user_id}`, { is_active: false }));
            for (const answer of await Promise.all(sent))
                assert.ok([201, 401].includes(answer.status), answer.text.slice(0, 300));
            assert.equal((await ok(admin.get(`${QUEUE}/status`))).queue.pending, 0);
            await ok(admin.patch(`/api/v1/auth/users/${ben.user.user_id}`, { is_active: true }));
            ben = await login(server, 'ben@example.com', PASSWORD);
        }
    });

    describe('a batch', () => {
        test('is one pending item without data', async () => {
            const made = await enqueue(ann);
            assert.deepEqual([made.enqueued, made.requested, made.item_ids.length, made.queue_id], [1, 1, 1, 'default']);
            const got = await ok(item(ann, made.item_ids[0]));
            assert.deepEqual([got.status, got.user_id, got.user_email, got.batch_id], ['pending', ann.user.user_id, ann.user.email, made.batch.batch_id]);
            assert.equal(got.session.graph.nodes.text.value, 'hello');
            assert.deepEqual(got.session.executed, []);
            assert.equal(got.field_values, null);
        });

        const graph = (nodes, edges = []) => ({ id: 'g', nodes, edges });
        const parts = { id: 'text', type: 'string_join_three' };
        const part = (which, ...items) => ({ node_path: 'text', field_name: `string_${which}`, items });

        test('zips within a group, multiplies groups, and repeats the whole for each run', async () => {
            const data = [[part('left', 'a', 'b'), part('middle', '1', '2')], [part('right', 'x', 'y', 'z')]];
            const made = await enqueue(ann, { graph: graph({ text: parts }), data, runs: 2 });
            assert.deepEqual([made.enqueued, made.requested], [12, 12]);
            const nodes = (await ok(ann.get(`${QUEUE}/list_all`))).map((i) => i.session.graph.nodes.text);
            const one = ['a1x', 'a1y', 'a1z', 'b2x', 'b2y', 'b2z'];
            assert.deepEqual(nodes.map((n) => `${n.string_left}${n.string_middle}${n.string_right}`), [...one, ...one]);
        });

        test('with a group of nothing makes nothing', async () => {
            for (const data of [[[texts()]], [[]], [[texts('a', 'b')], []]]) {
                const made = await enqueue(ann, { data, runs: 3 });
                assert.deepEqual([made.enqueued, made.requested, made.item_ids], [0, 0, []], JSON.stringify(data));
            }
            assert.equal((await enqueue(ann, { data: [], runs: 3 })).enqueued, 3);
        });

        test('keeps the values it put in, by node and field', async () => {
            const made = await enqueue(ann, { data: [[texts('only')]] });
            const got = await ok(item(ann, made.item_ids[0]));
            assert.deepEqual(got.field_values, [{ node_path: 'text', field_name: 'value', value: 'only' }]);
        });

        test('with prepend goes before what the same person already waits for', async () => {
            await enqueue(ann, { value: 'first' });
            await enqueue(ann, { value: 'urgent', prepend: true });
            await enqueue(ann, { value: 'most urgent', prepend: true });
            assert.deepEqual(await values(ann), ['most urgent', 'urgent', 'first']);
        });

        test('larger than the queue has room for is taken in part, and says so', async () => {
            const data = [[texts(...Array.from({ length: 5001 }, (_, i) => `${i}`))]];
            const made = await enqueue(ann, { data, runs: 2 });
            assert.deepEqual([made.enqueued, made.requested, made.item_ids.length], [10000, 10002, 10000]);
            const more = await enqueue(ann);
            assert.deepEqual([more.enqueued, more.requested], [0, 1]);
            const elsewhere = await ok(ann.post('/api/v1/queue/another/enqueue_batch', textBatch()), 201);
            assert.equal(elsewhere.enqueued, 0, 'another name of a queue makes no more room');
            assert.equal((await enqueue(ben)).enqueued, 1, 'nobody fills the queue for others');
        });

        test('whose jobs are too large together is refused as a whole', async () => {
            const answer = await ann.post(`${QUEUE}/enqueue_batch`, textBatch({ workflow: { note: 'x'.repeat(MIB * 1.9) }, runs: 150 }));
            assert.equal(answer.status, 413, answer.text.slice(0, 300));
            assert.match(answer.body.detail, /256 MiB/);
            assert.equal(server.sql('SELECT COUNT(*) AS n FROM session_queue')[0].n, 0);
            assert.equal((await ok(ann.get(`${QUEUE}/status`))).queue.pending, 0);
        });

        test('stored in many pieces lets others write in between, and appears at once', async () => {
            const value = 'x'.repeat(20000);
            let done = false;
            const large = enqueue(ann, { value, runs: 5000, workflow: { note: 'n' } }).finally(() => (done = true));
            const seen = new Set();
            let boards = 0;
            while (!done) {
                assert.equal((await ben.post('/api/v1/boards/?board_name=meanwhile')).status, 201);
                seen.add((await ok(ben.get(`${QUEUE}/status`))).queue.total);
                boards += done ? 0 : 1;
            }
            const made = await large;
            assert.deepEqual([made.enqueued, made.item_ids.length], [5000, 5000]);
            assert.ok(boards >= 5, `${boards} boards`);
            assert.deepEqual([...seen].filter((n) => n !== 0 && n !== 5000), []);
            const rows = (status) => assert.deepEqual(server.sql('SELECT queue_id, status, COUNT(*) AS n FROM session_queue GROUP BY 1, 2'), [{ queue_id: 'default', status, n: 5000 }]);
            rows('pending');
            assert.equal((await ok(ann.put(`${QUEUE}/cancel_all_except_current`))).canceled, 5000);
            rows('canceled');
        });

        test('lets others write in between when it goes with its account', async () => {
            const carl = await addUser(admin, 'Carl');
            const { user_id } = await ok(carl.get('/api/v1/auth/me'));
            const made = await enqueue(carl, { value: 'x'.repeat(20000), runs: 3000 });
            assert.equal(made.enqueued, 3000);
            let done = false;
            const left = new Set();
            const gone = admin.delete(`/api/v1/users/${user_id}`).finally(() => (done = true));
            while (!done) {
                assert.equal((await ben.post('/api/v1/boards/?board_name=meanwhile')).status, 201);
                left.add((await ok(ben.get(`${QUEUE}/status`))).queue.total);
            }
            assert.equal((await gone).status, 200);
            assert.ok([...left].some((n) => n > 0 && n < 3000), `only ${[...left]} were seen`);
            assert.equal(server.sql(`SELECT COUNT(*) AS n FROM session_queue WHERE user_id = '${user_id}'`)[0].n, 0);
            assert.equal((await carl.get('/api/v1/auth/me')).status, 401);
        });

        test('with a job that is too large is refused, wherever its bytes are', async () => {
            const half = 'x'.repeat(512 * 1024);
            for (const batch of [{ value: half + half }, { workflow: { note: 'x'.repeat(2 * MIB) } }, { data: [[texts(half, 'short')]] }]) {
                const answer = await ann.post(`${QUEUE}/enqueue_batch`, textBatch(batch));
                assert.equal(answer.status, 413, answer.text.slice(0, 300));
                assert.match(answer.body.detail, /1024 KiB.*2048 KiB/);
            }
            assert.equal((await ok(ann.get(`${QUEUE}/status`))).queue.pending, 0);
        });

        test('with as many nodes and edges as are allowed is checked at once', async () => {
            const nodes = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`n${i}`, { id: `n${i}`, type: 'core_metadata' }]));
            const edges = Array.from({ length: 10000 }, (_, i) => ({
                source: { node_id: `n${i % 1999}`, field: 'metadata' },
                destination: { node_id: `n${(i % 1999) + 1}`, field: 'abcdef'[Math.floor(i / 1999)] },
            }));
            const start = server.cpuMs();
            await ok(ann.post(`${QUEUE}/enqueue_batch`, { batch: { runs: 1, graph: graph(nodes, edges) } }), 201);
            const took = server.cpuMs() - start;
            assert.ok(took < 2000, `it took ${took} ms of processor time`);
            edges.push({ source: { node_id: 'n1999', field: 'metadata' }, destination: { node_id: 'n0', field: 'a' } });
            edges.shift();
            await ok(ann.post(`${QUEUE}/enqueue_batch`, { batch: { runs: 1, graph: graph(nodes, edges) } }), 422);
        });

        test('puts several values into one node', async () => {
            await enqueue(ann, { graph: graph({ text: parts }), data: [[part('left', 'a', 'b'), part('middle', 1, 2)], [part('right', 'x', 'y')]] });
            const made = (await ok(ann.get(`${QUEUE}/list_all`))).map((i) => i.session.graph.nodes.text);
            const found = made.map((n) => [n.string_left, n.string_middle, n.string_right]);
            assert.deepEqual(found, [['a', 1, 'x'], ['a', 1, 'y'], ['b', 2, 'x'], ['b', 2, 'y']]);
        });

        const edge = (from, to) => ({ source: { node_id: from, field: 'value' }, destination: { node_id: to, field: 'value' } });
        const node = (id) => ({ id, type: 'string' });
        const refused = {
            'no batch': {},
            'a batch that is a list': { batch: [] },
            'no graph': { batch: { runs: 1 } },
            'runs of zero': textBatch({ runs: 0 }),
            'runs as text': textBatch({ runs: '2' }),
            'more runs than anybody needs': textBatch({ runs: 1e9 }),
            'a node without a type': textBatch({ graph: graph({ a: { id: 'a' } }) }),
            'a node under another id': textBatch({ graph: graph({ a: node('b') }) }),
            'an edge to nowhere': textBatch({ graph: graph({ a: node('a') }, [edge('a', 'z')]) }),
            'an edge without ends': textBatch({ graph: graph({ a: node('a') }, [{}]) }),
            'a cycle': textBatch({ graph: graph({ a: node('a'), b: node('b') }, [edge('a', 'b'), edge('b', 'a')]) }),
            'a node that feeds itself': textBatch({ graph: graph({ a: node('a') }, [edge('a', 'a')]) }),
            'nodes as a list': textBatch({ graph: { id: 'g', nodes: [], edges: [] } }),
            'zipped lists of different length': textBatch({ data: [[part('left', 'a'), part('right', 'x', 'y')]], graph: graph({ text: parts }) }),
            'values of mixed type': textBatch({ data: [[texts('a', 1)]] }),
            'the same field twice': textBatch({ data: [[texts('a')], [texts('b')]] }),
            'data for a node that is not there': textBatch({ data: [[{ node_path: 'ghost', field_name: 'value', items: ['a'] }]] }),
            'data that turns a node into another': textBatch({ data: [[{ node_path: 'text', field_name: 'type', items: ['l2i'] }]] }),
            'data that is no list of lists': textBatch({ data: [{ node_path: 'text' }] }),
            'an origin that is a number': textBatch({ origin: 7 }),
            'more sessions than a queue can hold': textBatch({ data: ['left', 'middle', 'right'].map((which) => [part(which, ...Array(9000).fill('a'))]), graph: graph({ text: parts }) }),
        };
        for (const [what, body] of Object.entries(refused)) {
            test(`with ${what} is refused and queues nothing`, async () => {
                const answer = await ann.post(`${QUEUE}/enqueue_batch`, body);
                assert.equal(answer.status, 422, answer.text.slice(0, 300));
                assert.ok(answer.body.detail.length > 0);
                for (const fault of answer.body.detail) {
                    assert.equal(fault.loc[0], 'body');
                    assert.equal(typeof fault.msg, 'string');
                    assert.equal(typeof fault.type, 'string');
                }
                assert.equal((await ok(admin.get(`${QUEUE}/item_ids`))).total_count, 0);
            });
        }

        test('is refused as a whole when it is no JSON', async () => {
            const answer = await ann.send('POST', `${QUEUE}/enqueue_batch`, { body: '{"batch":', headers: { 'content-type': 'application/json' } });
            assert.equal(answer.status, 422);
            assert.equal(answer.body.detail[0].type, 'json_invalid');
        });
    });

    describe('other people', () => {
        test('see that there is a job, and nothing of what it is', async () => {
            const secret = 'a cat nobody else should know of';
            const made = await enqueue(ann, { value: secret, data: [[texts(secret)]], origin: 'o-secret', destination: 'd-secret', workflow: { name: secret } });
            const id = made.item_ids[0];
            const whole = await ok(item(ann, id));
            const hidden = [secret, 'o-secret', 'd-secret', made.batch.batch_id, whole.session_id, ann.user.user_id, ann.user.email, 'Ann'];
            const views = {
                item: await item(ben, id),
                list: await ben.get(`${QUEUE}/list_all`),
                next: await ben.get(`${QUEUE}/next`),
                full: await ben.post(`${QUEUE}/items_by_ids`, { item_ids: [id] }),
                short: await ben.post(`${QUEUE}/item_summaries_by_ids`, { item_ids: [id] }),
            };
            for (const [name, view] of Object.entries(views)) {
                assert.equal(view.status, 200);
                assert.ok(view.text.includes(`"item_id":${id}`), `${name} is about the item`);
                for (const word of hidden) {
                    assert.ok(!view.text.includes(word), `${name} shows ${word}`);
                }
            }
            assert.equal(views.item.body.status, 'pending');
            assert.deepEqual(await ok(ben.get(`${QUEUE}/list_all?destination=d-secret`)), [], 'what is hidden can be asked for');
            for (const who of [ann, admin]) {
                assert.deepEqual((await ok(who.get(`${QUEUE}/list_all?destination=d-secret`))).map((i) => i.item_id), [id]);
            }
            assert.equal(views.item.body.created_at, whole.created_at);
        });

        test('are shown whole to an administrator', async () => {
            const made = await enqueue(ann, { value: 'for the record' });
            const got = await ok(item(admin, made.item_ids[0]));
            assert.equal(got.session.graph.nodes.text.value, 'for the record');
            assert.equal(got.user_email, ann.user.email);
        });

        test('count in the totals, and each person knows their own share', async () => {
            await enqueue(ann, { runs: 2 });
            await enqueue(ben, { runs: 3 });
            for (const [who, own] of [[ann, 2], [ben, 3], [admin, 0]]) {
                const { queue } = await ok(who.get(`${QUEUE}/status`));
                assert.deepEqual([queue.pending, queue.total, queue.user_pending, queue.user_in_progress], [5, 5, own, 0]);
            }
        });

        test('can neither cancel, delete nor repeat it', async () => {
            const [id] = (await enqueue(ann)).item_ids;
            assert.equal((await ben.put(`${QUEUE}/i/${id}/cancel`)).status, 403);
            assert.equal((await ben.delete(`${QUEUE}/i/${id}`)).status, 403);
            await ok(ann.put(`${QUEUE}/i/${id}/cancel`));
            assert.equal((await ben.put(`${QUEUE}/retry_items_by_id`, [id])).status, 403);
            assert.equal((await ok(item(ann, id))).status, 'canceled');
            assert.equal((await ok(admin.get(`${QUEUE}/item_ids`))).total_count, 1);
        });

        test('are not reached by what somebody does to all of their own', async () => {
            const a = await enqueue(ann, { runs: 2, destination: 'shelf' });
            for (const [path, key, body] of [
                ['cancel_all_except_current', 'canceled'],
                ['delete_all_except_current', 'deleted'],
                ['cancel_by_batch_ids', 'canceled', { batch_ids: [a.batch.batch_id] }],
                ['cancel_by_destination?destination=shelf', 'canceled'],
                ['prune', 'deleted'],
                ['clear', 'deleted'],
            ]) {
                assert.equal((await ok(ben.put(`${QUEUE}/${path}`, body)))[key], 0, path);
            }
            assert.equal((await ok(ben.delete(`${QUEUE}/d/shelf`))).deleted, 0);
            const { queue } = await ok(ann.get(`${QUEUE}/status`));
            assert.deepEqual([queue.pending, queue.total], [2, 2]);
            const counts = await ok(ben.get(`${QUEUE}/b/${a.batch.batch_id}/status`));
            assert.deepEqual([counts.total, counts.destination], [0, null]);
            assert.equal((await ok(ben.get(`${QUEUE}/counts_by_destination?destination=shelf`))).total, 0);
        });
    });

    describe('the owner', () => {
        test('cancels by item, batch and destination, each once', async () => {
            const a = await enqueue(ann, { runs: 2, destination: 'one' });
            const b = await enqueue(ann, { runs: 3, destination: 'two' });
            assert.equal((await ok(ann.put(`${QUEUE}/i/${a.item_ids[0]}/cancel`))).status, 'canceled');
            assert.equal((await ok(ann.put(`${QUEUE}/i/${a.item_ids[0]}/cancel`))).status_sequence, 1, 'a second cancel changes nothing');
            assert.equal((await ok(ann.put(`${QUEUE}/cancel_by_destination?destination=one`))).canceled, 1);
            assert.equal((await ok(ann.put(`${QUEUE}/cancel_by_batch_ids`, { batch_ids: [b.batch.batch_id] }))).canceled, 3);
            assert.equal((await ok(ann.get(`${QUEUE}/counts_by_destination?destination=two`))).canceled, 3);
        });

        test('repeats what was canceled, never what still waits', async () => {
            const made = await enqueue(ann, { runs: 2, value: 'again' });
            const [gone, waiting] = made.item_ids;
            await ok(ann.put(`${QUEUE}/i/${gone}/cancel`));
            const again = await ok(ann.put(`${QUEUE}/retry_items_by_id`, [gone, waiting, gone, 99999999, gone]));
            assert.deepEqual(again.retried_item_ids, [gone]);
            assert.equal((await ok(ann.get(`${QUEUE}/status`))).queue.pending, 2, 'each once, however often it is named');
            const fresh = (await ok(ann.get(`${QUEUE}/list_all`))).find((i) => i.retried_from_item_id === gone);
            const old = await ok(item(ann, gone));
            assert.deepEqual([fresh.status, fresh.session.graph.nodes.text.value, fresh.batch_id], ['pending', 'again', made.batch.batch_id]);
            assert.notEqual(fresh.session_id, old.session_id);
        });

        test('repeats all that it is asked for, unless one of them is somebody else’s', async () => {
            const { item_ids: own } = await enqueue(ann, { runs: 3 });
            const { item_ids: [foreign] } = await enqueue(ben);
            await ok(ann.put(`${QUEUE}/cancel_all_except_current`));
            await ok(ben.put(`${QUEUE}/cancel_all_except_current`));
            assert.equal((await ann.put(`${QUEUE}/retry_items_by_id`, [...own, foreign])).status, 403);
            assert.equal((await ok(ann.get(`${QUEUE}/status`))).queue.pending, 0);
            assert.deepEqual((await ok(ann.put(`${QUEUE}/retry_items_by_id`, own))).retried_item_ids, own);
            assert.deepEqual((await ok(admin.put(`${QUEUE}/retry_items_by_id`, [foreign, own[2]]))).retried_item_ids, [foreign, own[2]]);
            assert.equal((await ok(ann.get(`${QUEUE}/status`))).queue.pending, 5);
        });

        test('deletes, and what is deleted is gone', async () => {
            const [id] = (await enqueue(ann)).item_ids;
            await ok(ann.delete(`${QUEUE}/i/${id}`));
            assert.equal((await item(ann, id)).status, 404);
            assert.equal((await ann.delete(`${QUEUE}/i/${id}`)).status, 404);
        });

        test('prunes what has ended and keeps what waits', async () => {
            const made = await enqueue(ann, { runs: 2 });
            await ok(ann.put(`${QUEUE}/i/${made.item_ids[0]}/cancel`));
            assert.equal((await ok(ann.put(`${QUEUE}/prune`))).deleted, 1);
            assert.deepEqual((await ok(ann.get(`${QUEUE}/item_ids`))).item_ids, [made.item_ids[1]]);
        });

        test('with mine=true an administrator prunes only what is their own', async () => {
            const made = await enqueue(ann);
            await ok(ann.put(`${QUEUE}/i/${made.item_ids[0]}/cancel`));
            assert.equal((await ok(admin.put(`${QUEUE}/prune?mine=true`))).deleted, 0);
            assert.equal((await item(ann, made.item_ids[0])).status, 200);
            assert.equal((await admin.put(`${QUEUE}/prune?mine=perhaps`)).status, 422);
            assert.equal((await ok(ann.put(`${QUEUE}/prune?mine=true`))).deleted, 1);
        });

        test('takes many away a few at a time: others can write in between, and lose nothing', async () => {
            const { item_ids: kept } = await enqueue(ben, { runs: 3 });
            await enqueue(ann, { value: 'x'.repeat(20000), runs: 3000, destination: 'here' });
            const { item_ids: elsewhere } = await enqueue(ann);
            const { item_ids: later } = await enqueue(ben, { runs: 2 });
            let done = false;
            const seen = [];
            const taken = ann.delete(`${QUEUE}/d/here`).finally(() => (done = true));
            const added = [];
            while (!done) {
                await ok(ben.post('/api/v1/boards/?board_name=meanwhile'), 201);
                seen.push((await ok(ann.get(`${QUEUE}/item_ids?mine=true`))).total_count);
                // What is put there after the sweep began is none of its business.
                if (!done && !added.length && seen.at(-1) < 3001) {
                    added.push(...(await enqueue(ann, { destination: 'here' })).item_ids);
                }
            }
            assert.equal((await ok(taken)).deleted, 3000);
            assert.ok(seen.some((n) => n > 1 && n < 3001), `only ${[...new Set(seen)]} were seen`);
            assert.deepEqual((await ok(ann.get(`${QUEUE}/item_ids?order_dir=ASC`))).item_ids, [...kept, ...elsewhere, ...later, ...added]);
            assert.equal(added.length, 1);
        });
    });

    describe('reading', () => {
        test('hydrates ids in the order asked for and leaves unknown ones out', async () => {
            const { item_ids: ids } = await enqueue(ann, { runs: 3 });
            const asked = [ids[2], 99999999, ids[0]];
            assert.deepEqual((await ok(ann.post(`${QUEUE}/items_by_ids`, { item_ids: asked }))).map((i) => i.item_id), [ids[2], ids[0]]);
            const short = await ok(ann.post(`${QUEUE}/item_summaries_by_ids`, { item_ids: asked }));
            assert.ok(!('session' in short[0]));
            assert.equal((await ann.post(`${QUEUE}/items_by_ids`, { item_ids: Array(1001).fill(1) })).status, 422);
            assert.equal((await ann.post(`${QUEUE}/items_by_ids`, { item_ids: ['1'] })).status, 422);
        });

        test('lists ids newest first, or oldest first when asked', async () => {
            const { item_ids: ids } = await enqueue(ann, { runs: 3 });
            assert.deepEqual((await ok(ann.get(`${QUEUE}/item_ids`))).item_ids, [...ids].reverse());
            assert.deepEqual((await ok(ann.get(`${QUEUE}/item_ids?order_dir=ASC`))).item_ids, ids);
            assert.equal((await ann.get(`${QUEUE}/item_ids?order_dir=UP`)).status, 422);
        });

        test('keeps queues apart by name', async () => {
            const [id] = (await enqueue(ann)).item_ids;
            assert.equal((await ann.get(`/api/v1/queue/other/i/${id}`)).status, 404);
            assert.deepEqual(await ok(ann.get('/api/v1/queue/other/list_all')), []);
            assert.equal((await ann.get(`/api/v1/queue/${'q'.repeat(65)}/status`)).status, 422);
        });

        test('narrows the list to a destination', async () => {
            await enqueue(ann, { value: 'here', destination: 'canvas:1' });
            await enqueue(ann, { value: 'there', destination: 'canvas:2' });
            const found = await ok(ann.get(`${QUEUE}/list_all?destination=canvas%3A2`));
            assert.deepEqual(found.map((i) => i.session.graph.nodes.text.value), ['there']);
        });

        test('says what the dispatcher would take next: people take turns, paused or not', async () => {
            const [first] = (await enqueue(ann)).item_ids;
            await enqueue(ben);
            await enqueue(ben, { prepend: true });
            assert.equal((await ok(ann.get(`${QUEUE}/next`))).item_id, first);
            const [urgent] = (await enqueue(ann, { prepend: true })).item_ids;
            assert.equal((await ok(ann.get(`${QUEUE}/next`))).item_id, urgent);
            assert.equal(await ok(ann.get('/api/v1/queue/another/next')), null);
        });

        test('answers null for current and next of an empty queue', async () => {
            assert.equal(await ok(ann.get(`${QUEUE}/current`)), null);
            assert.equal(await ok(ann.get(`${QUEUE}/next`)), null);
        });

        for (const id of ['abc', '-1', '1.5', '%20', '99999999999999999999']) {
            test(`takes ${id} for no item id`, async () => {
                assert.equal((await item(ann, id)).status, 422);
            });
        }
    });

    describe('a list of large jobs', () => {
        const value = 'x'.repeat(250000);
        const workflow = { note: 'x'.repeat(MIB * 1.5) };
        /** KiB of each child of httpd. */
        const memory = (which) => server.pids().children.map((pid) => Number(new RegExp(`^${which}:\\s+(\\d+) kB`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]));
        const lists = {
            list_all: (client) => client.get(`${QUEUE}/list_all`),
            items_by_ids: (client, ids) => client.post(`${QUEUE}/items_by_ids`, { item_ids: ids }),
            item_summaries_by_ids: (client, ids) => client.post(`${QUEUE}/item_summaries_by_ids`, { item_ids: ids }),
        };
        for (const [name, ask] of Object.entries(lists)) {
            test(`(${name}) names all of them and carries as much as fits`, async () => {
                const made = await enqueue(ann, { data: [[texts(value)]], runs: 80, workflow });
                const got = await ask(ann, made.item_ids);
                assert.equal(got.status, 200);
                assert.ok(got.raw.length < 17 * MIB, `${got.raw.length} bytes`);
                assert.deepEqual(got.body.map((i) => i.item_id), made.item_ids);
                assert.ok(got.body.every((i) => i.status === 'pending' && i.batch_id === made.batch.batch_id));
                assert.equal(got.body[0].field_values[0].value, value);
                assert.equal(got.body[79].field_values, null);
                if (name !== 'item_summaries_by_ids') {
                    assert.equal(got.body[0].session.graph.nodes.text.value, value);
                    assert.ok(got.body[0].workflow && !got.body[79].workflow);
                    assert.deepEqual(got.body[79].session.graph.nodes, {});
                    assert.deepEqual(got.body.filter((i) => i.session.id !== i.session_id || i.session_id === 'redacted'), []);
                }
                const alone = await ok(item(ann, made.item_ids[79]));
                assert.equal(alone.session.graph.nodes.text.value, value);
                // What the answer does not carry is not read either.
                assert.ok(SANITIZED || Math.max(...memory('VmHWM')) < 120 * 1024, `${memory('VmHWM')} KiB`);
            });
        }

        // Some thread or other answers: each of them would keep its own.
        test('leaves nothing behind in memory', async () => {
            const made = await enqueue(ann, { data: [[texts(value)]], runs: 80, workflow });
            const before = Math.max(...memory('VmRSS'));
            for (let i = 0; i < 24; i++)
                assert.equal((await lists.items_by_ids(ann, made.item_ids)).status, 200);
            await until(() => SANITIZED || Math.max(...memory('VmRSS')) < before + 40 * 1024, 'what they took to go back');
        });
    });

    describe('the processor', () => {
        test('is paused and resumed by administrators alone', async () => {
            for (const verb of ['pause', 'resume']) {
                assert.equal((await ann.put(`${QUEUE}/processor/${verb}`)).status, 403);
                assert.equal((await new Client(server.url).put(`${QUEUE}/processor/${verb}`)).status, 401);
            }
            assert.equal((await ok(admin.put(`${QUEUE}/processor/resume`))).is_started, true);
            assert.equal((await ok(admin.get(`${QUEUE}/status`))).processor.is_started, true);
            assert.equal((await ok(admin.put(`${QUEUE}/processor/pause`))).is_started, false);
        });

        test('is one for all queues: another name is no way around its pause', async () => {
            assert.equal((await ok(ann.get('/api/v1/queue/another/status'))).processor.is_started, false);
            assert.equal((await ok(admin.put('/api/v1/queue/another/processor/resume'))).is_started, true);
            assert.equal((await ok(admin.get(`${QUEUE}/status`))).processor.is_started, true);
            assert.equal((await ok(admin.put('/api/v1/queue/another/processor/pause'))).is_started, false);
        });
    });

    test('every queue route wants a signed-in person', async () => {
        const nobody = new Client(server.url);
        const routes = [
            ['POST', 'enqueue_batch'], ['GET', 'list_all'], ['GET', 'item_ids'], ['POST', 'items_by_ids'], ['POST', 'item_summaries_by_ids'],
            ['GET', 'current'], ['GET', 'next'], ['GET', 'status'], ['GET', 'b/x/status'], ['GET', 'counts_by_destination?destination=x'],
            ['GET', 'i/1'], ['DELETE', 'i/1'], ['PUT', 'i/1/cancel'], ['PUT', 'cancel_all_except_current'], ['PUT', 'cancel_by_batch_ids'],
            ['PUT', 'cancel_by_destination?destination=x'], ['PUT', 'delete_all_except_current'], ['DELETE', 'd/x'], ['PUT', 'clear'],
            ['PUT', 'prune'], ['PUT', 'retry_items_by_id'], ['PUT', 'processor/pause'], ['PUT', 'processor/resume'],
        ];
        for (const [method, path] of routes) {
            assert.equal((await nobody.send(method, `${QUEUE}/${path}`)).status, 401, `${method} ${path}`);
        }
    });
});
