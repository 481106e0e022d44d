// What the configuration of the server says counts for the command line beside it too.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, login, setupAdmin } from '../lib/users.mjs';

const TWELVE = 'Lantern-27qX';
const SIXTEEN = 'Lantern-Field-27';

describe('the command line beside a server with settings', () => {
    const server = useServer({
        multiuser: true,
        conf: (root) => {
            fs.mkdirSync(path.join(root, 'checkpoints'), { recursive: true });
            return ['InvokeMUPasswordMinLength 14', 'InvokeMUAuditChanges Off', 'InvokeMUPublicURL https://pictures.example.org/', `InvokeMUModels ${root}/checkpoints`];
        },
    });
    let admin;
    before(async () => {
        admin = await setupAdmin(server);
    });
    const invokemu = (args, input) => run(server, 'invokemu', args, input);
    const actions = async () => (await admin.get('/api/v1/audit')).body.entries.map((e) => e.action);

    test('asks for as long a password as the server does', async () => {
        const short = await invokemu(['users', 'add', 'ann@example.com', '--password-stdin'], `${TWELVE}\n`);
        assert.deepEqual([short.code, /at least 14 characters/.test(short.err)], [1, true], short.err);
        assert.equal((await invokemu(['users', 'add', 'ann@example.com', '--password-stdin'], `${SIXTEEN}\n`)).code, 0);
        assert.equal((await invokemu(['users', 'mod', 'ann@example.com', '--password-stdin'], `${TWELVE}\n`)).code, 1);
        assert.equal((await invokemu(['users', 'mod', 'ann@example.com', '--password-stdin', '--allow-weak'], `${TWELVE}\n`)).code, 0, 'root may all the same');
        await login(server, 'ann@example.com', TWELVE);
    });

    test('writes the entries of the audit log that are wanted', async () => {
        await addUser(admin, 'Bea');
        assert.equal((await invokemu(['users', 'mod', 'bea@example.com', '--admin'])).code, 0);
        assert.equal((await invokemu(['sessions', 'end', 'bea@example.com'])).code, 0);
        assert.equal((await invokemu(['queue', 'pause'])).code, 0);
        const found = await actions();
        assert.ok(found.includes('sessions_ended'), found.join());
        assert.deepEqual(found.filter((a) => /^(account|role|queue)/.test(a)), []);
    });

    test('knows under which address people reach the server', async () => {
        const made = JSON.parse((await invokemu(['invite', 'carl@example.com', '--json'])).out);
        assert.ok(made.link.startsWith('https://pictures.example.org/invite?token='), made.link);
        assert.equal(made.mailed, false);
        const other = JSON.parse((await invokemu(['reset', 'carl@example.com', '--json', '--url', 'http://there:9090'])).out);
        assert.ok(other.link.startsWith('http://there:9090/invite?token='), other.link);
    });

    test('looks for models where the server does', async () => {
        const scanned = await invokemu(['models', 'scan']);
        assert.ok(scanned.out.includes(path.join(server.root, 'checkpoints')), scanned.out + scanned.err);
    });

    test('a copy of the database elsewhere has nothing to say to this server', async () => {
        const elsewhere = path.join(server.root, 'elsewhere');
        fs.mkdirSync(path.join(elsewhere, 'databases'), { recursive: true });
        server.sql(`VACUUM INTO '${elsewhere}/databases/invokemu.db'`);
        const made = JSON.parse((await invokemu(['reset', 'ann@example.com', '--json', '--root', elsewhere])).out);
        assert.ok(made.link.startsWith('/invite?token='), made.link);
    });
});

describe('the command line beside a server that takes any password', () => {
    const server = useServer({ multiuser: true, conf: ['InvokeMUStrictPasswords Off', 'InvokeMUAuditSignIns Off'] });

    test('takes any password, and leaves sign-ins out of the audit log', async () => {
        const admin = await setupAdmin(server);
        assert.equal((await run(server, 'invokemu', ['users', 'add', 'ann@example.com', '--password-stdin'], 'abc\n')).code, 0);
        await login(server, 'ann@example.com', 'abc');
        assert.equal((await run(server, 'invokemu', ['sessions', 'end', 'ann@example.com'])).code, 0);
        const found = (await admin.get('/api/v1/audit')).body.entries.map((e) => e.action);
        assert.deepEqual([found.includes('account_created'), found.includes('sessions_ended')], [true, false], found.join());
    });
});
