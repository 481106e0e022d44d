// Connections that ask for nothing: while there is room they are left alone, and where there is none, whoever holds most gives way.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { after, afterEach, describe, test } from 'node:test';
import { connect as connectSocket, end as endSocket } from '../bench/socket.mjs';
import tls from 'node:tls';
import { request } from '../lib/http.mjs';
import { MODULES } from '../lib/paths.mjs';
import { oneChild, until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { SLOWER } from '../lib/waits.mjs';

// One child that takes 80 connections: 16 of people who have signed in, 16 of others.
const SHARE = 16;
const server = useServer({ conf: `${oneChild(8)}AsyncRequestWorkerFactor 9\nInvokeMUMaxSockets 40\nKeepAliveTimeout 30\n` });
server.allowLog(/AH00484: server reached MaxRequestWorkers/);
const open = [];
afterEach(() => open.splice(0).forEach((each) => each.socket.destroy()));

const HALF = 'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{';

const me = (who) => `GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${who.token}\r\n\r\n`;

/** A connection that sends `text` and then nothing. Resolves when it is there. */
function begin(text, from) {
    return new Promise((resolve, reject) => {
        const each = { text: '', ended: false };
        each.socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress: from }, () => each.socket.write(text, () => resolve(each)));
        each.socket.on('data', (data) => (each.text += data)).on('error', reject);
        each.socket.on('close', () => (each.ended = true));
        open.push(each);
    });
}

/** So many, one after the other; `from` tells each where it comes from. */
async function many(n, from, text = HALF) {
    const all = [];
    for (let i = 0; i < n; i++) {
        all.push(await begin(text, from(i)));
    }
    return all;
}

const alive = (all) => all.filter((each) => !each.ended).length;
const SOON = { timeout: 8000 * SLOWER };

describe('connections that ask for nothing', () => {
    test('are left alone while there is room', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const all = await many(SHARE - 2, () => '127.6.0.9');
        assert.equal((await admin.get('/api/v1/auth/me', SOON)).status, 200);
        assert.equal(alive(all), all.length);
    });

    test('of one address leave room to others, and these keep theirs', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const few = await many(3, () => '127.6.0.2');
        const all = await many(100, () => '127.6.0.1');
        assert.equal((await admin.get('/api/v1/auth/me', SOON)).status, 200);
        assert.equal((await request(`${server.url}/api/v1/auth/status`, { from: '127.6.0.3', ...SOON })).status, 200);
        await until(() => alive(all) <= SHARE - 3, 'the end of most');
        assert.ok(alive(all) >= SHARE - 5, 'not more than needed');
        assert.ok(!all.at(-1).ended, 'the oldest go first');
        assert.equal(alive(few), few.length);
        await server.waitLog(/IMU0108: \d+ connections of people who have not signed in .* one of 127\.6\.0\.1, who has \d+, ends/);
    });

    test('let in whoever comes from that very address, say through the same proxy', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        await many(100, () => '127.6.0.4');
        assert.equal((await admin.get('/api/v1/auth/me', { from: '127.6.0.4', ...SOON })).status, 200);
    });

    test('of many addresses keep nobody out, and cut off nobody who has signed in', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        // Half of another request: when all threads are busy, httpd itself ends connections that only keep alive.
        const [next, rest] = [me(admin).slice(0, 20), me(admin).slice(20)];
        const mine = await begin(me(admin) + next);
        await until(() => mine.text, 'its answer');
        const events = await connectSocket(server.url, admin.token);
        let over = false;
        events.on('close', () => (over = true));
        const all = await many(100, (i) => `127.6.1.${1 + i}`);
        assert.equal((await request(`${server.url}/api/v1/auth/status`, { from: '127.6.0.5', ...SOON })).status, 200);
        await until(() => alive(all) <= SHARE, 'the end of most');
        mine.socket.write(rest);
        await until(() => mine.text.split('HTTP/1.1 200 ').length === 3, 'another answer');
        assert.deepEqual([mine.ended, over], [false, false]);
        endSocket(events);
    });

    test('of one account leave room to other people', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const [greedy, modest] = [await addUser(admin, 'Greedy'), await addUser(admin, 'Modest')];
        const few = await many(2, () => '127.6.0.6', me(modest) + HALF);
        await until(() => few.every((each) => each.text), 'their answers');
        // So many at a time as are known before the next come.
        const all = [];
        for (let i = 0; i < 10; i++) {
            const some = await many(10, () => '127.6.0.7', me(greedy) + HALF);
            await until(() => some.every((each) => each.text), 'their answers');
            all.push(...some);
        }
        assert.equal((await admin.get('/api/v1/auth/me', SOON)).status, 200);
        await until(() => alive(all) <= SHARE - 2, 'the end of most');
        assert.equal(alive(few), few.length);
    });

    test('are not those of people whose pages stay open: these come in as before', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const pages = [];
        for (let i = 0; i < 9; i++) {
            pages.push(await connectSocket(server.url, admin.token, () => {}, { localAddress: '127.6.0.8' }));
        }
        await many(2 * SHARE, (i) => `127.6.3.${1 + (i % 4)}`);
        for (let i = 0; i < 20; i++) {
            assert.equal((await admin.get('/api/v1/auth/me', { from: '127.6.0.8', ...SOON })).status, 200);
        }
        pages.forEach(endSocket);
    });

    test('of one person end before an upload under way does', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const busy = await addUser(admin, 'Busy');
        const body = 'x'.repeat(6000);
        const slow = await begin(`${me(busy)}POST /api/v1/client_state/default/set_by_key?key=k HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer ${busy.token}\r\nContent-Length: ${body.length + 2}\r\n\r\n"${body.slice(0, 5000)}`, '127.6.0.9');
        await until(() => slow.text, 'its first answer');
        // Others of the same person, which ask and then wait.
        const idle = [];
        for (let i = 0; i < 2 * SHARE; i++) {
            const one = await begin(me(busy) + me(busy).slice(0, 20), '127.6.0.9');
            await until(() => one.text, 'an answer');
            idle.push(one);
        }
        await until(() => alive(idle) < SHARE, 'the end of some');
        slow.socket.write(`${body.slice(5000)}"`);
        await until(() => slow.text.split('HTTP/1.1 200 ').length === 3, 'the answer to the upload');
    });
});

describe('HTTP/2 over TLS', () => {
    const secure = useServer({ tls: true, conf: `LoadModule http2_module "${MODULES}/mod_http2.so"\nProtocols h2 http/1.1\nTimeout 100\nKeepAliveTimeout 100\n` });
    const ends = [];
    after(() => ends.forEach((end) => end()));

    test('has no half minute for its first request, as heads have', async () => {
        const admin = await setupAdmin(secure);
        const session = http2.connect(secure.url, { rejectUnauthorized: false });
        ends.push(() => session.destroy());
        const told = [];
        session.on('goaway', () => told.push('to go away')).on('close', () => told.push('closed')).on('error', () => {});
        const ask = () =>
            new Promise((resolve, reject) => {
                const stream = session.request({ ':path': '/api/v1/auth/me', authorization: `Bearer ${admin.token}` });
                stream.on('response', (head) => resolve(head[':status'])).on('error', reject).on('close', () => reject(new Error('no answer'))).resume().end();
            });
        assert.equal(await ask(), 200);
        // What begins now and sends half a head is let go after that time.
        const half = tls.connect({ port: secure.port, host: '127.0.0.1', rejectUnauthorized: false }, () => half.write('GET / HT'));
        ends.push(() => half.destroy());
        let ended = false;
        half.on('error', () => {}).on('close', () => (ended = true)).resume();
        await until(() => ended, 'the end of half a head', 60000 * SLOWER);
        assert.equal((await request(`${secure.url}/api/v1/auth/status`)).status, 200);
        assert.deepEqual(told, []);
        assert.equal(await ask(), 200);
    });
});
