// Event sockets on which nobody has signed in: all of them together get a part of a child's, and yield to newcomers.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, afterEach, describe, test } from 'node:test';
import { connect as connectSocket, end as endSocket } from '../bench/socket.mjs';
import { closeAll, listen, publish, RawSocket, settle } from '../lib/events.mjs';
import { Client, request } from '../lib/http.mjs';
import { oneChild, until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

// One child with room for 80 event sockets and, for what is being opened or ended, 64 more. Strangers have 20.
const SHARE = 20;
const MORE_THAN_ALL = 170;
const CHILD = `${oneChild(8)}AsyncRequestWorkerFactor 49\n`;

/** Each is one of ten of its address: too few for the limit of that. */
const elsewhere = (i) => `127.7.0.${1 + Math.floor(i / 10)}`;

/** Opens a WebSocket and says nothing more. Resolves when the server has answered. */
async function silent(server, from) {
    const each = new RawSocket(server, { from });
    each.code = await each.status();
    return each;
}

async function crowd(n, open) {
    const all = [];
    for (let i = 0; i < n; i++) {
        all.push(await open(i));
    }
    return all;
}

const alive = (all) => all.filter((each) => !each.ended).length;

describe('event sockets on which nobody has signed in', () => {
    const server = useServer({ conf: `${CHILD}InvokeMUMaxSockets 80\nInvokeMUMaxPersonSockets 300\n` });
    server.allowLog(/AH00484: server reached MaxRequestWorkers/); // for a moment, when very many connect at once
    const pages = [];
    afterEach(() => {
        pages.splice(0).forEach(endSocket);
        closeAll();
    });
    const admin = () => (server.admin ??= setupAdmin(server));

    async function page() {
        const { token } = await admin();
        pages.push(await connectSocket(server.url, token));
        const socket = pages.at(-1);
        socket.on('close', () => (socket.over = true));
        return socket;
    }

    test('of many addresses keep out nobody who signs in, and cut off nobody who has', async () => {
        await crowd(5, page);
        const all = await crowd(MORE_THAN_ALL, (i) => silent(server, elsewhere(i)));
        assert.deepEqual(all.filter((each) => each.code !== 101), []);
        await crowd(25, page);
        await until(() => alive(all) <= SHARE, 'the end of most');
        await crowd(MORE_THAN_ALL, (i) => silent(server, elsewhere(i)));
        assert.equal(pages.filter((each) => each.over).length, 0);
        await server.waitLog(/IMU0108: \d+ connections of people who have opened event sockets and not signed in there .* one of 127\.7\.0\.\d+, who has \d+, ends/);
    });

    test('of one address end before those of others, and the oldest of them first', async () => {
        await admin();
        const few = await crowd(3, () => silent(server, '127.7.1.1'));
        const all = await crowd(60, () => silent(server, '127.7.1.2'));
        await until(() => alive(all) <= SHARE - 3, 'the end of most');
        assert.equal(alive(few), 3);
        assert.ok(!all.at(-1).ended);
    });

    test('leave room to people who poll', async () => {
        const who = await addUser(await admin(), 'Polly');
        const all = await crowd(MORE_THAN_ALL, async (i) => {
            const each = new RawSocket(server, { from: elsewhere(i), path: '/ws/socket.io/?EIO=4&transport=polling', headers: { Upgrade: null, Connection: null } });
            await each.status();
            const sid = /"sid":"([^"]+)"/.exec((await until(() => each.data.includes('}') && each.data, 'the session')).toString())[1];
            each.socket.write(`GET /ws/socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\n\r\n`);
            return each;
        });
        const polls = await crowd(12, () => listen(server, who, { transports: ['polling'] }));
        await until(() => alive(all) <= SHARE, 'the end of most');
        await crowd(30, (i) => silent(server, elsewhere(i)));
        await publish(server, [{ name: 'models_changed', data: {} }]);
        await Promise.all(polls.map((l) => l.heard('models_changed')));
        assert.deepEqual(polls.map((l) => l.ended), polls.map(() => null));
    });

    test('are closed when they send without end, also what nobody looks at', async () => {
        const stranger = await silent(server, elsewhere(1));
        const person = await silent(server, elsewhere(2));
        const PONG = 10;
        const flood = Buffer.concat(Array(30000).fill(stranger.frame(PONG, '')));
        stranger.socket.write(flood);
        assert.equal(await stranger.closeCode(), 1013);
        person.send(`40${JSON.stringify({ token: (await admin()).token })}`);
        person.send('421["before"]');
        for (const text of [/^0/, /^40/, /^431\[\]/]) {
            assert.match(await person.text(), text);
        }
        person.socket.write(flood);
        person.send('422["after"]');
        assert.equal(await person.text(), '432[]');
    });

    test('keep their messages from the way that people’s take to a dispatcher that lags', async () => {
        const person = await listen(server, await admin(), { transports: ['websocket'] });
        const all = await crowd(SHARE - 2, (i) => silent(server, elsewhere(i)));
        await Promise.all(all.map((each) => each.text()));
        const { dispatcher } = server.pids();
        process.kill(dispatcher, 'SIGSTOP');
        try {
            all.forEach((each) => each.send(`4${'x'.repeat(60000)}`));
            await Promise.any(all.map(async (each) => assert.equal(await each.closeCode(), 1013)));
            person.subscribe('another');
        } finally {
            process.kill(dispatcher, 'SIGCONT');
        }
        await settle(person);
        assert.equal(person.ended, null);
    });

    test('are those, too, that are told to end and stay', async () => {
        const { token } = await admin();
        const all = await crowd(MORE_THAN_ALL, async (i) => {
            const each = await silent(server, elsewhere(i));
            each.send(`40${JSON.stringify({ token })}`);
            await each.text();
            await each.text();
            each.send('1'); // The server says goodbye; here nobody answers.
            await each.next();
            return each;
        });
        await until(() => alive(all) <= SHARE, 'the end of most');
        await page();
    });
});

describe('sessions that hold no connection', () => {
    const server = useServer({ conf: `${oneChild(8)}InvokeMUMaxSockets 80\n` });
    after(closeAll);
    const MOST = 4096;
    const EACH = 90;
    const PATH = '/ws/socket.io/?EIO=4&transport=polling';
    const sidOf = ({ text }) => JSON.parse(text.slice(1)).sid;

    /** Opens sessions from an address, each by one poll. Resolves to their ids. */
    async function openMany(from) {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const all = await Promise.all(Array.from({ length: EACH }, () => request(server.url + PATH, { from, agent })));
        agent.destroy();
        return all.map(sidOf);
    }

    test('are only so many before they sign in; of whoever has most the oldest end', async () => {
        const admin = await setupAdmin(server);
        const person = new Client(server.url);
        const ask = (sid, text) => person.send(text ? 'POST' : 'GET', `${PATH}&sid=${sid}`, text ? { body: text } : {});
        const mine = sidOf(await person.get(PATH));
        const networks = await crowd(Math.ceil(MOST / EACH), (i) => openMany(`127.7.${i}.1`));
        await server.waitLog(/IMU0334: 4096 event sockets .* network 127\.7\.\d+, which has 90, ends/);
        assert.equal((await ask(networks[0][0], '6')).status, 400);
        assert.equal((await ask(networks.at(-1).at(-1), '6')).status, 200);

        assert.equal((await ask(mine, `40${JSON.stringify({ token: admin.token })}`)).status, 200);
        assert.match((await ask(mine)).text, /^40/);
    });
});

describe('one account', () => {
    const server = useServer({ conf: `${oneChild(8)}InvokeMUMaxSockets 80\n` });
    after(closeAll);
    const LARGE = `42${JSON.stringify(['x', 'y'.repeat(60000)])}`;

    test('sends so much over all its sockets, and is in nobody’s way', async () => {
        const admin = await setupAdmin(server);
        const [eve, anna] = [await addUser(admin, 'Eve'), await addUser(admin, 'Anna')];
        const ann = await listen(server, anna, { transports: ['websocket'] });
        const all = await crowd(10, async () => {
            const each = await silent(server);
            each.send(`40${JSON.stringify({ token: eve.token })}`);
            for (const text of [/^0/, /^40/]) {
                assert.match(await each.text(), text);
            }
            return each;
        });
        // None sends more than a socket may.
        all.forEach((each) => Array.from({ length: 7 }, () => each.send(LARGE)));
        await Promise.any(all.map(async (each) => assert.equal(await each.closeCode(), 1013)));

        await settle(ann);
        assert.equal(ann.ended, null);
    });

    test('sends so much in polls from one network; what is small is always taken', async () => {
        const poll = `${server.url}/ws/socket.io/?EIO=4&transport=polling`;
        const { sid } = JSON.parse((await (await fetch(poll)).text()).slice(1));
        const post = (to, body) => fetch(`${poll}&sid=${to}`, { method: 'POST', body });
        const refused = await until(async () => {
            const answer = await post('nobody', LARGE);
            return answer.status === 429 && answer;
        }, 'a refusal');
        assert.equal(refused.headers.get('retry-after'), '10');
        assert.equal((await post(sid, '40{}')).status, 200);
    });
});

describe('a child with few file descriptors', () => {
    const server = useServer({ conf: `${CHILD}InvokeMUMaxSockets 5000\n`, files: 256 });
    afterEach(closeAll);

    test('has as many event sockets as these allow', async () => {
        server.allowLog(/IMU0312|IMU0314/);
        const admin = await setupAdmin(server);
        const asked = await crowd(300, (i) => silent(server, elsewhere(i)));
        assert.equal(asked.filter((each) => each.code !== 101).length, 0);
        const [child] = server.pids().children;
        const socket = await connectSocket(server.url, admin.token);
        endSocket(socket);
        await until(() => alive(asked) <= 16, 'the end of most');
        assert.deepEqual(server.pids().children, [child]);
        assert.match(server.errorLog(), /IMU0312: InvokeMUMaxSockets 5000 asks for 5512 open files in each child, and only 256 are allowed, which is enough for 64 event sockets/);
        assert.ok(!/AH02179|Too many open files/.test(server.errorLog()));
    });
});
