// The workflow library: private, shared, and closed to others; lists, tags and counts; thumbnails.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { Client } from '../lib/http.mjs';
import { makePng } from '../lib/png.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const DOCUMENT = {
    name: 'Portrait', author: 'me', description: 'faces', version: '1.0.0', contact: '', tags: 'face, two words', notes: '',
    exposedFields: [], meta: { version: '3.0.0', category: 'user' }, nodes: [{ id: 'n', type: 'invocation' }], edges: [], form: null,
};

describe('workflows', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, owner, other;

    before(async () => {
        admin = await setupAdmin(server);
        owner = await addUser(admin, 'Olga');
        other = await addUser(admin, 'Otto');
    });

    const create = async (client, changes) => {
        const answer = await client.post('/api/v1/workflows/', { workflow: { ...DOCUMENT, ...changes } });
        assert.equal(answer.status, 200, answer.text);
        return answer.body;
    };
    const status = async (promise) => (await promise).status;
    const at = (w, view = '') => `/api/v1/workflows/i/${w.workflow_id}${view}`;
    const ids = async (client, query = '') => (await client.get(`/api/v1/workflows/?per_page=1000${query}`)).body.items.map((w) => w.workflow_id);
    const picture = { form: [{ name: 'image', filename: 'p.png', value: makePng(300, 200) }] };

    test('a query string that is broken at its end is refused, however often it is read', async () => {
        const query = `categories=user&${'a=1&'.repeat(550)}x=%zz`;
        for (const view of ['', 'counts_by_tag', 'counts_by_category']) {
            const answer = await owner.get(`/api/v1/workflows/${view}?${query}`);
            assert.equal(answer.status, 422, view);
            assert.equal(answer.body.detail[0].loc[0], 'query');
        }
        for (const list of ['/api/v1/images/', '/api/v1/images/names', '/api/v2/models/']) {
            assert.equal(await status(owner.get(`${list}?${query}`)), 422, list);
        }
    });

    for (const shared of [false, true]) {
        test(`the access matrix of a ${shared ? 'shared' : 'private'} workflow`, async () => {
            const w = await create(owner);
            assert.equal(await status(owner.patch(at(w, '/is_public'), { is_public: shared })), 200);
            for (const [name, who] of Object.entries({ anonymous: new Client(server.url), other, owner, admin })) {
                const may = (yes) => (name === 'anonymous' ? 401 : yes ? 200 : 403);
                const edits = name === 'owner' || name === 'admin';
                assert.equal(await status(who.get(at(w))), may(edits || shared), `${name} reads`);
                assert.equal(await status(who.patch(at(w), { workflow: w.workflow })), may(edits), `${name} changes`);
                assert.equal(await status(who.patch(at(w, '/is_public'), { is_public: shared })), may(edits), `${name} shares`);
                assert.equal(await status(who.put(at(w, '/opened_at'))), may(edits), `${name} opens`);
                assert.equal(await status(who.send('PUT', at(w, '/thumbnail'), picture)), may(edits), `${name} gives it a picture`);
                assert.equal(await status(who.delete(at(w, '/thumbnail'))), may(edits), `${name} takes the picture`);
                if (name !== 'anonymous') {
                    assert.equal((await ids(who)).includes(w.workflow_id), edits, `${name} has it in the library`);
                    assert.equal((await ids(who, '&is_public=true')).includes(w.workflow_id), shared, `${name} finds it among the shared`);
                }
            }
            assert.equal((await admin.get(at(w))).body.user_id, owner.user.user_id, 'it keeps its owner');
            assert.equal(await status(other.delete(at(w))), 403);
            assert.equal(await status(admin.delete(at(w))), 200);
            assert.equal(await status(owner.get(at(w))), 404);
        });
    }

    test('it comes back as it was sent, under its id', async () => {
        const w = await create(owner, { form: { elements: {} }, unknown: [1, 'ü'] });
        assert.deepEqual((await owner.get(at(w))).body.workflow, { ...DOCUMENT, form: { elements: {} }, unknown: [1, 'ü'], id: w.workflow_id });
    });

    test('malformed ones and made-up default ones are refused', async () => {
        for (const change of [{ name: 1 }, { nodes: {} }, { meta: { version: '1' } }, { meta: null }, { edges: undefined }, { form: 3 }]) {
            assert.equal(await status(owner.post('/api/v1/workflows/', { workflow: { ...DOCUMENT, ...change } })), 422, JSON.stringify(change));
        }
        assert.equal(await status(owner.post('/api/v1/workflows/', {})), 422);
        const made_up = { ...DOCUMENT, meta: { version: '3.0.0', category: 'default' } };
        assert.equal(await status(owner.post('/api/v1/workflows/', { workflow: made_up })), 400);
    });

    test('the id in the body is the one that counts', async () => {
        const [victim, own] = [await create(owner), await create(other)];
        assert.equal(await status(other.patch(at(own), { workflow: { ...victim.workflow, name: 'taken' } })), 403);
        assert.equal((await owner.get(at(victim))).body.name, 'Portrait');
        assert.equal(await status(other.patch(at(own), { workflow: { ...DOCUMENT } })), 422);
    });

    test('lists: order, pages, search, tags, opened ones; counts see what the caller sees', async () => {
        const me = await addUser(admin, 'Lena');
        const a = await create(me, { name: 'alpha', tags: 'x, two words' });
        const b = await create(me, { name: 'Beta 100%', tags: 'y' });
        const c = await create(me, { name: 'gamma', tags: '', description: 'a_b' });
        assert.deepEqual(await ids(me), [a, b, c].map((w) => w.workflow_id));
        assert.deepEqual(await ids(me, '&order_by=created_at&direction=DESC'), [c, b, a].map((w) => w.workflow_id));
        const page = (await me.get('/api/v1/workflows/?page=1&per_page=2')).body;
        assert.deepEqual([page.page, page.pages, page.per_page, page.total, page.items.length], [1, 2, 2, 3, 1]);
        assert.deepEqual(await ids(me, '&query=100%25'), [b.workflow_id]);
        assert.deepEqual(await ids(me, '&query=a_b'), [c.workflow_id]);
        assert.deepEqual(await ids(me, '&query=%25_'), []);
        assert.deepEqual(await ids(me, '&tags=y&tags=two%20words'), [a, b].map((w) => w.workflow_id));
        assert.equal(await status(me.put(at(b, '/opened_at'))), 200);
        assert.deepEqual(await ids(me, '&has_been_opened=true'), [b.workflow_id]);
        assert.deepEqual((await me.get('/api/v1/workflows/tags')).body.sort(), ['two words', 'x', 'y']);
        assert.deepEqual((await me.get('/api/v1/workflows/counts_by_tag?tags=x&tags=face')).body, { x: 1, face: 0 });
        assert.deepEqual((await me.get('/api/v1/workflows/counts_by_category?categories=user&categories=default')).body, { user: 3, default: 0 });
        for (const query of ['order_by=x', 'direction=x', 'categories=x', 'page=-1', 'per_page=0']) {
            assert.equal(await status(me.get(`/api/v1/workflows/?${query}`)), 422, query);
        }
    });

    test('sharing keeps the tag in step', async () => {
        const w = await create(owner);
        const share = async (is_public) => (await owner.patch(at(w, '/is_public'), { is_public })).body;
        assert.equal((await share(true)).workflow.tags, 'face, two words, shared');
        assert.equal((await share(true)).workflow.tags, 'face, two words, shared');
        assert.equal((await share(false)).workflow.tags, 'face, two words');
        assert.equal(await status(owner.patch(at(w, '/is_public'), { is_public: 'yes' })), 422);
    });

    test('a thumbnail is a small WebP that anybody may fetch, and goes with the workflow', async () => {
        const w = await create(owner);
        const anyone = new Client(server.url);
        const file = path.join(server.data, 'outputs/workflow_thumbnails', `${w.workflow_id}.webp`);
        assert.equal(await status(anyone.get(at(w, '/thumbnail'))), 404);
        assert.equal(await status(owner.send('PUT', at(w, '/thumbnail'), { form: [{ name: 'image', filename: 'p.png', value: 'no picture' }] })), 415);
        const url = (await owner.send('PUT', at(w, '/thumbnail'), picture)).body.thumbnail_url;
        const answer = await anyone.get(url);
        assert.deepEqual([answer.status, answer.headers['content-type'], answer.raw.toString('latin1', 8, 12)], [200, 'image/webp', 'WEBP']);
        assert.ok(fs.existsSync(file));
        assert.equal(await status(owner.delete(at(w))), 200);
        assert.ok(!fs.existsSync(file));
        assert.equal(await status(anyone.get(url)), 404);
    });
});
