// What somebody was typing when their session was ended is there when they have signed in again, and for nobody else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { useServer } from '../lib/server.mjs';
import { PASSWORD, addUser, setupAdmin } from '../lib/users.mjs';

const server = useServer({ media: true, hook: true, models: testModels() });
const browser = useBrowser(server);
const NINA = 'nina@example.com';
const EMAIL_FIELD = 'Email address';
let admin;
let nina;
let person;

const dialog = () => person.page.getByRole('dialog');
const addressAtTheDoor = () => person.field(EMAIL_FIELD).inputValue();

/** An administrator ends every session of Nina's, whose page says so. */
async function endSessions() {
    await person.live();
    assert.equal((await admin.delete(`/api/v1/users/${nina.user.user_id}/sessions`)).status, 200);
    await person.sees('You were signed out from another device, or by an administrator. Sign in again.');
}

async function signInAgain() {
    await person.field('Password').fill(PASSWORD);
    await person.button('Sign in').click();
    await person.button('Sign in').waitFor({ state: 'detached' });
}

async function openBoard() {
    await person.button('This board').click();
}

test('a person at a browser', async () => {
    await server.start();
    admin = await setupAdmin(server);
    nina = await addUser(admin, 'Nina', { isAdmin: true });
    await addUser(admin, 'Grace', { isAdmin: true });
    person = await browser.person({ reducedMotion: 'reduce' });
    person.allow(/status of 401|WebSocket/);
    await person.signIn(NINA, PASSWORD);
    await person.page.waitForURL('**/create');
});

test('on the profile: the name, and no password', async () => {
    await person.open('/profile');
    await person.field('Name').fill('Nina the Second');
    await person.field('Current password').fill('Something-Secret-1');
    await endSessions();
    assert.equal(await addressAtTheDoor(), NINA, 'whose session ended is known');
    assert.equal(await person.field('Password').inputValue(), '');
    await signInAgain();
    await person.page.waitForURL('**/profile');
    assert.equal(await person.field('Name').inputValue(), 'Nina the Second');
    assert.equal(await person.field('Current password').inputValue(), '');
    await person.open('/gallery');
    await person.open('/profile');
    assert.equal(await person.field('Name').inputValue(), 'Nina', 'a page that is left forgets as ever');
});

test('in the dialogs of People', async () => {
    await person.open('/people');
    await person.field('Search in names and addresses').fill('gra');
    await person.button('Invite').click();
    await person.field(EMAIL_FIELD).fill('zoe@example.com');
    await person.field('Name').fill('Zoë');
    await person.field('Administrator').check();
    await endSessions();
    await signInAgain();
    await dialog().waitFor();
    assert.equal(await dialog().getByLabel(EMAIL_FIELD).inputValue(), 'zoe@example.com');
    assert.equal(await dialog().getByLabel('Name', { exact: true }).inputValue(), 'Zoë');
    assert.ok(await person.field('Administrator').isChecked());
    assert.equal(await person.field('Search in names and addresses').inputValue(), 'gra');
    await person.sees('1 account found');
    await dialog().getByRole('button', { name: 'Close' }).click();
    await person.button('Invite').click();
    assert.equal(await dialog().getByLabel(EMAIL_FIELD).inputValue(), '', 'a dialog that is closed forgets as ever');
    await dialog().getByRole('button', { name: 'Close' }).click();
    await person.button('Add a person').click();
    await dialog().getByLabel('Name', { exact: true }).fill('Otto');
    await person.field('First password').fill('Something-Secret-1');
    await endSessions();
    await signInAgain();
    await dialog().waitFor();
    assert.equal(await dialog().getByLabel('Name', { exact: true }).inputValue(), 'Otto');
    assert.equal(await person.field('First password').inputValue(), '');
});

test('in the dialogs of boards', async () => {
    await person.open('/gallery');
    await person.button('New board').click();
    await person.field('Name').fill('Holiday');
    await endSessions();
    await signInAgain();
    await dialog().waitFor();
    assert.equal(await person.field('Name').inputValue(), 'Holiday');
    await person.button('Create board').click();
    await person.page.waitForURL('**/gallery?board=*');
    await openBoard();
    await person.page.getByRole('menuitem', { name: 'Who can see it' }).click();
    await person.page.getByRole('combobox', { name: 'Name or email address' }).fill('grac');
    await dialog().getByLabel('What they can do').selectOption('write');
    await endSessions();
    await signInAgain();
    await dialog().waitFor();
    assert.equal(await person.page.getByRole('combobox', { name: 'Name or email address' }).inputValue(), 'grac');
    assert.equal(await dialog().getByLabel('What they can do').inputValue(), 'write');
});

test('in the description of a model', async () => {
    await person.open('/models');
    await person.button(/^More for/).first().click();
    await person.page.getByRole('menuitem', { name: 'Edit' }).click();
    await person.field('Description').fill('Draws what it wants');
    await endSessions();
    await signInAgain();
    await dialog().waitFor();
    assert.equal(await person.field('Description').inputValue(), 'Draws what it wants');
});

test('somebody else who signs in there finds nothing of it, and neither does anybody after them', async () => {
    await person.open('/profile');
    await person.field('Name').fill('Nina the Third');
    await endSessions();
    await person.field(EMAIL_FIELD).fill('grace@example.com');
    await signInAgain();
    await person.page.waitForURL('**/profile');
    assert.equal(await person.field('Name').inputValue(), 'Grace');
    await person.button('Sign out').first().click();
    await person.page.waitForURL('**/login');
    assert.equal(await addressAtTheDoor(), '', 'who signs out leaves no address');
    await person.field(EMAIL_FIELD).fill(NINA);
    await signInAgain();
    await person.page.getByRole('link', { name: 'Me' }).click();
    await person.page.waitForURL('**/profile');
    assert.equal(await person.field('Name').inputValue(), 'Nina', 'the name as it was saved');
});
