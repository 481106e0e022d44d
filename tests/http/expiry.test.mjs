// Sessions that end because time goes by. The clock is the server's own, and the test moves it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { request } from '../lib/http.mjs';
import { hook, later } from '../lib/queue.mjs';
import { startServer, until, useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, login, setupAdmin } from '../lib/users.mjs';

const HOUR = 3600;
const me = async (who) => (await who.get('/api/v1/auth/me')).status;

describe('sessions', () => {
    const server = useServer({ multiuser: true, hook: true });

    test('an ordinary one ends after a day without use, a remembered one after a week', async () => {
        await setupAdmin(server);
        const short = await login(server, ADMIN.email, ADMIN.password);
        const long = await login(server, ADMIN.email, ADMIN.password, { remember: true });
        await later(server, 24 * HOUR - 60);
        const [fresh] = [await login(server, ADMIN.email, ADMIN.password)];
        assert.equal(await me(fresh), 200);
        await later(server, 120);
        const answer = await short.get('/api/v1/auth/me');
        assert.deepEqual([answer.status, answer.body.detail], [401, 'You were signed out because you were away for a long time. Sign in again.']);
        assert.equal(await me(long), 200);
        await later(server, 6 * 24 * HOUR);
        assert.equal(await me(long), 401, 'the token of the beginning was never renewed');
        const cookie = await request(`${server.url}/api/v1/images/i/00000000-0000-4000-8000-000000000000.png/full`, { headers: { cookie: short.sessionCookie } });
        assert.equal(cookie.status, 401, 'the cookie ends with it');
    });

    test('one that is used goes on with the tokens that it is given', async () => {
        const admin = await login(server, ADMIN.email, ADMIN.password);
        const first = admin.token;
        for (let day = 0; day < 3; day++) {
            await later(server, 20 * HOUR);
            const answer = await admin.patch('/api/v1/auth/me', { display_name: `Day ${day}` });
            assert.equal(answer.status, 200, answer.text);
            admin.token = answer.headers['x-refreshed-token'];
            assert.ok(admin.token);
        }
        assert.equal(await me(admin), 200);
        admin.token = first;
        assert.equal(await me(admin), 401);
    });

    test('sessions that are over are not listed, and leave the database', async () => {
        const admin = await login(server, ADMIN.email, ADMIN.password);
        const old = server.sql('SELECT COUNT(*) AS n FROM user_sessions')[0].n;
        assert.ok(old >= 1);
        await later(server, 8 * 24 * HOUR);
        const again = await login(server, ADMIN.email, ADMIN.password);
        assert.equal((await again.get('/api/v1/auth/sessions')).body.sessions.length, 1);
        assert.equal(server.sql('SELECT COUNT(*) AS n FROM user_sessions')[0].n, 1);
        assert.equal(await me(admin), 401);
    });

    test('an idle limit ends a session that could last', async (t) => {
        const idle = await startServer({ multiuser: true, hook: true, conf: ['InvokeMUSessionIdle 30'] });
        t.after(() => idle.stop());
        const admin = await setupAdmin({ url: idle.url });
        const user = await addUser(admin, 'Ute');
        await later(idle, 20 * 60);
        assert.equal(await me(admin), 200);
        await later(idle, 20 * 60);
        assert.equal(await me(admin), 200, 'it was used in between');
        assert.equal(await me(user), 401, 'this one was not');
        assert.equal((await login(idle, 'ute@example.com', PASSWORD)).user.display_name, 'Ute');
    });
});

test('nobody moves the clock of a server that was not started for tests', async (t) => {
    const server = await startServer({ multiuser: true });
    t.after(() => server.stop());
    // The dispatcher may not listen yet.
    await until(async () => {
        const { code, text } = await hook(server, 'clock', 3600);
        assert.notEqual(code, 0);
        return text.includes('not started with -D InvokeMUTestHook');
    }, 'the dispatcher to refuse');
});
