// Long polls over HTTP/2, each of which holds a thread of mod_http2's: they are shared out, and end with the child.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, afterEach, test } from 'node:test';
import { publish } from '../lib/events.mjs';
import { HTTP2, oneChild, until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const POLL = '/ws/socket.io/?EIO=4&transport=polling';
const NOTHING = '6';
// One child, of whose threads six may wait so: two for strangers, four for people.
const server = useServer({
    conf: `${oneChild(25)}${HTTP2}H2MaxSessionStreams 16\n`,
});
server.allowLog(/AH00484: server reached MaxRequestWorkers/);
const sessions = [];
const closeAll = () => sessions.splice(0).forEach((each) => each.destroy());
afterEach(closeAll);
after(closeAll);

const admin = () => (server.admin ??= setupAdmin(server));

/** A browser's end of Engine.IO over HTTP/2. */
class Browser {
    constructor(from) {
        this.on = http2.connect(server.url, { localAddress: from });
        this.on.on('error', () => {});
        sessions.push(this.on);
    }
    ask(path, body) {
        return new Promise((resolve) => {
            const stream = this.on.request({ ':method': body ? 'POST' : 'GET', ':path': path });
            let head;
            let text = '';
            stream.on('response', (answer) => (head = answer)).on('data', (data) => (text += data)).on('error', () => {});
            stream.on('close', () => resolve({ status: head?.[':status'], text }));
            stream.end(body);
        });
    }
    async open() {
        const { status, text } = await this.ask(POLL);
        assert.equal(status, 200, text);
        this.path = `${POLL}&sid=${JSON.parse(text.slice(1)).sid}`;
        return this;
    }
    async signIn(token) {
        await this.open();
        const answer = this.poll();
        assert.equal((await this.ask(this.path, `40${JSON.stringify({ token })}`)).status, 200);
        return answer;
    }
    /** What comes next but "nothing", after which browsers ask again at once. */
    async poll() {
        for (;;) {
            const answer = await this.ask(this.path);
            if (answer.status !== 200 || answer.text !== NOTHING) {
                return answer;
            }
        }
    }
}

/** A page opens, signs in, and hears what happens. */
async function opensAndHears({ token }) {
    const page = new Browser();
    assert.match((await page.signIn(token)).text, /^40/);
    const next = page.poll();
    const told = setInterval(() => publish(server, [{ name: 'models_changed', data: {} }]), 200);
    const { status, text } = await next.finally(() => clearInterval(told));
    assert.equal(status, 200, text);
    assert.match(text, /models_changed/);
    page.poll(); // Waits until the page is left.
}

/** Polls that nobody answers, as many as there may be. */
async function waiting(n, opened, poll = (one) => one.poll()) {
    const all = [];
    for (let i = 0; i < n; i++) {
        const one = await opened(i);
        one.last = poll(one);
        one.last.then(({ status }) => (one.status = status)).catch(() => {});
        all.push(one);
    }
    return all;
}

test('strangers of one address leave live events to people, and to the next who come', async () => {
    const { token } = await admin();
    const all = await waiting(12, () => new Browser('127.9.0.1').open());
    await opensAndHears({ token });
    assert.deepEqual(all.map((one) => one.status), Array(12).fill(undefined));
});

test('strangers of many addresses do, too', async () => {
    const { token } = await admin();
    await waiting(24, (i) => new Browser(`127.9.1.${i + 1}`).open());
    await opensAndHears({ token });
});

test('a stranger who is not waited for is told nothing, and loses nothing', async () => {
    const { token } = await admin();
    const three = await Promise.all([1, 2, 3].map(() => new Browser('127.9.2.1').open()));
    const [one, answer] = await Promise.race(three.map(async (each) => [each, await each.ask(each.path)]));
    assert.deepEqual(answer, { status: 200, text: NOTHING });
    assert.equal((await one.ask(one.path, `40${JSON.stringify({ token })}`)).status, 200);
    assert.match((await one.poll()).text, /^40/);
});

test('pages that left hold nothing', async () => {
    for (let i = 0; i < 12; i++) {
        await opensAndHears(await admin());
        closeAll();
    }
});

for (const how of ['graceful', 'hard']) {
    // Where it did, httpd would have to kill the child and say so, which useServer takes for a fault.
    test(`a poll that waits does not hold up a ${how} restart`, async () => {
        const { token } = await admin();
        const page = new Browser();
        await page.signIn(token);
        const next = page.ask(page.path);
        for (let i = 0; i < 20; i++) {
            assert.equal((await page.ask('/api/v1/auth/status')).status, 200); // By then it waits.
        }
        await server.restart(how);
        await next;
        await opensAndHears({ token });
    });
}

test('one account leaves live events to the others', async () => {
    const eve = await addUser(await admin(), 'Eve');
    const ann = await addUser(await admin(), 'Ann');
    const all = await waiting(12, async (i) => {
        const one = new Browser(`127.9.3.${i + 1}`);
        await one.signIn(eve.token);
        return one;
    });
    await until(() => all.some((one) => one.status === 503), 'the refusal of some: there is a limit');
    await opensAndHears(await admin());
    await opensAndHears(ann);
});
