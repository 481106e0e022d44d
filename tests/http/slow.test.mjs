// What arrives slowly, most of all from people who have proved nothing: little time, few threads, and everybody else goes on.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, describe, test } from 'node:test';
import tls from 'node:tls';
import { request } from '../lib/http.mjs';
import { makePng } from '../lib/png.mjs';
import { oneChild, until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

// One child with eight threads: two may wait for such bodies, one of them for one address. httpd's own limits are off.
const THREADS = `${oneChild(8)}InvokeMUMaxSockets 1000\nRequestReadTimeout header=0 body=0\n`;
const server = useServer({ conf: `${THREADS}SendBufferSize 65536\n`, media: true });
const secure = useServer({ conf: THREADS, tls: true });
// Two dozen connections at once may meet httpd's look at its threads while all of them are busy.
[server, secure].forEach((each) => each.allowLog(/AH00484: server reached MaxRequestWorkers/));
server.allowLog(/IMU0101: POST \/api\/v1\/auth\/login failed \(busy\)/);
const open = [];
after(() => open.forEach((each) => each.socket.destroy()));

/** Sends `begin`, and then `next` again and again. Keeps what comes back in `.text`. */
function trickle(begin, { next = ' ', to = server, raw = false, from } = {}) {
    const each = { text: '', ended: false, begun: Date.now(), goesOn: () => each.socket.bytesWritten >= begin.length + 5 };
    let timer;
    // What goes on follows what begins, however long the connection takes.
    const begun = () => {
        each.socket.write(begin);
        timer = setInterval(() => each.socket.writable && each.socket.write(next), 200);
    };
    each.socket = to === secure && !raw ? tls.connect({ port: to.port, host: '127.0.0.1', rejectUnauthorized: false }, begun) : net.connect({ port: to.port, host: '127.0.0.1', localAddress: from }, begun);
    each.socket.on('data', (data) => (each.text += data)).on('error', () => {});
    each.socket.on('close', () => {
        clearInterval(timer);
        each.ended = Date.now();
    });
    open.push(each);
    return each;
}

/** Sends a head that promises a body, and the body's first bytes; goes on byte by byte. */
function dribble(target, { who, method = 'POST', type = 'application/json', begin = '{', lines = [], chunked = false, length = 5000, ...rest } = {}) {
    const head = [`${method} ${target} HTTP/1.1`, ...(lines.some((line) => line.startsWith('Host:')) ? [] : ['Host: x']), `Content-Type: ${type}`, chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`, ...lines, ...(who ? [`Authorization: Bearer ${who.token}`] : [])];
    return trickle(`${head.join('\r\n')}\r\n\r\n${begin}`, rest);
}

describe('slow bodies', () => {
    const login = '/api/v1/auth/login';
    const uploading = '/api/v1/images/upload?image_category=user&is_intermediate=false';
    const form = { type: 'multipart/form-data; boundary=x', begin: '--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' };
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

    test('of strangers do not keep out a sign-in whose body comes after its head', async () => {
        await (server.admin ??= setupAdmin(server));
        const all = ['127.5.0.1', '127.5.0.2'].flatMap((from) => Array.from({ length: 12 }, () => dribble(login, { from })));
        await until(() => all.filter((each) => each.text).length >= all.length - 3, 'the refusal of most');
        const body = JSON.stringify({ email: 'a@example.com', password: 'x' });
        const late = dribble(login, { begin: '', next: '', length: body.length });
        await until(() => late.socket.bytesWritten > 0, 'its head');
        await request(`${server.url}/api/v1/auth/status`);
        late.socket.write(body);
        await until(() => late.text, 'its answer');
        assert.match(late.text, /^HTTP\/1\.1 401 /);
        all.forEach((each) => each.socket.destroy());
    });

    for (const length of [500, 4096]) {
        test(`of ${length} bytes hold no thread`, async () => {
            const admin = await (server.admin ??= setupAdmin(server));
            const all = Array.from({ length: 24 }, (_, i) => dribble(i % 2 ? login : '/', { length }));
            await until(() => all.every((each) => each.socket.bytesWritten > 120), 'their beginnings');
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
            assert.ok(all.every((each) => !each.text && !each.ended), 'nobody is sent away');
            all.forEach((each) => each.socket.destroy());
        });
    }

    test('that are short and never come whole are answered after their time, whether they go on or fall silent', async () => {
        const all = [dribble(login, { length: 500 }), dribble(login, { length: 500, next: '' }), dribble(login, { length: 500, next: '', to: secure })];
        await Promise.all(
            all.map(async (one) => {
                await until(() => one.text, 'the answer', 60000);
                const ms = Date.now() - one.begun;
                assert.match(one.text, /^HTTP\/1\.1 408 [^]*Connection: close\r\n/);
                assert.ok(ms > 25000 && ms < 50000, `it had its time: ${ms} ms`);
            }),
        );
    });

    for (const [what, lines] of [
        ['two lengths', ['Content-Length: 3000']],
        ['two lengths, one of them none', ['Content-Length: 0']],
        ['a length that is none', ['Content-Length: 30x']],
    ]) {
        test(`that come with ${what} are refused at once`, async () => {
            const one = dribble(login, { length: what.startsWith('a ') ? '2, 3' : 2, begin: '{}', next: '', lines });
            await until(() => one.text, 'the answer', 5000);
            assert.match(one.text, /^HTTP\/1\.1 400 /);
        });
    }

    /** Uploads that go on, so many for each. */
    const uploads = (people, n, next) => people.flatMap((who) => Array.from({ length: n }, () => dribble(uploading, { who, next, ...form })));

    test('of two people together leave threads to a third', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const [one, two, third] = [await addUser(admin, 'Holds-one'), await addUser(admin, 'Holds-two'), await addUser(admin, 'Comes-later')];
        const all = uploads([one, two], 12, 'x');
        await until(() => all.filter((each) => each.text).length >= all.length - 3, 'the refusal of most');
        for (let i = 0; i < 3; i++) {
            const [mine] = uploads([third], 1, 'x');
            await until(() => mine.goesOn() || mine.text, 'some of it');
            await third.get('/api/v1/auth/me');
            assert.equal(mine.text, '', 'it is waited for');
            mine.socket.destroy();
        }
        const lost = all.filter((each) => each.text.startsWith('HTTP/1.1 429 ')).length;
        assert.ok(lost > all.length - 3, 'somebody who held two lost one');
        all.forEach((each) => each.socket.destroy());
    });

    test('that stand still lose their threads to others after some seconds', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const people = [];
        for (let i = 0; i < 3; i++) {
            people.push(await addUser(admin, `Stands-still-${i}`));
        }
        const still = uploads(people, 1, '');
        await until(() => still.every((each) => each.socket.bytesWritten > 200), 'their beginnings');
        await admin.get('/api/v1/auth/me');
        const later = await addUser(admin, 'Comes-after-them');
        // Sends again when it is sent away, as people do.
        let mine;
        await until(() => {
            mine = mine && !mine.text ? mine : uploads([later], 1, 'x')[0];
            return still.some((each) => each.text.startsWith('HTTP/1.1 429 '));
        }, 'the end of one of them', 20000);
        assert.equal(mine.text, '');
        mine.socket.destroy();
        still.forEach((each) => each.socket.destroy());
    });

    test('that stand still keep the one thread they have while others have more', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const [patient, greedy, next] = [await addUser(admin, 'Has-one'), await addUser(admin, 'Has-more'), await addUser(admin, 'Has-none')];
        const [one] = uploads([patient], 1, '');
        await until(() => one.socket.bytesWritten > 200, 'its beginning');
        await admin.get('/api/v1/auth/me');
        const more = uploads([greedy], 12, 'x');
        await until(() => more.filter((each) => each.text).length === 10, 'the refusal of most');
        await until(() => Date.now() - one.begun > 4000, 'it to stand still for long enough');
        const [mine] = uploads([next], 1, 'x');
        await until(() => more.filter((each) => each.text).length === 11, 'somebody who had two to lose one');
        assert.deepEqual([one.text, mine.text], ['', '']);
        [one, mine, ...more].forEach((each) => each.socket.destroy());
    });

    test('of many people and strangers leave threads to sign-ins, and to what is answered at once', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const people = [];
        for (const name of ['Slow-one', 'Slow-two', 'Slow-three']) {
            people.push(await addUser(admin, name));
        }
        const target = '/api/v1/queue/default/enqueue_batch';
        const all = [...people.flatMap((who) => Array.from({ length: 4 }, () => dribble(target, { who }))), ...Array.from({ length: 4 }, () => dribble('/api/v1/auth/login'))];
        // Of the eight threads, two are for passwords and two for what is answered at once.
        await until(() => all.filter((each) => each.text).length >= all.length - 4, 'the refusal of most');
        assert.ok(all.filter((each) => !each.text).length >= 3, 'people are waited for');
        const signIns = Promise.all(Array.from({ length: 6 }, () => request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: 'a@example.com', password: 'x' } })));
        assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
        const statuses = (await signIns).map((answer) => answer.status);
        assert.ok(statuses.includes(401) && statuses.every((status) => [401, 503].includes(status)), `${statuses}`);
        all.forEach((each) => each.socket.destroy());
    });

    for (const [what, target, body] of [['jobs', '/api/v1/queue/default/enqueue_batch', {}], ['uploads', uploading, form]]) {
        test(`of one person’s ${what} leave threads to everybody else`, async () => {
            const admin = await (server.admin ??= setupAdmin(server));
            const slow = await addUser(admin, `Slow-${what}`);
            const all = Array.from({ length: 12 }, () => dribble(target, { who: slow, ...body }));
            const refused = () => all.filter((each) => each.text.startsWith('HTTP/1.1 429 '));
            await until(() => refused().length >= 9, 'the refusal of most');
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
            assert.equal((await admin.post('/api/v1/boards/?board_name=meanwhile')).status, 201);
            assert.equal(all.filter((each) => each.text).length, 9, 'three are waited for');
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

    // What httpd's core answers by itself, before any of our handlers has heard of it; it reads the body to its end.
    for (const [what, target, how, lasts] of [
        ['OPTIONS *', '*', { method: 'OPTIONS' }, true],
        ['an encoded slash', '/a%2fb', { method: 'GET' }],
        ['a null byte', '/%00', { method: 'GET' }],
        ['what is expected in vain', '/', { method: 'GET', lines: ['Expect: foo'] }],
        ['trailers that nobody reads', '*', { method: 'OPTIONS', chunked: true, begin: '0\r\nX: ' }],
        ['trailers', login, { chunked: true, begin: '2\r\n{}\r\n0\r\nX: ' }, true],
        ['chunks of one byte', login, { chunked: true, begin: '1\r\n{\r\n', next: '1\r\n \r\n' }],
        ['an extension of a chunk', login, { chunked: true, begin: '1;', next: 'x' }],
        ['a head that has no end', '/', { lines: Array(9).fill(`X: ${'x'.repeat(8000)}`).concat('Y: 1\r\nX') }],
        ['an expectation of 100', login, { lines: ['Expect: 100-continue'] }],
    ]) {
        test(`that come with ${what} hold few threads`, async () => {
            const admin = await (server.admin ??= setupAdmin(server));
            const all = Array.from({ length: 24 }, () => dribble(target, how));
            // One may be waited for.
            await until(() => all.filter((each) => each.ended).length >= all.length - 1, 'the end of most', 5000);
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
            if (lasts) {
                await until(() => all.every((each) => each.ended), 'the end of its time', 60000);
            }
            all.forEach((each) => each.socket.destroy());
        });
    }

    for (const [what, method, target, status, lines] of [
        ['a bad method', 'BREW', '/', 405],
        ['a bad host', 'GET', '/', 400, ['Host: x y']],
        ['TRACE', 'TRACE', '/', 405],
        ['a file that is to be replaced', 'PUT', '/', 405],
        ['a session that nobody knows', 'GET', '/ws/socket.io/?EIO=4&transport=polling&sid=nobody', 400],
        ['a WebSocket', 'GET', '/ws/socket.io/?EIO=4&transport=websocket', 400, ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Version: 13']],
    ]) {
        test(`that come with ${what} are not waited for`, async () => {
            const admin = await (server.admin ??= setupAdmin(server));
            const all = Array.from({ length: 24 }, () => dribble(target, { method, lines }));
            await until(() => all.every((each) => each.text.startsWith(`HTTP/1.1 ${status} `) && each.ended), 'answers to all', 5000);
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
        });
    }

    test('that come with a poll are not waited for', async () => {
        const admin = await (server.admin ??= setupAdmin(server));
        const path = '/ws/socket.io/?EIO=4&transport=polling';
        const sids = [];
        for (let i = 0; i < 24; i++) {
            sids.push(JSON.parse((await request(server.url + path)).text.slice(1)).sid);
        }
        const all = sids.map((sid) => dribble(`${path}&sid=${sid}`, { method: 'GET' }));
        await until(() => all.every((each) => each.ended), 'the end of all', 5000);
        assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
    });

    test('do not keep a connection from its next request once they are there', async () => {
        const body = JSON.stringify({ email: 'a@example.com', password: 'x' });
        const one = `POST ${login} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        const client = trickle(one.repeat(2), { next: '' });
        await until(() => client.text.split('HTTP/1.1 401 ').length === 3, 'two answers');
        client.socket.write(one.slice(0, 20));
        client.socket.write(one.slice(20, -3));
        await request(`${server.url}/api/v1/auth/status`);
        client.socket.write(one.slice(-3));
        await until(() => client.text.split('HTTP/1.1 401 ').length === 4, 'a third one');
        assert.ok(!client.ended);
    });
});

test('who reads a large picture slowly holds no thread', async () => {
    const admin = await (server.admin ??= setupAdmin(server));
    const noise = () => Math.random() * 256;
    const { image_name } = await upload(admin, { png: makePng(900, 900, { pixel: () => [noise(), noise(), noise()] }) });
    const all = Array.from({ length: 24 }, () => {
        const each = trickle(`GET /api/v1/images/i/${image_name}/full HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin.token}\r\n\r\n`, { next: '' });
        each.socket.once('data', () => each.socket.pause());
        return each;
    });
    await until(() => all.every((each) => each.text.startsWith('HTTP/1.1 200 ')), 'the beginnings of all', 10000);
    assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
    all.forEach((each) => each.socket.destroy());
});

test('uploads that wait to be decoded leave threads to everybody else', async () => {
    const admin = await (server.admin ??= setupAdmin(server));
    const [greedy, other, third] = [await addUser(admin, 'Greedy'), await addUser(admin, 'Other'), await addUser(admin, 'Third')];
    const form = [{ name: 'file', filename: 'a.png', type: 'image/png', value: makePng(20, 20) }];
    const send = (who) => who.send('POST', '/api/v1/images/upload?image_category=user&is_intermediate=false', { form });
    server.media.kill('SIGSTOP');
    let all;
    try {
        const refused = [];
        all = Array.from({ length: 12 }, () => send(greedy).then((answer) => (answer.status === 429 ? refused.push(answer) : 0, answer)));
        await until(() => refused.length === 9, 'the refusal of most');
        assert.ok(Number(refused[0].headers['retry-after']) > 0);
        assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
        all.push(send(other));
        assert.equal((await other.get('/api/v1/auth/me')).status, 200);
        await until(() => refused.length === 10, 'one who had three to lose one');
        all.push(send(third));
        await until(() => refused.length === 11, 'one who had two to lose one');
    } finally {
        server.media.kill('SIGCONT');
    }
    const statuses = (await Promise.all(all)).map((answer) => answer.status);
    assert.deepEqual([statuses.filter((status) => status === 201).length, ...statuses.slice(-2)], [3, 201, 201], 'one is waited for, and the other people’s');
});

describe('answers that nobody reads', () => {
    const PIPELINED = 8; // more than a socket's two ends take
    const silent = (target, { to = server, who } = {}) => {
        const line = `GET ${target} HTTP/1.1\r\nHost: x\r\n${who ? `Authorization: Bearer ${who.token}\r\n` : ''}\r\n`;
        const each = trickle(line.repeat(PIPELINED), { next: '', to });
        each.socket.once('data', () => each.socket.pause());
        return each;
    };
    /** A list of some 200 KB. */
    const library = async (who) => {
        const state = await who.post('/api/v1/client_state/default/set_by_key?key=large', 'x'.repeat(200000));
        assert.equal(state.status, 200);
        return '/api/v1/client_state/default/get_by_key?key=large';
    };

    for (const [name, to] of [['plainly', server], ['with TLS', secure]]) {
        test(`hold few threads when strangers asked ${name}`, async () => {
            const admin = await (to.admin ??= setupAdmin(to));
            const all = Array.from({ length: 24 }, () => silent('/openapi.json', { to }));
            // One is waited for, and the others are given up.
            await until(() => all.filter((each) => each.text || each.ended).length === all.length, 'a beginning, or the end, of all', 20000);
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
            all.forEach((each) => each.socket.resume());
            await until(() => all.every((each) => each.ended || each.text.split('HTTP/1.1 200 ').length === PIPELINED + 1), 'all that was waited for', 20000);
            all.forEach((each) => each.socket.destroy());
        });

        test(`leave threads to everybody else when one person asked ${name}`, async () => {
            const admin = await (to.admin ??= setupAdmin(to));
            const slow = await addUser(admin, 'Reads-nothing');
            const target = await library(slow);
            const all = Array.from({ length: 24 }, () => silent(target, { to, who: slow }));
            await until(() => all.filter((each) => each.text || each.ended).length === all.length, 'a beginning, or the end, of all', 20000);
            assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
            all.forEach((each) => each.socket.destroy());
        });

        test(`are whole for who reads them slowly ${name}`, async () => {
            await (to.admin ??= setupAdmin(to));
            const whole = (await request(`${to.url}/openapi.json`)).text;
            const one = silent('/openapi.json', { to });
            const timer = setInterval(() => one.socket[one.socket.isPaused() ? 'resume' : 'pause'](), 20);
            await until(() => one.text.split('HTTP/1.1 200 ').length === PIPELINED + 1 && one.text.endsWith(whole), 'all of them', 20000);
            clearInterval(timer);
            one.socket.destroy();
            const bodies = one.text.split(/HTTP\/1\.1 200 [^]*?\r\n\r\n/).slice(1);
            assert.deepEqual([...new Set(bodies)], [whole]);
        });
    }
});

test('who reads nothing with TLS loses a thread to whoever reads', async () => {
    const admin = await (secure.admin ??= setupAdmin(secure));
    const library = async (who) => assert.equal((await who.post('/api/v1/client_state/default/set_by_key?key=large', 'x'.repeat(4000000))).status, 200);
    const ask = (who) => {
        const each = trickle(`GET /api/v1/client_state/default/get_by_key?key=large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${who.token}\r\n\r\n`, { next: '', to: secure });
        each.socket.once('data', () => each.socket.pause());
        return each;
    };
    const idle = [];
    for (const name of ['One', 'Two']) {
        const who = await addUser(admin, name);
        await library(who);
        idle.push(...Array.from({ length: 6 }, () => ask(who)));
    }
    await until(() => idle.every((each) => each.text || each.ended), 'a beginning, or the end, of all', 20000);
    const reader = await addUser(admin, 'Reader');
    await library(reader);
    for (let i = 0; i < 3; i++) {
        const one = ask(reader);
        const timer = setInterval(() => one.socket[one.socket.isPaused() ? 'resume' : 'pause'](), 5);
        await until(() => one.ended || one.text.endsWith('x"'), 'the answer', 20000);
        clearInterval(timer);
        assert.ok(one.text.length > 4000000, `${one.text.length} bytes came`);
        one.socket.destroy();
    }
    idle.forEach((each) => each.socket.destroy());
});

describe('slow heads', () => {
    const heads = [
        ['nothing', '', ''],
        ['a line', 'GET /', 'x'],
        ['a header', 'GET / HTTP/1.1\r\nHost: x\r\nX: ', 'x'],
        ['one header after the other', 'GET / HTTP/1.1\r\nHost: x\r\n', 'X: x\r\n'],
        ['a request behind another', 'GET /api/v1/auth/status HTTP/1.1\r\nHost: x\r\n\r\nGET /', 'x'],
    ];
    for (const [name, to] of [['plainly', server], ['with TLS', secure]]) {
        for (const [what, begin, next] of heads) {
            test(`of which ${what} comes ${name} hold no thread`, async () => {
                const admin = await (to.admin ??= setupAdmin(to));
                const all = Array.from({ length: 24 }, () => trickle(begin, { next, to }));
                await until(() => all.every((each) => each.socket.bytesWritten >= begin.length + 2 * next.length), 'their beginnings');
                assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
                assert.ok(all.every((each) => !each.ended), 'nobody is sent away');
                // One that goes on after all is served.
                const late = trickle('GET /api/v1/auth/status HTTP/1.1\r\nHo', { next: '', to });
                await until(() => late.socket.bytesWritten > 20, 'its beginning');
                await admin.get('/api/v1/auth/me');
                late.socket.write('st: x\r\n\r\n');
                await until(() => /^HTTP\/1\.1 200 /.test(late.text), 'its answer');
                all.forEach((each) => each.socket.destroy());
            });
        }
    }

    test('end after their time', async () => {
        const all = ['x', ''].map((next) => trickle('GET / HTTP/1.1\r\nHost: x\r\nX: ', { next }));
        await until(() => all.every((one) => one.ended), 'the end', 60000);
        assert.ok(all.every((one) => one.ended - one.begun > 25000 && one.ended - one.begun < 50000 && !one.text));
    });

    test('and handshakes hold no thread', async () => {
        const admin = await (secure.admin ??= setupAdmin(secure));
        const all = Array.from({ length: 24 }, () => trickle(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]), { next: Buffer.from([0]), to: secure, raw: true }));
        await until(() => all.every((each) => each.socket.bytesWritten > 8), 'their beginnings');
        assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
        all.forEach((each) => each.socket.destroy());
    });

    test('that are nonsense are answered at once', async () => {
        for (const [begin, answer] of [
            ['\r\n\r\nGET /api/v1/auth/status HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 200 /],
            ['nonsense\r\n', /400 Bad Request/],
            ['GET / HTTP/1.1 no\r\n', /400 Bad Request/],
            [`GET /${'x'.repeat(9000)}\r\n`, /^HTTP\/1\.1 414 /],
            ['GET / HTTP/1.1\nHost: x\n\n', /^HTTP\/1\.1 \d/],
        ]) {
            const one = trickle(begin, { next: '' });
            await until(() => answer.test(one.text), `an answer to ${begin.slice(0, 20)}`, 5000);
        }
        // A handshake that is none.
        const one = trickle('GET / HTTP/1.1\r\nHost: x\r\n\r\n', { next: '', to: secure, raw: true });
        await until(() => one.text.includes('400 Bad Request'), 'an answer', 5000);
    });
});
