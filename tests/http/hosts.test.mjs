// By which names the server may be called: a page of another site whose name was made to point here must not count as ours.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { Client, request } from '../lib/http.mjs';
import { ADMIN, addUser, setupAdmin } from '../lib/users.mjs';

const called = (host) => ({ headers: { host } });

describe('without sign-in', () => {
    const server = useServer({ multiuser: false, vhost: 'ServerName https://pictures.example.org\nServerAlias *.pictures.example.net' });

    for (const host of ['localhost:9090', '127.0.0.1', '192.168.1.20:9090', '[::1]:9090', 'nas', 'Nas.local', 'pictures.example.org', 'my.pictures.example.net']) {
        test(`it answers to ${host}`, async () => {
            const me = new Client(server.url);
            assert.equal((await me.get('/api/v1/boards/?all=true', called(host))).status, 200);
            assert.equal((await me.get('/ws/socket.io/?EIO=4&transport=polling', called(host))).status, 200);
        });
    }
    for (const host of ['evil.example', 'evil.example:9090', '127.0.0.1.evil.example', 'pictures.example.org.evil.example', 'pictures.example.net']) {
        test(`it does not answer to ${host}`, async () => {
            const me = new Client(server.url);
            const foreign = { headers: { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' } };
            for (const answer of [
                await me.get('/api/v1/boards/?all=true', foreign),
                await me.post('/api/v1/boards/?board_name=theirs', undefined, foreign),
                await me.get('/ws/socket.io/?EIO=4&transport=polling', foreign),
                await me.get('/', foreign),
            ]) {
                assert.equal(answer.status, 421);
                assert.match(answer.body.detail, /ServerAlias/);
            }
            assert.deepEqual((await me.get('/api/v1/boards/?all=true')).body, []);
        });
    }
});

/** Asks as a page of `origin` does, in a browser too old to say more, for an answer and for events. */
async function askedFrom(server, admin, origin) {
    const session = admin.sessionCookie.split('; ').find((c) => c.startsWith('invokemu_session='));
    const page = { headers: { origin } };
    const answer = await new Client(server.url, { cookie: session }).patch('/api/v1/auth/me', { display_name: 'By page' }, page);
    const events = await new Client(server.url).get('/ws/socket.io/?EIO=4&transport=polling', page);
    return [answer.status, events.status];
}

describe('over TLS', () => {
    const server = useServer({ multiuser: true, tls: true });

    test('a page counts as ours only when it came by TLS too', async () => {
        const admin = await setupAdmin(server);
        const here = server.url.slice('https://'.length);
        assert.deepEqual(await askedFrom(server, admin, `https://${here}`), [200, 200]);
        for (const scheme of ['http', 'x', 'ws', 'file']) {
            assert.deepEqual(await askedFrom(server, admin, `${scheme}://${here}`), [401, 403], scheme);
        }
    });
});

describe('behind a proxy that takes the TLS off', () => {
    const server = useServer({ multiuser: true });

    test('pages by TLS count as ours, those of no web scheme do not', async () => {
        const admin = await setupAdmin(server);
        const here = server.url.slice('http://'.length);
        assert.deepEqual(await askedFrom(server, admin, `https://${here}`), [200, 200]);
        assert.deepEqual(await askedFrom(server, admin, `http://${here}`), [200, 200]);
        for (const origin of [`x://${here}`, 'null', 'http://evil.example', '']) {
            assert.deepEqual(await askedFrom(server, admin, origin), [401, 403], origin);
        }
    });
});

describe('with accounts', () => {
    const server = useServer({ multiuser: true, vhost: 'ServerName https://pictures.example.org\nUseCanonicalName On' });

    test('its name says that pages come by TLS', async () => {
        const session = { headers: { origin: server.url } };
        assert.equal((await request(`${server.url}/ws/socket.io/?EIO=4&transport=polling`, session)).status, 403);
        session.headers.origin = server.url.replace('http', 'https');
        assert.equal((await request(`${server.url}/ws/socket.io/?EIO=4&transport=polling`, session)).status, 200);
    });

    test('the first administrator is not made through a name that is none of ours', async () => {
        const answer = await request(`${server.url}/api/v1/auth/setup`, { method: 'POST', json: ADMIN, ...called('evil.example') });
        assert.equal(answer.status, 421, answer.text);
        assert.equal((await new Client(server.url).get('/api/v1/auth/status')).body.setup_required, true);
    });

    test('links carry the name that the configuration gives, whatever the request says', async () => {
        const admin = await setupAdmin(server);
        const made = await admin.post('/api/v1/users', { email: 'new@example.com', send_invitation: true }, called('evil.example'));
        assert.equal(made.status, 201, made.text);
        assert.match(made.body.invitation_link, /^https:\/\/pictures\.example\.org\/invite\?token=/);
        const someone = await addUser(admin, 'Someone');
        const reset = await admin.post(`/api/v1/users/${someone.user.user_id}/reset-password`, undefined, called('evil.example'));
        assert.match(reset.body.reset_link, /^https:\/\/pictures\.example\.org\/invite\?token=/);
    });
});
