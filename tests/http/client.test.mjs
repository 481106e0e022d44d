// The browser client: files, fallback to the page, nothing outside its folder.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { Client } from '../lib/http.mjs';

const server = useServer({ htdocs: (root) => path.join(root, 'client') });
const get = (where, options) => new Client(server.url).get(where, options);

before(() => {
    const folder = path.join(server.root, 'client');
    fs.mkdirSync(path.join(folder, 'assets'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'index.html'), '<!doctype html><title>client</title>');
    fs.writeFileSync(path.join(folder, 'assets/app-0123abcd.js'), 'export {};');
    fs.writeFileSync(path.join(folder, 'assets/app-0123abcd.js.gz'), 'not really compressed');
    fs.writeFileSync(path.join(server.root, 'secret.txt'), 'outside');
});

for (const where of ['/', '/login', '/admin/users']) {
    test(`the page for ${where}`, async () => {
        const answer = await get(where);
        assert.equal(answer.status, 200);
        assert.match(answer.text, /<title>client/);
        assert.match(answer.headers['content-security-policy'], /default-src 'none'/);
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
        assert.equal(answer.headers['cache-control'], 'no-cache');
        assert.deepEqual([answer.headers['x-frame-options'], answer.headers['referrer-policy']], ['DENY', 'same-origin']);
    });
}

test('a hashed file is cached for long', async () => {
    const answer = await get('/assets/app-0123abcd.js');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, 'export {};');
    assert.match(answer.headers['content-type'], /^text\/javascript/);
    assert.match(answer.headers['cache-control'], /immutable/);
    assert.deepEqual([answer.headers['x-content-type-options'], answer.headers['x-frame-options']], ['nosniff', undefined]);
});

test('a compressed variant is used only when the browser takes it', async () => {
    const answer = await get('/assets/app-0123abcd.js', { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(answer.headers['content-encoding'], 'gzip');
    assert.equal(answer.text, 'not really compressed');
});

test('a known ETag is answered with 304', async () => {
    const first = await get('/assets/app-0123abcd.js');
    const again = await get('/assets/app-0123abcd.js', { headers: { 'if-none-match': first.headers.etag } });
    assert.equal(again.status, 304);
});

test('a missing asset is 404, not the page', async () => {
    assert.equal((await get('/assets/missing.js')).status, 404);
});

for (const where of ['/../secret.txt', '/%2e%2e/secret.txt', '/assets/../../secret.txt', '/assets/%2e%2e%2f%2e%2e%2fsecret.txt']) {
    test(`nothing outside the folder: ${where}`, async () => {
        server.allowLog(/AH10244|AH00026|invalid URI path/);
        const answer = await get(where);
        assert.doesNotMatch(answer.text, /outside/);
    });
}

test('a POST to a page is refused', async () => {
    const answer = await new Client(server.url).post('/login', {});
    assert.equal(answer.status, 405);
});
