// What every page owes: nothing for axe to find in both themes and on a phone, a small first load, the keyboard alone,
// a page when the server is away, and single-user mode.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DESK, PHONE, useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, setupAdmin, upload } from '../lib/users.mjs';

const FIRST_LOAD_BYTES = 100 * 1024;
const FIRST_LOAD_CALLS = 8;
const LOOKS = [
    ['a desk, light', { viewport: DESK, colorScheme: 'light' }],
    ['a desk, dark', { viewport: DESK, colorScheme: 'dark' }],
    ['a phone, light', { viewport: PHONE, colorScheme: 'light', hasTouch: true, isMobile: true }],
    ['a phone, dark', { viewport: PHONE, colorScheme: 'dark', hasTouch: true, isMobile: true }],
];
const READY = {
    '/create': '.composer',
    '/gallery': '.thumb img.sharp',
    '/queue': '.page-head',
    '/models': '.model:not(.skeleton)',
    '/people': '.person:not(.skeleton)',
    '/audit': '[data-entry]',
    '/profile': '.session:not(.skeleton)',
};

/** Resolves when nothing has been asked of the server for a while. */
const idle = (person) => person.page.waitForLoadState('networkidle');

describe('with people', () => {
    const server = useServer({ multiuser: true, media: true, models: testModels() });
    const browser = useBrowser(server);

    test('axe finds nothing on the set-up page', async () => {
        const person = await browser.person();
        await person.open('/');
        await person.sees('Welcome');
        assert.deepEqual(await person.axe(), []);
    });

    test('people and pictures to look at', async () => {
        const admin = await setupAdmin(server);
        await addUser(admin, 'Grace');
        await upload(admin, { png: makePng(64, 64) });
        await upload(admin, { png: makePng(64, 48) });
    });

    for (const [name, options] of LOOKS) {
        test(`axe finds nothing on ${name}`, async () => {
            const person = await browser.person({ ...options, reducedMotion: 'reduce' });
            await person.open('/login');
            await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
            assert.deepEqual(await person.axe(), [], 'sign in');
            await person.signIn(ADMIN.email, ADMIN.password);
            await person.page.waitForURL('**/create');
            for (const [where, ready] of Object.entries(READY)) {
                await person.open(where);
                await person.page.locator(ready).first().waitFor();
                assert.deepEqual(await person.axe(), [], where);
            }
        });
    }

    test('axe finds nothing in dialogs, menus, the settings and the lightbox', async () => {
        const person = await browser.person({ reducedMotion: 'reduce' });
        await person.signIn(ADMIN.email, ADMIN.password);
        await person.page.waitForURL('**/create');
        await person.page.getByText('More control').click();
        await person.page.getByRole('slider', { name: 'Steps' }).waitFor();
        assert.deepEqual(await person.axe(), [], 'settings');
        await person.open('/people');
        await person.button('Add a person').click();
        await person.page.getByRole('dialog', { name: 'Add a person' }).waitFor();
        assert.deepEqual(await person.axe(), [], 'add a person');
        await person.page.keyboard.press('Escape');
        await person.page.getByRole('dialog').waitFor({ state: 'detached' });
        await person.button('More for Grace').click();
        await person.page.getByRole('menu').waitFor();
        assert.deepEqual(await person.axe(), [], 'menu');
        await person.open('/gallery');
        await person.page.locator('.thumb-open').first().click();
        await person.page.locator('.pswp img.pswp__img').first().waitFor();
        await person.page.locator('.box-tools').getByRole('button', { name: 'Details' }).click();
        await person.page.locator('.facts').waitFor();
        assert.deepEqual(await person.axe(), [], 'lightbox');
    });

    test('no page is wider than the screen, and no button is narrower than its words', async () => {
        const person = await browser.person({ viewport: { width: 320, height: 640 } });
        await person.signIn(ADMIN.email, ADMIN.password);
        await person.page.waitForURL('**/create');
        for (const [where, ready] of Object.entries(READY)) {
            await person.open(where);
            await person.page.locator(ready).first().waitFor();
            const { inner, scroll } = await person.page.evaluate(() => ({ inner: innerWidth, scroll: document.documentElement.scrollWidth }));
            assert.ok(scroll <= inner, `${where} is ${scroll} wide on ${inner}`);
            const cut = await person.page.locator('button:visible, .button:visible').evaluateAll((list) => list.filter((b) => b.scrollWidth > b.clientWidth).map((b) => b.textContent));
            assert.deepEqual(cut, [], where);
        }
    });

    test('the first load keeps to its budget', async () => {
        const before = await browser.person();
        await before.signIn(ADMIN.email, ADMIN.password);
        await before.page.waitForURL('**/create');
        // A browser that has the session and nothing in its cache.
        const person = await browser.person({ storageState: await before.context.storageState() });
        const session = await person.context.newCDPSession(person.page);
        await session.send('Network.enable');
        let bytes = 0;
        const pictures = new Set();
        session.on('Network.requestWillBeSent', ({ requestId, request }) => /\/(full|thumbnail)$/.test(request.url) && pictures.add(requestId));
        session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
            bytes += pictures.has(requestId) ? 0 : encodedDataLength;
        });
        await person.open('/create');
        await person.page.locator('.composer').waitFor();
        await idle(person);
        assert.ok(bytes > 20000, `the test measures something (${bytes})`);
        assert.ok(bytes <= FIRST_LOAD_BYTES, `${bytes} bytes on the first load`);
        assert.ok(person.calls.length <= FIRST_LOAD_CALLS, `${person.calls.length} calls: ${person.calls.join(', ')}`);
    });

    test('the keyboard alone signs in, writes a prompt, selects a picture and closes what is open', async () => {
        const person = await browser.person();
        const { keyboard } = person.page;
        await person.open('/login');
        await person.field('Email address').focus();
        await keyboard.type('grace@example.com');
        await keyboard.press('Tab');
        await keyboard.type(PASSWORD);
        await keyboard.press('Enter');
        await person.page.waitForURL('**/create');
        await person.field('What do you want to see?').waitFor();
        await keyboard.press('Tab');
        assert.equal(await person.page.evaluate(() => document.activeElement.textContent), 'To the content');
        await keyboard.press('/');
        assert.equal(await person.page.evaluate(() => document.activeElement.id), 'prompt');
        await keyboard.type('mountains');
        await keyboard.press('Tab');
        await keyboard.press('?');
        await person.page.getByRole('dialog', { name: 'Keys on this page' }).waitFor();
        await keyboard.press('Escape');
        await person.page.getByRole('dialog').waitFor({ state: 'detached' });
    });

    test('arrow keys go through the gallery, space selects, Escape lets go', async () => {
        const person = await browser.person();
        const { keyboard } = person.page;
        await person.signIn(ADMIN.email, ADMIN.password);
        await person.page.waitForURL('**/create');
        await person.open('/gallery');
        await person.page.locator('.thumb-open').first().focus();
        await keyboard.press('ArrowRight');
        await keyboard.press(' ');
        await person.page.locator('.thumb').nth(1).and(person.page.locator('.chosen')).waitFor();
        await person.sees('1 picture');
        await keyboard.press('Escape');
        await person.page.locator('.thumb.chosen').waitFor({ state: 'detached' });
    });

    test('a server that does not answer is a page with one thing to do, never a blank one', async () => {
        const person = await browser.person();
        person.allow(/ERR_FAILED|net::/);
        await person.page.route('**/api/**', (route) => route.abort());
        await person.open('/create');
        await person.sees('This server can’t be reached');
        await person.page.unroute('**/api/**');
        await person.button('Try again').click();
        await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    });

    test('an address that does not exist says so', async () => {
        const person = await browser.person();
        await person.signIn(ADMIN.email, ADMIN.password);
        await person.page.waitForURL('**/create');
        await person.open('/nowhere/at/all');
        await person.sees('Nothing lives at this address');
    });
});

describe('alone', () => {
    const server = useServer({ multiuser: false, models: testModels() });
    const browser = useBrowser(server);

    test('single-user mode opens on Create, without people and passwords', async () => {
        const person = await browser.person();
        await person.open('/');
        await person.field('What do you want to see?').waitFor();
        assert.equal(await person.page.getByRole('link', { name: 'People' }).count(), 0);
        await person.page.getByRole('link', { name: 'Settings' }).click();
        await person.page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
        assert.equal(await person.page.getByText('Current password').count(), 0);
        await person.page.getByRole('radio', { name: 'Dark' }).check();
        assert.equal(await person.page.evaluate(() => document.documentElement.dataset.theme), 'dark');
        assert.deepEqual(await person.axe(), []);
    });
});
