// What people see of mails: a forgotten password, a new address, and links that administrators need not pass on.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { misfits } from '../lib/fit.mjs';
import { REPO, reach } from '../lib/paths.mjs';
import { until, useServer } from '../lib/server.mjs';
import { mailLines, SmtpSink } from '../lib/smtp-sink.mjs';
import { ADMIN, addUser, login, setupAdmin } from '../lib/users.mjs';

const NEXT = 'Eight-Paper-Boats-22';

describe('mail', () => {
    let sink;
    before(async () => (sink = await SmtpSink.start()));
    const server = useServer({ multiuser: true, hook: true, conf: () => mailLines(sink, reach(path.join(REPO, 'conf/mail'))) });
    const browser = useBrowser(server);
    after(() => sink?.stop());
    let rosa;

    /** The path that the link in the next mail leads to. */
    const linked = async () => /^https:\/\/pictures\.example\.org(\/\S+)$/m.exec((await sink.next()).text)[1];

    before(async () => {
        await addUser(await setupAdmin(server), 'Rosa');
    });

    test('who forgot the password gets a mail, chooses a new one and is in', async () => {
        rosa = await browser.person({ reducedMotion: 'reduce' });
        await rosa.open('/login');
        await rosa.page.getByRole('link', { name: 'Forgot your password?' }).click();
        await rosa.page.waitForFunction(() => document.activeElement.name === 'email');
        await rosa.button('Send me a link').click();
        await rosa.sees('Enter the email address you sign in with.');
        await rosa.field('Email address').fill('rosa@example.com');
        assert.deepEqual(await rosa.axe(), [], 'forgot');
        await rosa.button('Send me a link').click();
        await rosa.sees(/a link for a new password is on its way/);
        assert.deepEqual(await rosa.axe(), [], 'asked');
        await rosa.open(await linked());
        await rosa.sees('Choose a new password');
        await rosa.field('Password').fill(NEXT);
        await rosa.button('Save and sign in').click();
        await rosa.page.waitForURL('**/create');
    });

    test('a new address counts when the link to it was opened and pressed', async () => {
        await rosa.open('/profile');
        await rosa.field('New email address').fill('rose@example.com');
        await rosa.field('Your current password').fill(NEXT);
        assert.deepEqual(await rosa.axe(), [], 'profile');
        await rosa.button('Change address').click();
        await rosa.sees(/A link was mailed to rose@example\.com/);
        const link = await linked();
        await rosa.open(link);
        await rosa.sees(/Somebody wants to sign in here with rose@example\.com/);
        assert.deepEqual(await rosa.axe(), [], 'confirm');
        await rosa.button('This is my address').click();
        await rosa.sees('From now on you sign in with rose@example.com.');
        rosa.allow(/status of 404/);
        await rosa.open(link);
        await rosa.sees('This link doesn’t work');
        await rosa.open('/profile');
        assert.equal(await rosa.field('You sign in with').inputValue(), 'rose@example.com');
        assert.deepEqual((await sink.next()).to, ['rosa@example.com'], 'the address of before is told');
    });

    test('a link that does not work says so', async () => {
        rosa.allow(/status of 404/);
        await rosa.open(`/confirm-email?token=${'A'.repeat(43)}`);
        await rosa.sees('This link doesn’t work');
        await rosa.open('/confirm-email');
        await rosa.sees(/Part of the link is missing/);
    });

    test('administrators see that an invitation is mailed', async () => {
        const admin = await browser.person({ reducedMotion: 'reduce' });
        await admin.signIn(ADMIN.email, ADMIN.password);
        await admin.page.waitForURL('**/create');
        await admin.open('/people');
        await admin.button('Invite', { exact: true }).click();
        await admin.field('Email address').fill('guest@example.com');
        await admin.button('Make the link').click();
        await admin.sees(/It is being mailed to guest@example\.com/);
        assert.deepEqual((await sink.next()).to, ['guest@example.com']);
        sink.mode = 'refuse';
        server.allowLog(/IMU0462/);
        const client = await login(server, ADMIN.email, ADMIN.password);
        assert.equal((await client.post('/api/v1/invitations', { email: 'gone@example.com' })).status, 201);
        await until(() => server.sql("SELECT * FROM mail_queue WHERE state = 'failed'").length, 'the mail to be given up');
        await admin.open('/people');
        await admin.sees(/1 given up in the last 30 days/);
        await admin.sees('The mail server takes nothing for this address. Check that it is right.');
        await admin.page.locator('.small-print', { hasText: '550' }).waitFor();
        for (const width of [320, 390]) {
            await admin.page.setViewportSize({ width, height: 800 });
            assert.deepEqual(await misfits(admin.page), [], `mails at ${width} px`);
        }
        assert.deepEqual(await admin.axe(), [], 'state of the mails');
        sink.mode = 'ok';
        await admin.button('Send again to gone@example.com').focus();
        await admin.page.keyboard.press('Enter');
        await admin.sees('A new mail to gone@example.com is on its way; its link replaces the earlier one.');
        assert.deepEqual((await sink.next()).to, ['gone@example.com']);
    });
});
