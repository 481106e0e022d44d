// HTTP/2, for administrators who turn it on: what arrives slowly takes few of mod_http2's threads, too.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { makePng } from '../lib/png.mjs';
import { HTTP2, oneChild, until, useServer } from '../lib/server.mjs';
import { ADMIN, addUser, login, setupAdmin, upload } from '../lib/users.mjs';

const server = useServer({
    conf: `${oneChild(8)}${HTTP2}InvokeMUMaxSockets 1000\nRequestReadTimeout header=0 body=0\nH2MinWorkers 8\nH2MaxWorkers 8\n`,
});
server.allowLog(/AH00484: server reached MaxRequestWorkers/); // for a moment, when all ask at once
// As our sites have it, with httpd's own number of threads.
const usual = useServer({
    media: true,
    conf: `${oneChild(25)}${HTTP2}H2MaxSessionStreams 16\n`,
});
usual.allowLog(/AH00484: server reached MaxRequestWorkers/);
const sessions = [];
after(() => sessions.forEach((each) => each.destroy()));

function session(to = server) {
    const one = http2.connect(to.url, { maxSessionMemory: 1000 });
    one.on('error', () => {});
    sessions.push(one);
    return one;
}

/** A stream whose body does not end. */
function dribble(on, path, headers) {
    const each = { status: 0 };
    const stream = on.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json', ...headers });
    stream.on('response', (answer) => (each.status = answer[':status'])).on('error', () => {});
    stream.write('{');
    const timer = setInterval(() => stream.writable && stream.write(' '), 200);
    stream.on('close', () => clearInterval(timer));
    return each;
}

/** A whole request. */
function ask(on, path, headers = {}, body) {
    return new Promise((resolve, reject) => {
        const stream = on.request({ ':method': body ? 'POST' : 'GET', ':path': path, ...headers });
        let answer;
        let text = '';
        stream.on('response', (head) => (answer = head)).on('data', (data) => (text += data)).on('error', reject);
        stream.on('end', () => resolve({ status: answer?.[':status'], text }));
        stream.on('close', () => reject(new Error(`the stream of ${path} is closed without an answer (${stream.rstCode})`)));
        stream.end(body);
    });
}

/**
 * The same on a connection of its own, asked again every three seconds until one of them is answered. A worker of mod_http2 goes
 * idle when the stream it was woken for is gone, also while other connections have one waiting, which then waits for what comes next.
 */
async function askAlone(path, headers) {
    const asked = [];
    const answered = new AbortController();
    for (let tries = 0; tries < 10; tries++) {
        asked.push(ask(session(), path, headers));
        const later = pause(3000, null, { signal: answered.signal }).catch(() => null);
        const answer = await Promise.race([Promise.any(asked), later]);
        if (answer) {
            answered.abort();
            return answer;
        }
    }
    throw new Error(`no answer to any of ${asked.length} requests for ${path}`);
}

test('requests are served', async () => {
    const admin = await (server.admin ??= setupAdmin(server));
    const on = session();
    const who = { authorization: `Bearer ${admin.token}` };
    assert.equal((await ask(on, '/')).status, 200);
    assert.equal((await ask(on, '/api/v1/auth/me', who)).status, 200);
    assert.equal((await ask(on, '/api/v1/auth/login', { 'content-type': 'application/json' }, JSON.stringify({ email: 'a@example.com', password: 'x' }))).status, 401);
    const { status, text } = await ask(on, '/ws/socket.io/?EIO=4&transport=polling');
    assert.deepEqual([status, text[0]], [200, '0']);
});

for (const [whose, path] of [['one person', '/api/v1/queue/default/enqueue_batch'], ['strangers', '/api/v1/auth/login']]) {
    test(`slow streams of ${whose} leave threads to everybody else`, async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const slow = whose === 'strangers' ? null : await addUser(admin, 'Slow');
        const all = Array.from({ length: 4 }, () => session()).flatMap((on) => Array.from({ length: 6 }, () => dribble(on, path, slow && { authorization: `Bearer ${slow.token}` })));
        await until(() => all.filter((each) => each.status === 429).length >= all.length - 3, 'the refusal of most');
        assert.equal((await askAlone('/api/v1/auth/me', { authorization: `Bearer ${admin.token}` })).status, 200);
        assert.ok(all.some((each) => each.status !== 429), 'one is waited for');
        sessions.splice(0).forEach((each) => each.destroy());
    });
}

test('slow streams of two people together leave a place to a third', async () => {
    const admin = await (server.admin ??= setupAdmin(server));
    const as = async (name) => ({ authorization: `Bearer ${(await addUser(admin, name)).token}` });
    const [one, two, third] = [await as('Holds-one'), await as('Holds-two'), await as('Comes-later')];
    const path = '/api/v1/queue/default/enqueue_batch';
    const all = [one, two].flatMap((who) => {
        const on = session();
        return Array.from({ length: 6 }, () => dribble(on, path, who));
    });
    const refused = () => all.filter((each) => each.status === 429).length;
    await until(() => refused() === all.length - 3, 'the refusal of most');
    const mine = dribble(session(), path, third);
    await until(() => refused() === all.length - 2, 'somebody who had two to lose one');
    assert.notEqual(mine.status, 429);
    sessions.splice(0).forEach((each) => each.destroy());
});

test('a browser’s thirty pictures at once are all taken', async () => {
    const admin = await setupAdmin(usual);
    const on = session(usual);
    await once(on, 'remoteSettings');
    const noise = () => Math.random() * 256;
    const head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n';
    const body = Buffer.concat([Buffer.from(head), makePng(600, 600, { pixel: () => [noise(), noise(), noise()] }), Buffer.from('\r\n--b--\r\n')]);
    const headers = { authorization: `Bearer ${admin.token}`, 'content-type': 'multipart/form-data; boundary=b' };
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask(on, '/api/v1/images/upload?image_category=user&is_intermediate=false', headers, body)));
    assert.deepEqual(answers.map((answer) => answer.status), Array(30).fill(201));
});

test('a download is there, and counted, until it was read', async () => {
    const who = await addUser(await login(usual, ADMIN.email, ADMIN.password), 'Reader');
    const folder = path.join(usual.data, 'outputs/bulk_downloads');
    const { image_name: name } = await upload(who);
    fs.truncateSync(path.join(usual.data, 'outputs/images', name), 16 * 1024 ** 2);
    const made = await who.post('/api/v1/images/download', { image_names: [name] });
    const at = `/api/v1/images/download/${made.body.bulk_download_item_name}`;
    const headers = { authorization: `Bearer ${who.token}` };
    const stream = session(usual).request({ ':path': at, ...headers });
    const [head] = await once(stream, 'response');
    assert.equal(head[':status'], 200);
    assert.equal((await ask(session(usual), at, headers)).status, 404);
    assert.equal(fs.readdirSync(folder).length, 1);
    let read = 0;
    stream.on('data', (data) => (read += data.length));
    await once(stream, 'end');
    assert.ok(read > 16 * 1024 ** 2);
    await until(() => fs.readdirSync(folder).length === 0, 'its end');
});

test('bodies that nobody reads are not waited for', async () => {
    const admin = await (server.admin ??= setupAdmin(server));
    const on = session();
    const all = ['/a%2fb', '/%00', '/', '/api/v1/nothing'].flatMap((path) => Array.from({ length: 6 }, () => dribble(on, path)));
    await until(() => all.every((each) => each.status >= 400), 'answers to all', 5000);
    assert.equal((await askAlone('/api/v1/auth/me', { authorization: `Bearer ${admin.token}` })).status, 200);
});
