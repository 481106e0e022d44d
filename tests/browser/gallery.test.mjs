// The gallery: adding, boards, moving, stars, deleting with undo, the lightbox; and who sees what of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PHONE, useBrowser } from '../lib/browser.mjs';
import { makePng } from '../lib/png.mjs';
import { until, useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, setupAdmin } from '../lib/users.mjs';

const server = useServer({ multiuser: true, media: true });
const browser = useBrowser(server);
let admin;
let guest;

const thumbs = (person) => person.page.locator('.thumb');
const board = (person, name) => person.page.locator('.board', { hasText: name });
const unsorted = (person) => person.page.locator('a.board[href="/gallery"]');
const png = (name, color) => ({ name, mimeType: 'image/png', buffer: makePng(96, 64, { color }) });

/** Waits until exactly `n` pictures are shown. */
async function pictures(person, n) {
    await person.page.waitForFunction((count) => document.querySelectorAll('.thumb').length === count, n);
}

/** Chooses an entry of the menu of the open board. */
async function boardMenu(person, entry) {
    await person.button('This board').click();
    await person.page.getByRole('menuitem', { name: entry }).click();
}

test('two people sign in', async () => {
    const client = await setupAdmin(server);
    await addUser(client, 'Grace');
    admin = await browser.person();
    guest = await browser.person();
    await admin.signIn(ADMIN.email, ADMIN.password);
    await admin.page.waitForURL('**/create');
    await guest.signIn('grace@example.com', PASSWORD);
    await guest.page.waitForURL('**/create');
});

test('an empty gallery says what will be here', async () => {
    await admin.open('/gallery');
    await admin.sees('Nothing here yet');
});

test('pictures are added from files', async () => {
    const files = [png('one.png', [200, 40, 40]), png('two.png', [40, 200, 40]), png('three.png', [40, 40, 200])];
    await admin.page.locator('input[type=file]').setInputFiles(files);
    await admin.sees('3 pictures added.');
    await pictures(admin, 3);
    await admin.page.locator('.thumb img.sharp').nth(2).waitFor();
});

test('pictures that the server is too busy for are sent again', async () => {
    admin.allow(/status of 429/);
    const busy = (seconds) => ({ status: 429, headers: { 'retry-after': seconds }, json: { detail: 'Too many requests arrive too slowly at the moment. Try again in a few seconds.' } });
    const before = await admin.page.locator('.thumb').count();
    let asked = 0;
    await admin.page.route('**/images/upload?*', (route) => (++asked < 3 ? route.fulfill(busy('1')) : route.continue()));
    await admin.page.locator('input[type=file]').setInputFiles([png('patient.png', [90, 90, 200])]);
    await admin.sees('1 picture added.');
    assert.equal(asked, 3);
    await pictures(admin, before + 1);
    await admin.page.unroute('**/images/upload?*');
    await admin.page.locator('.thumb-open').first().focus();
    await admin.page.keyboard.press('Delete');
    await pictures(admin, before);
    // What is not sent again says what the server said, and how long to wait.
    await admin.page.route('**/api/v1/boards/?*', (route) => (route.request().method() === 'POST' ? route.fulfill(busy('1')) : route.continue()));
    await admin.button('New board').click();
    await admin.field('Name').fill('Busy');
    await admin.button('Create board').click();
    await admin.sees('Too many requests arrive too slowly at the moment. Wait 1 second, then try again.');
    await admin.page.unroute('**/api/v1/boards/?*');
    await admin.page.keyboard.press('Escape');
    await admin.page.reload();
    await pictures(admin, before);
});

test('a board is made and named', async () => {
    await admin.button('New board').click();
    await admin.field('Name').fill('Holiday');
    await admin.button('Create board').click();
    await admin.page.getByRole('heading', { name: 'Holiday' }).waitFor();
    await admin.page.locator('.seen-by', { hasText: 'Private' }).waitFor();
});

test('pictures move to a board by menu', async () => {
    await unsorted(admin).click();
    await pictures(admin, 3);
    await thumbs(admin).first().hover();
    await admin.page.getByRole('checkbox').first().click();
    await admin.button('Move…').click();
    await admin.page.getByRole('dialog').getByRole('button', { name: /Holiday/ }).click();
    await admin.sees(/1 picture moved to/);
    await pictures(admin, 2);
});

test('pictures move to a board by dragging', async () => {
    await admin.page.locator('.thumb-open').first().dragTo(board(admin, 'Holiday'));
    await pictures(admin, 1);
    await board(admin, 'Holiday').click();
    await pictures(admin, 2);
    await board(admin, 'Holiday').getByText('2 pictures').waitFor();
});

test('a deleted picture comes back with undo, and goes for good without', async () => {
    await admin.page.locator('.thumb-open').first().focus();
    await admin.page.keyboard.press('Delete');
    await pictures(admin, 1);
    await admin.button('Undo').click();
    await pictures(admin, 2);
    await admin.page.locator('.thumb-open').first().focus();
    const gone = admin.page.waitForResponse((response) => response.url().endsWith('/images/delete'));
    await admin.page.keyboard.press('Delete');
    await pictures(admin, 1);
    // Whoever takes the message away doesn't want to take the deletion back.
    await admin.page.locator('.toast', { hasText: 'Picture deleted.' }).getByRole('button', { name: 'Dismiss' }).click();
    assert.deepEqual((await (await gone).json()).deleted_images.length, 1);
    await admin.page.reload();
    await pictures(admin, 1);
});

test('an undo that still counts is not pushed away by other messages', async () => {
    admin.allow(/status of 4\d\d/);
    // The time for it does not run out here, however slow the machine is.
    await admin.page.evaluate(() => {
        const { setTimeout } = globalThis;
        globalThis.setTimeout = (act, ms, ...rest) => setTimeout(act, ms === 7000 ? 600000 : ms, ...rest);
    });
    await admin.page.locator('.thumb-open').first().focus();
    await admin.page.keyboard.press('Delete');
    await admin.button('Undo').waitFor();
    const broken = ['a', 'b', 'c', 'd'].map((name) => ({ name: `${name}.png`, mimeType: 'image/png', buffer: Buffer.from('not a picture') }));
    await admin.page.locator('input[type=file]').setInputFiles(broken);
    await admin.sees('d.png: ');
    await admin.button('Undo').click({ timeout: 5000 });
    await pictures(admin, 1);
    await admin.page.reload();
    await pictures(admin, 1);
});

test('what is deleted in one tab is gone from the other when one comes back to it', async () => {
    await admin.page.locator('input[type=file]').setInputFiles([png('short-lived.png', [10, 20, 30])]);
    await pictures(admin, 2);
    const other = await admin.context.newPage();
    const there = await admin.page.evaluate(() => location.search);
    await other.goto(`${server.url}/gallery${there}`);
    await other.locator('.thumb').nth(1).waitFor();
    await admin.page.locator('.thumb-open').first().focus();
    const gone = admin.page.waitForResponse((response) => response.url().endsWith('/images/delete'));
    await admin.page.keyboard.press('Delete');
    await admin.page.locator('.toast', { hasText: 'Picture deleted.' }).getByRole('button', { name: 'Dismiss' }).click();
    await gone;
    await other.evaluate(() => dispatchEvent(new Event('focus')));
    await other.waitForFunction(() => document.querySelectorAll('.thumb').length === 1);
    await other.close();
});

test('a large deletion outlives the page that is left before its undo has ended', async () => {
    admin.allow(/status of 4\d\d/);
    await admin.page.locator('input[type=file]').setInputFiles([png('last.png', [1, 2, 3])]);
    await pictures(admin, 2);
    const [last] = await admin.page.locator('.thumb-open').evaluateAll((list) => list.map((one) => one.dataset.picture));
    // More names than fit into what a closing page may send, the one that counts at the end.
    const many = Array.from({ length: 2500 }, (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}.png`);
    await admin.page.route('**/images/names?*', (route) => route.fulfill({ json: { image_names: [...many, last], starred_count: 0, total_count: many.length + 1 } }));
    await admin.page.reload();
    await admin.page.locator('.thumb-open').first().focus();
    await admin.page.keyboard.press(' ');
    await admin.page.locator('.thumb.chosen').waitFor();
    await admin.page.keyboard.press('End');
    await admin.page.waitForFunction((name) => document.activeElement.dataset.picture === name, last);
    await admin.page.keyboard.press('Shift+Space');
    await admin.sees(/^2,?501 pictures/);
    await admin.page.keyboard.press('Delete');
    await admin.sees(/^2,?501 pictures deleted/);
    await admin.page.unroute('**/images/names?*');
    await admin.page.reload();
    await pictures(admin, 1);
    await until(async () => server.sql(`SELECT 1 FROM images WHERE image_name = '${last}'`).length === 0, 'the last picture to be deleted');
    await admin.page.reload();
    await pictures(admin, 1);
});

test('a star stays', async () => {
    await admin.page.locator('.thumb-open').first().focus();
    const done = admin.page.waitForResponse((response) => response.url().endsWith('/images/star'));
    await admin.page.keyboard.press('s');
    await done;
    await admin.page.reload();
    await admin.page.locator('.thumb-star').waitFor();
});

test('only the starred ones are shown when that is asked for', async () => {
    await unsorted(admin).click();
    await pictures(admin, 1);
    await admin.page.locator('input[type=file]').setInputFiles([png('four.png', [200, 200, 40])]);
    await pictures(admin, 2);
    const only = admin.button('Starred', { exact: true });
    await only.click();
    await admin.sees('No stars here yet');
    await only.click();
    await pictures(admin, 2);
    await admin.page.locator('.thumb-open').last().focus();
    await admin.page.keyboard.press('s');
    await admin.page.locator('.thumb-star').waitFor();
    await only.click();
    await pictures(admin, 1);
    await admin.page.locator('.thumb-open').first().focus();
    await admin.page.keyboard.press('s');
    await pictures(admin, 0);
    await only.click();
    await pictures(admin, 2);
    await board(admin, 'Holiday').click();
    await pictures(admin, 1);
});

test('files dropped on the page are added where one is', async () => {
    const files = await admin.page.evaluateHandle((bytes) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], 'dropped.png', { type: 'image/png' }));
        transfer.items.add(new File(['no picture'], 'notes.txt', { type: 'text/plain' }));
        return transfer;
    }, [...makePng(96, 64, { color: [90, 90, 90] })]);
    await admin.page.dispatchEvent('.gallery', 'dragover', { dataTransfer: files });
    await admin.sees('Let go to add to Holiday');
    await admin.page.dispatchEvent('.gallery', 'drop', { dataTransfer: files });
    await admin.sees('Only PNG, JPEG and WebP pictures can be added.');
    await pictures(admin, 2);
    await admin.lacks('Let go to add to Holiday');
});

test('the lightbox opens by key, shows details, and gives the focus back', async () => {
    const first = admin.page.locator('.thumb-open').first();
    await first.focus();
    await admin.page.keyboard.press('Enter');
    await admin.page.locator('.pswp img.pswp__img').first().waitFor();
    const details = admin.page.locator('.box-tools').getByRole('button', { name: 'Details' });
    await details.click();
    await admin.sees('96 × 64');
    await admin.sees('This picture carries no prompt');
    await details.click();
    await admin.page.keyboard.press('Escape');
    await admin.page.locator('.pswp').waitFor({ state: 'detached' });
    await admin.page.waitForFunction(() => document.activeElement?.classList.contains('thumb-open'));
});

test('a small picture is shown larger, and larger still when that is asked for', async () => {
    const wider = (than) => admin.page.waitForFunction((n) => document.querySelector('.pswp__img:not(.pswp__img--placeholder)')?.getBoundingClientRect().width > n, than);
    await admin.page.locator('.thumb-open').first().click();
    await wider(96 * 1.9);
    await admin.page.locator('.pswp__img').first().click();
    await wider(96 * 4);
    await admin.page.keyboard.press('Escape');
    await admin.page.locator('.pswp').waitFor({ state: 'detached' });
});

test('going back closes the lightbox and stays on the page', async () => {
    const where = admin.page.url();
    await admin.page.locator('.thumb-open').first().click();
    await admin.page.locator('.pswp img.pswp__img').first().waitFor();
    await admin.page.goBack();
    await admin.page.locator('.pswp').waitFor({ state: 'detached' });
    assert.equal(admin.page.url(), where);
    await pictures(admin, 2);
    // Closing it in another way leaves nothing behind to go back through.
    const depth = await admin.page.evaluate(() => history.state);
    await admin.page.locator('.thumb-open').first().click();
    await admin.page.locator('.pswp img.pswp__img').first().waitFor();
    await admin.page.locator('.box-tools').getByRole('button', { name: 'Close' }).click();
    await admin.page.locator('.pswp').waitFor({ state: 'detached' });
    await admin.page.waitForFunction(() => !history.state?.lightbox);
    assert.deepEqual(await admin.page.evaluate(() => history.state), depth);
});

test('a private board, its pictures and their addresses are closed to others', async () => {
    const listed = guest.page.waitForResponse((response) => response.url().includes('/api/v1/boards/'));
    await guest.open('/gallery');
    await listed;
    await guest.sees('Nothing here yet');
    assert.equal(await board(guest, 'Holiday').count(), 0);
    const name = await thumbs(admin).first().locator('[data-picture]').getAttribute('data-picture');
    const status = await guest.page.evaluate((one) => fetch(`/api/v1/images/i/${one}/full`).then((r) => r.status), name);
    assert.ok([403, 404].includes(status), `the address of a private picture answers ${status}`);
    guest.allow(/status of 40[34]/);
});

test('a shared board shows itself to others at once, who may only look', async () => {
    await guest.live();
    await boardMenu(admin, 'Who can see it');
    await admin.page.getByRole('button', { name: /Everyone here can see/ }).click();
    await admin.sees('Holiday: everyone here can see.');
    // The pictures' records come late: what may be done with them must not depend on that.
    let letGo;
    const held = new Promise((done) => (letGo = done));
    await guest.page.route('**/images_by_names', (route) => held.then(() => route.continue()));
    await board(guest, 'Holiday').click();
    await pictures(guest, 2);
    assert.equal(await guest.button('Add pictures').count(), 0);
    assert.equal(await guest.button('This board').count(), 0);
    await guest.page.locator('.thumb-open').first().focus();
    await guest.page.keyboard.press('Delete');
    await guest.sees(/You can look at its pictures/);
    letGo();
    await pictures(guest, 2);
    await guest.page.keyboard.press('Enter');
    await guest.page.locator('.box-tools').getByRole('button', { name: 'Details' }).waitFor();
    assert.equal(await guest.page.locator('.box-tools').getByRole('button', { name: 'Delete' }).count(), 0);
    assert.equal(await guest.page.locator('.box-tools').getByRole('button', { name: 'Star' }).count(), 0);
    await guest.page.keyboard.press('Escape');
    await guest.page.locator('.pswp').waitFor({ state: 'detached' });
});

test('a board is shared with one person by address, who may then add', async () => {
    admin.allow(/status of 404/);
    await admin.page.reload();
    await boardMenu(admin, 'Who can see it');
    const dialog = admin.page.getByRole('dialog');
    await dialog.getByRole('button', { name: /Only you/ }).click();
    await boardMenu(admin, 'Who can see it');
    const share = async (email) => {
        await dialog.getByLabel('Name or email address').fill(email);
        await dialog.getByRole('button', { name: 'Share', exact: true }).click();
    };
    await share('grace');
    await admin.sees('Enter the whole email address that they sign in with.');
    await share('nobody@example.com');
    await admin.sees('Nobody here signs in with that address.');
    await share('grace@example.com');
    await dialog.locator('.named', { hasText: 'Grace' }).waitFor();
    assert.deepEqual(await admin.axe(), []);
    await board(guest, 'Holiday').click();
    await guest.sees('Shared with you');
    await pictures(guest, 2);
    assert.equal(await guest.button('Add pictures').count(), 0);
    const listed = () => admin.page.waitForResponse((response) => response.url().endsWith('/shares'));
    let read = listed();
    await dialog.getByLabel('What Grace can do').selectOption({ label: 'can add' });
    await read;
    await guest.button('Add pictures').waitFor();
    read = listed();
    await dialog.getByRole('button', { name: 'Stop sharing with Grace' }).click();
    await dialog.locator('.named').waitFor({ state: 'detached' });
    await read;
    guest.allow(/status of 403/);
    await board(guest, 'Holiday').waitFor({ state: 'detached' });
    await guest.page.getByRole('heading', { name: 'Unsorted' }).waitFor();
    await admin.page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
});

test('a long press selects on a touch screen, a tap goes on with it', async () => {
    const phone = await browser.person({ viewport: PHONE, hasTouch: true, isMobile: true });
    await phone.signIn(ADMIN.email, ADMIN.password);
    await phone.page.waitForURL('**/create');
    await phone.open('/gallery');
    await pictures(phone, 2);
    const touch = await phone.context.newCDPSession(phone.page);
    const { x, y, width, height } = await thumbs(phone).first().boundingBox();
    const touchPoints = [{ x: x + width / 2, y: y + height / 2 }];
    await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints });
    await phone.page.locator('.thumb.chosen').waitFor();
    await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await thumbs(phone).nth(1).tap();
    await phone.page.locator('.selection-bar').getByText('2 pictures').waitFor();
    assert.equal(await phone.page.locator('.pswp').count(), 0);
});

test('a deleted board comes back with undo', async () => {
    await boardMenu(admin, 'Delete');
    await admin.button('Delete the board, keep the pictures').click();
    await board(admin, 'Holiday').waitFor({ state: 'detached' });
    await admin.button('Undo').click();
    await board(admin, 'Holiday').waitFor();
});
