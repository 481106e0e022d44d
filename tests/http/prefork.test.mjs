// The prefork MPM ends its children within a signal handler, whatever they are doing: none may crash of that.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { connect, closeAll } from '../lib/events.mjs';
import { BUILD, SANITIZED, reach } from '../lib/paths.mjs';
import { QUEUE, enqueue } from '../lib/queue.mjs';
import { startServer, until } from '../lib/server.mjs';
import { setupAdmin } from '../lib/users.mjs';

const RESTARTS = 12;
/** Under the sanitizers, children that all look for leaks at their end take longer than httpd waits before it kills them. */
const skip = SANITIZED && 'children end too slowly with the leak checker';

test('children that are told to end in the middle of requests do not crash', { skip }, async () => {
    const server = await startServer({ mpm: 'prefork', logLevel: 'warn', conf: 'StartServers 3\nMinSpareServers 3' });
    server.allowLog(/IMU0313|IMU0330/); // events hold a thread there; the dispatcher may still write to a child that has ended
    const admin = await setupAdmin(server);
    let answers = 0;
    let going = true;
    const ask = async (what) => {
        while (going) {
            // A connection that a restart cuts is what this is about.
            await what().then(() => answers++, () => {});
        }
    };
    const traffic = [
        () => admin.get('/api/v1/boards/?all=true'),
        () => admin.get(`${QUEUE}/list_all`),
        () => enqueue(admin),
        () => admin.put(`${QUEUE}/clear`),
        async () => {
            const listener = await connect(server, { token: admin.token });
            listener.subscribe();
            await listener.heard('batch_enqueued', undefined, 5000);
            listener.close();
        },
    ].map(ask);
    for (let i = 0; i < RESTARTS; i++) {
        const [from, seen] = [server.errorLog().length, answers];
        await until(() => answers > seen + 10, 'answers');
        server.httpd.kill('SIGHUP');
        await server.waitLog(/resuming normal operations/, { from, ms: 60000 });
    }
    going = false;
    await Promise.all(traffic);
    closeAll();
    assert.ok(answers > 10 * RESTARTS);
    await server.stop(); // fails when a child crashed or had to be killed
});

test('one that is told to end while it begins does not crash either', { skip: SANITIZED && 'the library would come before the sanitizer' }, async () => {
    const server = await startServer({ mpm: 'prefork', preload: reach(path.join(BUILD, 'early-end.so')) });
    server.allowLog(/IMU0313/);
    await setupAdmin(server);
    await server.stop();
});
