// The keyboard keeps its place: what has the focus may vanish, because its job is done or its time is over.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { makePng } from '../lib/png.mjs';
import { enqueue, hook, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, setupAdmin, upload } from '../lib/users.mjs';

const server = useServer({ multiuser: true, media: true, hook: true, models: testModels() });
const browser = useBrowser(server);
let admin;
let person;

const press = (key) => person.page.keyboard.press(key);
const tile = (id) => person.page.locator(`.tile[data-item="${id}"]`);
const thumb = (name) => person.page.locator(`.thumb-open[data-picture="${name}"]`);

/** Waits until the focus is on `locator`. */
async function focused(locator, what) {
    const element = await locator.elementHandle();
    await person.page.waitForFunction((one) => document.activeElement === one, element, { timeout: 10000 }).catch(async () => {
        assert.fail(`${what}: the focus is on ${await person.page.evaluate(() => document.activeElement.outerHTML.slice(0, 150))}`);
    });
}

test('a person with jobs and pictures', async () => {
    admin = await setupAdmin(server);
    for (let i = 0; i < 4; i++) {
        await upload(admin, { png: makePng(64, 64 + i) });
    }
    person = await browser.person({ reducedMotion: 'reduce' });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.live();
});

test('on a tile of a card: from “Cancel” to “Try again”, and back', async () => {
    const [, second] = await enqueue(admin, { runs: 4 });
    await tile(second).getByRole('button', { name: 'Cancel' }).focus();
    await press('Enter');
    await focused(tile(second).getByRole('button', { name: 'Try again' }), 'after Cancel');
    await press('Enter');
    await tile(second).waitFor({ state: 'detached' });
    await focused(person.page.locator('.card .tile').nth(1).getByRole('button', { name: 'Cancel' }), 'after Try again');
});

test('on a single picture, whose tile fails while its button has the focus', async () => {
    const [id] = await enqueue(admin);
    const cancel = tile(id).getByRole('button', { name: 'Cancel' });
    await cancel.focus();
    assert.equal((await hook(server, 'start', id)).code, 0);
    await person.page.locator(`.tile[data-item="${id}"][data-status="in_progress"]`).waitFor();
    await focused(cancel, 'while it runs');
    assert.equal((await hook(server, 'fail', id)).code, 0);
    await focused(tile(id).getByRole('button', { name: 'Try again' }), 'after it failed');
});

test('“Try these again” leaves the keyboard in its card', async () => {
    const ids = await enqueue(admin, { runs: 3 });
    await tile(ids[2]).waitFor();
    assert.equal((await admin.put(`${QUEUE}/cancel_by_batch_ids`, { batch_ids: [server.sql(`SELECT batch_id FROM session_queue WHERE item_id = ${ids[0]}`)[0].batch_id] })).status, 200);
    const card = person.page.locator('.card').first();
    await card.getByRole('button', { name: 'Try these 3 again' }).focus();
    await press('Enter');
    await card.locator('.tile[data-status="pending"]').nth(2).waitFor();
    await person.page.waitForFunction(() => document.activeElement.closest('.card') === document.querySelector('.card') && document.activeElement.matches('button'));
});

test('in the queue: what is cancelled moves down, the keyboard stays where it was', async () => {
    await admin.put(`${QUEUE}/cancel_all_except_current`);
    const ids = await enqueue(admin, { runs: 3 });
    await person.page.getByRole('link', { name: /Queue/ }).focus();
    await press('Enter');
    const job = (id) => person.page.locator(`.job[data-item="${id}"]`);
    await job(ids[0]).getByRole('button', { name: 'Cancel' }).focus();
    await press('Enter');
    await person.page.locator(`.job.canceled[data-item="${ids[0]}"]`).waitFor();
    await focused(job(ids[1]).getByRole('button', { name: 'Cancel' }), 'after Cancel');
});

test('another page begins with its content', async () => {
    await person.page.getByRole('link', { name: /Queue/ }).focus();
    await press('Enter');
    const ended = server.sql('SELECT COUNT(*) AS n FROM session_queue WHERE status IN (\'pending\', \'in_progress\')');
    assert.ok(ended[0].n > 0);
    await admin.put(`${QUEUE}/clear`);
    const start = person.page.getByRole('link', { name: 'Create a picture' });
    await start.focus();
    await press('Enter');
    await person.page.waitForURL('**/create');
    await focused(person.page.locator('#main'), 'on the next page');
});

test('“Undo” leads to the picture that came back', async () => {
    await person.open('/gallery');
    await person.page.locator('.thumb-open').nth(2).waitFor();
    const names = await person.page.locator('.thumb-open').evaluateAll((list) => list.map((one) => one.dataset.picture));
    await thumb(names[1]).focus();
    await press('Delete');
    await focused(thumb(names[2]), 'after Delete');
    await person.button('Undo').focus();
    await press('Enter');
    await focused(thumb(names[1]), 'after Undo');
});

test('a message whose time ends gives the keyboard back to where it was', async () => {
    const start = person.page.locator('.thumb-open').first();
    await start.focus();
    await press('Delete');
    await person.button('Undo').focus();
    await person.button('Undo').waitFor({ state: 'detached' });
    await focused(person.page.locator('.thumb-open[tabindex="0"]'), 'after the time for undo');
    const add = person.button('New board');
    await person.page.locator('.thumb-open').first().focus();
    await press('Delete');
    await add.focus();
    await person.button('Dismiss').first().focus();
    await press('Enter');
    await focused(add, 'after Dismiss');
});

test('a step that can’t go further keeps the focus', async () => {
    await person.open('/create');
    const more = person.button('One picture more');
    await more.focus();
    for (let i = 0; i < 20; i++) {
        await press('Enter');
    }
    assert.equal(await more.getAttribute('aria-disabled'), 'true');
    await focused(more, 'at the most');
});

test('whoever points at nothing is left alone', async () => {
    await person.open('/create');
    await person.button('One picture fewer').focus();
    await person.page.mouse.click(5, 890);
    await person.page.evaluate(() => document.activeElement.blur());
    await enqueue(admin);
    await person.page.locator('.tile[data-status="pending"]').first().waitFor();
    assert.equal(await person.page.evaluate(() => document.activeElement === document.body), true);
});
