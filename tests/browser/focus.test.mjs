// Where the keyboard is after a dialog: back on what opened it, or next to where that was.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, addUser, setupAdmin, upload } from '../lib/users.mjs';

const server = useServer({ multiuser: true, media: true, models: testModels() });
const browser = useBrowser(server);
let person;

/** Waits until the focus is on `locator`. */
async function focused(locator, what) {
    const element = await locator.elementHandle();
    await person.page.waitForFunction((one) => document.activeElement === one, element, { timeout: 5000 }).catch(async () => {
        assert.fail(`${what}: the focus is on ${await person.page.evaluate(() => document.activeElement.outerHTML.slice(0, 150))}`);
    });
}

const press = (...keys) => keys.reduce((before, key) => before.then(() => person.page.keyboard.press(key)), Promise.resolve());
const opened = (name) => person.page.getByRole('dialog', { name }).waitFor();
const closed = () => person.page.getByRole('dialog').waitFor({ state: 'detached' });

test('somebody to edit and a picture to look at', async () => {
    const admin = await setupAdmin(server);
    await addUser(admin, 'Grace');
    await upload(admin, { png: makePng(64, 64) });
    person = await browser.person({ reducedMotion: 'reduce' });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.live();
});

test('a dialog of a button gives the focus back to it, by Escape and by Close', async () => {
    await person.open('/people');
    const add = person.button('Add a person');
    await add.focus();
    await press('Enter');
    await opened('Add a person');
    await press('Escape');
    await closed();
    await focused(add, 'after Escape');
    await press('Enter');
    await opened('Add a person');
    await person.page.getByRole('dialog').getByRole('button', { name: 'Close' }).focus();
    await press('Enter');
    await closed();
    await focused(add, 'after Close');
});

test('a dialog from a menu gives it back to the menu’s button, also when it changed what is listed', async () => {
    const more = person.button('More for Grace');
    await more.focus();
    await press('Enter', 'Enter');
    await opened('Edit Grace');
    await press('Escape');
    await closed();
    await focused(more, 'after Escape');
    await press('Enter', 'Enter');
    await opened('Edit Grace');
    await person.field('Name').fill('Grace H');
    await press('Enter');
    await closed();
    await person.sees('Grace H');
    await focused(person.button('More for Grace H'), 'after saving');
});

test('what is deleted gives the focus to what stands next to it', async () => {
    const more = person.button('More for Grace H');
    await more.focus();
    await press('Enter', 'ArrowUp', 'Enter');
    await opened('Delete Grace H');
    await person.page.getByRole('dialog').getByRole('textbox').fill('Grace H');
    await press('Enter');
    await closed();
    await more.waitFor({ state: 'detached' });
    await person.page.waitForFunction(() => document.activeElement.closest('main') && document.activeElement.matches('button'));
});

test('a new board, and its new name, leave the keyboard in the gallery', async () => {
    await person.open('/gallery');
    const add = person.button('New board');
    await add.focus();
    await press('Enter');
    await opened('New board');
    await press('Escape');
    await closed();
    await focused(add, 'after Escape');
    await press('Enter');
    await opened('New board');
    await person.field('Name').fill('Holiday');
    await press('Enter');
    await closed();
    await focused(add, 'after making it');
    const more = person.button('This board');
    await more.focus();
    await press('Enter', 'Enter');
    await opened('Rename board');
    await press('Escape');
    await closed();
    await focused(more, 'after Escape');
    await press('Enter', 'Enter');
    await opened('Rename board');
    await person.field('Name').fill('Summer');
    await press('Enter');
    await closed();
    await focused(more, 'after the change');
});

test('the list of keys gives it back to the picture', async () => {
    await person.open('/gallery');
    const picture = person.page.locator('.thumb-open').first();
    await picture.focus();
    await press('?');
    await opened('Keys on this page');
    await press('Escape');
    await closed();
    await focused(picture, 'after Escape');
});
