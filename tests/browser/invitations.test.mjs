// Links to choose a password by: made on the People page, redeemed on a page of their own.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { PHONE, useBrowser } from '../lib/browser.mjs';
import { readQr } from '../lib/qr.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, addUser, setupAdmin } from '../lib/users.mjs';

const OWN_PASSWORD = 'Seven-Paper-Boats-21';
const NEXT_PASSWORD = 'Eight-Paper-Boats-22';

describe('links', () => {
    const server = useServer({ multiuser: true });
    const browser = useBrowser(server);
    let client;
    let admin;
    let invitation;

    /** The link that a dialog shows, as a path. */
    const shownLink = async () => {
        const link = await admin.field('Link').inputValue();
        assert.ok(link.startsWith(`${server.url}/invite?token=`), link);
        return link.slice(server.url.length);
    };
    const redeem = async (person, password) => {
        await person.field('Password').fill(password);
        await person.button('Save and sign in').click();
    };

    before(async () => {
        client = await setupAdmin(server);
        await addUser(client, 'Rosa');
    });

    test('an invitation takes an address, and is answered in words where it can’t be made', async () => {
        admin = await browser.person({ reducedMotion: 'reduce' });
        admin.allow(/status of 400/);
        await admin.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url });
        await admin.signIn(ADMIN.email, ADMIN.password);
        await admin.page.waitForURL('**/create');
        await admin.open('/people');
        await admin.button('Invite', { exact: true }).click();
        await admin.button('Make the link').click();
        await admin.sees('Enter the email address this person will sign in with.');
        await admin.field('Email address').fill('rosa@example.com');
        await admin.button('Make the link').click();
        await admin.sees(/already an account/);
        assert.deepEqual(await admin.axe(), [], 'invite');
    });

    test('inviting shows a link once, with Copy', async () => {
        await admin.field('Email address').fill('guest@example.com');
        await admin.field('Name').fill('Guest');
        await admin.button('Make the link').click();
        await admin.page.getByRole('dialog', { name: 'Invitation for Guest' }).waitFor();
        invitation = await shownLink();
        // This server was opened by an address that nobody else can open.
        await admin.sees(/Only this computer can open the link.*“127\.0\.0\.1” means just itself/);
        assert.deepEqual(await admin.axe(), [], 'link made');
        await admin.button('Copy', { exact: true }).click();
        await admin.sees('Link copied.');
        assert.equal(await admin.page.evaluate(() => navigator.clipboard.readText()), server.url + invitation);
        await admin.button('Done').click();
        await admin.page.getByRole('dialog').waitFor({ state: 'detached' });
        await admin.sees('guest@example.com');
    });

    test('the link is copied where the browser keeps its clipboard to itself', async () => {
        await admin.page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true }));
        await admin.button('More for Rosa').click();
        await admin.page.getByRole('menuitem', { name: 'Reset link' }).click();
        await admin.button('Make the link').click();
        const link = await shownLink();
        await admin.button('Copy', { exact: true }).click();
        await admin.sees('Link copied.');
        await admin.page.reload();
        assert.equal(await admin.page.evaluate(() => navigator.clipboard.readText()), server.url + link);
    });

    for (const [name, options] of [
        ['a desk, light', { colorScheme: 'light' }],
        ['a phone, dark', { viewport: PHONE, colorScheme: 'dark', hasTouch: true, isMobile: true }],
    ]) {
        test(`axe finds nothing on the page of a link on ${name}`, async () => {
            const person = await browser.person(options);
            await person.open(invitation);
            await person.field('Password').waitFor();
            await person.sees('With it and guest@example.com you sign in here from now on.');
            assert.deepEqual(await person.axe(), []);
            assert.equal(await person.page.title(), 'Choose your password · invokemu');
        });
    }

    test('the invited person chooses a password by the rules and is in', async () => {
        const guest = await browser.person();
        guest.allow(/status of 400/);
        await guest.open(invitation);
        await guest.page.waitForFunction(() => document.activeElement.matches('main input[type=password]'));
        await redeem(guest, 'short');
        await guest.sees(/too short/);
        await redeem(guest, 'Password1');
        await guest.page.locator('.message.bad').filter({ hasNotText: 'too short' }).waitFor();
        await redeem(guest, OWN_PASSWORD);
        await guest.page.waitForURL('**/create');
        await guest.field('What do you want to see?').waitFor();
        const stored = await guest.page.evaluate(() => location.href + JSON.stringify({ ...localStorage, ...sessionStorage }));
        assert.ok(!stored.includes(new URL(invitation, server.url).searchParams.get('token')), 'the link is left behind');
        await guest.open('/profile');
        assert.equal(await guest.field('Name').inputValue(), 'Guest');
    });

    test('used, unknown, expired and incomplete links are told apart, each with a way on', async () => {
        const person = await browser.person();
        person.allow(/status of 4(04|10)/);
        // At once, before anybody thinks up a password.
        await person.open(invitation);
        await person.sees(/already used/);
        assert.equal(await person.page.getByLabel('Password').count(), 0);
        await person.page.getByRole('heading', { name: 'This link doesn’t work' }).waitFor();
        assert.deepEqual(await person.axe(), [], 'dead link');
        await person.open(`/invite?token=${'A'.repeat(43)}`);
        await person.sees(/not known here/);
        const made = await client.post('/api/v1/users', { email: 'late@example.com', send_invitation: true });
        server.sql("UPDATE user_invitations SET expires_at = '2020-01-01 00:00:00.000' WHERE email = 'late@example.com'");
        await person.page.goto(made.body.invitation_link);
        await person.sees(/has expired/);
        const ended = (await client.get('/api/v1/invitations')).body.invitations.find((one) => one.email === 'late@example.com');
        assert.equal((await client.delete(`/api/v1/invitations/${ended.invitation_id}`)).status, 200);
        await person.page.reload();
        await person.sees(/It may have been ended/);
        await person.open('/invite');
        await person.sees(/Part of the link is missing/);
        await person.page.getByRole('link', { name: 'To the sign-in page' }).click();
        await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    });

    test('a link that ends while its page is open says so when it is redeemed; one that can’t be looked at is tried', async () => {
        const person = await browser.person();
        person.allow(/status of (404|503)/);
        const { body } = await client.post('/api/v1/users', { email: 'slow@example.com', send_invitation: true });
        await person.page.route('**/auth/check-link', (route) => route.fulfill({ status: 503, json: { detail: 'Busy.' } }));
        await person.page.goto(body.invitation_link);
        await person.sees('With it and your email address you sign in here from now on.');
        const open = (await client.get('/api/v1/invitations')).body.invitations.find((one) => one.email === 'slow@example.com');
        assert.equal((await client.delete(`/api/v1/invitations/${open.invitation_id}`)).status, 200);
        await redeem(person, NEXT_PASSWORD);
        await person.sees(/not known here/);
    });

    test('a reset link is redeemed in the browser of somebody else, who is signed out by it', async () => {
        await admin.open('/people');
        await admin.button('More for Rosa').click();
        await admin.page.getByRole('menuitem', { name: 'Reset link' }).click();
        assert.deepEqual(await admin.axe(), [], 'reset link');
        await admin.button('Make the link').click();
        const link = await shownLink();
        await admin.open(link);
        await admin.sees(/The Admin is signed in here/);
        await redeem(admin, NEXT_PASSWORD);
        await admin.page.waitForURL('**/create');
        await admin.field('What do you want to see?').waitFor();
        assert.equal(await admin.page.getByRole('link', { name: 'People' }).count(), 0, 'Rosa is no administrator');
        const rosa = await browser.person();
        await rosa.signIn('rosa@example.com', NEXT_PASSWORD);
        await rosa.page.waitForURL('**/create');
    });

    test('a link is redeemed where an old session lies about', async () => {
        const { body } = await client.post('/api/v1/users', { email: 'again@example.com', send_invitation: true });
        const person = await browser.person();
        person.allow(/status of 401/);
        await person.open('/login');
        await person.page.evaluate(() => localStorage.setItem('auth_token', 'gone'));
        await person.page.goto(body.invitation_link);
        await redeem(person, OWN_PASSWORD);
        await person.page.waitForURL('**/create');
    });

    test('one lost answer is asked for again without a word', async () => {
        const person = await browser.person();
        person.allow(/net::ERR_CONNECTION_RESET/);
        let lost = 0;
        await person.page.route('**/api/v1/auth/status', (route) => (++lost === 1 ? route.abort('connectionreset') : route.continue()));
        await person.open('/');
        await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
        assert.equal(lost, 2);
        assert.equal(await person.page.getByText('can’t be reached').count(), 0);
    });
});

describe('with an address for links', () => {
    const server = useServer({ multiuser: true, conf: ['InvokeMUPublicURL https://pictures.example.org/'] });
    const browser = useBrowser(server);

    test('links lead there, whatever address the page is open at, and so does the QR code', async () => {
        await setupAdmin(server);
        const admin = await browser.person({ reducedMotion: 'reduce' });
        await admin.signIn(ADMIN.email, ADMIN.password);
        await admin.page.waitForURL('**/create');
        await admin.open('/people');
        await admin.button('Invite', { exact: true }).click();
        await admin.field('Email address').fill('guest@example.com');
        await admin.button('Make the link').click();
        const link = await admin.field('Link').inputValue();
        assert.match(link, /^https:\/\/pictures\.example\.org\/invite\?token=[\w-]{43}$/);
        assert.equal(await admin.page.getByText('Only this computer').count(), 0);
        await admin.button('Show as QR code').click();
        const code = admin.page.getByRole('img', { name: 'The link as a QR code' });
        assert.equal(readQr(await code.screenshot()), link);
    });
});

describe('alone', () => {
    const server = useServer({ multiuser: false });
    const browser = useBrowser(server);

    test('in single-user mode there is nothing to be invited to', async () => {
        const person = await browser.person();
        await person.open('/invite?token=x');
        await person.sees('Nothing lives at this address');
    });
});
