// Whoever saw what an account had hears when it goes with the account, or becomes another one's: by a request and on the command line.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { closeAll, listen, settle } from '../lib/events.mjs';
import { enqueue, hook, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

const NEWS = 'boards_changed';
// Every event that the connections have meanwhile would hear besides comes before this.
const AT_ONCE = 8000;
const WORKFLOW = {
    name: 'Mine', description: '', tags: '', notes: '', author: '', version: '', contact: '', meta: { version: '3.0.0', category: 'user' },
    nodes: [], edges: [], exposedFields: [],
};

describe('what an account takes along', () => {
    const server = useServer({ media: true, hook: true });
    let admin, ben, cleo, eve, people = 0;

    before(async () => {
        admin = await setupAdmin(server);
        [ben, cleo, eve] = [await addUser(admin, 'Ben'), await addUser(admin, 'Cleo'), await addUser(admin, 'Eve')];
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    });
    afterEach(closeAll);
    after(closeAll);

    const invokemu = async (...args) => {
        const done = await run(server, 'invokemu', args);
        assert.deepEqual([done.code, done.err], [0, ''], args.join(' '));
    };
    const answered = (want, answer) => assert.equal(answer.status, want, answer.text) ?? answer.body;
    const stranger = () => addUser(admin, `Person${++people}`);
    const boardOf = async (who) => answered(201, await who.post('/api/v1/boards/?board_name=Holiday')).board_id;
    const share = async (who, id, person, permission = 'read') => answered(200, await who.post(`/api/v1/boards/${id}/share`, { user_ids: [person.user.user_id], permission }));
    const sees = async (who, id) => answered(200, await who.get('/api/v1/boards/?all=true')).some((board) => board.board_id === id);
    const ears = (...all) => Promise.all(all.map((who) => listen(server, who)));
    /** How often each has heard of boards by the time everything has arrived. */
    const counts = async (listeners) => {
        await Promise.all(listeners.map(settle));
        return listeners.map((l) => l.all(NEWS).length);
    };

    const DELETE = [
        ['by an administrator', (who) => admin.delete(`/api/v1/users/${who.user.user_id}`)],
        ['on the command line', (who) => invokemu('users', 'del', who.user.email, '--force')],
    ];
    const HAND_OVER = [
        ['by an administrator', (who, heir) => admin.delete(`/api/v1/users/${who.user.user_id}?delete_data=false&transfer_to=${heir.user.user_id}`)],
        ['on the command line', (who, heir) => invokemu('users', 'del', who.user.email, '--transfer-to', heir.user.email, '--force')],
    ];

    for (const [how, remove] of DELETE) {
        test(`a board goes ${how}: whom it was shared with hears, and its pictures are served no more`, async () => {
            const owner = await stranger();
            const board = await boardOf(owner);
            const picture = await upload(owner, { query: `&board_id=${board}` });
            await share(owner, board, cleo);
            const full = `/api/v1/images/i/${picture.image_name}/full`;
            const seen = await cleo.get(full);
            assert.deepEqual([seen.status, seen.headers['cache-control']], [200, 'private, no-store']);
            const [named, other, all] = await ears(cleo, ben, admin);
            await remove(owner);
            const news = await named.heard(NEWS, undefined, AT_ONCE);
            assert.deepEqual([news.board_id, news.seen_by_everyone], [null, false]);
            await all.heard(NEWS, undefined, AT_ONCE);
            assert.deepEqual((await counts([named, other])), [1, 0]);
            assert.equal(await sees(cleo, board), false);
            const again = await cleo.send('GET', full, { headers: { 'If-None-Match': seen.headers.etag ?? '*', 'If-Modified-Since': seen.headers['last-modified'] ?? '' } });
            assert.equal(again.status, 403);
        });

        test(`a board that everybody sees goes ${how}: everybody hears that there is news`, async () => {
            const owner = await stranger();
            answered(201, await owner.patch(`/api/v1/boards/${await boardOf(owner)}`, { board_visibility: 'public' }));
            const [other] = await ears(ben);
            await remove(owner);
            assert.deepEqual(Object.keys(await other.heard(NEWS, undefined, AT_ONCE)), ['timestamp']);
        });

        test(`a person goes ${how}: the owner of a board they could fill hears, and whoever else sees it`, async () => {
            const guest = await stranger();
            const board = await boardOf(ben);
            await share(ben, board, guest, 'write');
            await share(ben, board, cleo);
            const [own, named, other] = await ears(ben, cleo, eve);
            await remove(guest);
            await Promise.all([own, named].map((l) => l.heard(NEWS, undefined, AT_ONCE)));
            assert.deepEqual(await counts([own, named, other]), [1, 1, 0]);
        });

        test(`workflows and ended jobs go ${how}`, async () => {
            const owner = await stranger();
            const { workflow_id: id } = answered(200, await owner.post('/api/v1/workflows/', { workflow: WORKFLOW }));
            answered(200, await owner.patch(`/api/v1/workflows/i/${id}/is_public`, { is_public: true }));
            const [job] = await enqueue(owner);
            assert.equal((await hook(server, 'start', job)).code, 0);
            assert.equal((await hook(server, 'complete', job)).code, 0);
            const [other, all] = await ears(ben, admin);
            await remove(owner);
            assert.equal((await other.heard('workflow_deleted', undefined, AT_ONCE)).workflow_id, id);
            assert.equal((await all.heard('queue_pruned', undefined, AT_ONCE)).user_id, owner.user.user_id);
            await settle(other);
            assert.equal(other.all('queue_pruned').length, 0);
        });
    }

    for (const [how, handOver] of HAND_OVER) {
        test(`what becomes another's ${how}: they hear of it, and whom it is shared with`, async () => {
            const owner = await stranger();
            const board = await boardOf(owner);
            await share(owner, board, cleo);
            await share(owner, board, eve);
            const { workflow_id: id } = answered(200, await owner.post('/api/v1/workflows/', { workflow: WORKFLOW }));
            const [heir, named, other] = await ears(eve, cleo, ben);
            await handOver(owner, eve);
            assert.equal((await heir.heard('workflow_updated', undefined, AT_ONCE)).workflow_id, id);
            await Promise.all([heir, named].map((l) => l.heard(NEWS, undefined, AT_ONCE)));
            assert.deepEqual(await counts([heir, named, other]), [1, 1, 0]);
            assert.equal(await sees(eve, board), true);
            assert.equal(other.all('workflow_updated').length, 0);
        });
    }

    for (const [how, assign] of [
        ['by an administrator', async (heir) => answered(200, await admin.post('/api/v1/legacy-data', { user_id: heir.user.user_id }))],
        ['on the command line', (heir) => invokemu('legacy', '--owner', heir.user.email)],
    ]) {
        test(`what was nobody's becomes somebody's ${how}: they hear of it, and whom it is shared with`, async () => {
            const board = await boardOf(eve);
            await share(eve, board, cleo);
            server.sql(`UPDATE boards SET user_id = 'system' WHERE board_id = '${board}'`);
            const [heir, named, other] = await ears(ben, cleo, eve);
            await assign(ben);
            await Promise.all([heir, named].map((l) => l.heard(NEWS, undefined, AT_ONCE)));
            assert.deepEqual(await counts([heir, named, other]), [1, 1, 0]);
            assert.equal(await sees(ben, board), true);
        });
    }

    for (const [how, end] of [
        ['by an administrator', async (id) => answered(200, await admin.delete(`/api/v1/invitations/${id}`))],
        ['on the command line', (id) => invokemu('links', 'end', id)],
    ]) {
        test(`an invitation taken back ${how}: the owner of a board that waited for them hears`, async () => {
            const email = `guest${++people}@example.com`;
            answered(201, await admin.post('/api/v1/invitations', { email, display_name: 'Guest' }));
            const { invitation_id: id, user_id } = answered(200, await admin.get('/api/v1/invitations')).invitations.find((i) => i.email === email);
            await share(ben, await boardOf(ben), { user: { user_id } });
            const [own] = await ears(ben);
            await end(id);
            await own.heard(NEWS, undefined, AT_ONCE);
        });
    }
});
