// Every row of the route table, called by people who must not get in. New routes are covered by being in the table.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { Client } from '../lib/http.mjs';
import { ADMIN, addUser, login, setupAdmin } from '../lib/users.mjs';
import { routes } from '../guards/lib.mjs';

const SIGNED_IN = new Set(['USER', 'ADMIN', 'MEDIA', 'ACCOUNT', 'ACCOUNT_DUE', 'ACCOUNT_ADMIN']);
const ADMINS = new Set(['ADMIN', 'ACCOUNT_ADMIN']);
const KNOWN = new Set([...SIGNED_IN, 'PUBLIC']);

/** A path of the template with names of things that do not exist. */
function concrete(template) {
    return template.replace(/\{(\w+)\}/g, (_, name) => (name === 'queue_id' ? 'default' : name === 'item_id' ? '987654321' : randomUUID()));
}

const send = (client, { method, path }, options) => client.send(method, concrete(path), method === 'GET' ? options : { json: {}, ...options });

describe('in multi-user mode', () => {
    const server = useServer({ multiuser: true });
    let admin;
    let user;

    before(async () => {
        admin = await setupAdmin(server);
        user = await addUser(admin, 'Berta');
        assert.ok(admin.user.is_admin && !user.user.is_admin);
    });

    for (const route of routes()) {
        const name = `${route.method} ${route.path}`;
        assert.ok(KNOWN.has(route.access), `${name}: unknown access ${route.access}`);
        if (SIGNED_IN.has(route.access)) {
            test(`${name} is closed to strangers`, async () => {
                assert.equal((await send(new Client(server.url), route)).status, 401);
                const forged = new Client(server.url, { token: `${admin.token.slice(0, -4)}AAAA` });
                assert.equal((await send(forged, route)).status, 401);
            });
        }
        if (ADMINS.has(route.access)) {
            test(`${name} is closed to people who are no administrators`, async () => {
                assert.equal((await send(user, route)).status, 403);
            });
        }
        if (route.access !== 'MEDIA') {
            test(`${name} is closed to the media cookie`, async () => {
                const cookie = admin.sessionCookie.split('; ').find((c) => c.startsWith('invokeai_media_token='));
                assert.ok(cookie, 'signing in sets the media cookie');
                const answer = await send(new Client(server.url, { cookie }), route);
                assert.ok(route.access === 'PUBLIC' || answer.status === 401, `status ${answer.status}`);
            });
        }
        if (SIGNED_IN.has(route.access) && route.method !== 'GET') {
            test(`${name} does not believe a cookie from another site`, async () => {
                const headers = { origin: 'https://elsewhere.example', 'sec-fetch-site': 'cross-site' };
                const answer = await send(new Client(server.url, { cookie: admin.sessionCookie }), route, { headers });
                assert.ok([401, 403].includes(answer.status), `status ${answer.status}`);
            });
        }
    }

    test('nobody lost the right to go on by all that', async () => {
        assert.equal((await admin.get('/api/v1/auth/me')).status, 200);
        assert.equal((await user.get('/api/v1/auth/me')).status, 200);
    });
});

describe('in single-user mode', () => {
    const server = useServer({ multiuser: false });

    for (const route of routes().filter((r) => r.access.startsWith('ACCOUNT'))) {
        test(`${route.method} ${route.path} has no meaning`, async () => {
            const answer = await send(new Client(server.url), route);
            assert.ok([401, 403].includes(answer.status), `status ${answer.status}`);
        });
    }

    test('a page of another site changes nothing', async () => {
        const anyone = new Client(server.url);
        const foreign = [
            { 'sec-fetch-site': 'cross-site', origin: 'http://elsewhere.example' },
            { 'sec-fetch-site': 'same-site' },
            { origin: 'http://elsewhere.example' },
            { origin: 'null' },
        ];
        for (const headers of foreign) {
            const answer = await anyone.post('/api/v1/boards/?board_name=theirs', undefined, { headers });
            assert.equal(answer.status, 403, JSON.stringify(headers));
        }
        assert.deepEqual((await anyone.get('/api/v1/boards/?all=true')).body, []);
        const own = [{}, { origin: server.url }, { 'sec-fetch-site': 'same-origin', origin: server.url }];
        for (const headers of own) {
            assert.equal((await anyone.post('/api/v1/boards/?board_name=mine', undefined, { headers })).status, 201, JSON.stringify(headers));
        }
    });
});

describe('in multi-user mode', () => {
    const server = useServer({ multiuser: true });

    test('a page of another site signs nobody in', async () => {
        await setupAdmin(server);
        const { email, password } = ADMIN;
        const attempt = (headers) => new Client(server.url).post('/api/v1/auth/login', { email, password }, { headers });
        const foreign = await attempt({ origin: 'http://elsewhere.example', 'sec-fetch-site': 'cross-site', 'content-type': 'text/plain' });
        assert.equal(foreign.status, 403);
        assert.equal(foreign.headers['set-cookie'], undefined);
        assert.equal((await attempt({ origin: server.url })).status, 200);
    });

    test('who is not signed in cannot send much', async () => {
        const body = JSON.stringify({ email: ADMIN.email, password: 'x'.repeat(70000) });
        for (const path of ['login', 'setup', 'check-link', 'accept-invitation', 'reset-password', 'confirm-email']) {
            const answer = await new Client(server.url).send('POST', `/api/v1/auth/${path}`, { body });
            assert.equal(answer.status, 413, path);
        }
    });

    test('an address that is no text leads nowhere', async () => {
        const me = await login(server, ADMIN.email, ADMIN.password);
        for (const path of ['queue/%ff/status', 'queue/default/b/%c0%af/status', 'boards/%ff', 'queue/a%01b/status', 'recall/%ed%a0%80']) {
            assert.equal((await me.get(`/api/v1/${path}`)).status, 404, path);
        }
        const batch = { batch: { graph: { id: 'g', nodes: {}, edges: [] } } };
        assert.equal((await me.post('/api/v1/queue/%ff/enqueue_batch', batch)).status, 404);
    });
});
