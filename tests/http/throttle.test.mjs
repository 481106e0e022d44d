// Attempts to sign in: a flood of strangers keeps nobody out, and nobody is told who has an account.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { request } from '../lib/http.mjs';
import { REPO, reach } from '../lib/paths.mjs';
import { mailLines, SmtpSink } from '../lib/smtp-sink.mjs';
import { startServer, until, useServer } from '../lib/server.mjs';
import { ADMIN, addUser, PASSWORD, setupAdmin } from '../lib/users.mjs';
import { SLOWER, WAIT_MS } from '../lib/waits.mjs';

const WRONG = 'Wrong-Guess-1';
// What a machine with much else to do may take for a password that is next.
const SOON_MS = 20000 * SLOWER;

const signIn = (server, from, email, password) => request(`${server.url}/api/v1/auth/login`, { method: 'POST', from, json: { email, password }, timeout: 2 * WAIT_MS });

/** Guesses at an account from an address until that is refused. @returns {Promise<number[]>} the answers */
async function exhaust(server, from, email) {
    const statuses = [];
    while (statuses.at(-1) !== 429) {
        assert.ok(statuses.length < 60, `no limit for ${email} from ${from}: ${statuses}`);
        statuses.push((await signIn(server, from, email, WRONG)).status);
    }
    return statuses;
}

describe('a flood of sign-ins', () => {
    const seen = {};
    let stopped = false;
    let begun;
    let flood;

    before(async () => {
        server.allowLog(/IMU0101: POST \/api\/v1\/auth\/login failed \(busy\)/);
        server.allowLog(/AH00484|AH10159/);
        const admin = await setupAdmin(server);
        for (const name of ['Owner', 'Traveller', 'Pupil']) {
            await addUser(admin, name);
        }
        const [{ password_hash: hash }] = server.sql("SELECT password_hash FROM users WHERE email = 'pupil@example.com'");
        server.sql(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29)
            INSERT INTO users (user_id, email, password_hash, created_at, updated_at)
            SELECT 'pupil' || i, 'pupil' || i || '@example.com', '${hash}', '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000' FROM n`);
        assert.equal((await signIn(server, '127.0.9.1', 'owner@example.com', PASSWORD)).status, 200);
    });
    after(async () => {
        stopped = true;
        await flood;
    });
    // One child: what one of them does under it, all do.
    const server = useServer({ conf: 'StartServers 1\nServerLimit 1\nMaxRequestWorkers 25\nMinSpareThreads 1\nMaxSpareThreads 25\n' });

    test('of a class that comes to a lesson is none', async () => {
        const pupils = Array.from({ length: 30 }, (_, i) => `pupil${i}@example.com`);
        const statuses = [];
        await Promise.all(
            Array.from({ length: 4 }, async () => {
                while (pupils.length) {
                    const email = pupils.pop();
                    // Some of them mistype.
                    const tries = pupils.length % 4 ? [PASSWORD] : [WRONG, PASSWORD];
                    while (tries.length) {
                        const { status } = await signIn(server, '127.0.7.1', email, tries[0]);
                        statuses.push(status);
                        // A machine with much else to do may ask some of them to try again.
                        if (status !== 503) {
                            tries.shift();
                        }
                    }
                }
            }),
        );
        assert.equal(statuses.filter((status) => status === 200).length, 30, `${statuses}`);
        assert.ok(!statuses.includes(429), `${statuses}`);
    });

    test('that finds no place pays for it all the same', async () => {
        // Fewer than an address has: each that is turned away costs two.
        const statuses = await Promise.all(Array.from({ length: 180 }, (_, i) => signIn(server, '127.0.6.1', `many${i}@example.com`, WRONG).then((a) => a.status, (error) => error.code)));
        assert.ok(statuses.includes(503) && statuses.includes(429), `${statuses}`);
    });

    test('does not keep an owner out where they were before', async () => {
        let n = 0;
        const one = async (i) => {
            while (!stopped) {
                const { status } = await signIn(server, `127.0.0.${10 + (i % 20)}`, i % 2 ? 'owner@example.com' : `nobody${n++}@example.com`, WRONG);
                // The owner's account has a limit of its own.
                if (i % 2 === 0) {
                    seen[status] = (seen[status] || 0) + 1;
                }
            }
        };
        begun = performance.now();
        flood = Promise.all(Array.from({ length: 40 }, (_, i) => one(i)));
        await until(() => seen[503] > 20, 'no places at the gate');
        for (let i = 0; i < 3; i++) {
            const start = performance.now();
            const { status } = await signIn(server, '127.0.9.1', 'owner@example.com', PASSWORD);
            const ms = performance.now() - start;
            assert.equal(status, 200, `${JSON.stringify(seen)}`);
            assert.ok(ms < SOON_MS, `${ms} ms`);
        }
    });

    test('does not keep out who comes to a new place', async () => {
        await until(async () => (await signIn(server, '127.0.8.1', 'traveller@example.com', PASSWORD)).status === 200, 'a way in', SOON_MS);
    });

    test('comes to its end by the limits of its networks', async () => {
        await until(() => seen[429] >= 200, 'many to be refused', 2 * WAIT_MS);
        // What all addresses of the flood have together, and what came back since: every attempt that got further took one of these.
        const most = 1000 + (5 * (performance.now() - begun)) / 1000 + 5;
        assert.ok((seen[401] || 0) + (seen[503] || 0) <= most, `${JSON.stringify(seen)}, not more than ${most}`);
    });
});

describe('a flood from beside', () => {
    const server = useServer({ conf: 'StartServers 1\nServerLimit 1\nMaxRequestWorkers 25\nMinSpareThreads 1\nMaxSpareThreads 25\n' });
    const seen = {};
    let stopped = false;
    let flood;
    before(async () => {
        server.allowLog(/IMU0101: POST \/api\/v1\/auth\/login failed \(busy\)/);
        server.allowLog(/AH00484|AH10159/);
        await addUser(await setupAdmin(server), 'Bert');
        assert.equal((await signIn(server, '127.0.12.50', 'bert@example.com', PASSWORD)).status, 200);
        let n = 0;
        // Used up by one address itself, before the flood uses up what all have together: each that is turned away costs two.
        await Promise.all(Array.from({ length: 230 }, () => signIn(server, '127.0.12.10', `nobody${n++}@example.com`, WRONG).catch(() => {})));
        const one = async (i) => {
            while (!stopped) {
                // A connection that is closed is another answer to a flood.
                const { status } = await signIn(server, `127.0.12.${10 + (i % 6)}`, `nobody${n++}@example.com`, WRONG).catch((error) => ({ status: error.code }));
                seen[status] = (seen[status] || 0) + 1;
            }
        };
        flood = Promise.all(Array.from({ length: 40 }, (_, i) => one(i)));
        // Before the server stops.
        server.guests.push(async () => {
            stopped = true;
            await flood;
        });
    });

    test('uses up what strangers there have together', async () => {
        let fresh = 0;
        const refused = async () => {
            fresh++;
            return (await signIn(server, `127.0.12.${60 + (fresh % 190)}`, `fresh${fresh}@example.com`, WRONG)).status === 429;
        };
        await until(() => seen[429] > 20, 'an address of the flood to be refused');
        await until(refused, 'an address to be refused that has asked for nothing', 2 * WAIT_MS);
        // fail2ban counts those who used up what they had, not who is kept out by others.
        await server.waitLog(/IMU0201: sign-in failed for "nobody\d+@example\.com" from 127\.0\.12\.1\d: too many attempts/);
        await server.waitLog(new RegExp(`IMU0209: sign-in not tried for "fresh${fresh}@example\\.com"`));
        assert.doesNotMatch(server.errorLog(), /IMU0201: .* for "fresh\d+@example\.com" .*: too many/);
    });

    test('does not keep out who has signed in there before', async () => {
        for (let i = 0; i < 3; i++) {
            assert.equal((await signIn(server, '127.0.12.50', 'bert@example.com', PASSWORD)).status, 200, `${JSON.stringify(seen)}`);
        }
    });
});

describe('who has an account', () => {
    const server = useServer();
    let admin;
    before(async () => {
        admin = await setupAdmin(server);
        for (const name of ['Bob', 'Carol']) {
            await addUser(admin, name);
        }
    });

    test('is not told by the limit at a network that the owner has been at', async () => {
        assert.equal((await signIn(server, '127.0.1.50', 'bob@example.com', PASSWORD)).status, 200);
        const there = [];
        for (const email of ['bob@example.com', 'nobody@example.com']) {
            await exhaust(server, '127.0.2.61', email);
            there.push((await signIn(server, '127.0.1.50', email, WRONG)).status);
        }
        assert.deepEqual(there, [401, 401]);
    });

    test('is not told elsewhere by guesses at a network that the owner has been at', async () => {
        await addUser(admin, 'Dan');
        assert.equal((await signIn(server, '127.0.1.51', 'dan@example.com', PASSWORD)).status, 200);
        for (const email of ['dan@example.com', 'nobody-else@example.com']) {
            const statuses = await exhaust(server, '127.0.1.51', email);
            assert.ok(statuses.length > 10, `${statuses}`);
            // A few may have come back meanwhile.
            assert.ok((await exhaust(server, '127.0.2.62', email)).length < 12, email);
        }
    });

    test('is guessed at no faster by having signed in oneself', async () => {
        await exhaust(server, '127.0.2.63', 'carol@example.com');
        const answer = await signIn(server, '127.0.1.50', 'carol@example.com', PASSWORD);
        const wrong = await signIn(server, '127.0.1.50', 'carol@example.com', WRONG);
        assert.deepEqual([answer.status, answer.body], [401, wrong.body], 'right, and not told');
        // Neither does fail2ban count it: an owner may be there.
        await server.waitLog(/IMU0209: sign-in not tried for "carol@example\.com" from 127\.0\.1\.50: too many attempts/);
    });

    test('a changed password forgets where the account was used, but for where that happened', async () => {
        const eve = await addUser(admin, 'Eve');
        const next = 'Other-Harbour-43-Lights';
        for (const from of ['127.0.1.60', '127.0.1.61']) {
            assert.equal((await signIn(server, from, 'eve@example.com', PASSWORD)).status, 200);
        }
        const change = await eve.post('/api/v1/auth/change-password', { current_password: PASSWORD, new_password: next }, { from: '127.0.1.61' });
        assert.equal(change.status, 200, change.text);
        const known = () => server.sql("SELECT network FROM known_networks JOIN users USING (user_id) WHERE email = 'eve@example.com'").map((row) => row.network);
        assert.deepEqual(known(), ['127.0.1.61']);
        // An administrator sets another one: nobody is known to be anywhere.
        assert.equal((await admin.patch(`/api/v1/auth/users/${eve.user.user_id}`, { password: PASSWORD })).status, 200);
        assert.deepEqual(known(), []);
        // By a link, its owner is where it is opened.
        const link = await admin.post(`/api/v1/users/${eve.user.user_id}/reset-password`);
        const token = new URL(link.body.reset_link).searchParams.get('token');
        const redeemed = await request(`${server.url}/api/v1/auth/reset-password`, { method: 'POST', from: '127.0.1.62', json: { token, password: next } });
        assert.equal(redeemed.status, 200, redeemed.text);
        assert.deepEqual(known(), ['127.0.1.62']);
        assert.equal((await signIn(server, '127.0.1.62', 'eve@example.com', next)).status, 200);
    });
});

describe('mails that strangers ask for', () => {
    let sink;
    let server;
    before(async () => {
        sink = await SmtpSink.start({ tls: 'none' });
        server = await startServer({ multiuser: true, conf: () => mailLines(sink, reach(path.join(REPO, 'conf/mail'))) });
        await setupAdmin(server);
        assert.equal((await signIn(server, '127.0.9.1', ADMIN.email, ADMIN.password)).status, 200);
    });
    after(async () => {
        await server?.stop();
        await sink?.stop();
    });

    const ask = (from, email) => request(`${server.url}/api/v1/auth/forgot-password`, { method: 'POST', from, json: { email } });

    // Before the next, which leaves strangers nothing.
    test('are limited for the addresses of one customer, but for where somebody has signed in', async () => {
        let asked = 0;
        while ((await ask(`127.0.9.${10 + asked}`, `n${asked}@example.com`)).status === 200) {
            assert.ok(++asked < 130, 'no limit');
        }
        assert.ok(asked >= 90, `${asked}`);
        assert.equal((await ask('127.0.9.250', 'n250@example.com')).status, 429, 'an address that has asked for nothing');
        assert.equal((await ask('127.0.10.1', 'n251@example.com')).status, 200, 'another customer');
        assert.equal((await ask('127.0.9.1', 'n252@example.com')).status, 200, 'where somebody has signed in');
    });

    test('are limited for all of them together, however many networks they come from', async () => {
        let asked = 0;
        let refused = 0;
        for (; refused < 5; asked++) {
            assert.ok(asked < 1500, 'no limit');
            const { status } = await ask(`127.${20 + (asked % 200)}.${1 + Math.floor(asked / 200)}.1`, `m${asked}@example.com`);
            assert.ok([200, 429].includes(status));
            refused += status === 429;
        }
        assert.ok(asked > 200, `${asked}`);
        assert.equal((await ask('127.0.9.1', 'somebody@example.com')).status, 200, 'from where somebody was before');
        assert.equal((await signIn(server, '127.30.1.1', ADMIN.email, WRONG)).status, 401, 'another thing');
    });
});
