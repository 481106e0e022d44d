// Bodies that arrive slowly, from people who have proved nothing: little time, few threads, and everybody else goes on.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, describe, test } from 'node:test';
import { request } from '../lib/http.mjs';
import { until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

// One child with eight threads: two may wait for such bodies, one of them for one address. httpd's own limits are off.
const server = useServer({ conf: 'StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 9\nInvokeMUMaxSockets 1000\nRequestReadTimeout body=0' });
const open = [];
after(() => open.forEach((each) => each.socket.destroy()));

/** Sends a head that promises a body, and the body's first bytes; goes on byte by byte. Keeps what comes back in `.text`. */
function dribble(target, { who, method = 'POST', type = 'application/json', begin = '{' } = {}) {
    const each = { text: '', ended: false, begun: Date.now() };
    const head = [`${method} ${target} HTTP/1.1`, 'Host: x', `Content-Type: ${type}`, 'Content-Length: 5000', ...(who ? [`Authorization: Bearer ${who.token}`] : [])];
    each.socket = net.connect(server.port, '127.0.0.1', () => each.socket.write(`${head.join('\r\n')}\r\n\r\n${begin}`));
    each.socket.on('data', (data) => (each.text += data)).on('error', () => {});
    const timer = setInterval(() => each.socket.writable && each.socket.write(' '), 200);
    each.socket.on('close', () => {
        clearInterval(timer);
        each.ended = Date.now();
    });
    open.push(each);
    return each;
}

describe('slow bodies', () => {
    for (const what of ['a poll', 'a sign-in']) {
        test(`of ${what} hold few threads, and not for long`, async () => {
            const admin = await (server.admin ??= setupAdmin(server));
            const { sid } = JSON.parse((await request(`${server.url}/ws/socket.io/?EIO=4&transport=polling`)).text.slice(1));
            const target = what === 'a poll' ? `/ws/socket.io/?EIO=4&transport=polling&sid=${sid}` : '/api/v1/auth/login';
            const all = Array.from({ length: 12 }, () => dribble(target));
            const refused = () => all.filter((each) => each.text.startsWith('HTTP/1.1 429 '));
            await until(() => refused().length >= all.length - 3, 'the refusal of most');
            assert.match(refused()[0].text, /Retry-After: \d+\r\n/);
            assert.match(refused()[0].text, /Connection: close\r\n/);
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200, 'others are served meanwhile');
            await until(() => all.every((each) => /^HTTP\/1\.1 (429|408) /.test(each.text)), 'the end of its time', 60000);
            assert.ok(refused().length < all.length, 'one was waited for');
            // The place is free again, and a body that is there at once never needs one.
            const next = dribble(target);
            await until(() => next.socket.bytesWritten > 0, 'the next one');
            assert.equal((await request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: 'a@example.com', password: 'x' } })).status, 401);
            next.socket.destroy();
        });
    }

    const form = { type: 'multipart/form-data; boundary=x', begin: '--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' };
    for (const [what, target, body] of [['jobs', '/api/v1/queue/default/enqueue_batch', {}], ['uploads', '/api/v1/images/upload?image_category=user&is_intermediate=false', form]]) {
        test(`of one person’s ${what} leave threads to everybody else`, async () => {
            const admin = await (server.admin ??= setupAdmin(server));
            const slow = await addUser(admin, `Slow-${what}`);
            const all = Array.from({ length: 12 }, () => dribble(target, { who: slow, ...body }));
            const refused = () => all.filter((each) => each.text.startsWith('HTTP/1.1 429 '));
            await until(() => refused().length >= 10, 'the refusal of most');
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
            assert.equal((await admin.post('/api/v1/boards/?board_name=meanwhile')).status, 201);
            assert.equal(all.filter((each) => each.text).length, 10, 'two are waited for');
            assert.equal((await slow.get('/api/v1/auth/me')).status, 200, 'what needs no waiting is answered');
            all.forEach((each) => each.socket.destroy());
            // Their places are free again.
            await until(async () => {
                const next = dribble(target, { who: slow, ...body });
                await until(() => next.socket.bytesWritten > 200, 'the next one');
                await admin.get('/api/v1/auth/me');
                next.socket.destroy();
                return !next.text;
            }, 'the next one to be waited for');
        });
    }

    for (const [what, target, method] of [['a question', '/api/v1/auth/status', 'GET'], ['a page', '/', 'GET'], ['what is refused', '/api/v1/queue/default/enqueue_batch', 'POST']]) {
        test(`that come with ${what} and that nobody reads are not waited for`, async () => {
            const admin = await (server.admin ??= setupAdmin(server));
            const all = Array.from({ length: 24 }, () => dribble(target, { method }));
            await until(() => all.every((each) => /^HTTP\/1\.1 /.test(each.text)), 'answers to all');
            assert.ok(all.every((each) => /\r\nConnection: close\r\n/.test(each.text)));
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
            all.forEach((each) => each.socket.destroy());
        });
    }
});
