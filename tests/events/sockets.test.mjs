// Who may connect to the live events, and who hears what, with the official client.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { closeAll, connect, listen, settle } from '../lib/events.mjs';
import { enqueue, hook, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';

describe('live events', () => {
    const server = useServer({ hook: true });
    let admin, ann, ben, people = 0;

    before(async () => {
        admin = await setupAdmin(server);
        ann = await addUser(admin, 'Ann');
        ben = await addUser(admin, 'Ben');
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    });
    afterEach(closeAll);
    after(closeAll);

    const stranger = () => addUser(admin, `Person${++people}`);
    const trio = () => Promise.all([ann, ben, admin].map((who) => listen(server, who)));
    const change = async (user, what) => assert.equal((await admin.patch(`/api/v1/auth/users/${user.user.user_id}`, what)).status, 200);

    describe('news of boards', () => {
        const NEWS = 'boards_changed';
        const board = (id) => `/api/v1/boards/${id}`;
        async function made(who, name = 'Something') {
            const answer = await who.post(`/api/v1/boards/?board_name=${name}`);
            assert.equal(answer.status, 201, answer.text);
            return answer.body.board_id;
        }
        /** What each has heard of boards since the last time, as [owner, other, administrator]. */
        async function heard(listeners) {
            await Promise.all(listeners.map(settle));
            return listeners.map((l) => l.events.splice(0).filter((e) => e.name === NEWS).map((e) => e.data));
        }
        const counts = async (listeners) => (await heard(listeners)).map((list) => list.length);

        test('a private one is news to its owner and to administrators', async () => {
            const all = await trio();
            const id = await made(ann);
            await ann.patch(board(id), { board_name: 'Renamed' });
            await ann.send('DELETE', board(id));
            assert.deepEqual(await counts(all), [3, 0, 3]);
        });

        test('others hear that there is one for everybody, and that it is none any more, and nothing else', async () => {
            const all = await trio();
            const id = await made(ann);
            await heard(all);
            await ann.patch(board(id), { board_visibility: 'public' });
            const [own, others] = await heard(all);
            assert.equal(own[0].board_id, id);
            assert.deepEqual(others.map((data) => Object.keys(data)), [['timestamp']]);
            await ann.patch(board(id), { board_visibility: 'private' });
            assert.deepEqual(await counts(all), [1, 1, 1]);
            await ann.patch(board(id), { board_name: 'Secret plans' });
            assert.deepEqual(await counts(all), [1, 0, 1]);
            await ann.patch(board(id), { board_visibility: 'shared' });
            await ann.send('DELETE', board(id));
            assert.deepEqual(await counts(all), [2, 2, 2]);
        });

        test('whom it is shared with by name hears of it, up to the end of that', async () => {
            const all = await trio();
            const carol = await stranger();
            const id = await made(ann);
            await heard(all);
            await ann.post(`${board(id)}/share`, { user_ids: [ben.user.user_id], permission: 'read' });
            assert.deepEqual(await counts(all), [1, 1, 2]);
            const outside = await listen(server, carol);
            await ann.patch(board(id), { board_name: 'For the two of us' });
            await ann.send('DELETE', `${board(id)}/share/${ben.user.user_id}`);
            assert.deepEqual(await counts([...all, outside]), [2, 2, 4, 0]);
            await ann.patch(board(id), { board_name: 'Mine again' });
            assert.deepEqual(await counts(all), [1, 0, 1]);
            await ann.send('DELETE', board(id));
        });

        test('a change that is refused is none', async () => {
            const all = await trio();
            const id = await made(ann);
            await heard(all);
            assert.equal((await ben.patch(board(id), { board_visibility: 'public' })).status, 403);
            assert.equal((await ann.patch(board(id), { board_visibility: 'open' })).status, 422);
            assert.deepEqual(await counts(all), [0, 0, 0]);
            await ann.send('DELETE', board(id));
        });
    });

    describe('connecting', () => {
        test('without a token is refused with a sentence and a code', async () => {
            await assert.rejects(connect(server), (error) => error.data?.code === 'not_signed_in' && /sign in/i.test(error.message));
        });
        test('with a damaged token is refused', async () => {
            for (const token of ['rubbish', `${ann.token}x`, ann.token.slice(0, -3), 'a'.repeat(9000)]) {
                await assert.rejects(connect(server, { token }));
            }
        });
        for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
            test(`works over ${transports.join(', then ')}`, async () => {
                const l = await listen(server, ann, { transports });
                if (transports.length === 2) {
                    await l.upgraded();
                }
                const [id] = await enqueue(ann);
                assert.equal((await l.heard('batch_enqueued')).enqueued, 1);
                assert.equal((await ann.put(`${QUEUE}/i/${id}/cancel`)).status, 200);
                assert.equal((await l.heard('queue_item_status_changed', (e) => e.status === 'canceled')).item_id, id);
            });
        }
        test('takes the token from the header too', async () => {
            const l = await connect(server, { token: ann.token, header: true, transports: ['polling'] });
            assert.ok(l.socket.connected);
            await assert.rejects(connect(server, { token: 'rubbish', header: true }));
        });
        test('a poll in the meantime hears many events in order', async () => {
            const l = await listen(server, ann, { transports: ['polling'] });
            const ids = [];
            for (let i = 0; i < 20; i++) {
                ids.push(...(await enqueue(ann)));
            }
            assert.equal((await ann.put(`${QUEUE}/clear`)).status, 200);
            await l.heard('queue_cleared');
            assert.equal(l.all('batch_enqueued').length, ids.length);
        });
    });

    describe('routing', () => {
        test('a cleared queue: an administrator’s names nobody, one’s own names oneself to oneself', async () => {
            const [a, b, adm] = await trio();
            assert.equal((await admin.put(`${QUEUE}/clear`)).status, 200);
            for (const l of [a, b, adm]) {
                assert.deepEqual((await l.heard('queue_cleared')).user_id, null);
                l.events.length = 0;
            }
            assert.equal((await ann.put(`${QUEUE}/clear`)).status, 200);
            assert.equal((await a.heard('queue_cleared')).user_id, ann.user.user_id);
            await settle(b);
            assert.deepEqual(b.all('queue_cleared').map((e) => e.user_id), ['redacted']);
        });
        test('a batch: all of it for its owner and administrators, once; that there is one for the others', async () => {
            const [a, b, adm] = await trio();
            await enqueue(ann, { origin: 'secret-origin' });
            for (const l of [a, adm]) {
                assert.equal((await l.heard('batch_enqueued')).origin, 'secret-origin');
            }
            const e = await b.heard('batch_enqueued');
            assert.deepEqual([e.user_id, e.batch_id, e.origin, e.queue_id], ['redacted', 'redacted', null, 'default']);
            await Promise.all([a, b, adm].map(settle));
            assert.deepEqual([a, b, adm].map((l) => l.all('batch_enqueued').length), [1, 1, 1]);
            assert.ok(!b.text().includes('secret-origin') && !b.text().includes(ann.user.user_id));
        });
        test('a preview reaches the owner alone, the result of a node administrators too', async () => {
            const [id] = await enqueue(ann);
            const [a, b, adm] = await trio();
            for (const step of ['start', 'progress', 'complete']) {
                const done = await hook(server, step, id);
                assert.equal(done.code, 0, done.text);
            }
            assert.ok((await a.heard('invocation_progress')).image?.dataURL);
            for (const l of [a, b, adm]) {
                await l.heard('queue_item_status_changed', (e) => e.item_id === id && e.status === 'completed');
            }
            assert.deepEqual([b, adm].map((l) => l.all('invocation_progress').length), [0, 0]);
            assert.deepEqual(b.events.filter((e) => e.name.startsWith('invocation_')), []);
            assert.ok(!b.text().includes(ann.user.user_id));
        });
        test("the counts of somebody's own jobs are told to nobody else", async () => {
            const [id] = await enqueue(ann);
            const [a, b, adm] = await trio();
            assert.equal((await ann.put(`${QUEUE}/i/${id}/cancel`)).status, 200);
            const counts = async (l) => {
                const { queue_status: s } = await l.heard('queue_item_status_changed', (e) => e.item_id === id);
                return [typeof s.pending, s.user_pending, s.user_in_progress];
            };
            const { queue } = (await ann.get(`${QUEUE}/status`)).body;
            assert.deepEqual(await counts(a), ['number', queue.user_pending, 0]);
            assert.deepEqual(await counts(b), ['number', null, null]);
            assert.deepEqual(await counts(adm), ['number', null, null]);
            assert.equal((await adm.heard('queue_item_status_changed')).user_id, ann.user.user_id);
        });
        test('many jobs canceled at once are told of as a whole, and the first and the running one for themselves', async () => {
            const ids = await enqueue(ann, { runs: 30 });
            assert.equal((await hook(server, 'start', ids[20])).code, 0);
            const a = await listen(server, ann);
            assert.equal((await ann.put(`${QUEUE}/cancel_by_destination?destination=none`)).body.canceled, 0);
            assert.equal((await ann.put(`${QUEUE}/cancel_by_batch_ids`, { batch_ids: [(await ann.get(`${QUEUE}/i/${ids[0]}`)).body.batch_id] })).body.canceled, 30);
            assert.deepEqual((await a.heard('queue_items_canceled')).canceled_item_ids.sort((x, y) => x - y), ids);
            await settle(a);
            const told = a.all('queue_item_status_changed').map((e) => e.item_id);
            assert.equal(told.length, 2, `${told}`);
            assert.ok(told.includes(ids[20]), `${told}`);
        });
        test('a text with a NUL is heard and forgotten', async () => {
            const a = await listen(server, ann);
            a.socket.emit('subscribe_queue', { queue_id: '\u0000' });
            a.socket.emit('\u0000', { '\u0000': 1 });
            a.socket.emit('anything', 'a\u0000b');
            await settle(a);
            await enqueue(ann);
            await a.heard('batch_enqueued');
            assert.equal(a.ended, null);
        });
        test('without a subscription to the queue nothing of it is heard', async () => {
            const [silent, l] = [await connect(server, { token: ann.token }), await listen(server, ann)];
            await enqueue(ann);
            await l.heard('batch_enqueued');
            await settle(silent);
            assert.deepEqual(silent.events, []);
        });
        test('names of rooms are not names of queues', async () => {
            const b = await connect(server, { token: ben.token });
            for (const name of ['admin', `user:${ann.user.user_id}`, 'workflows:shared', null, 7, {}]) {
                b.socket.emit('subscribe_queue', { queue_id: name });
            }
            const a = await listen(server, ann);
            await enqueue(ann);
            await a.heard('batch_enqueued');
            await settle(b);
            assert.deepEqual(b.events, []);
        });
    });

    describe('a change of the account', () => {
        test('suspended: its connections end at once, and no others', async () => {
            const u = await stranger();
            const [mine, polling, other] = [await listen(server, u), await listen(server, u, { transports: ['polling'] }), await listen(server, ann)];
            await change(u, { is_active: false });
            assert.equal(await mine.dropped(), 'io server disconnect');
            assert.equal(await polling.dropped(), 'io server disconnect');
            await assert.rejects(connect(server, { token: u.token }));
            await settle(other);
            assert.ok(other.socket.connected);
        });
        test('deleted: its connections end', async () => {
            const u = await stranger();
            const l = await listen(server, u);
            assert.equal((await admin.delete(`/api/v1/auth/users/${u.user.user_id}`)).status, 204);
            assert.equal(await l.dropped(), 'io server disconnect');
        });
        for (const [what, act] of [['deleted', (u) => admin.delete(`/api/v1/auth/users/${u.user.user_id}`)], ['suspended', (u) => admin.patch(`/api/v1/auth/users/${u.user.user_id}`, { is_active: false })]]) {
            test(`${what}: its jobs are canceled, and everybody hears`, async () => {
                const u = await stranger();
                const [running, waiting] = await enqueue(u, { runs: 2, destination: 'd-secret' });
                const step = await hook(server, 'start', running);
                assert.equal(step.code, 0, step.text);
                const [b, adm] = [await listen(server, ben), await listen(server, admin)];
                const pending = async () => (await ben.get(`${QUEUE}/status`)).body.queue.pending;
                const before = await pending();
                const { status } = await act(u);
                assert.ok(status === 204 || status === 200, `${status}`);
                assert.equal(await pending(), before - 1);
                for (const id of [running, waiting]) {
                    const e = await b.heard('queue_item_status_changed', (x) => x.item_id === id && x.status === 'canceled');
                    assert.deepEqual([e.user_id, e.destination], ['redacted', null]);
                    assert.equal((await adm.heard('queue_item_status_changed', (x) => x.item_id === id && x.status === 'canceled')).user_id, u.user.user_id);
                }
                assert.deepEqual((await adm.heard('queue_items_canceled')).canceled_item_ids.sort(), [running, waiting].sort());
            });
        }
        for (const [what, act] of [['by item', (id) => ann.delete(`${QUEUE}/i/${id}`)], ['by destination', () => ann.delete(`${QUEUE}/d/shelf`)], ['with all others', () => ann.put(`${QUEUE}/clear`)]]) {
            test(`a running job deleted ${what} is canceled first, and everybody hears`, async () => {
                const [id] = await enqueue(ann, { destination: 'shelf' });
                assert.equal((await hook(server, 'start', id)).code, 0);
                const [a, b] = [await listen(server, ann), await listen(server, ben)];
                assert.equal((await act(id)).status, 200);
                for (const l of [a, b]) {
                    assert.equal((await l.heard('queue_item_status_changed', (e) => e.item_id === id)).status, 'canceled');
                }
                assert.deepEqual((await a.heard('queue_items_canceled')).canceled_item_ids, [id]);
                assert.equal((await ann.get(`${QUEUE}/i/${id}`)).status, 404);
            });
        }
        test('signed out: the connections of that session end, those of another go on', async () => {
            const u = await stranger();
            const again = await login(server, u.user.email, PASSWORD);
            const [mine, theirs] = [await listen(server, u), await listen(server, again)];
            assert.equal((await u.post('/api/v1/auth/logout')).status, 200);
            assert.equal(await mine.dropped(), 'io server disconnect');
            await settle(theirs);
            assert.ok(theirs.socket.connected);
        });
        test('signed out elsewhere, by themselves or an administrator: those connections end, and the others go on', async () => {
            const u = await stranger();
            const again = async () => listen(server, await login(server, u.user.email, PASSWORD));
            const [mine, first] = [await listen(server, u), await again()];
            assert.equal((await u.delete('/api/v1/auth/sessions')).status, 200);
            assert.equal(await first.dropped(), 'io server disconnect');
            const second = await again();
            const { sessions } = (await u.get('/api/v1/auth/sessions')).body;
            assert.equal((await u.delete(`/api/v1/auth/sessions/${sessions.find((s) => !s.current).session_id}`)).status, 200);
            assert.equal(await second.dropped(), 'io server disconnect');
            await settle(mine);
            assert.ok(mine.socket.connected);
            assert.equal((await admin.delete(`/api/v1/users/${u.user.user_id}/sessions`)).status, 200);
            assert.equal(await mine.dropped(), 'io server disconnect');
        });
        test('promoted and demoted: hears what administrators hear, and then no longer', async () => {
            const u = await stranger();
            const l = await listen(server, u);
            const told = async (origin) => {
                await enqueue(ann, { origin });
                return (await l.heard('batch_enqueued', (e) => l.events.at(-1).data === e)).origin;
            };
            assert.equal(await told('one'), null);
            await change(u, { is_admin: true });
            l.events.length = 0;
            assert.equal(await told('two'), 'two');
            await change(u, { is_admin: false });
            l.events.length = 0;
            assert.equal(await told('three'), null);
            assert.ok(l.socket.connected);
        });
        test('a token that ends ends its connections', async () => {
            const u = await stranger();
            const l = await listen(server, u);
            server.sql(`UPDATE user_sessions SET expires_at = '2000-01-01 00:00:00.000' WHERE user_id = '${u.user.user_id}'`);
            await change(u, { display_name: 'Somebody Else' });
            assert.equal(await l.dropped(), 'io server disconnect');
        });
    });
});

describe('live events with a single user', () => {
    const server = useServer({ multiuser: false, hook: true });

    afterEach(closeAll);

    test('need no token, and everything is heard once', async () => {
        const l = await listen(server, null);
        const { Client } = await import('../lib/http.mjs');
        const client = new Client(server.url);
        assert.equal((await client.put(`${QUEUE}/processor/pause`)).status, 200);
        const [id] = await enqueue(client);
        for (const step of ['start', 'progress', 'complete']) {
            assert.equal((await hook(server, step, id)).code, 0);
        }
        await l.heard('queue_item_status_changed', (e) => e.status === 'completed');
        assert.equal(l.all('invocation_progress').length, 1);
        assert.equal(l.all('batch_enqueued').length, 1);
        assert.equal(l.all('batch_enqueued')[0].user_id, 'system');
    });
});
