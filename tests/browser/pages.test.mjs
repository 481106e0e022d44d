// What every page owes: nothing for axe to find in both themes and on a phone, a small first load, the keyboard alone,
// a page when the server is away, and single-user mode.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DESK, PHONE, useBrowser } from '../lib/browser.mjs';
import { misfits } from '../lib/fit.mjs';
import { testModels } from '../lib/models.mjs';
import { makePng } from '../lib/png.mjs';
import { enqueue, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, login, setupAdmin, upload } from '../lib/users.mjs';

/** A name as long as it may be, and a word that has no place to break. */
const LONG = 'W'.repeat(100);
const WORD = `Donaudampfschiff${'fahrtsgesellschaft'.repeat(3)}`;
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
    /** Of somebody with a long name, shared with the administrator. */
    let board;

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

    test('people, boards and jobs with the longest names', async () => {
        const admin = await login(server, ADMIN.email, ADMIN.password);
        const long = await addUser(admin, LONG, { email: `${'w'.repeat(60)}@${'long-name.'.repeat(5)}example.com` });
        await addUser(admin, WORD, { email: 'word@example.com' });
        await login(server, long.user.email, PASSWORD);
        const invited = await admin.post('/api/v1/invitations', { email: `guest.${'of-everybody.'.repeat(4)}here@example.com`, display_name: WORD.slice(1) });
        assert.equal(invited.status, 201);
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
        await enqueue(long, { runs: 1 });
        for (const [owner, name, with_] of [[admin, LONG, long.user.email], [admin, WORD, 'word@example.com'], [long, WORD, ADMIN.email]]) {
            const { status, body } = await owner.post(`/api/v1/boards/?board_name=${encodeURIComponent(name)}`);
            assert.equal(status, 201);
            assert.equal((await owner.post(`/api/v1/boards/${body.board_id}/share`, { email: with_, permission: 'admin' })).status, 200);
            board = body.board_id;
            await upload(owner, { png: makePng(64, 48), query: `&board_id=${board}` });
        }
    });

    for (const width of [320, 390, 820, 1440]) {
        test(`no page is wider than the screen, and no button is narrower than its words, at ${width} px`, async () => {
            const person = await browser.person({ viewport: { width, height: 800 }, reducedMotion: 'reduce' });
            await person.signIn(ADMIN.email, ADMIN.password);
            await person.page.waitForURL('**/create');
            for (const [where, ready] of [...Object.entries(READY), [`/gallery?board=${board}`, '.thumb img.sharp']]) {
                await person.open(where);
                await person.page.locator(ready).first().waitFor();
                await idle(person);
                assert.deepEqual(await misfits(person.page), [], where);
            }
            // A board may have a longer name than its place; ours must not.
            const everyones = person.page.locator('.board strong', { hasText: 'Everyone’s unsorted' });
            assert.ok(await everyones.evaluate((words) => words.scrollWidth <= words.clientWidth), 'the name of everyone’s pictures is cut');
            await person.context.close();
        });
    }

    for (const width of [320, 390, 1440]) {
        test(`no dialog is wider than the screen, and all in it can be pressed, at ${width} px`, async () => {
            const person = await browser.person({ viewport: { width, height: 700 }, reducedMotion: 'reduce', hasTouch: width < 700 });
            const { page } = person;
            const dialog = page.getByRole('dialog');
            const fits = async (what) => {
                await dialog.waitFor();
                await idle(person);
                assert.deepEqual(await misfits(page, 'dialog[open]'), [], what);
            };
            const close = async () => {
                await page.keyboard.press('Escape');
                await dialog.waitFor({ state: 'detached' });
            };
            const menu = async (button, entry) => {
                await page.getByRole('button', { name: button, exact: true }).first().click();
                await page.getByRole('menuitem', { name: entry, exact: true }).click();
            };
            await person.signIn(ADMIN.email, ADMIN.password);
            await page.locator('.composer').waitFor();
            await page.keyboard.press('Tab');
            await page.keyboard.press('?');
            await fits('the keys');
            await close();
            if (width < 700) {
                await person.button('More', { exact: true }).click();
                await fits('More');
                await close();
            }
            await person.open('/people');
            await page.locator('.person:not(.skeleton)').nth(2).waitFor();
            await person.button('Invite', { exact: true }).click();
            await fits('inviting');
            await person.field('Name').fill(WORD);
            await person.field('Email address').fill(`at${width}.${'very-long.'.repeat(5)}name@example.com`);
            await person.button('Make the link').click();
            await person.button('Copy', { exact: true }).waitFor();
            await person.button('Show as QR code').click();
            await dialog.getByRole('img').waitFor();
            await fits('an invitation');
            await close();
            await person.button('Add a person').click();
            await person.button('Suggest one').click();
            await fits('adding somebody');
            await close();
            for (const name of [LONG, WORD]) {
                for (const entry of ['Edit', 'Devices', 'Set a new password']) {
                    await menu(`More for ${name}`, entry);
                    await fits(entry);
                    await close();
                }
                await menu(`More for ${name}`, 'Reset link');
                await fits('a reset');
                await person.button('Make the link').click();
                await person.button('Copy', { exact: true }).waitFor();
                await fits('a reset link');
                await close();
                await menu(`More for ${name}`, 'Delete');
                await page.getByRole('radio', { name: 'Give it to somebody' }).check();
                await fits('deleting somebody');
                await close();
            }
            await menu(`More for ${WORD}`, 'Suspend');
            await page.locator('.toast').first().waitFor();
            await menu(`More for ${WORD}`, 'End the suspension');
            await page.locator('.toast').nth(1).waitFor();
            assert.deepEqual(await misfits(page, '.toasts'), []);
            await person.open('/queue');
            for (const entry of ['Tidy up my finished jobs', 'Tidy up finished jobs of everyone']) {
                await menu('More for the queue', entry);
                await fits(entry);
                await close();
            }
            await person.open(`/gallery?board=${board}`);
            await page.locator('.thumb img.sharp').first().waitFor();
            for (const entry of ['Rename', 'Delete']) {
                await menu('This board', entry);
                await fits(entry);
                await close();
            }
            await menu('This board', 'Who can see it');
            await dialog.locator('.named').first().waitFor();
            await fits('who can see it');
            await page.getByRole('combobox', { name: 'Name or email address' }).focus();
            await dialog.locator('.picker-list [role="option"]').first().waitFor();
            await fits('choosing somebody');
            await page.keyboard.press('Escape');
            await close();
            await page.locator('.thumb-open').first().focus();
            await page.keyboard.press(' ');
            await person.button('Move…').click();
            await fits('moving');
            await person.button('New board').last().click();
            await fits('a new board');
            await page.keyboard.press('Escape');
            await page.getByRole('dialog', { name: 'Move 1 picture' }).waitFor();
            await close();
            await person.button('Select nothing').click();
            await page.locator('.thumb-open').first().click();
            await page.locator('.box-tools').getByRole('button', { name: 'Details' }).click();
            await page.locator('.facts').waitFor();
            assert.deepEqual(await misfits(page, '.box-details'), []);
            await person.context.close();
        });
    }

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
