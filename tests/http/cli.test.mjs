// The command line beside a running server: what it changes counts on the next request.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { onTerminal, run as runTool } from '../lib/cli.mjs';
import { closeAll, listen } from '../lib/events.mjs';
import { request } from '../lib/http.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';

const NEW = 'Other-Lantern-81-Field';

describe('the command line', () => {
    // A short time limit makes short pings.
    const server = useServer({ multiuser: true, media: false, conf: 'Timeout 3' });
    let admin;
    before(async () => {
        admin = await setupAdmin(server);
    });

    const run = (tool, args, input) => runTool(server, tool, args, input);
    const invokemu = (args, input) => run('invokemu', args, input);
    /** What a command prints that must succeed. */
    const list = async (...args) => {
        const { code, out, err } = await invokemu(args);
        assert.deepEqual([code, err], [0, '']);
        return out;
    };

    test('adds a person, who then signs in', async () => {
        const added = await invokemu(['users', 'add', 'Cleo@Example.com', '--name', 'Cleo', '--password-stdin'], `${PASSWORD}\n`);
        assert.deepEqual([added.code, added.err], [0, '']);
        const cleo = await login(server, 'cleo@example.com', PASSWORD);
        assert.deepEqual([cleo.user.display_name, cleo.user.is_admin], ['Cleo', false]);
    });

    test('refuses weak passwords, used addresses and what is no address', async () => {
        assert.equal((await invokemu(['users', 'add', 'weak@example.com', '--password-stdin'], 'password1\n')).code, 1);
        assert.equal((await invokemu(['users', 'add', admin.user.email, '--password-stdin'], `${PASSWORD}\n`)).code, 1);
        assert.equal((await invokemu(['users', 'add', 'nonsense', '--password-stdin'], `${PASSWORD}\n`)).code, 1);
        const answer = await request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: { email: 'weak@example.com', password: 'password1' } });
        assert.equal(answer.status, 401);
    });

    test('has a password that somebody else chose changed at the first sign-in, unless told otherwise', async () => {
        const demanded = async (email, password = PASSWORD) => (await login(server, email, password)).user.must_change_password;
        const add = (email, ...more) => invokemu(['users', 'add', email, '--password-stdin', ...more], `${PASSWORD}\n`);
        assert.deepEqual([(await add('must@example.com')).code, (await add('keep@example.com', '--no-must-change')).code], [0, 0]);
        assert.deepEqual([await demanded('must@example.com'), await demanded('keep@example.com')], [true, false]);
        assert.equal((await invokemu(['users', 'mod', 'keep@example.com', '--password-stdin'], `${NEW}\n`)).code, 0);
        assert.equal(await demanded('keep@example.com', NEW), true);
        assert.equal((await invokemu(['users', 'mod', 'keep@example.com', '--no-must-change'])).code, 0);
        assert.equal(await demanded('keep@example.com', NEW), false);
        assert.equal((await invokemu(['users', 'mod', 'keep@example.com', '--must-change'])).code, 0);
        assert.equal(await demanded('keep@example.com', NEW), true);
        assert.equal((await invokemu(['users', 'mod', 'keep@example.com', '--password-stdin', '--no-must-change'], `${PASSWORD}\n`)).code, 0);
        assert.equal(await demanded('keep@example.com'), false);
        // InvokeAI's own tools, and what calls them, know of no such thing.
        assert.equal((await run('invoke-useradd', ['--email', 'theirs@example.com', '--password', PASSWORD])).code, 0);
        assert.equal(await demanded('theirs@example.com'), false);
    });

    test('reads a password from a file as Unix or Windows writes it, and no part of one', async () => {
        const add = (email, input) => invokemu(['users', 'add', email, '--password-stdin'], input);
        assert.equal((await add('windows@example.com', `${PASSWORD}\r\nmore\r\n`)).code, 0);
        await login(server, 'windows@example.com', PASSWORD);
        for (const input of ['', `${PASSWORD}\0rest\n`, `Aa1${'x'.repeat(5000)}\n`, `Bell-\x07-${PASSWORD}\n`]) {
            assert.equal((await add('broken@example.com', input)).code, 1, JSON.stringify(input.slice(0, 30)));
        }
    });

    test('asks for a password twice on a terminal, without showing it', async () => {
        const add = ['users', 'add', 'typed@example.com'];
        const differ = await onTerminal(server, add, [[/New password: /, PASSWORD], [/Again: /, NEW]]);
        assert.deepEqual([differ.code, /differ/.test(differ.screen)], [1, true]);
        const done = await onTerminal(server, add, [[/New password: /, PASSWORD], [/Again: /, PASSWORD]]);
        assert.deepEqual([done.code, /Added typed@example\.com/.test(done.screen)], [0, true], done.screen);
        assert.ok(!done.screen.includes(PASSWORD), done.screen);
        const typed = await login(server, 'typed@example.com', PASSWORD);
        assert.equal(typed.user.must_change_password, true);
        assert.equal((await onTerminal(server, ['users', 'mod', 'typed@example.com', '--no-must-change'], [])).code, 0);
        const del = ['users', 'del', 'typed@example.com'];
        assert.equal((await onTerminal(server, del, [[/Type yes: /, 'no']])).code, 1);
        assert.equal((await typed.get('/api/v1/auth/me')).status, 200);
        assert.equal((await onTerminal(server, del, [[/Type yes: /, 'yes']])).code, 0);
        assert.equal((await typed.get('/api/v1/auth/me')).status, 401);
    });

    test('takes no password from the argument list under its own name', async () => {
        for (const option of ['--password', '-p']) {
            const refused = await invokemu(['users', 'add', 'args@example.com', option, PASSWORD]);
            assert.equal(refused.code, 2);
            assert.match(refused.err, /argument list.*leave it out to be asked, or use --password-stdin/);
            assert.ok(!refused.err.includes(PASSWORD));
        }
    });

    test('changes a role at once, and a new password ends old sessions', async () => {
        const dora = await addUser(admin, 'Dora');
        assert.equal((await dora.get('/api/v1/auth/users')).status, 403);
        assert.equal((await invokemu(['users', 'mod', dora.user.email, '--admin'])).code, 0);
        assert.equal((await dora.get('/api/v1/auth/users')).status, 200);
        assert.equal((await invokemu(['users', 'mod', dora.user.email, '--no-admin', '--password-stdin'], `${NEW}\n`)).code, 0);
        assert.equal((await dora.get('/api/v1/auth/me')).status, 401);
        assert.equal((await login(server, dora.user.email, NEW)).user.is_admin, false);
    });

    test('keeps the last administrator', async () => {
        for (const change of [['users', 'mod', admin.user.email, '--no-admin'], ['users', 'mod', admin.user.email, '--inactive'], ['users', 'del', admin.user.email, '--force']]) {
            assert.equal((await invokemu(change)).code, 1, change.join(' '));
        }
        assert.equal((await admin.get('/api/v1/auth/users')).status, 200);
    });

    test('lists people without secrets, and their sessions, and ends those', async () => {
        const emil = await addUser(admin, 'Emil');
        const people = await list('users', 'list', '--json');
        assert.ok(JSON.parse(people).some((u) => u.email === emil.user.email));
        assert.doesNotMatch(people, /\$2b\$|password/);
        assert.equal(JSON.parse(await list('sessions', 'list', emil.user.email, '--json')).length, 1);
        assert.equal((await invokemu(['sessions', 'end', emil.user.email])).code, 0);
        assert.equal((await emil.get('/api/v1/auth/me')).status, 401);
    });

    test('signs people out of the live events too', async () => {
        const olga = await addUser(admin, 'Olga');
        const paul = await addUser(admin, 'Paul');
        const [theirs, others] = [await listen(server, olga), await listen(server, paul)];
        assert.equal((await invokemu(['sessions', 'end', olga.user.email])).code, 0);
        assert.equal(await theirs.dropped(10000), 'io server disconnect');
        assert.ok(others.socket.connected);
        closeAll();
    });

    test('deletes only when told so for sure', async () => {
        const finn = await addUser(admin, 'Finn');
        assert.equal((await invokemu(['users', 'del', finn.user.email])).code, 1, 'no terminal to ask on');
        assert.equal((await finn.get('/api/v1/auth/me')).status, 200);
        assert.equal((await invokemu(['users', 'del', finn.user.email, '--force'])).code, 0);
        assert.equal((await finn.get('/api/v1/auth/me')).status, 401);
        assert.equal((await invokemu(['users', 'del', finn.user.email, '--force'])).code, 1);
    });

    test("answers to upstream's names, which take --password and --root", async () => {
        const root = ['--root', server.data];
        assert.equal((await run('invoke-useradd', [...root, '--email', 'gus@example.com', '--password', PASSWORD, '--admin'])).code, 0);
        assert.equal((await login(server, 'gus@example.com', PASSWORD)).user.is_admin, true);
        const [gus] = JSON.parse((await run('invoke-userlist', [...root, '--json'])).out).filter((u) => u.email === 'gus@example.com');
        assert.deepEqual([gus.id, 'name' in gus, gus.is_admin, gus.is_active], [gus.user_id, true, true, true]);
        assert.equal((await run('invoke-usermod', [...root, '-e', 'gus@example.com', '-p', NEW])).code, 0);
        await login(server, 'gus@example.com', NEW);
        assert.equal((await run('invoke-usermod', [...root, '--email', 'gus@example.com', '--name', 'Gus'])).code, 0);
        assert.equal((await run('invoke-userdel', [...root, '--email', 'gus@example.com', '--force'])).code, 0);
    });

    test('says what it did not understand, and where a database is missing', async () => {
        assert.equal((await invokemu(['dance'])).code, 2);
        assert.equal((await invokemu(['users', 'list', '--loudly'])).code, 2);
        assert.equal((await invokemu(['users', 'list', 'a@b.example', 'c@d.example'])).code, 2);
        const lost = await invokemu(['users', 'list', '--root', '/nonexistent']);
        assert.deepEqual([lost.code, /--root/.test(lost.err)], [1, true]);
        const help = await invokemu(['--help']);
        assert.deepEqual([help.code, /users add/.test(help.out)], [0, true]);
    });

    test('finds the database up to date', async () => {
        const done = await invokemu(['migrate']);
        assert.deepEqual([done.code, /already/.test(done.out)], [0, true]);
    });

    test('makes the database of a new folder, and says where none can be made', async () => {
        const root = path.join(server.root, 'new');
        const none = await invokemu(['migrate', '--root', root]);
        assert.deepEqual([none.code, none.err.includes(`there is no folder ${root}:`)], [1, true], none.err);
        fs.mkdirSync(root);
        assert.equal((await invokemu(['migrate', '--root', root])).code, 0);
        assert.equal((await invokemu(['users', 'list', '--root', root])).code, 0);
        const other = await invokemu(['migrate', '--root', root, '--database', path.join(root, 'elsewhere/x.db')]);
        assert.deepEqual([other.code, /there is no folder .*elsewhere/.test(other.err)], [1, true], other.err);
    });
});
