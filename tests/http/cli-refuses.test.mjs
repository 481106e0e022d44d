// What a command does not take, and what is no text, is refused before anything is done.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { BUILD } from '../lib/paths.mjs';
import { enqueue } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, PASSWORD, setupAdmin } from '../lib/users.mjs';

describe('the command line refuses', () => {
    const server = useServer({ multiuser: true, media: false });
    let admin, ann;
    const invokemu = (...args) => run(server, 'invokemu', args, `${PASSWORD}\n`);
    /** What any of these commands would change. */
    const state = () => ['users', 'user_sessions', 'session_queue', 'user_invitations', 'models', 'audit_log'].map((table) => server.sql(`SELECT * FROM ${table} ORDER BY 1`));
    before(async () => {
        admin = await setupAdmin(server);
        ann = await addUser(admin, 'Ann');
        await invokemu('queue', 'pause');
        await enqueue(ann, { runs: 2 });
    });

    const email = 'ann@example.com';
    for (const [args, why] of [
        [['queue', 'clear', '--user', email, '--force'], /queue clear takes no --user/],
        [['queue', 'prune', '--user', email], /queue prune takes no --user/],
        [['queue', 'cancel', '--all', '--force'], /queue cancel takes no --force/],
        [['nonsense'], /^invokemu: there is no command "nonsense": see invokemu --help\n$/],
        [['queue', 'nonsense', '--all'], /^invokemu: there is no command "queue nonsense": see invokemu queue --help\n$/],
        [['queue'], /^invokemu queue: what is to be done\? See invokemu queue --help\n$/],
        [['queue', '--json'], /^invokemu queue: what is to be done\?/],
        [['audit', '--action', 'nonsense'], /--action takes one of sign_in, .*, data_imported/],
        [['users', 'list', '--bogus'], /^invokemu users list: unrecognized option '--bogus'\n$/],
        [['audit', '-x'], /^invokemu audit: invalid option -- 'x'\n$/],
        [['users', 'list', '--search'], /^invokemu users list: option '--search' requires an argument\n$/],
        [['queue', 'pause', 'now'], /unexpected argument "now"/],
        [['users', 'del', email, '--dry-run', '--force'], /users del takes no --dry-run/],
        [['users', 'add', 'x@example.com', '--inactive', '--password-stdin'], /users add takes no --inactive/],
        [['users', 'list', '--limit', '3'], /users list takes no --limit/],
        [['users', 'list', email], /unexpected argument/],
        [['users', 'mod', email], /what is to be changed/],
        [['users', 'mod', email, '--allow-weak'], /what is to be changed/],
        [['users', 'mod', email, '--admin', '--no-admin'], /--admin and --no-admin exclude each other/],
        [['users', 'mod', email, '--inactive', '--active'], /exclude each other/],
        [['users', 'mod', email, '--must-change', '--no-must-change'], /exclude each other/],
        [['users', 'mod', '--admin'], /EMAIL is missing/],
        [['sessions', 'end', email, '--dry-run'], /sessions end takes no --dry-run/],
        [['sessions', 'end'], /EMAIL is missing/],
        [['queue', 'cancel'], /which jobs/],
        [['queue', 'cancel', '--all', '--user', email], /exclude each other/],
        [['queue', 'cancel', '1', '--all'], /which jobs/],
        [['audit', '--json', '--format', 'csv'], /exclude each other/],
        [['doctor', '--fix', '--dry-run'], /doctor takes no --dry-run/],
        [['doctor', '--force'], /add that/],
        [['restore', 'somewhere', '--dry-run', '--force'], /restore takes no --dry-run/],
        [['backup', 'somewhere', '--dry-run'], /backup takes no --dry-run/],
        [['import', '/nowhere', '--force'], /import takes no --force/],
        [['legacy', '--owner', email, '--dry-run'], /legacy takes no --dry-run/],
        [['users', 'mod', email, '--name', ' '], /--name/],
        [['users', 'mod', email, '--name', 'two\nlines'], /--name/],
        [['users', 'mod', email, '--name', 'x'.repeat(201)], /--name/],
        [['users', 'mod', email, '--name', 'turned \u202e round'], /--name/],
        [['users', 'list', '--search', 'bell \x07'], /--search takes a line of text/],
    ]) {
        test(JSON.stringify(args.map((a) => (a.length > 50 ? `${a.slice(0, 50)}...` : a))), async () => {
            const before_ = state();
            const { code, out, err } = await invokemu(...args);
            assert.deepEqual([code, out, why.test(err)], [2, '', true], err);
            assert.deepEqual(state(), before_);
        });
    }

    test('names and other texts that are no UTF-8', async () => {
        const before_ = state();
        // node passes arguments as UTF-8 alone.
        const raw = (...args) => {
            const words = args.map((word) => `$'${word}'`).join(' ');
            return spawnSync('bash', ['-c', `exec "$0" ${words}`, path.join(BUILD, 'bin/invokemu')], { env: { ...process.env, INVOKEMU_ROOT: server.data }, encoding: 'utf8', input: `${PASSWORD}\n` });
        };
        for (const args of [['users', 'add', 'bad@example.com', '--password-stdin', '--name', 'Jos\\xe9'], ['users', 'mod', email, '--name', 'Jos\\xe9'], ['invite', 'bad@example.com', '--name', 'Jos\\xe9'], ['audit', '--search', '\\xff'], ['models', 'scan', '--models', '/tmp/\\xff']]) {
            const done = raw(...args);
            assert.deepEqual([done.status, /UTF-8/.test(done.stderr)], [2, true], `${args}: ${done.stderr}`);
        }
        assert.equal(raw('users', 'add', 'b\\xe9d@example.com', '--password-stdin').status, 1, 'no address');
        assert.deepEqual(state(), before_);
    });

    test('a path that is no text can be used, and stands in the audit log as text', async () => {
        const folder = Buffer.from(path.join(server.root, 'b\xff.tar'), 'latin1');
        const done = spawnSync('bash', ['-c', `I=$0; B="$1/"$'b\\xff'.tar; "$I" backup "$B" && "$I" restore "$B" --root "$1/again" && "$I" audit --root "$1/again" --action backup_restored --json`, path.join(BUILD, 'bin/invokemu'), server.root], {
            env: { ...process.env, INVOKEMU_ROOT: server.data },
            encoding: 'utf8',
        });
        assert.deepEqual([done.status, done.stderr], [0, '']);
        assert.ok(fs.existsSync(folder));
        assert.ok(done.stdout.includes('b\\\\xff.tar'), done.stdout);
    });

    test('passwords that nobody could type into a page', async () => {
        const latin1 = Buffer.from(`${PASSWORD}\xe9\n`, 'latin1');
        const refused = await run(server, 'invokemu', ['users', 'add', 'rene@example.com', '--password-stdin'], latin1);
        assert.deepEqual([refused.code, /no UTF-8/.test(refused.err)], [1, true], refused.err);
        assert.deepEqual(server.sql("SELECT 1 FROM users WHERE email = 'rene@example.com'"), []);
    });

    test('a pipe in place of a backup', { timeout: 20000 }, async () => {
        const pipe = path.join(server.root, 'pipe.tar');
        spawnSync('mkfifo', [pipe]);
        const { code, err } = await invokemu('restore', pipe, '--root', path.join(server.root, 'of-a-pipe'));
        assert.deepEqual([code, /neither a file nor a folder/.test(err)], [1, true], err);
    });

    test('a backup that is not there, before anything else', async () => {
        const nowhere = path.join(server.root, 'nowhere');
        for (const data of [server.data, nowhere]) {
            const { code, err } = await run({ data }, 'invokemu', ['restore', '/nonexist', '--force']);
            assert.deepEqual([code, /there is no backup \/nonexist/.test(err)], [1, true], err);
        }
        assert.ok(!fs.existsSync(nowhere));
    });

    test('addresses of the server that are none', async () => {
        for (const url of ['https://x\ny', 'https://', 'http://', 'https:///path', 'ftp://example.org', 'javascript:alert(1)', 'https://a b', 'https://a"b', 'example.org']) {
            assert.notEqual((await invokemu('invite', 'new@example.com', '--url', url)).code, 0, url);
        }
        assert.deepEqual(server.sql("SELECT email FROM users WHERE email = 'new@example.com'"), []);
        for (const url of ['https://pictures.example.org', 'http://10.0.0.1:9090/under', 'http://[::1]:9090']) {
            assert.ok((await invokemu('reset', email, '--url', url)).out.startsWith(`${url}/`), url);
        }
    });

    test('nothing when it is asked what it takes, or what it is', async () => {
        for (const args of [['users', 'add', '--help'], ['backup', '-h'], ['--help'], ['help'], ['queue', 'clear', '--force', '--help'], ['queue', '--help'], ['--version']]) {
            const { code, out, err } = await invokemu(...args);
            assert.deepEqual([code, err], [0, ''], args.join(' '));
            assert.match(out, /invokemu/);
        }
        assert.match((await invokemu('users', 'mod', '--help')).out, /--allow-weak/);
        const { out } = await invokemu('queue', '--help');
        assert.deepEqual([/^ {2}invokemu queue prune/m.test(out), /users/.test(out)], [true, false]);
        for (const [tool, options] of [['invoke-useradd', /\[-r\|--root DIR\].* \[-e\|--email EMAIL\] \[-n\|--name NAME\] \[-a\|--admin\] \[-p\|--password PASSWORD\]/], ['invoke-usermod', /\[-p\|--password PASSWORD\]/], ['invoke-userlist', /\[-j\|--json\]/], ['invoke-userdel', /\[-e\|--email EMAIL\].*\[-f\|--force\]/]]) {
            const { code, out } = await run(server, tool, ['--help']);
            assert.deepEqual([code, out.startsWith(`  ${tool} [`), options.test(out), /invokemu users/.test(out)], [0, true, true, false], out);
        }
    });

    test('to end without a word when its output could not be written', () => {
        for (const args of [['users', 'list'], ['users', 'list', '--json'], ['--help']]) {
            const full = fs.openSync('/dev/full', 'w');
            const { status, stderr } = spawnSync(path.join(BUILD, 'bin/invokemu'), args, { env: { ...process.env, INVOKEMU_ROOT: server.data }, stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
            fs.closeSync(full);
            assert.deepEqual([status, stderr], [1, 'invokemu: the output could not be written, or not all of it\n'], args.join(' '));
        }
    });

    test('to call people active who were invited and never came', async () => {
        await invokemu('invite', 'guest@example.com');
        const line = (await invokemu('users', 'list')).out.split('\n').find((l) => l.startsWith('guest@example.com'));
        assert.match(line, / invited +never signed in$/);
        const people = JSON.parse((await invokemu('users', 'list', '--json')).out);
        assert.deepEqual(people.filter((u) => u.is_invited).map((u) => u.email), ['guest@example.com']);
    });

    test('to forget in the audit log who is gone', async () => {
        const gone = await addUser(admin, 'Gone', { isAdmin: true });
        await gone.post('/api/v1/auth/users', { email: 'made@example.com', password: PASSWORD });
        assert.equal((await invokemu('users', 'del', 'gone@example.com', '--force')).code, 0);
        const { code, out, err } = await invokemu('audit', '--user', 'Gone@example.com', '--action', 'account_created', '--json');
        assert.deepEqual([code, err], [0, '']);
        assert.deepEqual(JSON.parse(out).map((e) => e.target_name), ['made@example.com']);
        assert.equal((await invokemu('audit', '--user', 'never@example.com')).code, 1);
    });
});
