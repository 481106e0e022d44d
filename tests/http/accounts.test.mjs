// Set-up, signing in and out, sessions and the own account.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startServer, useServer } from '../lib/server.mjs';
import { Client, request } from '../lib/http.mjs';
import { ADMIN, addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';

const NEXT = 'Lantern-Orchard-27q';
const ME = '/api/v1/auth/me';

/** Set-Cookie lines as {name: {value, attributes}}. */
function cookies(answer) {
    const out = {};
    for (const line of answer.headers['set-cookie'] || []) {
        const [pair, ...rest] = line.split('; ');
        const attributes = Object.fromEntries(rest.map((a) => [a.split('=')[0].toLowerCase(), a.split('=')[1] ?? true]));
        out[pair.slice(0, pair.indexOf('='))] = { value: pair.slice(pair.indexOf('=') + 1), attributes };
    }
    return out;
}

/** Sends the body of a request when `between` is done; the server has looked at who asks by then. */
function bodyAfter(client, path, body, between, method = 'POST') {
    return new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${client.token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), expect: '100-continue', connection: 'close' };
        const req = http.request(client.base + path, { method, headers });
        req.on('continue', () => between().then(() => req.end(body), reject));
        req.on('error', reject);
        req.on('response', async (res) => {
            let text = '';
            for await (const part of res) {
                text += part;
            }
            resolve({ status: res.statusCode, text });
        });
        req.flushHeaders();
    });
}

const tryLogin = (server, email, password, headers) =>
    request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email, password }, headers });

describe('first start', () => {
    const server = useServer({ multiuser: true });
    const setup = (json) => request(`${server.url}/api/v1/auth/setup`, { method: 'POST', json });

    test('of many set-ups at once, one wins', async () => {
        const answers = await Promise.all([1, 2, 3, 4].map((i) => setup({ ...ADMIN, email: `root${i}@example.com` })));
        assert.deepEqual(answers.map((a) => a.status).sort(), [200, 400, 400, 400]);
        assert.deepEqual(server.sql("SELECT COUNT(*) AS n FROM users WHERE is_admin = 1 AND user_id <> 'system'"), [{ n: 1 }]);
        assert.equal((await request(`${server.url}/api/v1/auth/status`)).body.setup_required, false);
    });

    test('passwords and secrets are stored as hashes alone', () => {
        const [row] = server.sql("SELECT password_hash FROM users WHERE user_id <> 'system'");
        assert.match(row.password_hash, /^\$2b\$12\$.{53}$/);
        const [{ value }] = server.sql("SELECT value FROM app_settings WHERE key = 'jwt_secret'");
        assert.equal(Buffer.from(value, 'base64url').length, 32);
    });
});

describe('sessions', () => {
    const server = useServer({ multiuser: true });
    let admin;
    before(async () => (admin = await setupAdmin(server)));

    test('signing in sets two cookies that scripts cannot read and that end with the token', async () => {
        const answer = await tryLogin(server, ADMIN.email, ADMIN.password);
        const set = cookies(answer);
        for (const [name, at] of [['invokeai_media_token', '/api/v1'], ['invokemu_session', '/']]) {
            assert.equal(set[name].value, answer.body.token, name);
            assert.equal(set[name].attributes.path, at);
            assert.ok(set[name].attributes.httponly);
            assert.match(set[name].attributes.samesite, /^(Lax|Strict)$/);
            assert.ok(!set[name].attributes.secure);
            assert.ok(Number(set[name].attributes['max-age']) <= answer.body.expires_in);
        }
        const left = answer.body.expires_at - Date.now() / 1000;
        assert.ok(Math.abs(left - 86400) < 60, `${left}`);
    });

    test('spaces around an address do not matter, inside it they do', async () => {
        const made = await admin.post('/api/v1/auth/users', { email: ' Pia@example.com \n', display_name: 'Pia', password: PASSWORD });
        assert.equal(made.status, 201, made.text);
        assert.equal(made.body.email, 'pia@example.com');
        assert.equal((await tryLogin(server, '\tpia@example.com ', PASSWORD)).status, 200);
        assert.equal((await tryLogin(server, 'pi a@example.com', PASSWORD)).status, 422);
        assert.equal((await tryLogin(server, '   ', PASSWORD)).status, 422);
    });

    test('the media cookie issued again lives no longer than the token', async () => {
        const one = await login(server, ADMIN.email, ADMIN.password);
        const answer = await one.post('/api/v1/auth/media-cookie');
        assert.equal(answer.status, 200);
        assert.ok(Number(cookies(answer).invokeai_media_token.attributes['max-age']) <= 86400);
        const byCookie = await new Client(server.url, { cookie: one.sessionCookie }).post('/api/v1/auth/media-cookie', undefined, { headers: { 'sec-fetch-site': 'same-origin' } });
        assert.equal(byCookie.status, 401, 'a cookie does not renew itself');
    });

    test('the session cookie opens routes to a page of the same origin only', async () => {
        const one = await login(server, ADMIN.email, ADMIN.password);
        const session = one.sessionCookie.split('; ').find((c) => c.startsWith('invokemu_session='));
        const with_ = (headers) => new Client(server.url, { cookie: session }).patch(ME, { display_name: 'By cookie' }, { headers });
        assert.equal((await with_({ 'sec-fetch-site': 'same-origin' })).status, 200);
        assert.equal((await with_({ origin: server.url })).status, 200);
        assert.equal((await with_({})).status, 401);
        assert.equal((await with_({ 'sec-fetch-site': 'cross-site' })).status, 401);
        assert.equal((await with_({ 'sec-fetch-site': 'same-site' })).status, 401);
        assert.equal((await with_({ 'sec-fetch-site': 'none' })).status, 401);
        assert.equal((await with_({ origin: 'http://127.0.0.1:1' })).status, 401);
        assert.equal((await with_({ origin: 'null' })).status, 401);
        assert.equal((await with_({ 'sec-fetch-site': 'cross-site', origin: server.url })).status, 401);
        const stale = await with_({ 'sec-fetch-site': 'same-origin', authorization: 'Bearer nonsense' });
        assert.equal(stale.status, 401, 'a header that is of no use is not made good by a cookie');
        const twice = await new Client(server.url, { cookie: `${session}; ${session}` }).get(ME, { headers: { 'sec-fetch-site': 'same-origin' } });
        assert.equal(twice.status, 401, 'two cookies of one name are none');
    });

    test('own sessions are listed without secrets, and end one by one', async () => {
        const anna = await addUser(admin, 'Anna');
        const second = await login(server, 'anna@example.com', PASSWORD);
        const list = (await anna.get('/api/v1/auth/sessions', { headers: { 'user-agent': 'x' } })).body.sessions;
        assert.equal(list.length, 2);
        assert.equal(list.filter((s) => s.current).length, 1);
        assert.deepEqual(Object.keys(list[0]).sort(), ['created_at', 'current', 'expires_at', 'ip_address', 'last_activity_at', 'session_id', 'user_agent']);
        const other = list.find((s) => !s.current);
        assert.equal((await admin.delete(`/api/v1/auth/sessions/${other.session_id}`)).status, 404, 'nobody ends what is not theirs');
        assert.equal((await anna.delete(`/api/v1/auth/sessions/${other.session_id}`)).status, 200);
        assert.equal((await second.get(ME)).status, 401);
        assert.equal((await anna.get(ME)).status, 200);
        const third = await login(server, 'anna@example.com', PASSWORD);
        assert.equal((await anna.delete('/api/v1/auth/sessions')).status, 200);
        assert.equal((await third.get(ME)).status, 401);
        assert.equal((await anna.get(ME)).status, 200, 'everywhere else, not here');
        const own = (await anna.get('/api/v1/auth/sessions')).body.sessions[0].session_id;
        assert.equal((await anna.delete(`/api/v1/auth/sessions/${own}`)).status, 200);
        assert.equal((await anna.get(ME)).status, 401);
    });

    test('a change renews the token, the old one goes on, and signing out ends both', async () => {
        const one = await login(server, ADMIN.email, ADMIN.password);
        const answer = await one.patch(ME, { display_name: 'Renewed' });
        const fresh = new Client(server.url, { token: answer.headers['x-refreshed-token'] });
        assert.ok(fresh.token);
        assert.equal((await fresh.get(ME)).status, 200);
        assert.equal((await one.get(ME)).status, 200);
        assert.equal((await one.patch(ME, { new_password: 'x' })).headers['x-refreshed-token'], undefined, 'a refused change renews nothing');
        assert.equal((await fresh.post('/api/v1/auth/logout')).status, 200);
        assert.equal((await one.get(ME)).status, 401);
        assert.equal((await fresh.get(ME)).status, 401);
    });

    test('a token that is signed right but belongs to no session opens nothing', async () => {
        const [{ value: key }] = server.sql("SELECT value FROM app_settings WHERE key = 'jwt_secret'");
        const [head, payload] = admin.token.split('.');
        const sign = (claims) => {
            const text = `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
            return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
        };
        const claims = JSON.parse(Buffer.from(payload, 'base64url'));
        assert.equal((await new Client(server.url, { token: sign(claims) }).get(ME)).status, 200, 'control: the forger knows the key');
        assert.equal((await new Client(server.url, { token: sign({ ...claims, sid: 'A'.repeat(43) }) }).get(ME)).status, 401);
        assert.equal((await new Client(server.url, { token: sign({ ...claims, epoch: claims.epoch + 1 }) }).get(ME)).status, 401);
        const berta = await addUser(admin, 'Berta');
        const hers = JSON.parse(Buffer.from(berta.token.split('.')[1], 'base64url'));
        const raised = new Client(server.url, { token: sign({ ...hers, is_admin: true }) });
        assert.equal((await raised.get('/api/v1/auth/users')).status, 403, 'a role in the token counts for nothing');
        assert.equal((await new Client(server.url, { token: sign({ ...hers, user_id: claims.user_id, sub: claims.sub }) }).get(ME)).status, 401);
    });

    test('a password change leaves one working token, on every device', async () => {
        const carl = await addUser(admin, 'Carl');
        const other = await login(server, 'carl@example.com', PASSWORD);
        const answer = await carl.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: NEXT });
        assert.equal(answer.status, 200);
        assert.equal((await carl.get(ME)).status, 401);
        assert.equal((await other.get(ME)).status, 401);
        assert.equal((await new Client(server.url, { token: answer.headers['x-refreshed-token'] }).get(ME)).status, 200);
        assert.equal((await tryLogin(server, 'carl@example.com', PASSWORD)).status, 401);
        assert.equal(cookies(answer).invokemu_session.value, answer.headers['x-refreshed-token'], 'the cookies follow');
    });

    test('of several changes with the same old password, one counts', async () => {
        const lars = await addUser(admin, 'Lars');
        const nexts = [1, 2, 3].map((i) => `${NEXT}-${i}`);
        const change = (next) => lars.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: next });
        const answers = await Promise.all(nexts.map(change));
        assert.equal(answers.filter((a) => a.status === 200).length, 1, answers.map((a) => a.status).join());
        assert.ok(answers.every((a) => [200, 400, 401].includes(a.status)), answers.map((a) => a.status).join());
        assert.equal((await tryLogin(server, 'lars@example.com', nexts[answers.findIndex((a) => a.status === 200)])).status, 200);
    });

    test('a password that an administrator sets is not undone by a change under way', async () => {
        const mona = await addUser(admin, 'Mona');
        const hers = mona.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: `${NEXT}-hers` });
        await pause(50); // her old password is being looked at: both orders must end well
        const reset = await admin.patch(`/api/v1/auth/users/${mona.user.user_id}`, { password: `${NEXT}-reset` });
        assert.equal(reset.status, 200);
        assert.ok([200, 401].includes((await hers).status), `${(await hers).status}`);
        assert.equal((await tryLogin(server, 'mona@example.com', `${NEXT}-reset`)).status, 200);
    });

    test('what an administrator does to the own account hands out no dead token', async () => {
        const path = (who) => `/api/v1/auth/users/${who.user.user_id}`;
        const first = await addUser(admin, 'Nora', { isAdmin: true });
        const other = await login(server, 'nora@example.com', PASSWORD);
        const changed = await first.patch(path(first), { password: NEXT });
        assert.equal(changed.status, 200);
        const next = new Client(server.url, { token: changed.headers['x-refreshed-token'] });
        assert.equal((await next.get(ME)).status, 200, 'the one that did it stays signed in');
        assert.equal(cookies(changed).invokeai_media_token.value, next.token);
        assert.equal((await first.get(ME)).status, 401);
        assert.equal((await other.get(ME)).status, 401);
        const off = await next.patch(path(first), { is_active: false });
        assert.equal(off.status, 200);
        assert.equal(off.headers['x-refreshed-token'], undefined);
        assert.equal((await next.get(ME)).status, 401);
        const second = await addUser(admin, 'Olga', { isAdmin: true });
        const gone = await second.delete(path(second));
        assert.equal(gone.status, 204);
        assert.equal(gone.headers['x-refreshed-token'], undefined);
    });

    test('cookies of the session that come along are renewed with its token', async () => {
        const one = await login(server, ADMIN.email, ADMIN.password);
        const another = await login(server, ADMIN.email, ADMIN.password);
        const renewed = (cookie) => new Client(server.url, { token: one.token, cookie }).patch(ME, { display_name: 'Again' });
        const both = await renewed(one.sessionCookie);
        for (const name of ['invokeai_media_token', 'invokemu_session']) {
            assert.equal(cookies(both)[name].value, both.headers['x-refreshed-token'], name);
            assert.ok(Number(cookies(both)[name].attributes['max-age']) > 86000);
        }
        const media = one.sessionCookie.split('; ').find((c) => c.startsWith('invokeai_media_token='));
        assert.deepEqual(Object.keys(cookies(await renewed(media))), ['invokeai_media_token']);
        assert.deepEqual(cookies(await renewed(undefined)), {}, 'a program that keeps no cookies gets none');
        assert.deepEqual(cookies(await renewed(another.sessionCookie)), {}, 'who signed in here later keeps the place');
        const asked = await new Client(server.url, { token: one.token, cookie: one.sessionCookie }).post('/api/v1/auth/media-cookie');
        assert.equal(asked.headers['set-cookie'].length, 2);
        assert.equal(cookies(asked).invokeai_media_token.value, one.token);
        assert.equal(asked.headers['x-refreshed-token'], undefined);
    });

    test('an account that is deleted while its request comes in is answered with 401', async () => {
        const graph = { id: 'g', nodes: { a: { id: 'a', type: 'noise' } }, edges: [] };
        const requests = [
            ['/api/v1/queue/default/enqueue_batch', { batch: { graph, runs: 1 } }],
            ['/api/v1/workflows/', { workflow: { name: 'w', author: '', description: '', version: '1', contact: '', tags: '', notes: '', exposedFields: [], meta: { version: '3.0.0', category: 'user' }, nodes: [], edges: [], form: null } }],
            ['/api/v1/client_state/default/set_by_key?key=late', 'value'],
            [ME, { display_name: 'Late' }, 'PATCH'],
        ];
        for (const [i, [path, json, method]] of requests.entries()) {
            const person = await addUser(admin, `Late${i}`);
            const body = JSON.stringify(json);
            const answer = await bodyAfter(person, path, body, async () => {
                assert.equal((await admin.delete(`/api/v1/auth/users/${person.user.user_id}`)).status, 204);
            }, method);
            assert.equal(answer.status, 401, `${path}: ${answer.text}`);
        }
    });

    test('sessions outlive a restart of the server', async () => {
        server.allowLog(/AH03490/); // children of before may still be on their way out
        await server.restart('graceful');
        assert.equal((await admin.get(ME)).status, 200);
    });
});

describe('idle limit and other rules of the configuration', () => {
    test('a session that nobody uses ends; cookie names and lives are the administrator’s', async () => {
        const server = await startServer({
            multiuser: true,
            conf: ['InvokeMUSessionHours 2', 'InvokeMURememberHours 48', 'InvokeMUSessionIdle 30', 'InvokeMUStrictPasswords Off'],
            vhost: ['InvokeMUCookieName family', 'InvokeMUCookieAttributes "Path=/; SameSite=Strict"'],
        });
        try {
            const admin = await setupAdmin(server, { ...ADMIN, password: 'simple' });
            const short = await tryLogin(server, ADMIN.email, 'simple');
            assert.equal(short.body.expires_in, 7200);
            assert.equal(cookies(short).family.attributes.samesite, 'Strict');
            assert.equal((await request(`${server.url}/api/v1/auth/status`)).body.strict_password_checking, false);
            assert.equal((await admin.get(ME)).status, 200);
            server.sql("UPDATE user_sessions SET last_activity_at = datetime('now', '-31 minutes') || '.000'");
            assert.equal((await admin.get(ME)).status, 401);
            const next = await login(server, ADMIN.email, 'simple');
            server.sql("UPDATE user_sessions SET last_activity_at = datetime('now', '-29 minutes') || '.000'");
            assert.equal((await next.get(ME)).status, 200);
            const [{ fresh }] = server.sql("SELECT MAX(last_activity_at) > datetime('now', '-1 minute') AS fresh FROM user_sessions");
            assert.equal(fresh, 1, 'use is written down');
        } finally {
            await server.stop();
        }
    });
});

describe('guessing', () => {
    const server = useServer({ multiuser: true });
    let admin;
    before(async () => (admin = await setupAdmin(server)));

    test('wrong password and unknown account are told apart by neither words nor time', async () => {
        const timed = async (email) => {
            const start = performance.now();
            const answer = await tryLogin(server, email, 'Wrong-Guess-1');
            return { ms: performance.now() - start, answer };
        };
        await addUser(admin, 'Dora');
        const known = [];
        const unknown = [];
        for (let i = 0; i < 3; i++) {
            known.push(await timed('dora@example.com'));
            unknown.push(await timed(`nobody${i}@example.com`));
        }
        for (const { answer } of [...known, ...unknown]) {
            assert.equal(answer.status, 401);
            assert.deepEqual(answer.body, known[0].answer.body);
        }
        const least = (list) => Math.min(...list.map((t) => t.ms));
        assert.ok(least(unknown) > least(known) / 4, `unknown ${least(unknown)} ms, known ${least(known)} ms`);
        assert.ok(least(known) > least(unknown) / 4);
    });

    test('the limit is the same for known and unknown accounts, says when, and leaves sessions alone', async () => {
        const emil = await addUser(admin, 'Emil');
        const until429 = async (email) => {
            for (let i = 1; i <= 40; i++) {
                const answer = await tryLogin(server, email, `Wrong-Guess-${i}`);
                if (answer.status === 429) {
                    return { i, answer };
                }
                assert.equal(answer.status, 401);
            }
            return assert.fail('no limit');
        };
        const known = await until429('emil@example.com');
        assert.equal((await tryLogin(server, 'EMIL@example.com', PASSWORD)).status, 429, 'not even the right one, however it is spelt');
        const unknown = await until429('nobody@example.com');
        // On a slow machine the allowance refills meanwhile, so the two numbers need not be the same.
        assert.ok(known.i > 10 && unknown.i > 10, `${known.i} and ${unknown.i}`);
        assert.deepEqual(known.answer.body, unknown.answer.body);
        const wait = Number(known.answer.headers['retry-after']);
        assert.ok(wait >= 1 && wait <= 60, `${wait}`);
        assert.equal((await emil.get(ME)).status, 200);
        assert.equal((await tryLogin(server, ADMIN.email, ADMIN.password)).status, 200, 'others sign in');
        await server.waitLog(/IMU0201: sign-in failed for "emil@example\.com" from 127\.0\.0\.1: too many attempts/);
    });

    test('a stranger who guesses does not keep the owner out where the owner was before', async () => {
        await addUser(admin, 'Wanda');
        const from = (address, password) => request(`${server.url}/api/v1/auth/login`, { method: 'POST', from: address, json: { email: 'wanda@example.com', password } });
        const guess = async (address) => {
            for (let i = 0; i < 40; i++) {
                const { status } = await from(address, `Wrong-Guess-${i}`);
                if (status === 429) {
                    return;
                }
            }
            assert.fail(`no limit for ${address}`);
        };
        assert.equal((await from('127.0.0.5', PASSWORD)).status, 200);
        await guess('127.0.0.66');
        assert.equal((await from('127.0.0.77', PASSWORD)).status, 429, 'from a place like any other');
        assert.equal((await from('127.0.0.5', PASSWORD)).status, 200, 'from where the owner was before');
        await guess('127.0.0.5');
        assert.equal((await from('127.0.0.5', PASSWORD)).status, 429, 'guesses from there are counted too');
    });

    test('good sign-ins are not counted', async () => {
        await addUser(admin, 'Frieda');
        for (let i = 0; i < 16; i++) {
            assert.equal((await tryLogin(server, 'frieda@example.com', PASSWORD)).status, 200, `${i}`);
        }
    });

    test('the current password cannot be guessed without limit either', async () => {
        const gerd = await addUser(admin, 'Gerd');
        const seen = new Set();
        for (let i = 0; i < 40 && !seen.has(429); i++) {
            const answer = await gerd.post('/api/v1/auth/change-password', { current_password: `Wrong-${i}`, new_password: NEXT });
            seen.add(answer.status);
        }
        assert.deepEqual([...seen], [400, 429]);
    });

    test('strangers who guess do not keep a signed-in person from changing the password', async () => {
        const hans = await addUser(admin, 'Hans');
        const flood = await Promise.all(Array.from({ length: 40 }, (_, i) => tryLogin(server, 'hans@example.com', `Wrong-Guess-${i}`)));
        assert.ok(flood.some((a) => a.status === 429), 'the limit of sign-ins is used up');
        const answer = await hans.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: NEXT });
        assert.equal(answer.status, 200, answer.text);
        server.allowLog(/AH10159/);
        server.allowLog(/IMU0101: POST \/api\/v1\/auth\/login failed \(busy\)/);
    });

    test('a flood of sign-ins leaves the server answering', async () => {
        const flood = Array.from({ length: 60 }, (_, i) => tryLogin(server, `flood${i}@example.com`, 'Wrong-Guess-1'));
        const start = performance.now();
        assert.equal((await request(`${server.url}/api/v1/auth/status`)).status, 200);
        const ms = performance.now() - start;
        const statuses = new Set((await Promise.all(flood)).map((a) => a.status));
        assert.ok(ms < 25000, `${ms} ms`);
        assert.ok([...statuses].every((s) => [401, 429, 503].includes(s)), [...statuses].join());
        server.allowLog(/AH10159/); // all threads were wanted at once, as meant
        server.allowLog(/IMU0101: POST \/api\/v1\/auth\/login failed \(busy\)/);
    });
});
