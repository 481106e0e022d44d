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
    for (let i = 0; i < 3; i++) {
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
const shown = () => grace.page.locator('.box-tools a[download]').getAttribute('download');

test('one that its owner deletes makes room for the next, and is passed over', async () => {
    await grace.page.locator('.board', { hasText: 'Holiday' }).click();
    await grace.page.waitForFunction(() => document.querySelectorAll('.thumb').length === 3);
    const [first, second, third] = await grace.page.locator('[data-picture]').evaluateAll((list) => list.map((each) => each.dataset.picture));
    await grace.page.locator('.thumb-open').first().click();
    await tools('Details').waitFor();
    await until(async () => (await shown()) === first, 'the first');
    assert.equal((await olga.delete(`/api/v1/images/i/${first}`)).status, 200);
    await grace.page.evaluate(() => dispatchEvent(new Event('focus')));
    await until(async () => (await shown()) === second, 'the next in its place');
    await grace.sees(/was deleted, or is no longer shared with you/);
    await grace.page.keyboard.press('ArrowLeft');
    await until(async () => (await shown()) === second, 'the way back past what is gone');
    await grace.page.keyboard.press('ArrowRight');
    await until(async () => (await shown()) === third, 'the last');
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
