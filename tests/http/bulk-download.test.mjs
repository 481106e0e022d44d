// Pictures as one ZIP file: whose they may be, who may fetch it, how often.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { Client } from '../lib/http.mjs';
import { until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

const DOWNLOAD = '/api/v1/images/download';

describe('bulk download', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, ann, ben;
    before(async () => {
        admin = await setupAdmin(server);
        ann = await addUser(admin, 'Ann');
        ben = await addUser(admin, 'Ben');
    });
    const make = async (who, body) => {
        const answer = await who.post(DOWNLOAD, body);
        assert.equal(answer.status, 202, answer.text.slice(0, 300));
        return answer.body.bulk_download_item_name;
    };
    const folder = () => path.join(server.data, 'outputs/bulk_downloads');
    /** Sent ones go when their last byte has gone out. */
    const allGone = () => until(() => fs.readdirSync(folder()).length === 0, 'an empty folder');
    /** Names in a ZIP file, as another program reads it. */
    const list = (bytes) => {
        const file = path.join(server.root, 'fetched.zip');
        fs.writeFileSync(file, bytes);
        execFileSync('unzip', ['-tq', file], { stdio: 'ignore' });
        return execFileSync('unzip', ['-Z1', file], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } }).trim().split('\n');
    };

    test('holds the pictures, byte for byte in name, and is gone once fetched', async () => {
        const names = [(await upload(ann)).image_name, (await upload(ann)).image_name];
        const name = await make(ann, { image_names: names });
        assert.match(name, /^[0-9a-f-]{36}\.zip$/);
        assert.equal((await ann.head(`${DOWNLOAD}/${name}`)).status, 200, 'a look does not use it up');
        const got = await ann.get(`${DOWNLOAD}/${name}`);
        assert.deepEqual([got.status, got.headers['content-type']], [200, 'application/zip']);
        assert.match(got.headers['content-disposition'], /^attachment; /);
        assert.deepEqual(list(got.raw).sort(), [...names].sort());
        assert.equal((await ann.get(`${DOWNLOAD}/${name}`)).status, 404);
        await allGone();
        assert.equal((await ann.head(`${DOWNLOAD}/${name}`)).status, 404);
    });

    test('is given out only as long as what is in it may be seen', async () => {
        const { board_id: id } = (await ann.post('/api/v1/boards/?board_name=Lent')).body;
        const { image_name: lent } = await upload(ann, { query: `&board_id=${id}` });
        const { image_name: own } = await upload(ben);
        const share = () => ann.post(`/api/v1/boards/${id}/share`, { user_ids: [ben.user.user_id], permission: 'read' });
        for (const body of [{ board_id: id }, { image_names: [lent] }, { image_names: [own, lent] }]) {
            assert.equal((await share()).status, 200);
            const [kept, name] = [await make(ben, body), await make(ben, body)];
            assert.equal((await ben.get(`${DOWNLOAD}/${kept}`)).status, 200);
            assert.equal((await ann.delete(`/api/v1/boards/${id}/share/${ben.user.user_id}`)).status, 200);
            assert.equal((await ben.head(`${DOWNLOAD}/${name}`)).status, 404);
            await allGone(); // it is not kept either
            assert.equal((await ben.get(`${DOWNLOAD}/${name}`)).status, 404);
        }
        assert.equal((await share()).status, 200);
        const moved = await make(ben, { board_id: id });
        const { board_id: elsewhere } = (await ann.post('/api/v1/boards/?board_name=Kept')).body;
        assert.equal((await ann.post('/api/v1/board_images/', { board_id: elsewhere, image_name: lent })).status, 201);
        assert.equal((await ben.get(`${DOWNLOAD}/${moved}`)).status, 404, 'nor what was moved off the board');
        const mine = await make(ben, { image_names: [own] });
        assert.equal((await ben.delete(`/api/v1/images/i/${own}`)).status, 200);
        assert.equal((await ben.get(`${DOWNLOAD}/${mine}`)).status, 200, 'what is deleted is not hidden');
    });

    test('is not given out when somebody has taken a picture back and deleted it', async () => {
        const { board_id: id } = (await ann.post('/api/v1/boards/?board_name=Lent-again')).body;
        const { board_id: elsewhere } = (await ann.post('/api/v1/boards/?board_name=Taken-back')).body;
        const take = {
            unshare: () => ann.delete(`/api/v1/boards/${id}/share/${ben.user.user_id}`),
            move: (picture) => ann.post('/api/v1/board_images/', { board_id: elsewhere, image_name: picture }),
        };
        for (const [how, what] of [['unshare', 'picture'], ['move', 'picture'], ['move', 'board']]) {
            await ann.post(`/api/v1/boards/${id}/share`, { user_ids: [ben.user.user_id], permission: 'read' });
            const { image_name: picture } = await upload(ann, { query: `&board_id=${id}` });
            const name = await make(ben, what === 'board' ? { board_id: id } : { image_names: [picture] });
            assert.ok((await take[how](picture)).status < 300);
            assert.equal((await ann.delete(`/api/v1/images/i/${picture}`)).status, 200);
            assert.equal((await ben.get(`${DOWNLOAD}/${name}`)).status, 404, `${how} ${what}`);
            await allGone();
        }
    });

    test('of a day ago is not given out, and goes without anybody’s doing', async () => {
        const { image_name: picture } = await upload(ann);
        const [old, stray, young] = [await make(ann, { image_names: [picture] }), await make(ann, { image_names: [picture] }), await make(ann, { image_names: [picture] })];
        const is = (name) => fs.existsSync(path.join(folder(), name));
        server.sql(`UPDATE bulk_downloads SET created_at = '2020-01-01 00:00:00.000' WHERE name = '${old}'`);
        server.sql(`DELETE FROM bulk_downloads WHERE name = '${stray}'`);
        [old, stray].forEach((name) => fs.utimesSync(path.join(folder(), name), 0, 0));
        assert.equal((await ann.head(`${DOWNLOAD}/${old}`)).status, 404);
        assert.equal((await ann.get(`${DOWNLOAD}/${old}`)).status, 404);
        assert.ok(is(old));
        await server.restart();
        await until(() => !is(old) && !is(stray), 'the end of old ones');
        assert.equal(server.sql(`SELECT COUNT(*) AS n FROM bulk_downloads WHERE name = '${old}'`)[0].n, 0);
        assert.equal((await ann.get(`${DOWNLOAD}/${young}`)).status, 200);
        await allGone();
    });

    test('holds pictures from elsewhere under their names, whatever letters those have', async () => {
        const odd = ['Ärger-猫.png', 'A\u0308rger-apart.png'];
        for (const name of odd) {
            const { image_name: made } = await upload(ann);
            for (const [part, end] of [['', '.png'], ['thumbnails/', '.webp']]) {
                const at = (picture) => path.join(server.data, 'outputs/images', part, picture.replace('.png', end));
                fs.renameSync(at(made), at(name));
            }
            server.sql(`UPDATE images SET image_name = '${name}' WHERE image_name = '${made}'`);
        }
        const got = await ann.get(`${DOWNLOAD}/${await make(ann, { image_names: odd })}`);
        assert.equal(got.status, 200);
        assert.deepEqual(list(got.raw).sort(), [...odd].sort());
    });

    test('of a board holds what is on it, for whoever may see the board', async () => {
        const board = (await ann.post('/api/v1/boards/?board_name=trip')).body.board_id;
        const picture = await upload(ann, { query: `&board_id=${board}` });
        assert.equal((await ben.post(DOWNLOAD, { board_id: board })).status, 403);
        await ann.patch(`/api/v1/boards/${board}`, { board_visibility: 'shared' });
        const name = await make(ben, { board_id: board });
        assert.deepEqual(list((await ben.get(`${DOWNLOAD}/${name}`)).raw), [picture.image_name]);
        assert.equal((await ben.post(DOWNLOAD, { board_id: 'no-such-board' })).status, 404);
    });

    test('comes whole, whatever part or condition is asked for: it comes once', async () => {
        const wishes = [{ range: 'bytes=0-0' }, { 'if-none-match': '*' }, { 'if-match': '"x"' }, { 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' }, { 'if-range': '"x"', range: 'bytes=5-' }];
        const picture = await upload(ann);
        for (const headers of wishes) {
            const name = await make(ann, { image_names: [picture.image_name] });
            const got = await ann.get(`${DOWNLOAD}/${name}`, { headers });
            assert.equal(got.status, 200, JSON.stringify(headers));
            assert.deepEqual(list(got.raw), [picture.image_name]);
        }
    });

    test('cannot be fetched by somebody else, and is not used up by their trying', async () => {
        const name = await make(ann, { image_names: [(await upload(ann)).image_name] });
        assert.equal((await ben.get(`${DOWNLOAD}/${name}`)).status, 403);
        assert.equal((await new Client(server.url).get(`${DOWNLOAD}/${name}`)).status, 401);
        assert.equal((await ann.get(`${DOWNLOAD}/${name}`)).status, 200);
    });

    test('is refused as a whole when one picture is somebody else’s', async () => {
        const [mine, foreign] = [await upload(ben), await upload(ann)];
        const before = fs.readdirSync(folder());
        assert.equal((await ben.post(DOWNLOAD, { image_names: [mine.image_name, foreign.image_name] })).status, 403);
        assert.deepEqual(fs.readdirSync(folder()), before);
    });

    test('of nothing is a bad request', async () => {
        const empty = (await ann.post('/api/v1/boards/?board_name=empty')).body.board_id;
        for (const body of [{}, { image_names: [] }, { image_names: null }, { board_id: empty }]) {
            assert.equal((await ann.post(DOWNLOAD, body)).status, 400, JSON.stringify(body));
        }
        assert.equal((await ann.post(DOWNLOAD, { image_names: 'x' })).status, 422);
    });

    test('under a name nobody was given is 404, wherever it points', async () => {
        for (const name of ['11111111-1111-4111-8111-111111111111.zip', '..%2f..%2fdatabases%2finvokemu.db', 'x']) {
            assert.equal((await ann.get(`${DOWNLOAD}/${name}`)).status, 404, name);
        }
    });

    test('fetched by many at once goes to one of them', async () => {
        const name = await make(ann, { image_names: [(await upload(ann)).image_name] });
        const answers = await Promise.all(Array.from({ length: 8 }, () => ann.get(`${DOWNLOAD}/${name}`)));
        assert.deepEqual(answers.map((a) => a.status).sort(), [200, ...Array(7).fill(404)]);
    });
});
