// A picture on screen that goes away: it is left for the next that is still there, and nothing is offered that isn't allowed.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { until, useServer } from '../lib/server.mjs';
import { PASSWORD, addUser, setupAdmin, upload } from '../lib/users.mjs';

const server = useServer({ multiuser: true, media: true });
const browser = useBrowser(server);
let olga;
let grace;
let board;

before(async () => {
    const admin = await setupAdmin(server);
    olga = await addUser(admin, 'Olga');
    await addUser(admin, 'Grace');
    board = (await olga.post('/api/v1/boards/?board_name=Holiday')).body.board_id;
    for (let i = 0; i < 4; i++) {
        await upload(olga, { query: `&board_id=${board}` });
    }
    assert.equal((await olga.patch(`/api/v1/boards/${board}`, { board_visibility: 'shared' })).status, 201);
    grace = await browser.person({ reducedMotion: 'reduce' });
    await grace.signIn('grace@example.com', PASSWORD);
    await grace.page.waitForURL('**/create');
    await grace.open('/gallery');
    await grace.live();
    grace.allow(/status of 40[34]/);
});

const box = () => grace.page.locator('.pswp');
const tools = (name) => grace.page.locator('.box-tools').getByRole('button', { name });
const tell = (event) => grace.page.evaluate((name) => (name === 'focus' ? window : document).dispatchEvent(new Event(name)), event);
const shown = () => grace.page.locator('.box-tools a[download]').getAttribute('download');

/** Notes whether a message takes the place of the same one. */
const watchMessages = () =>
    grace.page.evaluate(() => {
        const texts = (nodes) => [...nodes].map((node) => node.textContent);
        new MutationObserver((all) => {
            const out = all.flatMap(({ removedNodes }) => texts(removedNodes));
            window.repeated ||= all.flatMap(({ addedNodes }) => texts(addedNodes)).some((text) => out.includes(text));
        }).observe(document.querySelector('.toasts'), { childList: true });
    });

test('one that its owner deletes makes room for the next, and is passed over', async () => {
    await grace.page.locator('.board', { hasText: 'Holiday' }).click();
    await grace.page.waitForFunction(() => document.querySelectorAll('.thumb').length === 4);
    const [first, second, third, fourth] = await grace.page.locator('[data-picture]').evaluateAll((list) => list.map((each) => each.dataset.picture));
    await grace.page.locator('.thumb-open').first().click();
    await tools('Details').waitFor();
    await until(async () => (await shown()) === first, 'the first');
    await watchMessages();
    assert.equal((await olga.delete(`/api/v1/images/i/${first}`)).status, 200);
    await tell('focus');
    await until(async () => (await shown()) === second, 'the next in its place');
    await grace.sees(/was deleted, or is no longer shared with you/);
    await grace.page.keyboard.press('ArrowLeft');
    await until(async () => (await shown()) === second, 'the way back past what is gone');
    assert.equal((await olga.delete(`/api/v1/images/i/${second}`)).status, 200);
    await tell('visibilitychange');
    await until(async () => (await shown()) === third, 'the next, when one comes back from another tab');
    await grace.page.keyboard.press('ArrowRight');
    await until(async () => (await shown()) === fourth, 'the last');
    assert.notEqual(await grace.page.evaluate(() => window.repeated), true, 'a message was said again while it was there');
});

test('when a share ends the picture closes, and is never offered to be starred or deleted', async () => {
    await grace.page.evaluate(() => {
        const offered = () => document.querySelector('.box-tools [aria-label="Star"], .box-tools [aria-label="Delete"]');
        new MutationObserver(() => (window.offered = window.offered || Boolean(offered()))).observe(document.body, { subtree: true, childList: true });
    });
    // Their answers come late: what may be done must not depend on that.
    let letGo;
    const held = new Promise((done) => (letGo = done));
    await grace.page.route('**/images_by_names', (route) => held.then(() => route.continue()));
    const listed = grace.page.waitForResponse((answer) => answer.url().includes('/boards/'));
    assert.equal((await olga.patch(`/api/v1/boards/${board}`, { board_visibility: 'private' })).status, 201);
    await listed;
    await grace.page.locator('.board', { hasText: 'Holiday' }).waitFor({ state: 'detached' });
    assert.equal(await box().count(), 1);
    assert.deepEqual([await tools('Star').count(), await tools('Delete').count()], [0, 0]);
    letGo();
    await box().waitFor({ state: 'detached' });
    assert.equal(await grace.page.evaluate(() => Boolean(window.offered)), false);
    await grace.sees('Nothing here yet');
});

/** Olga shares the board again, and Grace looks at it. */
async function shareAgain() {
    assert.equal((await olga.patch(`/api/v1/boards/${board}`, { board_visibility: 'shared' })).status, 201);
    await grace.page.locator('.board', { hasText: 'Holiday' }).click();
    await grace.page.waitForFunction(() => document.querySelectorAll('.thumb').length === 2);
}

test('what was asked for before a share ended, and comes later, offers nothing either', async () => {
    await grace.page.unroute('**/images_by_names');
    await shareAgain();
    await grace.page.locator('.thumb-open').first().click();
    await tools('Details').waitFor();
    await until(shown, 'the picture');
    // What it says was true when it was asked for.
    let letGo;
    const held = new Promise((done) => (letGo = done));
    let letPast;
    const past = new Promise((done) => (letPast = done));
    let asked = 0;
    await grace.page.route('**/images_by_names', async (route) => {
        if (++asked === 1) {
            const response = await route.fetch();
            await past;
            await route.fulfill({ response });
        } else {
            await held;
            await route.continue();
        }
    });
    await tell('focus');
    await until(() => asked === 1, 'the question');
    assert.equal((await olga.patch(`/api/v1/boards/${board}`, { board_visibility: 'private' })).status, 201);
    await grace.page.locator('.board', { hasText: 'Holiday' }).waitFor({ state: 'detached' });
    await until(() => asked > 1, 'what is asked anew');
    const answered = grace.page.waitForResponse('**/images_by_names');
    const before = asked;
    letPast();
    await answered;
    await until(async () => asked > before || (await tools('Star').count()), 'what becomes of it');
    letGo();
    await box().waitFor({ state: 'detached' });
    assert.equal(await grace.page.evaluate(() => Boolean(window.offered)), false);
    await grace.page.unroute('**/images_by_names');
});

test('of a board that is lost, what is not on display is not asked for', async () => {
    await shareAgain();
    const names = await grace.page.locator('[data-picture]').evaluateAll((list) => list.map((each) => each.dataset.picture));
    const other = (await olga.post('/api/v1/boards/?board_name=Other')).body.board_id;
    const last = (await upload(olga, { query: `&board_id=${other}` })).image_name;
    assert.equal((await olga.patch(`/api/v1/boards/${other}`, { board_visibility: 'shared' })).status, 201);
    await grace.page.locator('.board', { hasText: 'Unsorted' }).first().click();
    await grace.page.waitForFunction(() => !document.querySelector('.thumb'));
    const asked = [];
    grace.page.on('request', (request) => request.url().endsWith('/images_by_names') && asked.push(...request.postDataJSON().image_names));
    assert.equal((await olga.patch(`/api/v1/boards/${board}`, { board_visibility: 'private' })).status, 201);
    await grace.page.locator('.board', { hasText: 'Holiday' }).waitFor({ state: 'detached' });
    await grace.page.locator('.board', { hasText: 'Other' }).click();
    await until(() => asked.includes(last), 'what is on display now');
    assert.deepEqual(asked.filter((name) => names.includes(name)), []);
});
