// Pictures: every row of the access matrix, lists and searching, files as HTTP serves them, deletion down to the disk.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { Client } from '../lib/http.mjs';
import { makePng, readPng } from '../lib/png.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

describe('pictures', () => {
    const server = useServer({ multiuser: true, media: true });
    const VIEWS = ['', '/metadata', '/workflow', '/urls', '/full', '/thumbnail'];
    let admin, owner, other, reader, writer;

    before(async () => {
        admin = await setupAdmin(server);
        owner = await addUser(admin, 'Olga');
        other = await addUser(admin, 'Otto');
        reader = await addUser(admin, 'Rita');
        writer = await addUser(admin, 'Walt');
    });

    const status = async (promise) => (await promise).status;
    const at = (image, view = '') => `/api/v1/images/i/${image.image_name}${view}`;
    const file = (image) => path.join(server.data, 'outputs/images', image.image_name);
    const thumbnail = (image) => path.join(server.data, 'outputs/images/thumbnails', image.image_name.replace('.png', '.webp'));
    /** What comes back, as text, for two requests at once with a header each. */
    const inOneConnection = async (place, headers) => {
        const socket = net.connect(new URL(server.url).port, '127.0.0.1');
        socket.end(headers.map((header) => `GET ${place} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${owner.token}\r\n${header}\r\n\r\n`).join(''));
        const parts = [];
        for await (const part of socket) {
            parts.push(part);
        }
        return Buffer.concat(parts).toString('latin1');
    };
    const names = (answer) => answer.body.items.map((i) => i.image_name);

    async function board(client, visibility, shares = []) {
        const made = (await client.post('/api/v1/boards/?board_name=b')).body;
        assert.equal(await status(client.patch(`/api/v1/boards/${made.board_id}`, { board_visibility: visibility })), 201);
        for (const [who, permission] of shares) {
            assert.equal(await status(client.post(`/api/v1/boards/${made.board_id}/share`, { user_ids: [who.user.user_id], permission })), 200);
        }
        return made.board_id;
    }

    describe('the access matrix', () => {
        const rows = {
            loose: { read: 'owner admin', change: 'owner admin' },
            private: { read: 'owner reader writer admin', change: 'owner writer admin' },
            shared: { read: 'owner other reader writer admin', change: 'owner writer admin' },
            public: { read: 'owner other reader writer admin', change: 'owner other reader writer admin' },
        };
        for (const [where, row] of Object.entries(rows)) {
            test(`a picture ${where === 'loose' ? 'on no board' : `on a ${where} board`}`, async () => {
                const on = where === 'loose' ? '' : `&board_id=${await board(owner, where, [[reader, 'read'], [writer, 'write']])}`;
                const people = { anonymous: new Client(server.url), owner, other, reader, writer, admin };
                for (const [name, who] of Object.entries(people)) {
                    const image = await upload(owner, { query: on });
                    const body = { image_names: [image.image_name] };
                    const expect = (list, yes, no = 403) => (name === 'anonymous' ? 401 : list.split(' ').includes(name) ? yes : no);
                    for (const view of VIEWS) {
                        assert.equal(await status(who.get(at(image, view))), expect(row.read, 200), `${name} reads ${view}`);
                    }
                    assert.equal(await status(who.head(at(image, '/full'))), expect(row.read, 200), `${name} asks for the head`);
                    if (name !== 'anonymous') {
                        const found = (await who.post('/api/v1/images/images_by_names', body)).body;
                        assert.equal(found.length, row.read.split(' ').includes(name) ? 1 : 0, `${name} finds it by name`);
                    }
                    assert.equal(await status(who.patch(at(image), { starred: false })), expect(row.change, 200), `${name} changes`);
                    assert.equal(await status(who.post('/api/v1/images/star', body)), expect(row.change, 200), `${name} stars`);
                    assert.equal(await status(who.post('/api/v1/images/unstar', body)), expect(row.change, 200), `${name} unstars`);
                    const own = name === 'anonymous' ? null : await board(who, 'private');
                    assert.equal(
                        await status(who.post('/api/v1/board_images/', { board_id: own, image_name: image.image_name })),
                        expect('owner admin', 201),
                        `${name} takes it to an own board`,
                    );
                    if (['owner', 'admin'].includes(name) && where !== 'loose') {
                        continue; // it lies on another board now
                    }
                    const deleted = await who.post('/api/v1/images/delete', body);
                    assert.equal(deleted.status, name === 'anonymous' ? 401 : 200, `${name} deletes a list`);
                    assert.equal(deleted.body.deleted_images?.length ?? 0, expect(row.change, 1, 0) % 401, `${name} deletes from a list`);
                    const second = await upload(owner, { query: on });
                    assert.equal(await status(who.delete(at(second))), expect(row.change, 200), `${name} deletes`);
                    assert.equal(fs.existsSync(file(second)), expect(row.change, 0, 1) > 0, 'the file goes with the row');
                }
            });
        }

        test('an unknown picture and a foreign one answer alike, in every view', async () => {
            const image = await upload(owner);
            for (const view of VIEWS) {
                const [foreign, unknown] = [await other.get(at(image, view)), await other.get(`/api/v1/images/i/${randomUUID()}.png${view}`)];
                assert.deepEqual([foreign.status, foreign.text], [unknown.status, unknown.text], view);
                assert.equal(await status(admin.get(`/api/v1/images/i/${randomUUID()}.png${view}`)), 404);
            }
        });

        test('who may see a file is remembered no longer than it is true', async () => {
            const id = await board(owner, 'private', [[reader, 'read']]);
            const image = await upload(owner, { query: `&board_id=${id}` });
            /** What so many requests get that every connection to the database is likely to answer one. */
            const all = async (who) => {
                const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => status(who.get(at(image, i % 2 ? '/full' : '/thumbnail')))));
                return [...new Set(answers)];
            };
            assert.deepEqual(await all(reader), [200]);
            assert.deepEqual(await all(other), [403], 'nobody has what another may see');
            assert.equal(await status(owner.delete(`/api/v1/boards/${id}/share/${reader.user.user_id}`)), 200);
            assert.deepEqual(await all(reader), [403]);
            assert.deepEqual(await all(owner), [200]);
            assert.deepEqual(await all(admin), [200]);
            assert.equal(await status(owner.delete(at(image))), 200);
            assert.deepEqual(await all(owner), [403]);
            assert.deepEqual(await all(admin), [404]);
        });

        test('one foreign or unknown name spoils a list of stars and of moves', async () => {
            const [mine, foreign] = [await upload(owner), await upload(other)];
            const own = await board(owner, 'private');
            for (const stranger of [foreign.image_name, `${randomUUID()}.png`]) {
                const image_names = [mine.image_name, stranger];
                assert.equal(await status(owner.post('/api/v1/images/star', { image_names })), 403);
                assert.equal(await status(owner.post('/api/v1/board_images/batch', { board_id: own, image_names })), 403);
            }
            const now = (await owner.get(at(mine))).body;
            assert.deepEqual([now.starred, now.board_id], [false, null]);
        });

        test('who sees all may ask for what is their own, and learns whose the rest is; nobody else does', async () => {
            const [his, hers] = [await upload(admin), await upload(owner)];
            const loose = async (who, more = '') => (await who.get(`/api/v1/images/names?board_id=none${more}`)).body.image_names;
            const all = await loose(admin);
            assert.ok(all.includes(his.image_name) && all.includes(hers.image_name));
            for (const list of [await loose(admin, '&mine=true'), names(await admin.get('/api/v1/images/?board_id=none&mine=true&limit=100'))]) {
                assert.ok(list.includes(his.image_name) && !list.includes(hers.image_name));
            }
            assert.ok(!(await loose(owner, '&mine=false')).includes(his.image_name), 'no more than one may see');
            assert.equal(await status(admin.get('/api/v1/images/names?mine=perhaps')), 422);
            const owners = async (who, list) => (await who.post('/api/v1/images/images_by_names', { image_names: list.map((i) => i.image_name) })).body.map((i) => i.owner_name);
            assert.deepEqual(await owners(admin, [his, hers]), [undefined, 'Olga']);
            const open = await upload(owner, { query: `&board_id=${await board(owner, 'public')}` });
            assert.deepEqual(await owners(other, [open]), [undefined]);
            assert.equal((await admin.get(at(hers))).body.owner_name, 'Olga');
            assert.equal((await other.get(at(open))).body.owner_name, undefined);
        });

        test('the media cookie opens files and nothing else', async () => {
            const image = await upload(owner);
            const media = (who) => new Client(server.url, { cookie: who.sessionCookie.split('; ').find((c) => c.startsWith('invokeai_media_token=')) });
            assert.equal(await status(media(owner).get(at(image, '/full'))), 200);
            assert.equal(await status(media(owner).get(`${at(image, '/thumbnail')}?media_cookie_version=3`)), 200);
            assert.equal(await status(media(other).get(at(image, '/full'))), 403);
            assert.equal(await status(media(owner).get(at(image))), 401);
            assert.equal(await status(media(owner).delete(at(image))), 401);
        });

        test('intermediates: each counts own ones, administrators count and clear all', async () => {
            const [u, v] = [await addUser(admin, 'Uli'), await addUser(admin, 'Vera')];
            const mine = await upload(u, { intermediate: true });
            await upload(v, { intermediate: true });
            const kept = await upload(u);
            assert.equal((await u.get('/api/v1/images/intermediates')).body, 1);
            const all = (await admin.get('/api/v1/images/intermediates')).body;
            assert.ok(all >= 2);
            assert.equal(await status(u.delete('/api/v1/images/intermediates')), 403);
            assert.equal((await admin.delete('/api/v1/images/intermediates')).body, all);
            assert.equal((await u.get('/api/v1/images/intermediates')).body, 0);
            assert.ok(!fs.existsSync(file(mine)) && fs.existsSync(file(kept)));
        });

        test('clearing the uncategorized reaches own ones only', async () => {
            const u = await addUser(admin, 'Zoe');
            const on = await upload(u, { query: `&board_id=${await board(u, 'private')}` });
            const [loose, foreign] = [await upload(u), await upload(owner)];
            const gone = (await u.delete('/api/v1/images/uncategorized')).body;
            assert.deepEqual([gone.deleted_images, gone.affected_boards], [[loose.image_name], ['none']]);
            assert.ok(fs.existsSync(file(on)) && fs.existsSync(file(foreign)) && !fs.existsSync(file(loose)));
            assert.deepEqual((await u.delete('/api/v1/images/uncategorized')).body.affected_boards, []);
        });

        test('an account takes its pictures along, files and all, wherever they lie', async () => {
            const guest = await addUser(admin, 'Gast');
            const [one, two] = [await upload(guest), await upload(guest, { query: `&board_id=${await board(owner, 'public')}` })];
            assert.ok(fs.existsSync(file(one)) && fs.existsSync(thumbnail(two)));
            assert.equal(await status(admin.delete(`/api/v1/auth/users/${guest.user.user_id}`)), 204);
            for (const image of [one, two]) {
                assert.ok(!fs.existsSync(file(image)) && !fs.existsSync(thumbnail(image)));
                assert.equal(await status(admin.get(at(image))), 404);
            }
            assert.deepEqual(server.sql('SELECT * FROM deleted_pictures'), []);
        });
    });

    describe('lists', () => {
        let me, images;
        const list = (query) => me.get(`/api/v1/images/?${query}`);

        before(async () => {
            me = await addUser(admin, 'Lena');
            images = [];
            for (const [category, prompt] of [['general', '100% "pure" gold'], ['general', '100 times_pure gold'], ['user', null], ['mask', 'größe'], ['control', null]]) {
                const form = [{ name: 'file', filename: 'p.png', value: makePng(16, 16) }];
                if (prompt) {
                    form.push({ name: 'metadata', value: JSON.stringify({ prompt }) });
                }
                const answer = await me.send('POST', `/api/v1/images/upload?image_category=${category}&is_intermediate=false`, { form });
                assert.equal(answer.status, 201, answer.text);
                images.push(answer.body.image_name);
            }
            await upload(me, { category: 'general', intermediate: true });
            assert.equal(await status(me.post('/api/v1/images/star', { image_names: [images[1]] })), 200);
        });

        test('newest first behind the starred ones, or as asked', async () => {
            const [a, b, c, d, e] = images;
            assert.deepEqual(names(await list('is_intermediate=false')), [b, e, d, c, a]);
            assert.deepEqual(names(await list('is_intermediate=false&order_dir=ASC')), [b, a, c, d, e]);
            assert.deepEqual(names(await list('is_intermediate=false&starred_first=false')), [e, d, c, b, a]);
        });

        test('pages do not overlap and carry the total', async () => {
            const seen = [];
            for (let offset = 0; offset < 6; offset += 2) {
                const answer = await list(`is_intermediate=false&offset=${offset}&limit=2`);
                assert.deepEqual([answer.body.total, answer.body.limit, answer.body.offset], [5, 2, offset]);
                seen.push(...names(answer));
            }
            assert.deepEqual(seen, names(await list('is_intermediate=false&limit=100')));
            assert.deepEqual((await list('limit=0')).body, { limit: 0, offset: 0, total: 6, items: [] });
        });

        test('categories, origin and intermediates', async () => {
            assert.equal((await list('categories=general')).body.total, 3);
            assert.equal((await list('categories=control&categories=mask&categories=user&categories=other&is_intermediate=false')).body.total, 3);
            assert.equal((await list('is_intermediate=true')).body.total, 1);
            assert.equal((await list('image_origin=internal')).body.total, 0);
            assert.equal((await list('image_origin=external')).body.total, 6);
            for (const query of ['categories=general&categories=x', 'image_origin=x', 'is_intermediate=x', 'limit=-1', 'offset=x', 'order_dir=x', `search_term=${'x'.repeat(1001)}`]) {
                assert.equal(await status(list(query)), 422, query);
            }
        });

        test('a search term is taken literally, whatever its case', async () => {
            const search = async (term) => names(await list(`search_term=${encodeURIComponent(term)}`));
            assert.deepEqual(await search('100% "PURE"'), [images[0]]);
            assert.deepEqual(await search('100_'), []);
            assert.deepEqual(await search('%'), [images[0]]);
            assert.deepEqual(await search('times_pure'), [images[1]]);
            assert.deepEqual(await search('größe'), [images[3]]);
            assert.deepEqual(await search("' OR 1=1 --"), []);
        });

        test('names, for both clients', async () => {
            const [a, b, c, d, e] = images;
            const query = 'board_id=none&is_intermediate=false&categories=general&categories=user&categories=mask&categories=control&search_term=';
            const expected = { starred_count: 1, total_count: 5 };
            assert.deepEqual((await me.get(`/api/v1/images/names?${query}`)).body, { image_names: [b, e, d, c, a], ...expected });
            assert.deepEqual((await me.get(`/api/v1/gallery/item_names?${query}`)).body, { item_names: [b, e, d, c, a], ...expected });
            assert.equal((await me.get(`/api/v1/images/names?${query}&starred_first=false`)).body.starred_count, 0);
            const day = new Date().toISOString().slice(0, 10);
            assert.equal((await me.get(`/api/v1/gallery/item_names?created_date=${day}`)).body.total_count, 6);
            assert.equal((await me.get('/api/v1/gallery/item_names?created_date=1999-01-01')).body.total_count, 0);
            assert.equal(await status(me.get('/api/v1/gallery/item_names?created_date=yesterday')), 422);
        });

        test('by names: with what each was asked to show, where it says so', async () => {
            const kinds = [
                [{ positive_prompt: ' a red barn ' }, 'a red barn'],
                [{ positive_prompt: 'ü'.repeat(400) }, 'ü'.repeat(300)],
                [{ positive_prompt: '   ' }],
                [{ positive_prompt: { a: 1 } }],
                [{ seed: 1 }],
            ];
            for (const [meta, prompt] of kinds) {
                const form = [
                    { name: 'file', filename: 'a.png', type: 'image/png', value: makePng(4, 4) },
                    { name: 'metadata', value: JSON.stringify(meta) },
                ];
                const { body } = await me.send('POST', '/api/v1/images/upload?image_category=user&is_intermediate=false', { form });
                const found = await me.post('/api/v1/images/images_by_names', { image_names: [body.image_name] });
                assert.equal(found.body[0].prompt, prompt, JSON.stringify(meta).slice(0, 60));
                assert.equal((await me.get(`/api/v1/images/i/${body.image_name}`)).body.prompt, prompt);
                await me.send('DELETE', `/api/v1/images/i/${body.image_name}`);
            }
        });

        test('by names: in the order asked for, each once', async () => {
            const [a, b] = images;
            const answer = await me.post('/api/v1/images/images_by_names', { image_names: [b, a, b, 'unknown.png'] });
            assert.deepEqual(answer.body.map((i) => i.image_name), [b, a]);
            for (const body of [{}, { image_names: 'x' }, { image_names: [null] }, { image_names: Array(10001).fill('x') }]) {
                assert.equal(await status(me.post('/api/v1/images/images_by_names', body)), 422);
            }
        });
    });

    describe('files', () => {
        test('headers, validators and portions', async () => {
            const image = await upload(owner, { png: makePng(80, 60) });
            const whole = await owner.get(at(image, '/full'));
            assert.equal(whole.status, 200);
            assert.equal(whole.headers['content-type'], 'image/png');
            assert.equal(whole.headers['cache-control'], 'private, no-store');
            assert.equal(whole.headers['x-content-type-options'], 'nosniff');
            assert.equal(whole.headers['content-disposition'], `inline; filename="${image.image_name}"`);
            assert.deepEqual([readPng(whole.raw).width, readPng(whole.raw).height], [80, 60]);
            assert.deepEqual(whole.raw, fs.readFileSync(file(image)));

            const { etag } = whole.headers;
            assert.match(etag, /^"[^"]+"$/, 'a strong validator');
            const same = await owner.get(at(image, '/full'), { headers: { 'if-none-match': etag } });
            assert.deepEqual([same.status, same.raw.length], [304, 0]);
            const part = await owner.get(at(image, '/full'), { headers: { range: 'bytes=10-19' } });
            assert.equal(part.status, 206);
            assert.deepEqual(part.raw, whole.raw.subarray(10, 20));
            const late = await owner.get(at(image, '/full'), { headers: { range: 'bytes=10-19', 'if-range': '"other"' } });
            assert.equal(late.status, 200);
            for (const place of [at(image, '/full'), '/index.html']) {
                const answers = await inOneConnection(place, ['Range: bytes=99999999-', 'Connection: close']);
                assert.deepEqual([...answers.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, code]) => code), ['416', '200'], answers);
                assert.match(answers.slice(0, answers.indexOf('\r\n\r\n')), /X-Content-Type-Options: nosniff/i);
                assert.ok(!answers.includes('500 Internal'), answers);
            }
            const head = await owner.head(at(image, '/full'));
            assert.deepEqual([head.status, head.raw.length, head.headers['content-length']], [200, 0, String(whole.raw.length)]);

            const small = await owner.get(at(image, '/thumbnail'));
            assert.equal(small.headers['content-type'], 'image/webp');
            assert.equal(small.raw.toString('latin1', 8, 12), 'WEBP');
            assert.notEqual(small.headers.etag, etag);
            assert.deepEqual(small.raw, fs.readFileSync(thumbnail(image)));
        });

        test('a name leads to a row, never to a path', async () => {
            for (const name of ['..%2f..%2f..%2finvokemu.db', '%2e%2e%2fx', '..%5c..%5cx', 'x%00.png', '....//x']) {
                for (const view of ['/full', '/thumbnail']) {
                    assert.ok([400, 403, 404].includes(await status(admin.get(`/api/v1/images/i/${name}${view}`))), name);
                }
            }
        });

        test('a file that somebody removed is missing, not an error of the server', async () => {
            const image = await upload(owner);
            fs.rmSync(file(image));
            assert.equal(await status(owner.get(at(image, '/full'))), 404);
            assert.equal(await status(owner.get(at(image))), 200);
            assert.equal(await status(owner.delete(at(image))), 200);
        });
    });

    test('changes: known fields of the right type', async () => {
        const image = await upload(owner);
        const changed = (await owner.patch(at(image), { image_category: 'mask', is_intermediate: true, starred: true, session_id: 's' })).body;
        assert.deepEqual([changed.image_category, changed.is_intermediate, changed.starred, changed.session_id], ['mask', true, true, 's']);
        const again = (await owner.patch(at(image), { starred: null, unknown: 1 })).body;
        assert.equal(again.starred, true);
        for (const body of [{ image_category: 'x' }, { starred: 'yes' }, { is_intermediate: 2 }, { session_id: 3 }, []]) {
            assert.equal(await status(owner.patch(at(image), body)), 422, JSON.stringify(body));
        }
    });
});
