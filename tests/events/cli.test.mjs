// Pages that are open hear at once of what is changed on the command line.
import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { closeAll, connect, listen } from '../lib/events.mjs';
import { enqueue, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { REPO } from '../lib/paths.mjs';

// Shorter than the pause between two pings, after which sockets of somebody who was signed out end by themselves.
const AT_ONCE = 8000;

describe('what the command line changes', () => {
    const server = useServer({ models: `${REPO}/tests/fixtures/diffusion` });
    let admin;
    before(async () => {
        admin = await setupAdmin(server);
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    });
    afterEach(closeAll);
    const invokemu = async (...args) => {
        const done = await run(server, 'invokemu', args);
        assert.deepEqual([done.code, done.err], [0, ''], args.join(' '));
    };

    for (const [name, what, args] of [
        ['Ona', 'ended sessions', (email) => ['sessions', 'end', email]],
        ['Pia', 'a suspended account', (email) => ['users', 'mod', email, '--inactive']],
        ['Rob', 'a deleted account', (email) => ['users', 'del', email, '--force']],
    ]) {
        test(`${what} close the open sockets, over both transports, and nobody else's`, async () => {
            const person = await addUser(admin, name);
            const theirs = await Promise.all([['polling'], ['websocket']].map((transports) => connect(server, { token: person.token, transports })));
            const others = await listen(server, admin);
            await invokemu(...args(person.user.email));
            await Promise.all(theirs.map((l) => l.dropped(AT_ONCE)));
            assert.ok(others.socket.connected);
        });
    }

    test('jobs that are canceled, cleared and pruned', async () => {
        const kim = await addUser(admin, 'Kim');
        const [own, everybodys] = [await listen(server, kim), await listen(server, admin)];
        const ids = await enqueue(kim, { runs: 3 });
        await invokemu('queue', 'cancel', String(ids[0]));
        await own.heard('queue_item_status_changed', (e) => e.item_id === ids[0] && e.status === 'canceled', AT_ONCE);
        assert.deepEqual((await own.heard('queue_items_canceled', undefined, AT_ONCE)).canceled_item_ids, [ids[0]]);
        await invokemu('queue', 'prune');
        await everybodys.heard('queue_pruned', undefined, AT_ONCE);
        await invokemu('queue', 'clear', '--force');
        await own.heard('queue_cleared', undefined, AT_ONCE);
    });

    test('jobs of somebody who is suspended', async () => {
        const lee = await addUser(admin, 'Lee');
        const everybodys = await listen(server, admin);
        const [id] = await enqueue(lee, { runs: 1 });
        await invokemu('users', 'mod', lee.user.email, '--inactive');
        await everybodys.heard('queue_item_status_changed', (e) => e.item_id === id && e.status === 'canceled', AT_ONCE);
    });

    test('the list of models', async () => {
        const heard = await listen(server, await addUser(admin, 'Mia'));
        const [model] = (await admin.get('/api/v2/models/')).body.models;
        await invokemu('models', 'remove', model.key);
        await heard.heard('models_changed', undefined, AT_ONCE);
    });
});
