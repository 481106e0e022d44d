// What administrators do on the pages: finding people, ending devices and links, handing things over, reading the audit log.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { PHONE, useBrowser } from '../lib/browser.mjs';
import { Client } from '../lib/http.mjs';
import { testModels } from '../lib/models.mjs';
import { readQr } from '../lib/qr.mjs';
import { later } from '../lib/queue.mjs';
import { until, useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, login, upload } from '../lib/users.mjs';

const server = useServer({ multiuser: false, media: true, hook: true, models: testModels() });
const browser = useBrowser(server);
let admin;
let person;
let nina;

const press = (...keys) => keys.reduce((before, key) => before.then(() => person.page.keyboard.press(key)), Promise.resolve());
const dialog = () => person.page.getByRole('dialog');
const closed = () => dialog().waitFor({ state: 'detached' });
const line = (email) => person.page.locator('.person', { hasText: email });
const menu = async (name, item) => {
    await person.button(`More for ${name}`).focus();
    await press('Enter');
    await person.page.getByRole('menuitem', { name: item, exact: true }).focus();
    await press('Enter');
    await dialog().waitFor();
};
const axe = async (what) => assert.deepEqual(await person.axe(), [], what);

test('the set-up asks who gets what was made before there were accounts', async () => {
    await server.start();
    const anyone = new Client(server.url);
    await upload(anyone);
    assert.equal((await anyone.post('/api/v1/boards/?board_name=Old')).status, 201);
    server.options.multiuser = true;
    fs.writeFileSync(server.conf, server.configuration());
    await server.restart();
    person = await browser.person({ reducedMotion: 'reduce' });
    await person.open('/');
    await person.sees('Already here: 1 picture, 1 board. Who gets them?');
    await person.field('Your name').fill(ADMIN.display_name);
    await person.field('Email address').fill(ADMIN.email);
    await person.page.getByRole('radio', { name: 'Somebody else, later' }).check();
    await axe('the set-up');
    await person.field('Password').fill(ADMIN.password);
    await person.button('Set up').click();
    await person.page.waitForURL('**/create');
    admin = await login(server, ADMIN.email, ADMIN.password);
    nina = await addUser(admin, 'Nina');
});

test('and afterwards an administrator hands it to anybody, by keyboard alone', async () => {
    await person.open('/people');
    await person.sees('1 picture, 1 board. It belongs to nobody yet, and only administrators see it.');
    const ask = person.button('Choose who gets it');
    await ask.focus();
    await press('Enter');
    await dialog().getByText('1 picture, 1 board. They will belong').waitFor();
    await dialog().locator('option', { hasText: 'Nina' }).waitFor({ state: 'attached' });
    await axe('handing over');
    await person.field('Who gets them').focus();
    await press('N');
    await person.button('Hand over').focus();
    await press('Enter');
    await closed();
    await ask.waitFor({ state: 'detached' });
    assert.deepEqual((await nina.get('/api/v1/boards/?all=true')).body.map((b) => b.board_name), ['Old']);
});

test('whoever is invited or added is asked for the same, in the same order', async () => {
    const asked = [];
    for (const button of ['Invite', 'Add a person']) {
        await person.button(button, { exact: true }).click();
        await person.field('Email address').waitFor();
        assert.equal(await dialog().evaluate((one) => one.querySelector('input') === document.activeElement), true, 'the first is where one types');
        asked.push(await dialog().locator('label').allTextContents());
        await press('Escape');
        await closed();
    }
    const [invited, added] = asked;
    assert.deepEqual(invited, added.filter((label) => invited.includes(label)));
    assert.deepEqual(invited.slice(0, 2), ['Name', 'Email address']);
});

test('the list says when people last signed in, also of who is here', async () => {
    const me = person.page.locator('.person').filter({ has: person.page.getByText('You', { exact: true }) });
    await me.getByText(/^Last signed in /).waitFor();
    await person.lacks(/last here/i);
});

test('the strength of a password is told while it is typed', async () => {
    await person.button('Add a person').click();
    const password = person.field('First password');
    const meter = dialog().getByRole('meter', { name: 'Strength of the password' });
    const now = async () => Number(await meter.getAttribute('aria-valuenow'));
    await password.fill('short');
    await dialog().getByText('That password is too short. Take at least 8 characters.').waitFor();
    assert.equal(await now(), 1);
    await password.fill('Abcdefgh1');
    assert.equal(await now(), 1, 'letters in a row');
    await password.fill('Lantern-Orchard-27q');
    assert.ok((await now()) >= 3);
    await person.button('Suggest one').click();
    assert.ok((await now()) >= 3, 'what is suggested is strong');
    await press('Escape');
    await closed();
});

test('people are found by name, role and state, page by page', async () => {
    const now = '2026-01-01 00:00:00.000';
    for (let i = 0; i < 60; i++) {
        server.sql(`INSERT INTO users (user_id, email, display_name, password_hash, is_active, created_at, updated_at) VALUES ('many${i}', 'many${i}@example.com', 'Many ${i}', '$2b$12$x', ${i % 2}, '${now}', '${now}')`);
    }
    await addUser(admin, 'Grace', { isAdmin: true });
    assert.equal((await admin.post('/api/v1/invitations', { email: 'zoe@example.com', display_name: 'Zoë' })).status, 201);
    await person.open('/people');
    await person.sees('64 accounts');
    assert.equal(await person.page.locator('.person').count(), 50);
    await person.button('Show more people').click();
    await person.page.locator('.person').nth(63).waitFor();
    const search = person.field('Search in names and addresses');
    await press('/');
    await search.fill('many 1');
    await person.sees('11 accounts found');
    await person.field('State').selectOption('suspended');
    await person.sees('5 accounts found');
    await search.fill('');
    await person.field('State').selectOption('invited');
    await person.sees('1 account found');
    await line('zoe@example.com').getByText('Has not opened the invitation').waitFor();
    await person.field('State').selectOption('all');
    await person.field('Role').selectOption('admin');
    await person.sees('2 accounts found');
    await search.fill('nobody of that name');
    await person.sees('Nobody like that');
    await axe('nobody found');
    await person.button('Show everybody').click();
    await person.sees('64 accounts');
    server.sql("DELETE FROM users WHERE user_id LIKE 'many%'");
});

test('a link is shown as a QR code, and an open one is ended', async () => {
    await person.open('/people');
    await menu('Zoë', 'New invitation');
    await person.button('Make the link').focus();
    await press('Enter');
    const link = await person.field('Link').inputValue();
    await person.button('Show as QR code').focus();
    await press('Enter');
    const code = dialog().getByRole('img', { name: 'The link as a QR code' });
    await code.waitFor();
    await axe('a link');
    for (const colorScheme of ['light', 'dark']) {
        await person.page.emulateMedia({ colorScheme });
        assert.equal(readQr(await code.screenshot()), link, colorScheme);
    }
    await person.page.emulateMedia({ colorScheme: 'light' });
    assert.match(link, /\/invite\?token=/);
    await press('Escape');
    await closed();
    const open = person.page.locator('.open-link', { hasText: 'zoe@example.com' });
    await open.getByRole('button', { name: 'End the link for Zoë' }).focus();
    await press('Enter');
    await dialog().getByText('goes with it').waitFor();
    await axe('ending an invitation');
    await press('Escape');
    await closed();
    assert.equal(await open.count(), 1, 'nothing has happened yet');
    await open.getByRole('button', { name: 'End the link for Zoë' }).focus();
    await press('Enter');
    await dialog().getByRole('button', { name: 'End it' }).focus();
    await press('Enter');
    await closed();
    await open.waitFor({ state: 'detached' });
    await line('zoe@example.com').waitFor({ state: 'detached' });
});

test('devices of a person are ended, one or all, and the page there says so', async () => {
    const there = await browser.person();
    there.allow(/status of 401|WebSocket/);
    await there.signIn('nina@example.com', PASSWORD);
    await there.page.waitForURL('**/create');
    await there.live();
    await menu('Nina', 'Devices');
    await dialog().locator('.session strong').nth(1).waitFor();
    await axe('devices');
    await dialog().locator('.session', { hasText: 'Chrome on Linux' }).getByRole('button', { name: 'Sign out' }).focus();
    await press('Enter');
    await there.sees('You were signed out from another device, or by an administrator. Sign in again.');
    await dialog().getByText('1 device').waitFor();
    await login(server, 'nina@example.com', PASSWORD);
    await press('Escape');
    await closed();
    await menu('Nina', 'Devices');
    await person.button('Sign out everywhere').focus();
    await press('Enter');
    await dialog().getByText('Nowhere at the moment.').waitFor();
    assert.equal((await nina.get('/api/v1/auth/me')).status, 401);
    await there.context.close();
    await press('Escape');
    await closed();
});

test('a deleted person’s boards go to whom the administrator chooses', async () => {
    await menu('Nina', 'Delete');
    await person.page.getByRole('radio', { name: 'Give it to somebody' }).check();
    await person.page.getByRole('textbox', { name: 'To go on, type: Nina' }).fill('Nina');
    await person.button('Delete for good').click();
    await dialog().getByText('Choose who gets the boards and pictures.').waitFor();
    await axe('deleting a person');
    await dialog().locator('option', { hasText: 'Grace' }).waitFor({ state: 'attached' });
    assert.equal(await dialog().locator('option', { hasText: 'Nina' }).count(), 0);
    await person.field('Who gets them').selectOption({ label: 'Grace (grace@example.com)' });
    await person.button('Delete for good').focus();
    await press('Enter');
    await closed();
    await line('nina@example.com').waitFor({ state: 'detached' });
    const grace = await login(server, 'grace@example.com', PASSWORD);
    const [board] = (await grace.get('/api/v1/boards/?all=true')).body;
    assert.deepEqual([board.board_name, board.user_id], ['Old', grace.user.user_id]);
});

test('the audit log is filtered, and leaves as a file with the same filter', async () => {
    await person.page.getByRole('link', { name: 'Open the audit log' }).focus();
    await press('Enter');
    await person.page.waitForURL('**/audit');
    const entries = person.page.locator('[data-entry]');
    await entries.first().waitFor();
    await axe('the audit log');
    await person.field('What').selectOption('account_deleted');
    await until(async () => (await entries.count()) === 2, 'two deletions');
    await person.sees(/nina@example\.com, everything handed to grace@example\.com/);
    await person.field('Search in who, what and from where').fill('nina@');
    await until(async () => (await entries.count()) === 1, 'one of Nina');
    await person.field('From').fill('2001-01-01');
    await person.field('To').fill('2001-01-02');
    await person.sees('No such entry');
    await person.field('From').fill('');
    await person.field('To').fill('');
    await until(async () => (await entries.count()) === 1, 'one of Nina again');
    for (const [name, ending, first] of [['Table (CSV)', 'csv', /^entry_id,/], ['JSON lines', 'jsonl', /^\{"entry_id"/]]) {
        const file = person.page.waitForEvent('download');
        await person.page.getByRole('link', { name }).focus();
        await press('Enter');
        const saved = await file;
        const text = fs.readFileSync(await saved.path(), 'utf8');
        assert.equal(saved.suggestedFilename(), `audit.${ending}`);
        assert.match(text, first);
        assert.ok(text.includes('nina@example.com') && !text.includes('sign_in'), text.slice(0, 200));
    }
});

test('the audit log names boards that are gone, and shows numbers to those who open the details', async () => {
    const grace = await login(server, 'grace@example.com', PASSWORD);
    const { board_id: id } = (await grace.post('/api/v1/boards/?board_name=Surprise%20party')).body;
    assert.equal((await grace.post(`/api/v1/boards/${id}/share`, { email: ADMIN.email, permission: 'write' })).status, 200);
    assert.equal((await grace.patch(`/api/v1/boards/${id}`, { board_visibility: 'public' })).status, 201);
    assert.equal((await grace.delete(`/api/v1/boards/${id}`)).status, 200);
    await person.open('/audit');
    await person.field('Search in who, what and from where').fill('surprise');
    const entries = person.page.locator('[data-entry]');
    await until(async () => (await entries.count()) === 2, 'two entries about the board');
    await entries.nth(0).getByText('Surprise party, Everyone here can add').waitFor();
    await entries.nth(1).getByText(`Surprise party, with ${ADMIN.email}, can add`).waitFor();
    const number = entries.nth(1).getByText(id, { exact: true });
    await person.page.waitForFunction(() => !/[0-9a-f]{8}-[0-9a-f]{4}-/.test(document.querySelector('main').innerText));
    await entries.nth(1).locator('summary').focus();
    await press('Enter');
    await number.waitFor();
    await axe('details of an entry');
    // Who was made an account for was no administrator before.
    await person.field('Search in who, what and from where').fill('');
    await person.field('What').selectOption('account_created');
    const made = person.page.locator('[data-entry]', { hasText: 'Made an account' });
    await made.filter({ hasText: 'nina@example.com' }).waitFor();
    assert.doesNotMatch(await made.filter({ hasText: 'nina@example.com' }).innerText(), /administrator/);
    await made.filter({ hasText: 'grace@example.com, as an administrator' }).waitFor();
    // What was refused was tried, not done.
    assert.equal((await new Client(server.url).post('/api/v1/auth/login', { email: 'grace@example.com', password: 'wrong' })).status, 401);
    await person.field('What').selectOption('sign_in');
    await person.field('Result').selectOption('refused');
    await entries.filter({ hasText: 'Tried to sign in, refused' }).first().waitFor();
    await person.field('Result').selectOption('');
    // What was written without a name is no bare number either.
    server.sql(`UPDATE audit_log SET target_name = NULL, detail = NULL WHERE target_id = '${id}' AND action = 'board_visibility_changed'`);
    await person.field('What').selectOption('board_visibility_changed');
    await until(async () => (await entries.count()) === 1, 'the entry without a name');
    await entries.getByText('A board', { exact: true }).waitFor();
});

test('an ordinary person finds neither page', async () => {
    await addUser(admin, 'Otto');
    const otto = await browser.person({ viewport: PHONE, hasTouch: true, isMobile: true });
    await otto.signIn('otto@example.com', PASSWORD);
    await otto.page.waitForURL('**/create');
    for (const where of ['/people', '/audit']) {
        await otto.open(where);
        await otto.sees('This page is for administrators');
    }
    await otto.context.close();
});

test('somebody to share with is found by a few letters, with the keyboard', async () => {
    const board = (await admin.post('/api/v1/boards/?board_name=Holiday')).body.board_id;
    await person.open(`/gallery?board=${board}`);
    await person.button('This board').focus();
    await press('Enter');
    await person.page.getByRole('menuitem', { name: /share|see/i }).first().focus();
    await press('Enter');
    await dialog().waitFor();
    const field = person.page.getByRole('combobox', { name: 'Name or email address' });
    await field.focus();
    await person.page.locator('.picker-list').getByRole('option', { name: /Otto/ }).waitFor();
    await field.pressSequentially('ott');
    await until(async () => (await person.page.locator('.picker-list [role="option"]').count()) === 1, 'one to be found');
    await axe('choosing a person');
    await press('ArrowDown');
    await person.page.locator('[role="option"][aria-selected="true"]').waitFor();
    await press('Enter');
    assert.equal(await field.inputValue(), 'Otto');
    await press('Enter');
    await dialog().locator('.named strong', { hasText: 'Otto' }).waitFor();
    await press('ArrowDown');
    await person.page.locator('.picker-list').getByRole('option', { name: /Grace/ }).waitFor();
    assert.equal(await person.page.locator('.picker-list').getByRole('option', { name: /Otto/ }).count(), 0, 'who has it already is not offered');
    await press('Escape');
    await dialog().waitFor();
    await press('Escape');
    await closed();
    const otto = await login(server, 'otto@example.com', PASSWORD);
    const asked = (await otto.post('/api/v1/boards/?board_name=Mine')).body.board_id;
    // An ordinary person is offered whom they know here, without addresses.
    const { people } = (await otto.get(`/api/v1/boards/${asked}/people?search=`)).body;
    assert.deepEqual(people.map((one) => [one.display_name, one.email]), [[ADMIN.display_name, null]]);
    assert.equal((await otto.get(`/api/v1/boards/${board}/people`)).status, 403);
});

test('a session whose time is over says so, and what was typed is there after signing in again', async () => {
    const late = await browser.person();
    person.allow(/status of 401|WebSocket/);
    late.allow(/status of 401|WebSocket/);
    await late.signIn('otto@example.com', PASSWORD);
    await late.page.waitForURL('**/create');
    await late.field('What do you want to see?').fill('a clock that stands still');
    await later(server, 8 * 24 * 3600);
    // By the keyboard: live events may have taken the page to the sign-in before a click finds its button.
    await late.page.keyboard.press('Enter');
    await late.sees('You were signed out because you were away for a long time. Sign in again.');
    assert.deepEqual(await late.axe(), []);
    await late.field('Email address').fill('otto@example.com');
    await late.field('Password').fill(PASSWORD);
    await late.button('Sign in').click();
    await late.page.waitForURL('**/create');
    assert.equal(await late.field('What do you want to see?').inputValue(), 'a clock that stands still');
});

test('and a suspended account too', async () => {
    const otto = await browser.person();
    otto.allow(/status of 40[13]|WebSocket/);
    await otto.signIn('otto@example.com', PASSWORD);
    await otto.page.waitForURL('**/create');
    await otto.live();
    const again = await login(server, ADMIN.email, ADMIN.password);
    const { users } = (await again.get('/api/v1/users?search=otto')).body;
    assert.equal((await again.patch(`/api/v1/users/${users[0].user_id}`, { is_active: false })).status, 200);
    await otto.sees('Your account was suspended. An administrator can end that.');
    await otto.field('Email address').fill('otto@example.com');
    await otto.field('Password').fill(PASSWORD);
    await otto.button('Sign in').click();
    await otto.sees('This account is suspended. Ask an administrator.');
});
