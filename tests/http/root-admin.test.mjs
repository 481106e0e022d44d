// The administrator that the configuration names: made at the start, and given a new password by editing the file.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { request } from '../lib/http.mjs';
import { startServer } from '../lib/server.mjs';
import { PASSWORD, addUser, login } from '../lib/users.mjs';

const FIRST = 'Lantern-Orchard-27q';
const SECOND = 'Copper-Meadow-93z';
const ROOT = 'root@example.com';

/** As the guide says. */
const hashOf = (password) => execFileSync('htpasswd', ['-niBC', '10', 'admin'], { input: password, encoding: 'utf8' }).trim().split(':')[1];
const lines = (password) => [`InvokeMUAdminEmail Root@Example.com`, `InvokeMUAdminPasswordHash "${hashOf(password)}"`];
const signIn = (server, password) => request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: ROOT, password } });

async function edit(server, conf) {
    server.options.conf = conf;
    fs.writeFileSync(server.conf, server.configuration());
    await server.restart();
}

describe('the root administrator', () => {
    test('an address that can’t be one is refused before a restart that would end the server', async (t) => {
        const server = await startServer({ multiuser: true, conf: lines(FIRST) });
        t.after(() => server.stop());
        for (const [address, why] of [['system@system.invokeai', /system@system.invokeai is the address of the internal account/], ['owner-abc@deleted.invalid', /addresses at deleted\.invalid are kept for deleted accounts/]]) {
            server.options.conf = [`InvokeMUAdminEmail ${address}`, lines(FIRST)[1]];
            const file = `${server.conf}.next`;
            fs.writeFileSync(file, server.configuration());
            const looked = server.look(file);
            assert.notEqual(looked.status, 0);
            assert.match(looked.stderr, new RegExp(`InvokeMUAdminEmail: ${why.source}`));
        }
    });

    test('is there from the start, keeps a password changed here, and is reset by editing the file', async (t) => {
        const server = await startServer({ multiuser: true, conf: lines(FIRST) });
        t.after(() => server.stop());
        assert.equal((await request(`${server.url}/api/v1/auth/status`)).body.setup_required, false);
        const root = await login(server, ROOT, FIRST);
        assert.deepEqual([root.user.is_admin, root.user.must_change_password], [true, false]);
        assert.equal((await root.post('/api/v1/auth/change-password', { current_password: FIRST, new_password: PASSWORD })).status, 200);
        await server.restart();
        assert.equal((await signIn(server, FIRST)).status, 401, 'a restart alone resets nothing');
        const again = await login(server, ROOT, PASSWORD);
        await edit(server, lines(SECOND));
        assert.equal((await again.get('/api/v1/auth/me')).status, 401, 'sessions of before end');
        assert.equal((await signIn(server, PASSWORD)).status, 401);
        const back = await login(server, ROOT, SECOND);
        const { entries } = (await back.get('/api/v1/audit?action=root_admin_applied')).body;
        assert.deepEqual(entries.map((e) => [e.user_id, e.target_name]), [[null, ROOT], [null, ROOT]]);
        assert.ok(!server.errorLog().includes('$2'), 'no hash in the log');
    });

    test('gets back in when suspended or made an ordinary person, by a new line', async (t) => {
        const server = await startServer({ multiuser: true, conf: lines(FIRST) });
        t.after(() => server.stop());
        const root = await login(server, ROOT, FIRST);
        const other = await addUser(root, 'Other', { isAdmin: true });
        assert.equal((await other.patch(`/api/v1/users/${root.user.user_id}`, { is_admin: false, is_active: false })).status, 200);
        await server.restart();
        assert.equal((await signIn(server, FIRST)).status, 403, 'what other administrators decided stays');
        await edit(server, lines(SECOND));
        assert.equal((await login(server, ROOT, SECOND)).user.is_admin, true);
        assert.equal((await other.get('/api/v1/auth/me')).status, 200, 'nobody else is touched');
    });

    for (const [conf, sentence] of [
        [['InvokeMUAdminEmail a@example.com'], /go together/],
        [['InvokeMUAdminEmail a@example.com', 'InvokeMUAdminPasswordHash secret-in-clear'], /takes a bcrypt hash/],
        [['InvokeMUAdminEmail System@System.InvokeAI', `InvokeMUAdminPasswordHash "$2b$12$${'a'.repeat(53)}"`], /address of the internal account/],
        [['InvokeMUAdminEmail nobody', `InvokeMUAdminPasswordHash "$2b$12$${'a'.repeat(53)}"`], /is no e-mail address/],
    ]) {
        test(`stops the start with a sentence that has no secret in it: ${sentence}`, () =>
            assert.rejects(startServer({ multiuser: true, conf }), (error) => sentence.test(error.message) && !error.message.includes('secret-in-clear')));
    }
});
