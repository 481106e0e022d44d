// The server as such: start, unknown paths, restarts, other MPMs, configurations that must be refused.
import assert from 'node:assert/strict';
import net from 'node:net';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { REPO } from '../lib/paths.mjs';
import { routes } from '../guards/lib.mjs';
import { ADMIN, login, setupAdmin } from '../lib/users.mjs';
import { startServer, useServer } from '../lib/server.mjs';
import { Client, request } from '../lib/http.mjs';

const server = useServer({ multiuser: true });

test('the version is told to everybody', async () => {
    const answer = await request(`${server.url}/api/v1/app/version`);
    assert.equal(answer.status, 200);
    assert.match(answer.body.version, /^\d+\.\d+\.\d+/);
});

/** Every "$ref" below a value. */
function references(value, found = []) {
    if (value && typeof value === 'object') {
        if (typeof value.$ref === 'string') found.push(value.$ref);
        for (const one of Object.values(value)) references(one, found);
    }
    return found;
}

test('/openapi.json describes every route, and every node in the way that the workflow editor reads', async () => {
    const { status, body, headers } = await request(`${server.url}/openapi.json`);
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^application\/json/);
    const listed = Object.entries(body.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => ({ path, method: method.toUpperCase(), one })));
    assert.deepEqual(listed.map((r) => `${r.method} ${r.path}`).sort(), routes().map((r) => `${r.method} ${r.path}`).sort());
    for (const { path, one } of listed) {
        assert.deepEqual((one.parameters ?? []).map((p) => p.name), [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]), path);
    }
    assert.equal(body.paths['/api/v1/auth/login'].post.security, undefined);
    assert.ok(body.paths['/api/v1/auth/me'].get.security);

    const { schemas } = body.components;
    for (const ref of references(schemas)) assert.ok(schemas[ref.replace('#/components/schemas/', '')], `${ref} leads nowhere`);
    const nodes = Object.values(schemas).filter((s) => s.class === 'invocation');
    assert.ok(nodes.length > 50, `${nodes.length} nodes`);
    for (const node of nodes) {
        assert.ok(node.title && node.version && node.properties.type.default && 'default' in node.properties.use_cache, node.title);
        const output = schemas[node.output.$ref.split('/').at(-1)];
        assert.ok(output.class === 'output' && output.properties.type.default, node.title);
        assert.ok(Object.values(output.properties).some((p) => p.field_kind === 'output'), node.title);
    }
    const denoise = nodes.find((n) => n.properties.type.default === 'denoise_latents').properties;
    assert.deepEqual([denoise.steps.field_kind, denoise.steps.type ?? denoise.steps.anyOf[0].type, denoise.unet.input], ['input', 'integer', 'connection']);
});

test('an unknown API path tells a stranger nothing, and a person 404', async () => {
    const stranger = await new Client(server.url).get('/api/v1/nothing/here');
    assert.equal(stranger.status, 401);
    const admin = await setupAdmin(server);
    const answer = await admin.get('/api/v1/nothing/here');
    assert.equal(answer.status, 404);
    assert.equal(typeof answer.body.detail, 'string');
});

test('a failed sign-in leaves the line that fail2ban reads', async () => {
    const answer = await new Client(server.url).post('/api/v1/auth/login', {
        email: 'admin@example.com" from 203.0.113.9: x',
        password: 'wrong',
        remember_me: false,
    });
    const known = await new Client(server.url).post('/api/v1/auth/login', { email: 'admin@example.com', password: 'wrong', remember_me: false });
    assert.ok(answer.status >= 400 && known.status === 401);
    const filter = /^failregex = (.*)$/m.exec(fs.readFileSync(path.join(REPO, 'conf/fail2ban/invokemu.conf'), 'utf8'))[1];
    const pattern = new RegExp(filter.replace('<HOST>', '(?<host>[0-9a-f.:]+?)'));
    const line = await server.waitLog(/^.*IMU0201.*for "admin@example\.com".*$/m);
    assert.equal(pattern.exec(line[0])?.groups.host, '127.0.0.1', line[0]);
    for (const other of server.errorLog().split('\n').filter((l) => l.includes('203.0.113.9'))) {
        assert.notEqual(pattern.exec(other)?.groups.host, '203.0.113.9', other);
    }
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

/** Sends a head that promises a body, and of the body little. Resolves with what comes back, when the server has closed. */
const halfSent = (path, head) =>
    new Promise((resolve, reject) => {
        const socket = net.connect(server.port, '127.0.0.1', () => {
            socket.write(`${path} HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\nabc`);
        });
        let text = '';
        socket.setTimeout(10000, () => socket.destroy(new Error('the server keeps waiting for the body')));
        socket.on('data', (d) => (text += d));
        socket.on('end', () => socket.end());
        socket.on('close', () => resolve(text));
        socket.on('error', reject);
    });
for (const [what, path] of [['an unknown route', 'POST /api/v1/nothing'], ['a route that takes none', 'GET /api/v1/app/version'], ['a caller who is not signed in', 'POST /api/v1/boards/?board_name=x']]) {
    for (const head of ['Content-Length: 5000000', 'Transfer-Encoding: chunked']) {
        test(`a body for ${what} is not waited for (${head})`, async () => {
            assert.match(await halfSent(path, head), /^HTTP\/1\.1 (200|401|404) .*Connection: close/s);
        });
    }
}

for (const [what, path, type] of [['JSON', '/api/v1/auth/login', 'application/json'], ['an upload', '/api/v1/images/upload?image_category=user&is_intermediate=false', 'multipart/form-data; boundary=b']]) {
    test(`a body in broken chunks is answered once (${what})`, async () => {
        const admin = await login(server, ADMIN.email, ADMIN.password);
        const text = await halfSent(`POST ${path}`, `Authorization: Bearer ${admin.token}\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\nxyz`);
        const [head, body] = text.split('\r\n\r\n');
        assert.match(head, /^HTTP\/1\.1 400 /);
        assert.match(head, /content-type: application\/json/i);
        assert.match(JSON.parse(body).detail, /broke off/);
    });
}

test('OPTIONS is answered with the methods there are, on pages and for events too', async () => {
    for (const [path, allow] of [['/', 'OPTIONS, GET, HEAD'], ['/boards', 'OPTIONS, GET, HEAD'], ['/ws/socket.io/', 'OPTIONS, GET, POST']]) {
        const answer = await new Client(server.url).send('OPTIONS', path);
        assert.deepEqual([answer.status, answer.headers.allow], [204, allow], path);
    }
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
        other.allowLog(/IMU0313/); // says that open pages hold threads there
        assert.equal((await request(`${other.url}/api/v1/app/version`)).status, 200);
        await other.stop();
    });
}

const refused = [
    ['InvokeMUSessionHours 0', /InvokeMUSessionHours takes a whole number from 1 to/],
    ['InvokeMUQueueHistory many', /InvokeMUQueueHistory takes a whole number/],
    ['InvokeMUMaxPersonSockets 0', /InvokeMUMaxPersonSockets takes a whole number/],
    ['InvokeMUQueueMode Random', /RoundRobin or FIFO/],
    ['InvokeMUMaxPixels 12', /InvokeMUMaxPixels takes a number of pixels/],
    ['InvokeMUMaxBody 12Q', /InvokeMUMaxBody takes a number of bytes/],
    ['InvokeMUSessionHours 48\nInvokeMURememberHours 24', /InvokeMURememberHours \(24\) must not be shorter/],
    ['InvokeMUCookieName "a=b"', /is not a name for a cookie/],
    ['InvokeMUCookieName invokeai_media_token', /choose another/],
    ['InvokeMUCookieAttributes "Max-Age=5"', /leave Max-Age and Expires out/],
    ['InvokeMUCookieAttributes "Path=/; banana"', /"banana" is none of Path=/],
    ['InvokeMUContentSecurityPolicy "default-src \'self\'; banana"', /"banana" is no directive of such a policy/],
    ['InvokeMUClient /nope/htdocs', /there is no index\.html in \/nope\/htdocs/],
    ['InvokeMUWorker /tmp/a.sock\nInvokeMUWorker /tmp/a.sock', /names \/tmp\/a\.sock twice/],
];
for (const [conf, sentence] of refused) {
    test(`refused at start-up: ${conf.replace('\n', ' + ')}`, async () => {
        await assert.rejects(startServer({ conf }), sentence);
    });
}
