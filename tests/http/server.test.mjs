// The server as such: start, unknown paths, restarts, other MPMs, configurations that must be refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer, useServer } from '../lib/server.mjs';
import { Client, request } from '../lib/http.mjs';

const server = useServer({ multiuser: true });

test('the version is told to everybody', async () => {
    const answer = await request(`${server.url}/api/v1/app/version`);
    assert.equal(answer.status, 200);
    assert.match(answer.body.version, /^\d+\.\d+\.\d+/);
});

test('an unknown API path is 404 with a detail', async () => {
    const answer = await new Client(server.url).get('/api/v1/nothing/here');
    assert.equal(answer.status, 404);
    assert.equal(typeof answer.body.detail, 'string');
});

test('a wrong method is 405 and names the right ones', async () => {
    const answer = await new Client(server.url).send('DELETE', '/api/v1/app/version');
    assert.equal(answer.status, 405);
    assert.match(answer.headers.allow, /\bGET\b/);
});

test('HEAD answers like GET, without a body', async () => {
    const answer = await new Client(server.url).head('/api/v1/app/version');
    assert.equal(answer.status, 200);
    assert.equal(answer.raw.length, 0);
});

for (const kind of ['graceful', 'hard']) {
    test(`a ${kind} restart keeps the server answering`, async () => {
        await server.restart(kind);
        assert.equal((await request(`${server.url}/api/v1/app/version`)).status, 200);
    });
}

for (const mpm of ['worker', 'prefork']) {
    test(`the module serves under the ${mpm} MPM`, async () => {
        const other = await startServer({ mpm });
        assert.equal((await request(`${other.url}/api/v1/app/version`)).status, 200);
        await other.stop();
    });
}

const refused = [
    ['InvokeMUSessionHours 0', /InvokeMUSessionHours takes a whole number from 1 to/],
    ['InvokeMUQueueHistory many', /InvokeMUQueueHistory takes a whole number/],
    ['InvokeMUQueueMode Random', /RoundRobin or FIFO/],
    ['InvokeMUMaxBody 12Q', /InvokeMUMaxBody takes a number of bytes/],
    ['InvokeMUSessionHours 48\nInvokeMURememberHours 24', /InvokeMURememberHours \(24\) must not be shorter/],
    ['InvokeMUCookieName "a=b"', /is not a name for a cookie/],
    ['InvokeMUCookieName invokeai_media_token', /choose another/],
    ['InvokeMUCookieAttributes "Max-Age=5"', /leave Max-Age and Expires out/],
    ['InvokeMUWorker /tmp/a.sock\nInvokeMUWorker /tmp/a.sock', /names \/tmp\/a\.sock twice/],
];
for (const [conf, sentence] of refused) {
    test(`refused at start-up: ${conf.replace('\n', ' + ')}`, async () => {
        await assert.rejects(startServer({ conf }), sentence);
    });
}
