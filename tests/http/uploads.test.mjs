// Uploads: what is accepted, what is refused and how, and that no failure leaves a file or a row behind.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { oneChild, until, useServer } from '../lib/server.mjs';
import { Client } from '../lib/http.mjs';
import { makePng, readPng } from '../lib/png.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

const QUERY = '/api/v1/images/upload?image_category=user&is_intermediate=false';

describe('uploads', () => {
    const server = useServer({ multiuser: true, media: true, vhost: 'InvokeMUMaxUpload 1M' });
    let me, other;

    before(async () => {
        const admin = await setupAdmin(server);
        me = await addUser(admin, 'Mia');
        other = await addUser(admin, 'Otto');
    });

    const folder = (name) => fs.readdirSync(path.join(server.data, name)).filter((f) => f !== 'thumbnails').sort();
    const files = () => [folder('outputs/images'), folder('outputs/images/thumbnails'), folder('tmp')];
    const count = () => server.sql('SELECT count(*) AS n FROM images')[0].n;
    const part = (value, more) => ({ name: 'file', filename: 'p.png', type: 'image/png', value, ...more });
    const send = (form, query = QUERY, who = me) => who.send('POST', query, { form });

    /** Does something that must be refused, and leave nothing behind. */
    async function refused(expected, attempt) {
        const before = [files(), count()];
        const answer = await attempt();
        assert.equal(answer.status, expected, answer.text);
        assert.ok(answer.body.detail, 'an error says why');
        if (expected === 422) {
            assert.ok(Array.isArray(answer.body.detail) && answer.body.detail[0].loc && answer.body.detail[0].msg, answer.text);
        }
        assert.deepEqual([files(), count()], before, 'nothing is left behind');
        return answer;
    }

    test('a picture becomes a row, a file and a thumbnail, and the answer says where', async () => {
        const answer = await send([part(makePng(600, 300))]);
        assert.equal(answer.status, 201, answer.text);
        const dto = answer.body;
        assert.equal(answer.headers.location, dto.image_url);
        assert.equal(dto.image_url, `/api/v1/images/i/${dto.image_name}/full`);
        assert.match(dto.image_name, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.png$/);
        assert.deepEqual([dto.width, dto.height, dto.image_origin, dto.image_category], [600, 300, 'external', 'user']);
        const [images, thumbnails, temporary] = files();
        assert.ok(images.includes(dto.image_name) && thumbnails.includes(dto.image_name.replace('.png', '.webp')));
        assert.deepEqual(temporary, []);
        assert.ok(readPng((await me.get(dto.image_url)).raw).width === 600);
    });

    test('what is claimed about a file counts for nothing', async () => {
        const answer = await send([part(makePng(5, 5), { filename: '../../../etc/passwd', type: 'text/html' })]);
        assert.equal(answer.status, 201, answer.text);
        assert.ok(!answer.text.includes('passwd'));
    });

    test('metadata: a part of its own', async () => {
        const meta = { prompt: 'a "quoted" größe', seed: 9007199254740991, nested: { list: [1, null, true] } };
        const { body } = await send([part(makePng(5, 5)), { name: 'metadata', value: JSON.stringify(meta) }]);
        assert.deepEqual((await me.get(`/api/v1/images/i/${body.image_name}/metadata`)).body, meta);
        for (const value of ['{', '[1]', '"text"', '\0', 'null']) {
            await refused(422, () => send([part(makePng(5, 5)), { name: 'metadata', value }]));
        }
    });

    test('metadata, workflow and graph inside the picture are kept', async () => {
        const text = { invokeai_metadata: '{"seed":1}', invokeai_workflow: '{"nodes":[]}', invokeai_graph: '{"id":"g"}' };
        const { body } = await send([part(makePng(5, 5, { text }))]);
        assert.equal(body.has_workflow, true);
        assert.deepEqual((await me.get(`/api/v1/images/i/${body.image_name}/metadata`)).body, { seed: 1 });
        assert.deepEqual((await me.get(`/api/v1/images/i/${body.image_name}/workflow`)).body, { workflow: text.invokeai_workflow, graph: text.invokeai_graph });
    });

    test('numbers of more than 63 bits survive, in the picture as in the form', async () => {
        const text = { invokeai_metadata: '{"seed": 18446744073709551615, "steps": 4}', invokeai_workflow: '{"seed":18446744073709551615}', invokeai_graph: '{"id":18446744073709551615}' };
        for (const parts of [[part(makePng(5, 5, { text }))], [part(makePng(5, 5)), { name: 'metadata', value: text.invokeai_metadata }]]) {
            const { status, body } = await send(parts);
            assert.equal(status, 201);
            const answer = await me.get(`/api/v1/images/i/${body.image_name}/metadata`);
            assert.match(answer.headers['content-type'], /^application\/json/);
            assert.match(answer.text, /"seed": ?18446744073709551615[,}]/);
            assert.equal(answer.body.steps, 4);
            if (parts.length === 1) {
                assert.deepEqual((await me.get(`/api/v1/images/i/${body.image_name}/workflow`)).body, { workflow: text.invokeai_workflow, graph: text.invokeai_graph });
            }
        }
        await refused(422, () => send([part(makePng(5, 5)), { name: 'metadata', value: '[18446744073709551615]' }]));
    });

    test('resize_to makes the picture that size', async () => {
        const { body } = await send([part(makePng(20, 20)), { name: 'resize_to', value: '[32, 16]' }]);
        assert.deepEqual([body.width, body.height], [32, 16]);
        for (const value of ['[0,1]', '[1]', '[5000,5000]', '["1","2"]', 'x', '[1.5,2]']) {
            await refused(422, () => send([part(makePng(5, 5)), { name: 'resize_to', value }]));
        }
    });

    for (const [what, value] of [['text', 'hello'], ['a page', '<html><script>alert(1)</script>'], ['a PNG’s beginning', makePng(50, 50).subarray(0, 60)], ['noise', Buffer.alloc(5000, 7)], ['nothing', '']]) {
        test(`${what} is no picture`, () => refused(415, () => send([part(value)])));
    }

    test('a picture that claims to be enormous is refused', () =>
        refused(413, () => send([part(makePng(10, 10, { claim: { width: 60000, height: 60000 } }))])));

    test('a file over the limit is refused, announced or not', async () => {
        const big = Buffer.alloc(1024 * 1024 + 1, 1);
        await refused(413, () => send([part(big)]));
        await refused(413, () => send([part(Buffer.alloc(8 * 1024 * 1024, 1))]));
        const chunked = { 'transfer-encoding': 'chunked', 'content-length': '', 'content-type': 'multipart/form-data; boundary=b' };
        delete chunked['content-length'];
        assert.equal((await me.get('/api/v1/auth/me')).status, 200, 'and the server goes on');
        await refused(413, () => raw(`--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n${'x'.repeat(1100000)}\r\n--b--\r\n`, chunked));
    });

    /** Sends a body in chunks, over a socket of its own. */
    function raw(body, headers, { cut } = {}) {
        return new Promise((resolve, reject) => {
            const socket = net.connect(server.port, '127.0.0.1');
            const chunks = [];
            const head = Object.entries({ host: 'x', authorization: `Bearer ${me.token}`, connection: 'close', ...headers });
            socket.write(`POST ${QUERY} HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n`);
            socket.write(headers['transfer-encoding'] ? `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n` : body);
            if (cut) {
                socket.end(() => socket.destroy());
            }
            socket.on('data', (d) => chunks.push(d));
            socket.on('error', (error) => (chunks.length ? undefined : reject(error)));
            socket.on('close', () => {
                const text = Buffer.concat(chunks).toString();
                const status = Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? 0);
                resolve({ status, text, body: status >= 400 ? JSON.parse(/\{.*\}/s.exec(text)[0]) : null });
            });
        });
    }

    test('an upload that breaks off leaves nothing behind', async () => {
        const before = [files(), count()];
        const type = { 'content-type': 'multipart/form-data; boundary=b', 'content-length': 100000 };
        await raw('--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhalf', type, { cut: true });
        assert.deepEqual([files(), count()], before);
    });

    for (const [what, body, type] of [
        ['another type', '{}', 'application/json'],
        ['no boundary', 'x', 'multipart/form-data'],
        ['no end', '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nabc', 'multipart/form-data; boundary=b'],
        ['bare line feeds', '--b\nContent-Disposition: form-data; name="file"; filename="x"\n\nabc\n--b--\n', 'multipart/form-data; boundary=b'],
        ['a file as text', '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc\r\n--b--\r\n', 'multipart/form-data; boundary=b'],
        ['another file', '--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nabc\r\n--b--\r\n', 'multipart/form-data; boundary=b'],
    ]) {
        test(`a malformed body (${what}) is refused`, () =>
            refused(type === 'application/json' ? 415 : 422, () => me.send('POST', QUERY, { body, headers: { 'content-type': type } })));
    }

    for (const query of ['', '?image_category=user', '?is_intermediate=false', '?image_category=x&is_intermediate=false', '?image_category=user&is_intermediate=maybe', '?image_category=user&is_intermediate=false&crop_visible=x']) {
        test(`the query "${query}" is refused`, () => refused(422, () => send([part(makePng(5, 5))], `/api/v1/images/upload${query}`)));
    }

    test('boards: an unknown one is 404, a closed one 403, an open one takes the picture', async () => {
        const board = (await other.post('/api/v1/boards/?board_name=b')).body.board_id;
        await refused(404, () => send([part(makePng(5, 5))], `${QUERY}&board_id=unknown`));
        await refused(403, () => send([part(makePng(5, 5))], `${QUERY}&board_id=${board}`));
        assert.equal((await other.patch(`/api/v1/boards/${board}`, { board_visibility: 'public' })).status, 201);
        assert.equal((await send([part(makePng(5, 5))], `${QUERY}&board_id=${board}`)).body.board_id, board);
        assert.equal((await send([part(makePng(5, 5))], `${QUERY}&board_id=none`)).body.board_id, null);
    });

    test('strangers are turned away before their file is read', () => refused(401, () => send([part(makePng(5, 5))], QUERY, new Client(server.url))));

    test('many at once are all stored', async () => {
        const before = count();
        const answers = await Promise.all(Array.from({ length: 24 }, (_, i) => upload(i % 2 ? me : other, { png: makePng(40 + i, 30) })));
        assert.equal(new Set(answers.map((a) => a.image_name)).size, 24);
        assert.equal(count(), before + 24);
        for (const [i, dto] of answers.entries()) {
            assert.equal(dto.width, 40 + i);
            assert.equal(readPng((await (i % 2 ? me : other).get(dto.image_url)).raw).width, 40 + i);
        }
    });

    test('without the media process uploads say so, leave nothing, and work again when it is back', async () => {
        server.allowLog(/IMU0101: .*media_away/);
        await server.kill(server.media);
        const answer = await refused(503, () => send([part(makePng(5, 5))]));
        assert.match(answer.body.detail, /media process/);
        assert.ok(Number(answer.headers['retry-after']) > 0);
        await server.startMedia();
        assert.equal((await send([part(makePng(5, 5))])).status, 201);
    });

    test('the media process dying in the middle costs the uploads it had, and nothing else', async () => {
        server.allowLog(/IMU0101: .*media_away/);
        const running = Array.from({ length: 6 }, () => send([part(makePng(500, 500))]));
        await server.kill(server.media);
        const statuses = (await Promise.all(running)).map((a) => a.status);
        assert.ok(statuses.every((s) => s === 201 || s === 503), statuses.join());
        await server.startMedia();
        const [images, thumbnails, temporary] = files();
        await until(() => count() === images.length, 'as many rows as pictures');
        assert.deepEqual([images.length, temporary], [thumbnails.length, []]);
        assert.equal((await send([part(makePng(5, 5))])).status, 201);
    });
});

describe('in single-user mode', () => {
    const server = useServer({ multiuser: false, media: true });

    test('pictures belong to the system account and may be cached', async () => {
        const me = new Client(server.url);
        const image = await upload(me);
        const answer = await me.get(image.image_url);
        assert.match(answer.headers['cache-control'], /max-age=\d+/);
        assert.equal(server.sql('SELECT user_id FROM images')[0].user_id, 'system');
        assert.equal((await me.delete(`/api/v1/images/i/${image.image_name}`)).status, 200);
        assert.equal((await me.get(image.image_url)).status, 404);
    });
});

describe('many pictures at once', () => {
    const server = useServer({ multiuser: true, media: true, conf: oneChild(25) });
    server.allowLog(/AH00484: server reached MaxRequestWorkers/);
    const noise = () => Math.random() * 256;
    const form = [{ name: 'file', filename: 'a.png', type: 'image/png', value: makePng(700, 700, { pixel: () => [noise(), noise(), noise()] }) }];
    const together = (...people) => Promise.all(people.flatMap((who) => Array.from({ length: 12 / people.length }, () => who.send('POST', QUERY, { form }))));
    let me, other;

    before(async () => {
        const admin = await setupAdmin(server);
        me = await addUser(admin, 'Mia');
        other = await addUser(admin, 'Otto');
    });

    test('all of one person’s are taken while nobody else wants anything', async () => {
        const statuses = (await together(me)).map((answer) => answer.status);
        assert.deepEqual(statuses, Array(12).fill(201));
    });

    test('what two browsers send at once is taken, in turn', async () => {
        const statuses = (await together(me, other)).map((answer) => answer.status);
        assert.deepEqual(statuses, Array(12).fill(201));
    });
});
