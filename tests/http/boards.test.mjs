// Boards: who sees, fills, changes and shares them; lists and their pages; what deleting one takes along.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { Client } from '../lib/http.mjs';
import { addUser, login, PASSWORD, setupAdmin, upload } from '../lib/users.mjs';

describe('boards', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, owner, other, reader, writer, deputy;

    before(async () => {
        admin = await setupAdmin(server);
        owner = await addUser(admin, 'Olga');
        other = await addUser(admin, 'Otto');
        reader = await addUser(admin, 'Rita');
        writer = await addUser(admin, 'Walt');
        deputy = await addUser(admin, 'Dora');
    });

    async function create(client, name = 'A board', changes) {
        const made = await client.post(`/api/v1/boards/?board_name=${encodeURIComponent(name)}`);
        assert.equal(made.status, 201, made.text);
        if (!changes) {
            return made.body;
        }
        const changed = await client.patch(`/api/v1/boards/${made.body.board_id}`, changes);
        assert.equal(changed.status, 201, changed.text);
        return changed.body;
    }

    const ids = async (client, query = 'all=true') => (await client.get(`/api/v1/boards/?${query}`)).body.map((b) => b.board_id);
    const status = async (promise) => (await promise).status;

    /** A board of the owner, with everybody named on it. */
    async function shared(visibility) {
        const board = await create(owner, `shared ${visibility}`, { board_visibility: visibility });
        for (const [who, permission] of [[reader, 'read'], [writer, 'write'], [deputy, 'admin']]) {
            const answer = await owner.post(`/api/v1/boards/${board.board_id}/share`, { user_ids: [who.user.user_id], permission });
            assert.equal(answer.status, 200, answer.text);
            assert.deepEqual(answer.body, { success: true, shared_with: [{ user_id: who.user.user_id, permission }] });
        }
        return board;
    }

    describe('the access matrix', () => {
        const people = () => ({ anonymous: new Client(server.url), owner, other, reader, writer, deputy, admin });
        const rows = {
            private: { read: 'owner reader writer deputy admin', write: 'owner writer deputy admin' },
            shared: { read: 'owner other reader writer deputy admin', write: 'owner writer deputy admin' },
            public: { read: 'owner other reader writer deputy admin', write: 'owner other reader writer deputy admin' },
        };
        for (const [visibility, row] of Object.entries(rows)) {
            test(`a ${visibility} board`, async () => {
                const board = await shared(visibility);
                const one = `/api/v1/boards/${board.board_id}`;
                for (const [name, who] of Object.entries(people())) {
                    const expect = (list, yes) => (name === 'anonymous' ? 401 : list.split(' ').includes(name) ? yes : 403);
                    assert.equal(await status(who.get(one)), expect(row.read, 200), `${name} reads`);
                    assert.equal(await status(who.get(`${one}/image_names`)), expect(row.read, 200), `${name} reads names`);
                    assert.equal(await status(who.get(`/api/v1/images/?board_id=${board.board_id}`)), expect(row.read, 200), `${name} lists`);
                    assert.equal(await status(who.get(`/api/v1/images/names?board_id=${board.board_id}`)), expect(row.read, 200), `${name} lists names`);
                    assert.equal(await status(who.get(`/api/v1/gallery/item_names?board_id=${board.board_id}`)), expect(row.read, 200), `${name} lists items`);
                    assert.equal(await status(who.patch(one, { archived: false })), expect('owner deputy admin', 201), `${name} edits`);
                    assert.equal(await status(who.get(`${one}/shares`)), expect('owner deputy admin', 200), `${name} sees shares`);
                    assert.equal(
                        await status(who.post(`${one}/share`, { user_ids: [reader.user.user_id], permission: 'read' })),
                        expect('owner deputy admin', 200),
                        `${name} shares`,
                    );
                    if (name !== 'anonymous') {
                        const own = await upload(who);
                        assert.equal(
                            await status(who.post('/api/v1/board_images/', { board_id: board.board_id, image_name: own.image_name })),
                            expect(row.write, 201),
                            `${name} puts on`,
                        );
                        assert.equal((await ids(who)).includes(board.board_id), row.read.split(' ').includes(name), `${name} finds it in the list`);
                    }
                }
                for (const [name, who] of Object.entries(people())) {
                    if (!['owner', 'admin'].includes(name)) {
                        assert.equal(await status(who.delete(one)), name === 'anonymous' ? 401 : 403, `${name} deletes`);
                    }
                }
                assert.equal(await status(admin.delete(one)), 200);
                assert.equal(await status(owner.get(one)), 404);
            });
        }
    });

    test('a foreign board looks the same whatever is on it, and an unknown one is 404', async () => {
        const secret = await create(owner, 'Surprise party for Otto');
        const answer = await other.get(`/api/v1/boards/${secret.board_id}`);
        assert.equal(answer.status, 403);
        assert.ok(!answer.text.includes('Surprise') && !answer.text.includes(owner.user.user_id));
        assert.equal(await status(other.get('/api/v1/boards/no-such-board')), 404);
        assert.equal(await status(other.get('/api/v1/boards/no-such-board/image_names')), 404);
        assert.equal(await status(other.get('/api/v1/images/?board_id=no-such-board')), 404);
        assert.equal(await status(other.post('/api/v1/board_images/', { board_id: 'no-such-board', image_name: 'x.png' })), 404);
    });

    test('lists: order, pages, archived ones, and a total that counts what the caller may see', async () => {
        const me = await addUser(admin, 'Lena');
        const made = [];
        for (const name of ['beta', 'Alpha', 'gamma']) {
            made.push((await create(me, name)).board_id);
        }
        const visible = new Set(await ids(other));
        const mine = (list) => list.filter((id) => !visible.has(id));
        assert.deepEqual(mine(await ids(me)), [made[2], made[1], made[0]], 'newest first');
        assert.deepEqual(mine(await ids(me, 'all=true&direction=ASC')), made);
        assert.deepEqual(mine(await ids(me, 'all=true&order_by=board_name&direction=ASC')), [made[1], made[0], made[2]]);
        assert.deepEqual(mine(await ids(me, 'all=true&order_by=board_name&direction=DESC')), [made[2], made[0], made[1]]);

        const all = await ids(me);
        const page = (await me.get('/api/v1/boards/?offset=1&limit=2')).body;
        assert.deepEqual([page.offset, page.limit, page.total], [1, 2, all.length]);
        assert.deepEqual(page.items.map((b) => b.board_id), all.slice(1, 3));
        assert.equal((await me.get(`/api/v1/boards/?offset=${all.length + 5}&limit=2`)).body.total, all.length);

        assert.equal(await status(me.patch(`/api/v1/boards/${made[0]}`, { archived: true })), 201);
        assert.ok(!(await ids(me)).includes(made[0]));
        assert.ok((await ids(me, 'all=true&include_archived=true')).includes(made[0]));
    });

    for (const query of ['', 'offset=0', 'limit=5']) {
        test(`a list asked for with "${query}" is a bad request`, async () => {
            const answer = await owner.get(`/api/v1/boards/?${query}`);
            assert.equal(answer.status, 400);
            assert.equal(typeof answer.body.detail, 'string');
        });
    }

    for (const query of ['all=maybe', 'all=true&order_by=user_id', 'all=true&direction=up', 'offset=-1&limit=5', 'offset=0&limit=99999999', 'offset=a&limit=1']) {
        test(`a list asked for with "${query}" is refused with the field's name`, async () => {
            const answer = await owner.get(`/api/v1/boards/?${query}`);
            assert.equal(answer.status, 422);
            assert.equal(answer.body.detail[0].loc[0], 'query');
        });
    }

    test('the owner is known to readers by the name they chose, to administrators otherwise by the address', async () => {
        const owners = async (who, id) => {
            const { owner_username, owner_name } = (await who.get(`/api/v1/boards/${id}`)).body;
            return [owner_username, owner_name];
        };
        const board = await create(owner, 'Named', { board_visibility: 'shared' });
        assert.deepEqual(await owners(admin, board.board_id), ['Olga', 'Olga']);
        assert.deepEqual(await owners(other, board.board_id), [null, 'Olga']);
        const listed = (await other.get('/api/v1/boards/?all=true')).body.find((one) => one.board_id === board.board_id);
        assert.deepEqual([listed.owner_username, listed.owner_name], [null, 'Olga']);
        const made = await admin.post('/api/v1/auth/users', { email: 'anon@example.com', display_name: '', password: PASSWORD });
        assert.equal(made.status, 201);
        const theirs = await create(await login(server, 'anon@example.com', PASSWORD), 'Nameless', { board_visibility: 'shared' });
        assert.deepEqual(await owners(admin, theirs.board_id), ['anon@example.com', null]);
        const answer = await other.get(`/api/v1/boards/${theirs.board_id}`);
        assert.equal(answer.body.owner_name, null);
        assert.ok(!answer.text.includes('anon@'));
    });

    test('with how many people a board is shared is told to those who may read with whom', async () => {
        const board = await create(owner, 'Counted', { board_visibility: 'shared' });
        const counts = async () => Promise.all([owner, admin, deputy, writer, other].map(async (who) => (await who.get(`/api/v1/boards/${board.board_id}`)).body.share_count));
        const share = (who, permission) => owner.post(`/api/v1/boards/${board.board_id}/share`, { user_ids: [who.user.user_id], permission });
        assert.deepEqual(await counts(), [0, 0, null, null, null]);
        assert.equal(await status(share(writer, 'write')), 200);
        assert.deepEqual(await counts(), [1, 1, null, null, null]);
        assert.equal(await status(share(deputy, 'admin')), 200);
        assert.deepEqual(await counts(), [2, 2, 2, null, null]);
        const listed = (await owner.get('/api/v1/boards/?all=true')).body.find((one) => one.board_id === board.board_id);
        assert.equal(listed.share_count, 2);
        assert.equal(await status(owner.delete(`/api/v1/boards/${board.board_id}/share/${writer.user.user_id}`)), 200);
        assert.deepEqual(await counts(), [1, 1, 1, null, null]);
    });

    test('a name is any text of 1 to 300 characters, kept as it came', async () => {
        for (const name of ['<b>&\'"\\ % _', '日本語'.repeat(100), "x'; DROP TABLE boards; --"]) {
            assert.equal((await create(owner, name)).board_name, name);
        }
        assert.equal(await status(owner.post(`/api/v1/boards/?board_name=${'ü'.repeat(301)}`)), 422);
        assert.equal(await status(owner.post('/api/v1/boards/?board_name=')), 422);
        assert.equal(await status(owner.post('/api/v1/boards/')), 422);
        assert.equal(await status(owner.post('/api/v1/boards/?board_name=%ff')), 422);
    });

    test('a name of nothing but spaces, of whatever kind, is no name', async () => {
        const board = await create(owner, ' spaces around it are kept ');
        assert.equal(board.board_name, ' spaces around it are kept ');
        for (const name of [' ', '   ', '\t \n', '\u00a0', '\u3000\u3000', '\u200b', '\ufeff \u2060']) {
            const made = await owner.post(`/api/v1/boards/?board_name=${encodeURIComponent(name)}`);
            const renamed = await owner.patch(`/api/v1/boards/${board.board_id}`, { board_name: name });
            for (const [answer, where] of [[made, 'query'], [renamed, 'body']]) {
                assert.equal(answer.status, 422, `${JSON.stringify(name)} in the ${where}`);
                assert.deepEqual(answer.body.detail[0].loc, [where, 'board_name']);
            }
        }
        assert.equal((await owner.get(`/api/v1/boards/${board.board_id}`)).body.board_name, ' spaces around it are kept ');
    });

    test('changes: nothing unknown, nothing of the wrong type, and only what is named changes', async () => {
        const board = await create(owner, 'Before');
        const one = `/api/v1/boards/${board.board_id}`;
        for (const body of [{ board_nam: 'x' }, { user_id: other.user.user_id }, { archived: 'yes' }, { board_name: 1 }, { board_visibility: 'open' }, { board_name: '' }, { board_name: 'y'.repeat(301) }, { cover_image_name: 'not-there.png' }, []]) {
            assert.equal(await status(owner.patch(one, body)), 422, JSON.stringify(body));
        }
        assert.deepEqual((await owner.get(one)).body, board);
        const changed = (await owner.patch(one, { board_visibility: 'public', board_name: null })).body;
        assert.deepEqual([changed.board_visibility, changed.board_name, changed.archived], ['public', 'Before', false]);
        assert.equal(changed.user_id, owner.user.user_id);
    });

    test('covers are pictures of the board itself; the newest one stands in', async () => {
        const board = await create(owner);
        const one = `/api/v1/boards/${board.board_id}`;
        const first = await upload(owner, { query: `&board_id=${board.board_id}` });
        const second = await upload(owner, { query: `&board_id=${board.board_id}` });
        const foreign = await upload(other);
        assert.equal((await owner.get(one)).body.cover_image_name, second.image_name);
        assert.equal((await owner.patch(one, { cover_image_name: first.image_name })).body.cover_image_name, first.image_name);
        assert.equal(await status(owner.patch(one, { cover_image_name: foreign.image_name })), 422);
        assert.equal(await status(owner.delete('/api/v1/board_images/', { image_name: first.image_name })), 201);
        assert.equal((await owner.get(one)).body.cover_image_name, second.image_name);
    });

    test('counts: pictures and assets apart, intermediates not at all', async () => {
        const board = await create(owner);
        const on = { query: `&board_id=${board.board_id}` };
        await upload(owner, { ...on, category: 'general' });
        await upload(owner, { ...on, category: 'user' });
        await upload(owner, { ...on, category: 'mask' });
        await upload(owner, { ...on, category: 'general', intermediate: true });
        const now = (await owner.get(`/api/v1/boards/${board.board_id}`)).body;
        assert.deepEqual([now.image_count, now.asset_count], [1, 2]);
        const names = async (query) => (await owner.get(`/api/v1/boards/${board.board_id}/image_names?${query}`)).body.length;
        assert.deepEqual(
            [await names(''), await names('is_intermediate=false'), await names('categories=general'), await names('categories=user&categories=mask&is_intermediate=false')],
            [4, 3, 2, 2],
        );
    });

    test('deleting a board: own pictures go when asked, those of guests stay with them', async () => {
        const board = await create(owner, 'Open house', { board_visibility: 'public' });
        const on = { query: `&board_id=${board.board_id}` };
        const [mine, theirs] = [await upload(owner, on), await upload(other, on)];
        const gone = (await owner.delete(`/api/v1/boards/${board.board_id}?include_images=true`)).body;
        assert.deepEqual([gone.deleted_images, gone.deleted_board_images], [[mine.image_name], [theirs.image_name]]);
        assert.equal(await status(admin.get(`/api/v1/images/i/${mine.image_name}`)), 404);
        assert.equal((await other.get(`/api/v1/images/i/${theirs.image_name}`)).body.board_id, null);
        assert.equal(await status(owner.get(`/api/v1/images/i/${theirs.image_name}`)), 403);
    });

    test('taking pictures off needs write access to the board, whoever owns them; a list is done as a whole', async () => {
        const open = await create(owner, 'open', { board_visibility: 'public' });
        const closed = await create(owner);
        const guest = await upload(other, { query: `&board_id=${open.board_id}` });
        const inside = await upload(owner, { query: `&board_id=${closed.board_id}` });
        const batch = (who, image_names) => who.post('/api/v1/board_images/batch/delete', { image_names });
        assert.equal(await status(batch(other, [guest.image_name, inside.image_name])), 403);
        assert.equal((await other.get(`/api/v1/images/i/${guest.image_name}`)).body.board_id, open.board_id, 'nothing was done');
        const done = (await batch(owner, [guest.image_name, inside.image_name])).body;
        assert.deepEqual(done.removed_images, [guest.image_name, inside.image_name]);
        assert.deepEqual(done.affected_boards.sort(), [open.board_id, closed.board_id, 'none'].sort());
        assert.equal(await status(owner.get(`/api/v1/images/i/${guest.image_name}`)), 403, 'off the board it is its owner’s alone');
        assert.equal(await status(other.delete('/api/v1/board_images/', { image_name: inside.image_name })), 403);
    });

    test('sharing: bad people and permissions change nothing; ending it works at once', async () => {
        const board = await create(owner);
        const share = (body) => owner.post(`/api/v1/boards/${board.board_id}/share`, body);
        const person = reader.user.user_id;
        for (const body of [{}, { user_ids: [], permission: 'read' }, { user_ids: person, permission: 'read' }, { user_ids: [1], permission: 'read' }, { user_ids: [person] }, { user_ids: [person], permission: 'Read' }, { user_ids: [person], permission: 'owner' }]) {
            assert.equal(await status(share(body)), 422, JSON.stringify(body));
        }
        assert.equal(await status(share({ user_ids: [person, 'nobody'], permission: 'read' })), 404);
        assert.equal(await status(share({ user_ids: ['system'], permission: 'read' })), 404);
        assert.equal(await status(reader.get(`/api/v1/boards/${board.board_id}`)), 403);
        assert.equal(await status(share({ user_ids: [person, person], permission: 'write' })), 200);
        assert.equal(await status(share({ user_ids: [person], permission: 'read' })), 200);
        const { shares } = (await owner.get(`/api/v1/boards/${board.board_id}/shares`)).body;
        assert.deepEqual(shares, [{ user_id: person, display_name: 'Rita', permission: 'read' }]);
        assert.equal((await reader.get(`/api/v1/boards/${board.board_id}`)).body.permission, 'read');
        assert.equal((await owner.get(`/api/v1/boards/${board.board_id}`)).body.permission, null);
        assert.deepEqual((await owner.delete(`/api/v1/boards/${board.board_id}/share/${person}`)).body, { success: true });
        assert.equal(await status(reader.get(`/api/v1/boards/${board.board_id}`)), 403);
    });

    test('one’s pictures on a board that one can’t see any more are found among those on no board', async () => {
        const board = await create(owner, 'For a while');
        const share = `/api/v1/boards/${board.board_id}/share`;
        const of = async (who, query) => {
            const [page, names, plain] = await Promise.all([who.get(`/api/v1/images/?${query}&limit=1000`), who.get(`/api/v1/images/names?${query}`), who.get(`/api/v1/boards/none/image_names?${query.replace('board_id=none', '')}`)]);
            const listed = page.body.items.map((i) => i.image_name);
            assert.deepEqual([names.body.image_names, names.body.total_count, page.body.total, plain.body], [listed, listed.length, listed.length, listed], query);
            return listed.sort();
        };
        const guest = await addUser(admin, 'Gerd');
        assert.equal(await status(owner.post(share, { user_ids: [guest.user.user_id], permission: 'write' })), 200);
        const { image_name: there } = await upload(guest, { query: `&board_id=${board.board_id}` });
        const { image_name: loose } = await upload(guest);
        const own = await create(guest, 'Own');
        await upload(guest, { query: `&board_id=${own.board_id}` });
        const open = await create(owner, 'Open', { board_visibility: 'public' });
        await upload(guest, { query: `&board_id=${open.board_id}` });
        assert.deepEqual(await of(guest, 'board_id=none&mine=true'), [loose]);
        assert.equal(await status(owner.delete(`${share}/${guest.user.user_id}`)), 200);
        assert.deepEqual(await of(guest, 'board_id=none&mine=true'), [there, loose].sort());
        assert.deepEqual(await of(guest, 'board_id=none'), [loose], 'as InvokeAI’s client asks');
        assert.ok(!(await of(owner, 'board_id=none&mine=true')).includes(there));
        assert.ok(!(await of(admin, 'board_id=none&mine=true')).includes(there));
        assert.equal(await status(guest.get(`/api/v1/images/i/${there}/full`)), 200);
        assert.equal(await status(guest.post('/api/v1/board_images/batch/delete', { image_names: [there] })), 403, 'it stays on that board');
        assert.deepEqual((await owner.get(`/api/v1/boards/${board.board_id}/image_names`)).body, [there]);
        assert.equal((await guest.delete('/api/v1/images/uncategorized')).body.deleted_images.length, 1, 'which deleting all on no board does not reach');
        assert.equal(await status(guest.post('/api/v1/board_images/batch', { image_names: [there], board_id: own.board_id })), 201, 'but onto a board of theirs');
        assert.deepEqual(await of(guest, 'board_id=none&mine=true'), []);
    });

    test('nobody shares a board with themselves, or with whom it belongs to', async () => {
        const deputy = await addUser(admin, 'Vice');
        const { board_id: id } = (await owner.post('/api/v1/boards/?board_name=Selfish')).body;
        const give = (who, body) => who.post(`/api/v1/boards/${id}/share`, { permission: 'admin', ...body });
        assert.equal(await status(give(owner, { user_ids: [deputy.user.user_id] })), 200);
        for (const [who, body] of [
            [owner, { user_ids: [owner.user.user_id] }],
            [owner, { email: owner.user.email }],
            [owner, { user_ids: [other.user.user_id, owner.user.user_id] }],
            [deputy, { user_ids: [owner.user.user_id] }],
            [deputy, { user_ids: [deputy.user.user_id], permission: 'read' }],
            [admin, { email: owner.user.email }],
        ]) {
            const answer = await give(who, body);
            assert.equal(answer.status, 422, `${JSON.stringify(body)}: ${answer.text}`);
        }
        const { shares } = (await owner.get(`/api/v1/boards/${id}/shares`)).body;
        assert.deepEqual(shares.map((s) => [s.user_id, s.permission]), [[deputy.user.user_id, 'admin']]);
    });

    test('the address of a person without a name is shown to who named them by it, and to administrators', async () => {
        const board = await create(owner);
        const path = `/api/v1/boards/${board.board_id}/share`;
        const made = await admin.post('/api/v1/auth/users', { email: 'nameless@example.com', display_name: '', password: PASSWORD });
        const id = made.body.user_id;
        const shown = async (who) => (await who.get(`${path}s`)).body.shares.find((one) => one.user_id === id).display_name;
        assert.equal(await status(owner.post(path, { user_ids: [id], permission: 'read' })), 200);
        assert.equal(await shown(owner), null);
        assert.equal(await shown(admin), 'nameless@example.com');
        assert.equal(await status(owner.post(path, { user_ids: [reader.user.user_id], permission: 'admin' })), 200);
        assert.equal(await status(owner.post(path, { email: 'nameless@example.com', permission: 'read' })), 200);
        assert.equal(await shown(owner), 'nameless@example.com');
        assert.equal(await shown(reader), null);
        assert.equal(await status(reader.post(path, { user_ids: [id], permission: 'write' })), 200);
        assert.equal(await shown(owner), 'nameless@example.com', 'another right does not hide it again');
    });

    test('sharing by address: the whole of it, in any case, and of somebody who is here', async () => {
        const board = await create(owner);
        const share = (email) => owner.post(`/api/v1/boards/${board.board_id}/share`, { email, permission: 'write' });
        for (const email of ['', 'nobody', 7, null]) {
            assert.equal(await status(share(email)), 422, JSON.stringify(email));
        }
        for (const email of ['nobody@example.com', 'rit@example.com', 'rit_@example.com']) {
            assert.equal(await status(share(email)), 404, email);
        }
        assert.deepEqual((await share('RITA@example.com')).body.shared_with, [{ user_id: reader.user.user_id, permission: 'write' }]);
        assert.equal((await reader.get(`/api/v1/boards/${board.board_id}`)).body.permission, 'write');
        assert.equal(await status(other.post(`/api/v1/boards/${board.board_id}/share`, { email: 'rita@example.com', permission: 'read' })), 403);
    });

    test('who tries address after address soon has to wait; who names people who are here does not', async () => {
        const guesser = await addUser(admin, 'Gustav');
        const share = async (who, email) => who.post(`/api/v1/boards/${(await create(who)).board_id}/share`, { email, permission: 'read' });
        for (let i = 0; i < 20; i++) {
            assert.equal(await status(share(guesser, 'rita@example.com')), 200);
        }
        const answers = [];
        while (answers.length < 60 && answers.at(-1)?.status !== 429) {
            answers.push(await share(guesser, `guess${answers.length}@example.com`));
        }
        assert.deepEqual([...new Set(answers.map((a) => a.status))], [404, 429]);
        assert.ok(answers.length > 10 && Number(answers.at(-1).headers['retry-after']) > 0);
        assert.equal(await status(share(guesser, 'rita@example.com')), 429, 'neither the right one is told from the others then');
        assert.equal(await status(share(owner, 'rita@example.com')), 200);
    });
});
