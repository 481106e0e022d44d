// How long an answer takes must not tell who has an account: signing in with a wrong password, and asking for a link.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { request } from '../lib/http.mjs';
import { MODULES, REPO, reach } from '../lib/paths.mjs';
import { mailLines, SmtpSink } from '../lib/smtp-sink.mjs';
import { startServer } from '../lib/server.mjs';
import { compare, median, sequence } from '../lib/statistics.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const PAIRS = 24;
/** What answers fast is asked more often: the difference that can be found is smaller. */
const QUICK_PAIRS = 160;
/** Asked before anything is measured, to warm up connections and caches. */
const WARM = 2;
/**
 * A difference counts when chance makes one like it less often than this, and when it is large enough to be heard over a network.
 * Tried against servers that tell: one that checks no password where there is no account (470 ms), one that puts no mail into the queue
 * there (3 ms), and ones that take 2, 4 and 6 ms longer where there is one.
 */
const CHANCE = 0.001;
const AUDIBLE_PART = 0.04;

describe('the statistics', () => {
    const random = sequence(7);
    const noise = () => 100 + 30 * random() + (random() < 0.1 ? 400 * random() : 0);
    const told = (pairs) => compare(pairs).p < CHANCE;

    test('finds a difference that is there, in spite of a machine that is busy at times', () => {
        assert.ok(told(Array.from({ length: PAIRS }, () => [noise() + 25, noise()])));
    });
    test('finds none where there is none', () => {
        const found = Array.from({ length: 200 }, () => told(Array.from({ length: PAIRS }, () => [noise(), noise()]))).filter(Boolean).length;
        assert.ok(found <= 3, `${found} of 200`);
    });
});

const addressOf = (n) => `10.${n >> 8}.${n & 255}.1`;

describe('an address that has an account, and one that has none', () => {
    let sink;
    let server;
    const random = sequence(Date.now());

    before(async () => {
        sink = await SmtpSink.start({ tls: 'none' });
        // Limits count by account and by address: here every request comes from another one.
        server = await startServer({
            multiuser: true,
            hook: true,
            conf: () => [
                ...mailLines(sink, reach(path.join(REPO, 'conf/mail'))),
                `LoadModule remoteip_module ${MODULES}/mod_remoteip.so`,
                'RemoteIPHeader X-From',
                'RemoteIPInternalProxy 127.0.0.1',
            ],
        });
        const admin = await setupAdmin(server);
        const { user } = await addUser(admin, 'Pattern');
        const [{ password_hash: hash }] = server.sql(`SELECT password_hash FROM users WHERE user_id = '${user.user_id}'`);
        server.sql(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${PAIRS + QUICK_PAIRS + 2 * WARM - 1})
            INSERT INTO users (user_id, email, password_hash, created_at, updated_at)
            SELECT 'known' || i, 'known' || i || '@example.com', '${hash}', '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000' FROM n`);
        // Strangers may ask for so many mails only, all together: these are asked for where somebody has signed in before.
        const quick = Array.from({ length: 2 * (QUICK_PAIRS + WARM) }, (_, i) => 2 * (PAIRS + WARM) + 1 + i);
        const rows = quick.map((n) => `('${user.user_id}', '${addressOf(n)}', '2026-01-01 00:00:00.000')`);
        server.sql(`INSERT INTO known_networks (user_id, network, last_at) VALUES ${rows.join(', ')}`);
    });
    after(async () => {
        await server?.stop();
        await sink?.stop();
    });

    let asked = 0;
    async function timed(where, json, status) {
        asked += 1;
        const headers = { 'x-from': addressOf(asked) };
        const from = process.hrtime.bigint();
        const answer = await request(`${server.url}/api/v1/auth/${where}`, { method: 'POST', json, headers });
        const ms = Number(process.hrtime.bigint() - from) / 1e6;
        assert.equal(answer.status, status, answer.text);
        return ms;
    }

    async function tellsApart({ where, body, status, first, count, audibleMs }) {
        const pairs = [];
        for (let i = -WARM; i < count; i++) {
            const names = { known: `known${first + i + WARM}@example.com`, nobody: `nobody${first + i + WARM}@example.com` };
            const took = {};
            for (const kind of random() < 0.5 ? ['known', 'nobody'] : ['nobody', 'known']) {
                took[kind] = await timed(where, { email: names[kind], ...body }, status);
            }
            if (i >= 0) {
                pairs.push([took.known, took.nobody]);
            }
        }
        const { difference, p } = compare(pairs);
        const audible = Math.max(audibleMs, AUDIBLE_PART * median(pairs.flat()));
        return { tells: p < CHANCE && Math.abs(difference) > audible, why: `${difference.toFixed(2)} ms of ${median(pairs.flat()).toFixed(1)}, p ${p.toFixed(4)}` };
    }

    const kinds = {
        'signing in with a wrong password': { where: 'login', body: { password: 'Wrong-Password-99x' }, status: 401, first: 0, count: PAIRS, audibleMs: 4 },
        'asking for a link for a new password': { where: 'forgot-password', body: {}, status: 200, first: PAIRS + WARM, count: QUICK_PAIRS, audibleMs: 1 },
    };
    for (const [name, kind] of Object.entries(kinds)) {
        test(`${name} takes as long`, async (t) => {
            const { tells, why } = await tellsApart(kind);
            t.diagnostic(why);
            assert.ok(!tells, why);
        });
    }
});
