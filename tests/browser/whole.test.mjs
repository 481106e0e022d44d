// The whole way, with a worker: an empty server, set-up, a prompt, live progress, and the picture in the gallery.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PHONE, useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { enqueuePictures, pictureModel } from '../lib/pictures.mjs';
import { enqueue } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, login } from '../lib/users.mjs';

const server = useServer({ multiuser: true, worker: 1, media: true, models: testModels() });
const browser = useBrowser(server);
const PROMPT = 'a small lighthouse in a storm';
let me;

test('a new server asks to be set up, even when it answers before the page is on screen', async () => {
    const early = await browser.person();
    // What a page does once it is painted comes late here.
    await early.page.addInitScript(() => {
        const later = globalThis.setTimeout.bind(globalThis);
        globalThis.setTimeout = (act, ms, ...rest) => later(act, Math.max(ms || 0, 500), ...rest);
        globalThis.requestAnimationFrame = (act) => later(act, 500);
    });
    await early.open('/');
    await early.page.waitForFunction(() => document.title.includes('·'));
    await early.field('Your name').waitFor();
    await early.context.close();
});

test('set-up leads to Create', async () => {
    me = await browser.person();
    await me.setUp(ADMIN);
});

test('a prompt becomes a picture where its preview was', async () => {
    await me.live();
    // The small model is quick: the page itself takes note of what was there, however short.
    await me.page.evaluate(() => {
        window.seen = [];
        new MutationObserver(() => {
            const there = ['[role=progressbar]', 'img.preview'].filter((what) => document.querySelector(`.tile ${what}`));
            window.seen.push(...there.filter((what) => !window.seen.includes(what)));
        }).observe(document.body, { subtree: true, childList: true, attributes: true });
    });
    await me.page.getByRole('textbox', { name: 'What do you want to see?' }).fill(PROMPT);
    await me.button('Leave something out').click();
    await me.field('Leave out').fill('people');
    await me.button('Create', { exact: true }).click();
    await me.page.locator('.tile img.final.sharp').waitFor({ timeout: 60000 });
    assert.deepEqual(await me.page.evaluate(() => window.seen), ['[role=progressbar]', 'img.preview']);
    assert.equal(await me.page.locator('.tile').count(), 1);
});

test('it opens in the lightbox with what was asked for', async () => {
    await me.page.locator('.tile .open').click();
    await me.page.locator('.pswp img.pswp__img').first().waitFor();
    await me.page.locator('.box-tools').getByRole('button', { name: 'Details' }).click();
    await me.page.locator('.box-details').getByText(PROMPT).waitFor();
    await me.page.locator('.box-details').getByText('128 × 128').waitFor();
    await me.page.locator('.box-details').getByText('people', { exact: true }).waitFor();
    await me.page.keyboard.press('Escape');
    await me.page.locator('.pswp').waitFor({ state: 'detached' });
});

test('it lies in the gallery', async () => {
    await me.page.getByRole('link', { name: 'Gallery' }).click();
    await me.page.locator('.thumb img.sharp').waitFor();
    assert.equal(await me.page.locator('.thumb').count(), 1);
});

test('a search finds it by its words', async () => {
    const found = me.page.waitForResponse((response) => response.url().includes('search_term=lighthouse'));
    await me.page.getByRole('searchbox').fill('lighthouse');
    await found;
    await me.page.locator('.thumb').waitFor();
    await me.page.getByRole('searchbox').fill('giraffe');
    await me.sees('Nothing found');
});

test('Again makes another one with the same words, onto the board that was chosen', async () => {
    await me.open('/gallery');
    await me.button('New board').click();
    await me.field('Name').fill('Storms');
    await me.button('Create board').click();
    await me.page.getByRole('heading', { name: 'Storms' }).waitFor();
    await me.page.getByRole('link', { name: 'Create' }).first().click();
    await me.page.getByLabel('New pictures go to').selectOption({ label: 'Storms' });
    await me.button('Create', { exact: true }).click();
    await me.page.locator('.card').nth(1).waitFor();
    await me.page.locator('.card').first().locator('img.final.sharp').waitFor({ timeout: 60000 });
    await me.page.getByRole('link', { name: 'Gallery' }).click();
    await me.page.locator('.board', { hasText: 'Storms' }).getByText('1 picture', { exact: true }).waitFor();
});

test('the same account on a phone sees the same pictures', async () => {
    const phone = await browser.person({ viewport: PHONE, hasTouch: true, isMobile: true });
    await phone.signIn(ADMIN.email, ADMIN.password);
    await phone.page.locator('.tile img.final.sharp').nth(1).waitFor();
});

test('a picture deleted long ago leaves no hole in the feed and the queue', async () => {
    // The browser itself complains about the picture that it looks for.
    me.allow(/status of 404/);
    await me.open('/gallery');
    await me.page.locator('.thumb-open').first().focus();
    const gone = me.page.waitForResponse((response) => response.url().endsWith('/images/delete'));
    await me.page.keyboard.press('Delete');
    await me.button('Dismiss').click();
    await gone;
    await me.open('/create');
    await me.page.locator('.tile .ended').getByText('Deleted').waitFor();
    await me.open('/queue');
    await me.page.locator('.job').nth(1).waitFor();
    await me.page.waitForFunction(() => document.querySelectorAll('.job-mark img').length === 1);
});

test('jobs of scripts show the picture that their graph keeps and the words it was made by, or that they are done without one', async () => {
    const script = await login(server, ADMIN.email, ADMIN.password);
    const model = await pictureModel(script);
    const shown = async (drawn, counted) => {
        await me.page.locator(`.tile[data-item="${drawn}"] img.final.sharp`).waitFor({ timeout: 60000 });
        await me.page.locator(`.tile[data-item="${counted}"]`).getByText('Done, without a picture').waitFor();
        await me.page.locator('.card', { has: me.page.locator(`.tile[data-item="${drawn}"]`) }).getByText('a lighthouse by a script').waitFor();
    };
    await me.open('/create');
    await me.live();
    const [drawn] = await enqueuePictures(script, model, { prompt: 'a lighthouse by a script' });
    const [counted] = await enqueue(script);
    await shown(drawn, counted);
    await me.page.reload();
    await shown(drawn, counted);
});
