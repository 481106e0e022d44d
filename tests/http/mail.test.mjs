// Mails: what is sent to whom, what happens when the mail server does not do its part, and what nobody may learn by it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { startServer, until } from '../lib/server.mjs';
import { request } from '../lib/http.mjs';
import { later } from '../lib/queue.mjs';
import { REPO, reach, runUser } from '../lib/paths.mjs';
import { mailLines, SmtpSink } from '../lib/smtp-sink.mjs';
import { ADMIN, addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';

const TEMPLATES = () => reach(path.join(REPO, 'conf/mail'));
const NEXT = 'Lantern-Orchard-27q';
/** A file for root and the server's user, which may start httpd itself. */
function secretFile(file, text, mode) {
    fs.writeFileSync(file, text, { mode });
    const user = runUser();
    if (user) {
        fs.chownSync(file, user.uid, user.gid);
    }
}

/** The link of a mail: alone on its line. */
const linkIn = (mail) => /^https:\/\/pictures\.example\.org\/\S+$/m.exec(mail.text)?.[0];
const tokenIn = (mail) => new URL(linkIn(mail)).searchParams.get('token');

/** A server that mails through a sink, for the tests of one group. */
function useMail(tls, more) {
    const it = {};
    before(async () => {
        it.sink = await SmtpSink.start({ tls });
        it.server = await startServer({ multiuser: true, hook: true, conf: (root) => mailLines(it.sink, TEMPLATES(), more?.(root) || []) });
        it.admin = await setupAdmin(it.server);
        it.anyone = (where, json) => request(`${it.server.url}/api/v1/auth/${where}`, { method: 'POST', json });
        it.ended = (state) => until(() => it.server.sql(`SELECT * FROM mail_queue WHERE state = '${state}' ORDER BY mail_id DESC LIMIT 1`)[0], `a mail that is ${state}`);
        it.invite = async (email, name) => {
            const made = await it.admin.post('/api/v1/invitations', { email, display_name: name });
            assert.equal(made.status, 201, made.text);
            return made.body;
        };
    });
    after(async () => {
        await it.server?.stop();
        await it.sink?.stop();
    });
    return it;
}

describe('mail', () => {
    const it = useMail('starttls');

    test('an invitation arrives, over TLS, with the link that the administrator sees', async () => {
        const hostile = 'Zoë "Z" <evil@example.com>, Bcc: x';
        const made = await it.invite('zoe@example.com', hostile);
        assert.equal(made.mailed, true);
        const mail = await it.sink.next();
        assert.deepEqual([mail.from, mail.to, mail.secure], ['pictures@example.org', ['zoe@example.com'], true]);
        assert.equal(mail.headers.to[0], `${hostile} <zoe@example.com>`);
        assert.equal(mail.headers.from[0], 'Pictures & Co. <pictures@example.org>');
        assert.deepEqual(Object.keys(mail.headers).sort(), ['auto-submitted', 'content-transfer-encoding', 'content-type', 'date', 'from', 'message-id', 'mime-version', 'subject', 'to']);
        assert.ok(Math.abs(Date.parse(mail.headers.date[0]) - Date.now()) < 120000, mail.headers.date[0]);
        assert.equal(mail.subject, 'Your account for making pictures');
        assert.equal(linkIn(mail), made.invitation_link);
        assert.match(made.invitation_link, /^https:\/\/pictures\.example\.org\/invite\?token=/, 'not what a Host header says');
        assert.match(mail.text, /7 days/);
        const row = await it.ended('sent');
        assert.deepEqual([row.link, row.attempts], [null, 1], 'the link is gone from the queue');
        assert.equal((await it.anyone('accept-invitation', { token: tokenIn(mail), password: PASSWORD })).status, 200);
        await login(it.server, 'zoe@example.com', PASSWORD);
    });

    test('links that are made on the command line are mailed as well', async () => {
        const said = async (...args) => {
            const { code, out, err } = await run(it.server, 'invokemu', [...args, '--json']);
            assert.deepEqual([code, err], [0, '']);
            return JSON.parse(out);
        };
        const made = await said('invite', 'yves@example.com', '--name', 'Yves');
        assert.equal(made.mailed, true);
        const mail = await it.sink.next();
        assert.deepEqual([mail.to, linkIn(mail)], [['yves@example.com'], made.link]);
        assert.equal((await it.anyone('accept-invitation', { token: tokenIn(mail), password: PASSWORD })).status, 200);
        const reset = await said('reset', 'yves@example.com');
        const second = await it.sink.next();
        assert.deepEqual([second.to, linkIn(second)], [['yves@example.com'], reset.link]);
        assert.notEqual(second.subject, mail.subject);
    });

    test('an invitation made along with an account arrives too', async () => {
        const made = await it.admin.post('/api/v1/users', { email: 'paul@example.com', send_invitation: true });
        assert.deepEqual([made.status, made.body.mailed], [201, true]);
        const mail = await it.sink.next();
        assert.deepEqual([mail.to, linkIn(mail)], [['paul@example.com'], made.body.invitation_link]);
        assert.match(mail.text, /^Hello paul@example\.com,$/m, 'who has no name is called by the address');
    });

    test('an administrator’s reset arrives', async () => {
        const rosa = await addUser(it.admin, 'Rosa');
        const made = await it.admin.post(`/api/v1/users/${rosa.user.user_id}/reset-password`);
        assert.equal(made.body.mailed, true);
        const mail = await it.sink.next();
        assert.deepEqual([mail.to, linkIn(mail), mail.subject], [['rosa@example.com'], made.body.reset_link, 'A new password']);
        assert.equal((await it.anyone('reset-password', { token: tokenIn(mail), password: NEXT })).status, 200);
        await login(it.server, 'rosa@example.com', NEXT);
    });

    test('who forgot the password gets a link, and nobody learns who has an account', async () => {
        const ida = await addUser(it.admin, 'Ida');
        const off = await addUser(it.admin, 'Otto');
        assert.equal((await it.admin.patch(`/api/v1/users/${off.user.user_id}`, { is_active: false })).status, 200);
        const answers = [];
        for (const email of ['nobody@example.com', 'otto@example.com', ' IDA@example.com ']) {
            answers.push(await it.anyone('forgot-password', { email }));
        }
        assert.deepEqual(answers.map((a) => [a.status, a.text]), answers.map(() => [200, answers[0].text]));
        const mail = await it.sink.next();
        assert.deepEqual(mail.to, ['ida@example.com']);
        assert.match(linkIn(mail), /\/reset\?token=/);
        await until(() => it.server.sql("SELECT COUNT(*) AS n FROM mail_queue WHERE state = 'waiting'")[0].n === 0, 'the queue to be empty');
        assert.equal(it.sink.mails.length, it.sink.taken, 'nobody else got a mail');
        assert.equal((await ida.get('/api/v1/auth/me')).status, 200, 'nothing changes before the link is used');
        const [link] = it.server.sql("SELECT (julianday(expires_at) - julianday(created_at)) * 24 AS hours FROM user_invitations WHERE email = 'ida@example.com'");
        assert.ok(Math.abs(link.hours - 24) < 0.01, `${link.hours} hours`);
        assert.equal((await it.anyone('reset-password', { token: tokenIn(mail), password: 'short' })).status, 400);
        assert.equal((await it.anyone('reset-password', { token: tokenIn(mail), password: NEXT })).status, 200);
        assert.equal((await ida.get('/api/v1/auth/me')).status, 401, 'the password was changed: other sessions end');
        assert.equal((await it.anyone('reset-password', { token: tokenIn(mail), password: PASSWORD })).status, 410);
        await login(it.server, 'ida@example.com', NEXT);
        const { entries } = (await it.admin.get('/api/v1/audit?action=reset_asked')).body;
        assert.deepEqual(entries.map((e) => [e.user_email, e.target_id]), [['ida@example.com', null], ['otto@example.com', null], ['nobody@example.com', null]]);
        assert.ok(!JSON.stringify(entries).includes(tokenIn(mail)));
    });

    test('asking for a link ends earlier ones of that kind, and never an administrator’s', async () => {
        const kurt = await addUser(it.admin, 'Kurt');
        const made = await it.admin.post(`/api/v1/users/${kurt.user.user_id}/reset-password`);
        const theirs = await it.sink.next();
        assert.equal(linkIn(theirs), made.body.reset_link);
        await it.anyone('forgot-password', { email: 'kurt@example.com' });
        const first = await it.sink.next();
        await it.anyone('forgot-password', { email: 'kurt@example.com' });
        const second = await it.sink.next();
        assert.equal((await it.anyone('reset-password', { token: tokenIn(first), password: NEXT })).status, 404);
        assert.equal((await it.anyone('reset-password', { token: tokenIn(theirs), password: NEXT })).status, 200);
        assert.equal((await it.anyone('reset-password', { token: tokenIn(second), password: PASSWORD })).status, 404, 'the password is chosen');
    });

    /** How long an open link of an account works, in hours. */
    const hoursOf = (email) => it.server.sql(`SELECT (julianday(expires_at) - julianday(created_at)) * 24 AS hours FROM user_invitations WHERE email = '${email}' AND used_at IS NULL ORDER BY created_at DESC`)[0].hours;

    test('whoever has no password yet is invited again, by an administrator’s new link and by asking for one', async () => {
        const made = await it.invite('vera@example.com', 'Vera');
        const first = await it.sink.next();
        assert.match(first.text, /^The Admin has made an account for you at https:\/\/pictures\.example\.org\.$/m);
        const again = await it.admin.post(`/api/v1/users/${made.user.user_id}/reset-password`);
        assert.deepEqual([again.status, again.body.mailed, again.body.purpose], [200, true, 'invitation']);
        const second = await it.sink.next();
        assert.deepEqual([second.subject, linkIn(second)], [first.subject, again.body.reset_link]);
        assert.match(second.text, /^The Admin has made an account/m);
        assert.match(second.text, /7 days/);
        assert.ok(Math.abs(hoursOf('vera@example.com') - 7 * 24) < 0.01);
        assert.equal((await it.anyone('check-link', { token: tokenIn(first) })).status, 404, 'the earlier one is replaced');
        const [entry] = (await it.admin.get('/api/v1/audit?limit=2')).body.entries.filter((e) => e.target_name === 'vera@example.com');
        assert.equal(entry.action, 'invited');

        await it.anyone('forgot-password', { email: 'vera@example.com' });
        const asked = await it.sink.next();
        assert.equal(asked.subject, first.subject);
        assert.match(linkIn(asked), /\/invite\?token=/);
        assert.match(asked.text, /^an administrator has made an account/m);
        assert.ok(Math.abs(hoursOf('vera@example.com') - 7 * 24) < 0.01);
        assert.equal((await it.anyone('accept-invitation', { token: tokenIn(asked), password: PASSWORD })).status, 200);
        await login(it.server, 'vera@example.com', PASSWORD);

        const { code, out } = await run(it.server, 'invokemu', ['invite', 'wim@example.com', '--json']);
        assert.equal(code, 0);
        await it.sink.next();
        const more = await run(it.server, 'invokemu', ['reset', 'wim@example.com', '--json']);
        assert.deepEqual([more.code, JSON.parse(more.out).hours], [0, JSON.parse(out).hours]);
        assert.equal((await it.sink.next()).subject, first.subject);
    });

    test('links of somebody who is suspended open nothing, and no mail brings them one', async () => {
        const sven = await addUser(it.admin, 'Sven');
        const path = `/api/v1/users/${sven.user.user_id}`;
        assert.equal((await it.admin.post(`${path}/reset-password`)).status, 200);
        const token = tokenIn(await it.sink.next());
        assert.equal((await it.admin.patch(path, { is_active: false })).status, 200);
        for (const [where, json] of [['check-link', { token }], ['reset-password', { token, password: NEXT }], ['accept-invitation', { token, password: NEXT }]]) {
            const answer = await it.anyone(where, json);
            assert.deepEqual([answer.status, /not known here.*Ask an administrator/.test(answer.body.detail)], [404, true], where);
            const [entry] = (await it.admin.get('/api/v1/audit?action=link_redeemed&limit=1')).body.entries;
            assert.deepEqual([entry.result, entry.target_id, entry.detail], ['refused', sven.user.user_id, { reason: 'The account is suspended.' }]);
        }
        const refused = await it.admin.post(`${path}/reset-password`);
        assert.deepEqual([refused.status, /suspended/.test(refused.body.detail)], [409, true]);
        assert.equal((await it.admin.patch(path, { is_active: true })).status, 200);
        assert.equal((await it.anyone('reset-password', { token, password: NEXT })).status, 200, 'they work again with the account');
        assert.equal(it.sink.mails.length, it.sink.taken);
    });

    test('one mailbox is not filled by asking again and again', async () => {
        const answers = [];
        for (let i = 0; i < 6; i++) {
            answers.push(await it.anyone('forgot-password', { email: 'pestered@example.com' }));
        }
        assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 200, 429, 429]);
        assert.ok(Number(answers[5].headers['retry-after']) > 0);
        assert.match(answers[5].body.detail, /ask again in \d+ minutes/);
        assert.doesNotMatch(answers[5].body.detail, /failed/);
    });

    test('a new address counts when its owner says so', async () => {
        const uta = await addUser(it.admin, 'Uta');
        const ask = (email, password = PASSWORD) => uta.post('/api/v1/auth/change-email', { email, current_password: password });
        assert.equal((await ask('new@example.com', 'wrong')).status, 400);
        assert.equal((await ask('uta@example.com')).status, 400);
        assert.equal((await ask('nonsense')).status, 422);
        assert.equal((await ask('owner-uta@deleted.invalid')).status, 400);
        assert.equal((await ask('first@example.com')).status, 200);
        const first = await it.sink.next();
        assert.equal((await ask('New@Example.com')).status, 200);
        const mail = await it.sink.next();
        assert.deepEqual([mail.to, mail.subject], [['new@example.com'], 'Is this your address?']);
        assert.ok(!mail.text.includes('Uta'), 'nobody writes to strangers through us');
        assert.match(linkIn(mail), /\/confirm-email\?token=/);
        assert.equal((await uta.get('/api/v1/auth/me')).body.email, 'uta@example.com');
        assert.equal((await it.anyone('confirm-email', { token: tokenIn(first) })).status, 404, 'a newer one replaced it');
        const look = async (token) => {
            const { status, body } = await it.anyone('check-link', { token, purpose: 'email' });
            return [status, body.email];
        };
        assert.deepEqual([await look(tokenIn(first)), await look(tokenIn(mail))], [[404, undefined], [200, 'new@example.com']], 'looked at, nothing used');
        assert.equal((await it.anyone('check-link', { token: tokenIn(mail) })).status, 404, 'it chooses no password');
        assert.equal((await it.anyone('check-link', { token: tokenIn(mail), purpose: 'more' })).status, 422);
        const done = await it.anyone('confirm-email', { token: tokenIn(mail) });
        assert.deepEqual([done.status, done.body], [200, { success: true, email: 'new@example.com' }]);
        assert.equal((await it.anyone('confirm-email', { token: tokenIn(mail) })).status, 404, 'once');
        assert.equal((await uta.get('/api/v1/auth/me')).body.email, 'new@example.com');
        await login(it.server, 'new@example.com', PASSWORD);
        assert.deepEqual((await it.sink.next()).to, ['uta@example.com'], 'the address of before is told');
        const [entry] = (await it.admin.get('/api/v1/audit?action=email_changed&result=ok')).body.entries;
        assert.deepEqual([entry.target_name, entry.detail], ['new@example.com', { from: 'uta@example.com' }]);

        assert.equal((await ask('zoe@example.com')).status, 200, 'who has an account is not told');
        const taken = await it.sink.next();
        assert.equal((await it.anyone('confirm-email', { token: tokenIn(taken) })).body.code ?? 'email_taken', 'email_taken');
        assert.equal((await uta.get('/api/v1/auth/me')).body.email, 'new@example.com');
        it.server.sql("UPDATE email_changes SET expires_at = '2020-01-01 00:00:00.000'");
        assert.equal((await it.anyone('confirm-email', { token: tokenIn(taken) })).status, 410);
    });

    test('no token and no password stands in the logs', async () => {
        const logs = it.server.allLogs();
        for (const mail of it.sink.mails.filter(linkIn)) {
            assert.ok(!logs.includes(tokenIn(mail)), 'a token was logged');
        }
        assert.match(logs, /IMU0461: mail \d+ \(reset\) was sent/);
        const rows = JSON.stringify(it.server.sql("SELECT * FROM mail_queue WHERE state <> 'waiting'"));
        assert.ok(!rows.includes('token='), 'a link stayed in the queue');
    });
});

describe('a mail server that does not do its part', () => {
    const it = useMail('none');

    test('is tried again when it is down, and the mail arrives once', async () => {
        await it.sink.down();
        const made = await it.invite('ann@example.com', 'Ann');
        assert.equal(made.mailed, true, 'it waits');
        await until(() => it.server.sql('SELECT attempts FROM mail_queue')[0].attempts >= 2, 'a second attempt');
        const { body } = await it.admin.get('/api/v1/mail');
        assert.deepEqual([body.enabled, body.waiting, body.failed, body.mails.length], [true, 1, 0, 1]);
        assert.match(body.mails[0].last_error, /connect/i);
        assert.ok(!JSON.stringify(body).includes('token='), 'links are for their owners');
        await it.sink.up();
        const mail = await it.sink.next();
        assert.equal(linkIn(mail), made.invitation_link);
        await it.ended('sent');
        assert.equal(it.sink.mails.length, 1);
        assert.deepEqual((await it.admin.get('/api/v1/mail')).body.mails, []);
    });

    for (const mode of ['busy', 'close', 'slow']) {
        test(`is tried again when it is: ${mode}`, async () => {
            it.sink.mode = mode;
            await it.invite(`${mode}@example.com`, 'Ben');
            const noted = () => it.server.sql(`SELECT last_error FROM mail_queue WHERE to_address = '${mode}@example.com'`)[0].last_error;
            const error = await until(noted, 'the failure to be noted');
            assert.match(error, { busy: /451/, close: /./, slow: /timed out|timeout/i }[mode]);
            it.sink.mode = 'accept';
            assert.deepEqual((await it.sink.next()).to, [`${mode}@example.com`]);
        });
    }

    test('is not asked again when it refuses the recipient', async () => {
        it.sink.mode = 'refuse';
        it.server.allowLog(/IMU0462/);
        await it.invite('gone@example.com', 'Gus');
        const row = await it.ended('failed');
        assert.deepEqual([row.to_address, row.attempts, row.link], ['gone@example.com', 1, null]);
        assert.match(row.last_error, /550/);
        const { body } = await it.admin.get('/api/v1/mail');
        assert.deepEqual([body.failed, body.mails[0].to_address, body.mails[0].state], [1, 'gone@example.com', 'failed']);
        assert.ok(!body.mails[0].last_error.includes('secret-words'));
        it.sink.mode = 'accept';
    });

    test('is given up after a while', async () => {
        await it.sink.down();
        await it.invite('late@example.com', 'Lea');
        it.server.sql("UPDATE mail_queue SET created_at = '2020-01-01 00:00:00.000' WHERE state = 'waiting'");
        const row = await until(() => it.server.sql("SELECT * FROM mail_queue WHERE to_address = 'late@example.com' AND state = 'failed'")[0], 'the mail to be given up');
        assert.equal(row.link, null);
        await it.sink.up();
    });

    test('gets no mail whose link was ended meanwhile', async () => {
        await it.sink.down();
        await it.invite('ended@example.com', 'Eva');
        const [open] = (await it.admin.get('/api/v1/invitations')).body.invitations;
        assert.equal(open.email, 'ended@example.com');
        assert.equal((await it.admin.delete(`/api/v1/invitations/${open.invitation_id}`)).status, 200);
        assert.deepEqual(it.server.sql("SELECT * FROM mail_queue WHERE state = 'waiting'"), []);
        await it.sink.up();
    });

    test('keeps nobody from stopping the server', async () => {
        it.sink.mode = 'slow';
        const before = it.sink.attempts;
        await it.invite('slow2@example.com', 'Sue');
        await until(() => it.sink.attempts > before, 'the mail to be under way');
        await it.server.restart('hard'); // httpd complains of a process that it has to kill
        it.sink.mode = 'accept';
        assert.deepEqual((await it.sink.next()).to, ['slow2@example.com']);
    });
});

describe('a mail server with TLS from the start and an account', () => {
    const it = useMail('implicit', (root) => {
        const file = path.join(root, 'mail-password');
        secretFile(file, 'Geheim-ü-12\n', 0o600);
        return ['InvokeMUMailUser "robot@example.org"', `InvokeMUMailPasswordFile "${file}"`];
    });

    test('gets the mail, and the password over TLS alone', async () => {
        await it.invite('tls@example.com', 'Tom');
        const mail = await it.sink.next();
        assert.deepEqual([mail.secure, mail.user, mail.password], [true, 'robot@example.org', 'Geheim-ü-12']);
        it.sink.mode = 'denied';
        await it.invite('denied@example.com', 'Dan');
        const noted = () => it.server.sql("SELECT last_error FROM mail_queue WHERE to_address = 'denied@example.com'")[0].last_error;
        assert.match(await until(noted, 'the failure to be noted'), /denied/i);
        it.sink.mode = 'accept';
        assert.deepEqual((await it.sink.next()).to, ['denied@example.com'], 'a password can be mended');
        assert.ok(!it.server.allLogs().includes('Geheim'));
    });
});

describe('a mail server without TLS, where TLS is required', () => {
    const it = useMail('none', () => ['InvokeMUMailTLS Required']);

    test('gets nothing', async () => {
        await it.invite('safe@example.com', 'Sam');
        const error = await until(() => it.server.sql('SELECT last_error FROM mail_queue')[0].last_error, 'the failure to be noted');
        assert.match(error, /SSL|TLS/);
        assert.equal(it.sink.mails.length, 0);
    });
});

describe('without mail', () => {
    let server, admin;
    before(async () => {
        server = await startServer({ multiuser: true });
        admin = await setupAdmin(server);
    });
    after(() => server?.stop());

    test('links are shown, and what needs mail says so', async () => {
        assert.equal((await request(`${server.url}/api/v1/auth/status`)).body.mail_enabled, false);
        const made = await admin.post('/api/v1/invitations', { email: 'max@example.com' });
        assert.deepEqual([made.status, made.body.mailed], [201, false]);
        const forgot = await request(`${server.url}/api/v1/auth/forgot-password`, { method: 'POST', json: { email: ADMIN.email } });
        assert.equal(forgot.status, 404);
        assert.match(forgot.body.detail, /administrator/);
        assert.equal((await admin.post('/api/v1/auth/change-email', { email: 'b@example.com', current_password: ADMIN.password })).status, 404);
        assert.deepEqual((await admin.get('/api/v1/mail')).body, { enabled: false, waiting: 0, sent: 0, failed: 0, mails: [] });
    });

    test('administrators change addresses, each of one account', async () => {
        const [mia, leo] = [await addUser(admin, 'Mia'), await addUser(admin, 'Leo')];
        const change = (who, email) => admin.patch(`/api/v1/users/${who.user.user_id}`, { email });
        const link = (await admin.post(`/api/v1/users/${mia.user.user_id}/reset-password`)).body.reset_link;
        assert.equal((await change(mia, 'leo@example.com')).status, 400);
        assert.equal((await change(mia, 'nonsense')).status, 422);
        assert.equal((await change(mia, 7)).status, 422);
        const done = await change(mia, 'Mia.New@Example.com');
        assert.deepEqual([done.status, done.body.user.email], [200, 'mia.new@example.com']);
        assert.equal((await mia.get('/api/v1/auth/me')).body.email, 'mia.new@example.com');
        await login(server, 'mia.new@example.com', PASSWORD);
        const dead = await request(`${server.url}/api/v1/auth/reset-password`, { method: 'POST', json: { token: new URL(link).searchParams.get('token'), password: NEXT } });
        assert.equal(dead.status, 404, 'links for the old address end');
        const { entries } = (await admin.get('/api/v1/audit?action=email_changed&result=ok')).body;
        assert.deepEqual(entries.map((e) => [e.user_email, e.target_name, e.detail]), [[ADMIN.email, 'mia.new@example.com', { from: 'mia@example.com' }]]);
        assert.equal((await leo.patch(`/api/v1/users/${leo.user.user_id}`, { email: 'x@example.com' })).status, 403);
    });
});

describe('mails that tell and mails that go again', () => {
    const it = useMail('none');
    const audited = async (action) => (await it.admin.get(`/api/v1/audit?action=${action}`)).body.entries.map((e) => [e.target_name, e.detail]);
    const failed = async () => (await it.admin.get('/api/v1/mail')).body.mails.find((mail) => mail.state === 'failed');
    const again = (id) => it.admin.post(`/api/v1/mail/${id}/send-again`);

    test('the address of before hears of a change by the person', async () => {
        const emma = await addUser(it.admin, 'Emma');
        assert.equal((await emma.post('/api/v1/auth/change-email', { email: 'emma.new@example.com', current_password: PASSWORD })).status, 200);
        const asked = await it.sink.next();
        assert.deepEqual(asked.to, ['emma.new@example.com']);
        assert.equal((await it.anyone('confirm-email', { token: tokenIn(asked) })).status, 200);
        const told = await it.sink.next();
        assert.deepEqual([told.to, told.subject, linkIn(told)], [['emma@example.com'], 'You sign in with another address now', undefined]);
        assert.match(told.text, /^Hello Emma,$/m);
        assert.match(told.text, /can't sign in with emma@example\.com any more/);
        assert.ok(!told.text.includes('emma.new@example.com'), 'whoever reads the old mailbox does not learn the new address');
    });

    test('and of one by an administrator, but not where nobody ever signed in', async () => {
        const olga = await addUser(it.admin, 'Olga');
        assert.equal((await it.admin.patch(`/api/v1/users/${olga.user.user_id}`, { email: 'olga.new@example.com' })).status, 200);
        assert.deepEqual((await it.sink.next()).to, ['olga@example.com']);
        const typo = await it.invite('tpyo@example.com', 'Typo');
        await it.sink.next();
        assert.equal((await it.admin.patch(`/api/v1/users/${typo.user.user_id}`, { email: 'typo@example.com' })).status, 200);
        await until(() => it.server.sql("SELECT COUNT(*) AS n FROM mail_queue WHERE state = 'waiting'")[0].n === 0, 'the queue to be empty');
        assert.equal(it.sink.mails.length, it.sink.taken);
    });

    test('one that was given up goes again with a new link, and the old link is dead', async () => {
        it.server.allowLog(/IMU0462/);
        it.sink.mode = 'refuse';
        const made = await it.invite('fred@example.com', 'Fred');
        await it.ended('failed');
        it.sink.mode = 'ok';
        const { mail_id: id } = await failed();
        assert.equal((await again(id)).status, 200);
        const mail = await it.sink.next();
        assert.deepEqual(mail.to, ['fred@example.com']);
        assert.notEqual(linkIn(mail), made.invitation_link);
        const old = new URL(made.invitation_link).searchParams.get('token');
        assert.equal((await it.anyone('accept-invitation', { token: old, password: NEXT })).status, 404);
        assert.equal((await it.anyone('accept-invitation', { token: tokenIn(mail), password: NEXT })).status, 200);
        assert.equal(await failed(), undefined);
        assert.equal((await again(id)).status, 404, 'it was sent');
        assert.deepEqual(await audited('mail_sent_again'), [['fred@example.com', { kind: 'invitation' }]]);
    });

    test('a change of address and a reset go again too', async () => {
        it.sink.mode = 'refuse';
        const greta = await addUser(it.admin, 'Greta');
        assert.equal((await greta.post('/api/v1/auth/change-email', { email: 'greta.new@example.com', current_password: PASSWORD })).status, 200);
        const change = await until(failed, 'the mail to fail');
        const lost = (await it.admin.post(`/api/v1/users/${greta.user.user_id}/reset-password`)).body;
        const reset = await until(async () => (await it.admin.get('/api/v1/mail')).body.mails.find((m) => m.state === 'failed' && m.kind === 'reset'), 'the reset to fail');
        it.sink.mode = 'ok';
        assert.equal((await again(reset.mail_id)).status, 200);
        const link = await it.sink.next();
        assert.notEqual(linkIn(link), lost.reset_link);
        assert.equal((await again(change.mail_id)).status, 200);
        assert.equal((await it.anyone('confirm-email', { token: tokenIn(await it.sink.next()) })).status, 200);
        assert.deepEqual((await it.sink.next()).to, ['greta@example.com']);
        assert.equal((await it.anyone('reset-password', { token: tokenIn(link), password: NEXT })).status, 404, 'links end with the address they were made for');
    });

    test('what it was about may be gone', async () => {
        it.sink.mode = 'refuse';
        const made = await it.invite('hugo@example.com', 'Hugo');
        const mail = await until(failed, 'the mail to fail');
        it.sink.mode = 'ok';
        assert.equal((await it.admin.delete(`/api/v1/users/${made.user.user_id}?delete_data=true`)).status, 200);
        assert.equal((await again(mail.mail_id)).status, 409);
        assert.equal((await again(999999)).status, 404);
        assert.equal((await again('x')).status, 422);
        const nosy = await addUser(it.admin, 'Nosy');
        assert.equal((await nosy.post(`/api/v1/mail/${mail.mail_id}/send-again`)).status, 403);
    });

    test('links end when their time is over', async () => {
        const made = await it.invite('ivan@example.com', 'Ivan');
        await it.sink.next();
        const julia = await addUser(it.admin, 'Julia');
        const { reset_link: reset } = (await it.admin.post(`/api/v1/users/${julia.user.user_id}/reset-password`)).body;
        await it.sink.next();
        assert.equal((await julia.post('/api/v1/auth/change-email', { email: 'j@example.com', current_password: PASSWORD })).status, 200);
        const change = tokenIn(await it.sink.next());
        const redeem = (link) => it.anyone('accept-invitation', { token: new URL(link).searchParams.get('token'), password: 'weak' });
        await later(it.server, 24 * 3600 - 60);
        assert.deepEqual([(await redeem(reset)).status, (await redeem(made.invitation_link)).status], [400, 400], 'only the password is wrong');
        await later(it.server, 120);
        assert.deepEqual([(await redeem(reset)).status, (await redeem(made.invitation_link)).status], [410, 400]);
        assert.match((await redeem(reset)).body.detail, /expired/);
        assert.equal((await it.anyone('confirm-email', { token: change })).status, 410);
        await later(it.server, 6 * 24 * 3600);
        assert.equal((await redeem(made.invitation_link)).status, 410);
    });
});

describe('at the start', () => {
    const on = (...lines) => (root) => [
        'InvokeMUMailServer smtp://localhost:587', 'InvokeMUMailFrom a@example.org', 'InvokeMUPublicURL https://a.example', `InvokeMUMailTemplates "${TEMPLATES()}"`,
        ...lines.map((line) => line.replace('ROOT', root)),
    ];
    const open = (root) => secretFile(path.join(root, 'open'), 'secret', 0o644);
    const empty = (root) => secretFile(path.join(root, 'empty'), '', 0o600);
    const texts = (root) => {
        fs.mkdirSync(path.join(root, 'texts'));
        fs.writeFileSync(path.join(root, 'texts/invitation.txt'), 'Subject: x\n\nno word of it');
    };
    const refused = [
        ['a server without its port', on('InvokeMUMailServer smtp://localhost'), /InvokeMUMailServer is smtp:\/\/host:587/],
        ['another kind of server', on('InvokeMUMailServer http://localhost:25'), /InvokeMUMailServer is smtp/],
        ['a password in the address', on('InvokeMUMailServer smtp://me:secret@localhost:25'), /InvokeMUMailServer is smtp/],
        ['no sender', on('InvokeMUMailFrom none'), /needs InvokeMUMailFrom/],
        ['a sender that is none', on('InvokeMUMailFrom "Pictures"'), /InvokeMUMailFrom is "Name <address>"/],
        ['such a sender while no mail is sent', ['InvokeMUMailFrom "Pictures"'], /InvokeMUMailFrom is "Name <address>"/],
        ['a port that there is not', on('InvokeMUMailServer smtp://localhost:99999'), /InvokeMUMailServer is smtp/],
        ['such a port of this server', ['InvokeMUPublicURL https://a.example:65536'], /InvokeMUPublicURL is the address/],
        ['no address for links', on('InvokeMUPublicURL none'), /needs InvokeMUPublicURL/],
        ['an address that is none', on('InvokeMUPublicURL pictures.example.org'), /InvokeMUPublicURL is the address/],
        ['a user without a password', on('InvokeMUMailUser me'), /go together/],
        ['a password that would go in the clear', on('InvokeMUMailUser me', 'InvokeMUMailPasswordFile "ROOT/open"', 'InvokeMUMailTLS IfOffered'), /needs InvokeMUMailTLS Required/],
        ['a password that everybody can read', on('InvokeMUMailUser me', 'InvokeMUMailPasswordFile "ROOT/open"'), /not everybody can read/, open],
        ['an empty password', on('InvokeMUMailUser me', 'InvokeMUMailPasswordFile "ROOT/empty"'), /holds no password/, empty],
        ['a word for TLS that there is not', on('InvokeMUMailTLS Maybe'), /Required, IfOffered or Off/],
        ['TLS both off and on', on('InvokeMUMailServer smtps://localhost:465', 'InvokeMUMailTLS Off'), /does not go with smtps/],
        ['certificates that are not there', on('InvokeMUMailCA "ROOT/none-here"'), /InvokeMUMailCA: .* can't be read/],
        ['certificates that are none', on('InvokeMUMailCA "ROOT/empty"'), /InvokeMUMailCA: .* holds no certificate/, empty],
        ['such a file while no mail is sent', (root) => [`InvokeMUMailCA "${root}/open"`], /InvokeMUMailCA: .* holds no certificate/, open],
        ['no templates', on('InvokeMUMailTemplates "ROOT/nowhere"'), /invitation\.txt can't be read/],
        ['a template without the link', on('InvokeMUMailTemplates "ROOT/texts"'), /\{link\} is missing/, texts],
    ];
    for (const [what, conf, sentence, prepare] of refused) {
        test(`is refused: ${what}`, () => assert.rejects(startServer({ conf, prepare }), sentence));
    }
});
