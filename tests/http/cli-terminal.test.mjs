// What strangers called things must not steer the terminal of the administrator who lists them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { before, describe, test } from 'node:test';
import { onTerminal, run } from '../lib/cli.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { REPO } from '../lib/paths.mjs';

// Clears the screen, sets the title, begins a line of its own, and turns the text by an 8-bit control and by a mark of direction.
const ESCAPES = '\x1b[2J\x1b]0;own\x07\r\nroot 0\x7f\u009b31m\u202eabc';
const SHOWN = String.raw`\x1b[2J\x1b]0;own\x07\x0d\x0aroot 0\x7f\xc2\x9b31m\xe2\x80\xaeabc`;
// eslint-disable-next-line no-control-regex
const STEERS = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

describe('names on a terminal', () => {
    const server = useServer({ multiuser: true, models: `${REPO}/tests/fixtures/diffusion` });
    let admin;
    const text = ESCAPES.replaceAll("'", "''");
    before(async () => {
        admin = await setupAdmin(server);
        await addUser(admin, 'Eve');
        server.sql(`UPDATE users SET display_name = '${text}' WHERE email = 'eve@example.com'`);
        server.sql(`UPDATE user_sessions SET user_agent = '${text}'`);
        server.sql(`UPDATE models SET name = '${text}'`);
        server.sql(`UPDATE audit_log SET target_name = '${text}' WHERE action = 'account_created'`);
    });

    /** One command that must not steer; resolves to what it printed on both ways out. */
    const printed = async (...args) => {
        const { out, err } = await run(server, 'invokemu', args);
        assert.doesNotMatch(out + err, STEERS, args.join(' '));
        return out + err;
    };

    for (const args of [['users', 'list'], ['sessions', 'list', 'eve@example.com'], ['models', 'list'], ['audit']]) {
        test(`${args.join(' ')} shows them`, async () => {
            const shown = await printed(...args);
            assert.ok(shown.includes(SHOWN), shown);
        });
    }

    test('sentences about what was done, and errors', async () => {
        assert.ok((await printed('models', 'remove', ESCAPES)).includes(SHOWN));
        assert.ok((await printed('models', 'remove', ESCAPES)).includes(SHOWN), 'there is none any more');
        assert.ok((await printed('users', 'mod', ESCAPES, '--admin')).includes(SHOWN));
        assert.ok((await printed('import', `/nonexistent/${ESCAPES}`)).includes(SHOWN));
    });

    test('names of files', async () => {
        const file = Buffer.concat([Buffer.from(`${server.data}/outputs/images/.part-${ESCAPES}`), Buffer.from('\xff', 'latin1')]);
        fs.writeFileSync(file, 'x');
        const long = new Date(Date.now() - 86400e3);
        fs.utimesSync(file, long, long);
        const found = await printed('doctor');
        assert.ok(found.includes(`${SHOWN}${String.raw`\xff`}\n`), found);
        const [unfinished] = JSON.parse((await run(server, 'invokemu', ['doctor', '--json'])).out);
        assert.deepEqual([unfinished.what, unfinished.names.length], ['temporary', 1]);
    });

    test('for programs they stay what they are, but not on a terminal', async () => {
        const list = JSON.parse((await run(server, 'invokemu', ['users', 'list', '--json'])).out);
        assert.ok(list.some((u) => u.display_name === ESCAPES));
        assert.ok((await run(server, 'invokemu', ['audit', '--format', 'csv'])).out.includes(ESCAPES));
        for (const args of [['users', 'list', '--json'], ['audit', '--format', 'csv'], ['audit', '--format', 'jsonl']]) {
            const { screen } = await onTerminal(server, args, []);
            assert.doesNotMatch(screen.replaceAll('\r\n', '\n'), STEERS, args.join(' '));
            assert.match(screen, /\[2J/, args.join(' '));
        }
    });
});
