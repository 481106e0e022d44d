// The HTTP end of live events: handshakes, long polls between ordinary requests, and browsers that misbehave.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { closeAll, listen, publish, RawSocket } from '../lib/events.mjs';
import { request } from '../lib/http.mjs';
import { enqueue, QUEUE } from '../lib/queue.mjs';
import { until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const PATH = '/ws/socket.io/';

describe('the end point of live events', () => {
    const server = useServer();
    let admin, ann;

    before(async () => {
        admin = await setupAdmin(server);
        ann = await addUser(admin, 'Ann');
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    });
    afterEach(closeAll);

    const ask = (query, options) => request(`${server.url}${PATH}?${query}`, options);
    const poll = (sid, options) => ask(`EIO=4&transport=polling&sid=${sid}`, options);
    // The log tells of a poll when it begins to wait.
    const polls = () => fs.readFileSync(path.join(server.logs, 'access.log'), 'utf8').split('"GET /ws/').length;
    const handshake = async () => JSON.parse((await ask('EIO=4&transport=polling')).text.slice(1));

    describe('refuses', () => {
        const cases = {
            'another protocol version': ['EIO=3&transport=polling', 400, 5],
            'no protocol version': ['transport=polling', 400, 5],
            'an unknown transport': ['EIO=4&transport=flashsocket', 400, 0],
            'an unknown session': ['EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAA', 400, 1],
            'a session id that is none': ['EIO=4&transport=polling&sid=%00%ff..', 400, 3],
            'a WebSocket without an upgrade': ['EIO=4&transport=websocket', 400, 3],
        };
        for (const [what, [query, status, code]] of Object.entries(cases)) {
            test(what, async () => {
                const answer = await ask(query);
                assert.deepEqual([answer.status, answer.body.code], [status, code], answer.text);
            });
        }
        test('other methods, and says which there are', async () => {
            const answer = await ask('EIO=4&transport=polling', { method: 'PUT' });
            assert.deepEqual([answer.status, answer.headers.allow], [405, 'OPTIONS, GET, POST']);
        });
        test('a POST that opens, and one that is too large', async () => {
            assert.equal((await ask('EIO=4&transport=polling', { method: 'POST', body: '40' })).status, 400);
            const { sid } = await handshake();
            assert.equal((await poll(sid, { method: 'POST', body: '4'.repeat(65537) })).status, 413);
        });
        test('pages of other sites', async () => {
            for (const origin of ['http://evil.example', 'null', `http://127.0.0.1:${server.port + 1}`, 'file://', `http://127.0.0.1:${server.port}@evil.example`]) {
                assert.equal(await new RawSocket(server, { headers: { Origin: origin } }).status(), 403, origin);
                assert.equal((await ask('EIO=4&transport=polling', { headers: { Origin: origin } })).status, 403, origin);
            }
            assert.equal(await new RawSocket(server, { headers: { Origin: `http://127.0.0.1:${server.port}` } }).status(), 101);
        });
        test('broken WebSocket handshakes', async () => {
            for (const [headers, status] of [
                [{ 'Sec-WebSocket-Key': 'short' }, 400],
                [{ 'Sec-WebSocket-Key': null }, 400],
                [{ Upgrade: 'h2c' }, 400],
                [{ Connection: 'close' }, 400],
                [{ 'Sec-WebSocket-Version': '8' }, 426],
            ]) {
                assert.equal(await new RawSocket(server, { headers }).status(), status, JSON.stringify(headers));
            }
        });
    });

    test('keeps a hundred sockets of one address that have not signed in, and says so to the next', async () => {
        // The dispatcher answers when all connections have been put aside.
        const logged = polls();
        const { dispatcher } = server.pids();
        process.kill(dispatcher, 'SIGSTOP');
        const asked = Array.from({ length: 130 }, () => ask('EIO=4&transport=polling'));
        await until(() => polls() >= logged + 130, 'all to wait').finally(() => process.kill(dispatcher, 'SIGCONT'));
        const answers = await Promise.all(asked);
        const sids = answers.filter((a) => a.status === 200).map((a) => JSON.parse(a.text.slice(1)).sid);
        const answer = answers.find((a) => a.status !== 200);
        assert.ok(sids.length > 50 && sids.length <= 100, `${sids.length}`);
        assert.deepEqual([answer.status, answer.body.code], [429, 3]);
        assert.match(answer.body.message, /not signed in/);
        assert.ok(answers.filter((a) => a.status === 429).every((a) => Number(a.headers['retry-after']) > 0));
        const ws = new RawSocket(server);
        assert.equal(await ws.status(), 101);
        assert.equal(await ws.closeCode(), 1013);
        // Whoever signs in makes room, and so does who leaves.
        assert.equal((await poll(sids.pop(), { method: 'POST', body: `40{"token":"${ann.token}"}` })).text, 'ok');
        sids.push((await handshake()).sid);
        await Promise.all(sids.map((sid) => poll(sid, { method: 'POST', body: '1' }).then(() => poll(sid))));
        assert.ok(await handshake());
    });

    describe('a long poll', () => {
        test('gives its connection back to ordinary requests', async () => {
            const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
            const get = (path, options = {}) =>
                new Promise((resolve, reject) => {
                    const r = http.request(`${server.url}${path}`, { agent, ...options }, (answer) => {
                        let text = '';
                        answer.on('data', (data) => (text += data)).on('end', () => resolve({ status: answer.statusCode, text, headers: answer.headers, port: r.socket.localPort }));
                    });
                    r.on('error', reject);
                    r.end(options.body);
                });
            const first = await get(`${PATH}?EIO=4&transport=polling`);
            const { sid } = JSON.parse(first.text.slice(1));
            assert.equal((await poll(sid, { method: 'POST', body: `40{"token":"${ann.token}"}\x1e42["subscribe_queue",{"queue_id":"default"}]` })).text, 'ok');
            assert.match((await get(`${PATH}?EIO=4&transport=polling&sid=${sid}`)).text, /^40\{"sid"/);
            for (let i = 0; i < 5; i++) {
                const waiting = get(`${PATH}?EIO=4&transport=polling&sid=${sid}`);
                await new Promise((resolve) => setTimeout(resolve, 60));
                await enqueue(ann);
                const answer = await waiting;
                assert.match(answer.text, /^42\["batch_enqueued"/);
                assert.equal(answer.port, first.port, 'the connection was kept');
                assert.equal(answer.headers['cache-control'], 'no-store');
                assert.equal(answer.headers['x-content-type-options'], 'nosniff');
                const other = await get('/api/v1/auth/status');
                assert.deepEqual([other.status, other.port], [200, first.port]);
            }
            agent.destroy();
        });
        test('that its browser leaves is forgotten, and the session goes on', async () => {
            const { sid } = await handshake();
            const left = net.connect(server.port, '127.0.0.1');
            const before = polls();
            left.write(`GET ${PATH}?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`);
            await until(() => polls() > before, 'the poll to wait');
            const hex = (port) => port.toString(16).toUpperCase().padStart(4, '0');
            const held = new RegExp(`:${hex(server.port)} 0100007F:${hex(left.localPort)} (01|08) `);
            assert.match(fs.readFileSync('/proc/net/tcp', 'utf8'), held);
            left.destroy();
            // What is said before the server has noticed goes to nobody.
            await until(() => !held.test(fs.readFileSync('/proc/net/tcp', 'utf8')), 'the server to notice');
            await until(async () => {
                const r = await poll(sid, { method: 'POST', body: `40{"token":"${ann.token}"}` });
                return r.text === 'ok';
            }, 'the POST');
            await until(async () => /^40/.test((await poll(sid)).text), 'the next poll');
        });
        test('with requests sent ahead on its connection is ended without harm', async () => {
            const { sid } = await handshake();
            const one = `GET ${PATH}?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`;
            const socket = net.connect(server.port, '127.0.0.1');
            let ended = false;
            let text = '';
            socket.on('close', () => (ended = true)).on('error', () => {}).on('data', (data) => (text += data));
            const before = polls();
            socket.write(one + one + one);
            await until(() => polls() > before, 'the poll to wait');
            await poll(sid, { method: 'POST', body: '1' });
            await until(() => ended, 'the end of the connection');
            assert.match(text, /^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)*Connection: close\r\n/);
            assert.doesNotMatch(text, /keep-alive/i);
        });
    });

    describe('a WebSocket', () => {
        const start = async () => {
            const ws = new RawSocket(server);
            assert.equal(await ws.status(), 101);
            assert.match(await ws.text(), /^0\{"sid":"[\w-]{24}","upgrades":\[\]/);
            return ws;
        };
        const hostile = {
            'an unmasked frame': [(ws) => ws.frame(1, 'hello', { mask: false }), 1002],
            'a binary message': [(ws) => ws.frame(2, 'hello'), 1003],
            'text that is no UTF-8': [(ws) => ws.frame(1, Buffer.of(0xc3, 0x28)), 1007],
            'a fragmented ping': [(ws) => ws.frame(9, 'x', { fin: false }), 1002],
            'a reserved opcode': [(ws) => ws.frame(5, 'x'), 1002],
            'a message announced as larger than all memory': [() => Buffer.from('81ffffffffffffffffff00000000', 'hex'), 1009],
            'a half close code': [(ws) => ws.frame(8, 'x'), 1002],
        };
        for (const [what, [bytes, code]] of Object.entries(hostile)) {
            test(`with ${what} is closed with ${code}`, async () => {
                const ws = await start();
                ws.socket.write(bytes(ws));
                assert.equal(await ws.closeCode(), code);
                await ws.end();
            });
        }
        test('is read in whatever portions it comes', async () => {
            const ws = await start();
            const bytes = Buffer.concat([
                ws.frame(1, `40{"token":"${ann.token}"}`.slice(0, 9), { fin: false }),
                ws.frame(9, 'are you there'),
                ws.frame(0, `40{"token":"${ann.token}"}`.slice(9)),
                ws.frame(1, '421["hello"]'),
            ]);
            for (const byte of bytes) {
                ws.socket.write(Buffer.of(byte));
                await new Promise((resolve) => setImmediate(resolve));
            }
            const pong = await ws.next();
            assert.deepEqual([pong.opcode, pong.body.toString()], [10, 'are you there']);
            assert.match(await ws.text(), /^40\{"sid"/);
            assert.equal(await ws.text(), '431[]');
        });
        test('answers the newest of many pings, and ends whoever sends them without end', async () => {
            const ws = await start();
            ws.socket.write(Buffer.concat(['a', 'b', 'c'].map((each) => ws.frame(9, each))));
            const pong = await ws.next();
            assert.deepEqual([pong.opcode, pong.body.toString()], [10, 'c']);
            ws.socket.write(Buffer.concat(Array(900).fill(ws.frame(9, ''))));
            assert.equal(await ws.closeCode(), 1013);
            await ws.end();
        });
        test('answers a close frame with the same code and ends', async () => {
            const ws = await start();
            ws.socket.write(ws.frame(8, Buffer.of(0x03, 0xe9)));
            assert.equal(await ws.closeCode(), 1001);
            await ws.end();
        });
        test('with nonsense of the protocols inside is closed', async () => {
            for (const text of ['', '5', 'b1234', '42["before connecting"]', '4', '4{}', '40/x,{"token":1}\x00', '451-["binary"]']) {
                const ws = await start();
                ws.send(text);
                if (!text.startsWith('40/')) {
                    await ws.closeCode();
                    await ws.end();
                }
            }
        });
        test('that floods is closed', async () => {
            const ws = await start();
            ws.socket.write(Buffer.concat(Array.from({ length: 2000 }, () => ws.frame(1, '6'))));
            await ws.closeCode();
            await ws.end();
        });
        test('of an unknown session is closed', async () => {
            const ws = new RawSocket(server, { path: `${PATH}?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAAAAAA` });
            assert.equal(await ws.status(), 101);
            assert.equal(await ws.closeCode(), 1008);
            await ws.end();
        });
    });

    test('a browser that does not read is let go, and others hear everything', async () => {
        const ws = new RawSocket(server);
        assert.equal(await ws.status(), 101);
        ws.send(`40{"token":"${ann.token}"}`);
        ws.send('42["subscribe_queue",{"queue_id":"default"}]');
        ws.send('421["done"]');
        await ws.text();
        await ws.text();
        assert.equal(await ws.text(), '431[]');
        ws.socket.pause();
        const l = await listen(server, ann);
        const event = { name: 'invocation_complete', owner: ann.user.user_id, data: { queue_id: 'default', result: 'x'.repeat(100000) } };
        for (let i = 0; i < 150; i++) {
            await publish(server, [event]);
        }
        await until(() => l.all('invocation_complete').length === 150, 'the events', 60000);
        ws.socket.resume();
        await ws.end(20000);
        assert.ok(l.socket.connected);
    });

    after(closeAll);
});
