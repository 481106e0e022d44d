// What was made without accounts, and the command line.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { Client } from '../lib/http.mjs';
import { useServer } from '../lib/server.mjs';
import { PASSWORD, upload } from '../lib/users.mjs';

describe('old data on the command line', () => {
    const server = useServer({ multiuser: false, media: true });

    test('the first administrator hears of it, and an account receives it once', async () => {
        const anybody = new Client(server.url);
        await upload(anybody);
        const board = (await anybody.post('/api/v1/boards/?board_name=Before')).body;
        const invokemu = (args, input) => run(server, 'invokemu', args, input);
        const count = async () => JSON.parse((await invokemu(['legacy', '--json'])).out);
        assert.deepEqual(await count(), { boards: 1, images: 1, workflows: 0, style_presets: 0 });
        const added = await invokemu(['users', 'add', 'ada@example.com', '--admin', '--password-stdin'], `${PASSWORD}\n`);
        assert.match(added.out, /1 board, 1 picture.*belong to nobody: invokemu legacy --owner/);
        assert.equal((await invokemu(['users', 'add', 'bob@example.com', '--admin', '--password-stdin'], `${PASSWORD}\n`)).out, 'Added bob@example.com as an administrator.\n');
        await invokemu(['invite', 'kim@example.com']);
        for (const nobody of ['none@example.com', 'kim@example.com']) {
            assert.equal((await invokemu(['legacy', '--owner', nobody])).code, 1, nobody);
        }
        assert.match((await invokemu(['legacy', '--owner', 'ada@example.com'])).out, /1 board,.* are now of ada@example.com\./);
        assert.deepEqual(await count(), { boards: 0, images: 0, workflows: 0, style_presets: 0 });
        assert.deepEqual(server.sql(`SELECT u.email FROM boards b JOIN users u USING (user_id) WHERE board_id = '${board.board_id}'`), [{ email: 'ada@example.com' }]);
        assert.equal(server.sql("SELECT address FROM audit_log WHERE action = 'legacy_data_assigned'")[0].address, 'local');
    });
});
