// A browser that asks for more before it has read its answer: nobody else waits for it.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, test } from 'node:test';
import { RawSocket, closeAll, listen } from '../lib/events.mjs';
import { request } from '../lib/http.mjs';
import { oneChild, until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

// One child, whose sockets hold little that was not read.
const server = useServer({ conf: `${oneChild(25)}SendBufferSize 8192\nInvokeMUMaxPersonSockets 400` });
after(closeAll);
const PATH = '/ws/socket.io/?EIO=4&transport=polling';

/** A polling session of its own connection. */
async function session(token) {
    const { sid } = JSON.parse((await request(`${server.url}${PATH}`)).text.slice(1));
    const post = (body) => request(`${server.url}${PATH}&sid=${sid}`, { method: 'POST', body });
    const get = () => request(`${server.url}${PATH}&sid=${sid}`);
    assert.equal((await post(`40${JSON.stringify({ token })}`)).status, 200);
    assert.equal((await get()).status, 200);
    assert.equal((await post(`42${JSON.stringify(['subscribe_queue', { queue_id: 'default' }])}`)).status, 200);
    return sid;
}

test('an answer that is not read stops nobody’s events', async (t) => {
    const admin = await (server.admin ??= setupAdmin(server));
    const [slow, honest] = [await addUser(admin, 'Slow'), await addUser(admin, 'Honest')];
    const sockets = [];
    t.after(() => sockets.forEach((each) => each.destroy()));
    const heard = await listen(server, honest);
    for (let i = 0; i < 4; i++) {
        const sid = await session(slow.token);
        for (let k = 0; k < 8; k++) {
            assert.equal((await slow.post('/api/v1/recall/default', { positive_prompt: 'p'.repeat(65000), negative_prompt: 'n'.repeat(65000) })).status, 200);
        }
        const socket = net.connect({ port: server.port, host: '127.0.0.1', highWaterMark: 1024 });
        sockets.push(socket.on('error', () => {})); // it may be cut off
        socket.pause();
        socket.write(`GET ${PATH}&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await until(() => server.pids().children.length === 1 && socket.bytesWritten > 0, 'the poll');
    }
    // Reads a little of each, so that some room is made, and asks for more.
    for (const socket of sockets) {
        socket.write('G');
    }
    for (let round = 0; round < 5; round++) {
        for (const socket of sockets) {
            let read = 0;
            await until(() => socket.destroyed || socket.readableEnded || (read += socket.read()?.length ?? 0) >= 60000, 'some of the answer');
        }
        assert.equal((await honest.post('/api/v1/recall/default', { positive_prompt: `round ${round}` })).status, 200);
        await heard.heard('recall_parameters_updated', (e) => JSON.stringify(e).includes(`round ${round}`), 5000);
    }
});

test('what one person’s many sockets are told at once costs nobody else’s', async () => {
    const admin = await (server.admin ??= setupAdmin(server));
    const [many, honest] = [await addUser(admin, 'Many'), await addUser(admin, 'Other')];
    const heard = await listen(server, honest);
    const sockets = [];
    while (sockets.length < 300) {
        const each = new RawSocket(server);
        sockets.push(each);
        assert.equal(await each.status(), 101);
        await each.text();
        each.send(`40${JSON.stringify({ token: many.token })}`);
        await each.text();
        each.send(`42${JSON.stringify(['subscribe_queue', { queue_id: 'default' }])}`);
    }
    // More, in all copies, than fits between the dispatcher and a child.
    for (let i = 0; i < 3; i++) {
        assert.equal((await many.post('/api/v1/recall/default', { positive_prompt: 'p'.repeat(60000), negative_prompt: 'n'.repeat(60000) })).status, 200);
    }
    assert.equal((await honest.post('/api/v1/recall/default', { positive_prompt: 'still here' })).status, 200);
    await heard.heard('recall_parameters_updated', (e) => JSON.stringify(e).includes('still here'), 20000);
    assert.equal(heard.ended, null);
    for (const each of sockets) {
        assert.match(await each.text(), /^42\["recall_parameters_updated"/);
    }
});
