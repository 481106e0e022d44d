// Accounts and pictures for the tests, made through the public interface only.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, request } from './http.mjs';
import { makePng } from './png.mjs';

export const ADMIN = { email: 'admin@example.com', display_name: 'The Admin', password: 'Correct-Horse-7-Battery' };
export const PASSWORD = 'Quiet-Harbour-42-Lights';

/** Signs in. @returns {Promise<Client>} with `.token`, `.user` and `.cookie` (the session cookies as one header value) */
export async function login(server, email, password, { remember = false } = {}) {
    const answer = await request(`${server.url}/api/v1/auth/login`, {
        method: 'POST',
        json: { email, password, remember_me: remember },
    });
    assert.equal(answer.status, 200, `login of ${email}: ${answer.status} ${answer.text.slice(0, 300)}`);
    const client = new Client(server.url, { token: answer.body.token });
    client.user = answer.body.user;
    client.sessionCookie = (answer.headers['set-cookie'] || []).map((c) => c.split(';')[0]).join('; ');
    return client;
}

/** Creates the first administrator of a fresh server and signs in. */
export async function setupAdmin(server, account = ADMIN) {
    await server.start?.();
    const answer = await request(`${server.url}/api/v1/auth/setup`, { method: 'POST', json: account });
    assert.equal(answer.status, 200, `setup: ${answer.status} ${answer.text.slice(0, 300)}`);
    return login(server, account.email, account.password);
}

/** The administrator creates an account, which then signs in. */
export async function addUser(admin, name, { isAdmin = false, password = PASSWORD, email = `${name.toLowerCase()}@example.com` } = {}) {
    const answer = await admin.post('/api/v1/auth/users', {
        email,
        display_name: name,
        password,
        is_admin: isAdmin,
    });
    assert.equal(answer.status, 201, `creating ${email}: ${answer.status} ${answer.text.slice(0, 300)}`);
    return login({ url: admin.base }, email, password);
}

/** Uploads a picture. @returns {Promise<object>} its ImageDTO */
export async function upload(client, { png = makePng(64, 48), category = 'user', query = '', intermediate = false } = {}) {
    const target = `/api/v1/images/upload?image_category=${category}&is_intermediate=${intermediate}${query}`;
    const form = [{ name: 'file', filename: 'picture.png', type: 'image/png', value: png }];
    let answer = await client.send('POST', target, { form });
    // One account may have only so many at once; pages send the others again.
    for (let tries = 0; answer.status === 429 && tries < 20; tries++) {
        await pause(1000 * Number(answer.headers['retry-after']));
        answer = await client.send('POST', target, { form });
    }
    assert.equal(answer.status, 201, `upload: ${answer.status} ${answer.text.slice(0, 300)}`);
    return answer.body;
}
