// Every row of the route table, called by people who must not get in. New routes are covered by being in the table.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { Client } from '../lib/http.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { routes } from '../guards/lib.mjs';

const SIGNED_IN = new Set(['USER', 'ADMIN', 'MEDIA', 'ACCOUNT', 'ACCOUNT_ADMIN']);
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
});
