// Set-up, signing in and out, people and the own profile, with two people at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD } from '../lib/users.mjs';

const server = useServer({ multiuser: true });
const browser = useBrowser(server);
const OWN_PASSWORD = 'Seven-Paper-Boats-21';
let admin;
let guest;

test('a new server asks for its administrator and opens on Create', async () => {
    admin = await browser.person();
    await admin.setUp(ADMIN);
    await admin.field('What do you want to see?').waitFor();
    assert.equal(await admin.page.title(), 'Create · invokemu');
});

test('a weak password is refused in words, before and after the server is asked', async () => {
    await admin.open('/people');
    await admin.button('Add a person').click();
    await admin.field('Name').fill('Grace');
    await admin.field('Email address').fill('grace@example.com');
    await admin.field('First password').fill('short');
    await admin.button('Add', { exact: true }).click();
    await admin.sees(/too short/);
});

test('a suggested password is shown and copied', async () => {
    await admin.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url });
    await admin.button('Suggest one').click();
    await admin.page.locator('input[type=text].input').and(admin.field('First password')).waitFor();
    const suggested = await admin.field('First password').inputValue();
    assert.match(suggested, /^(?=.*[A-Z])(?=.*[a-z])(?=.*\d)[A-Za-z\d]{4}(-[A-Za-z\d]{4}){3}$/);
    await admin.button('Copy', { exact: true }).click();
    await admin.sees('Password copied.');
    assert.equal(await admin.page.evaluate(() => navigator.clipboard.readText()), suggested);
    await admin.button('Suggest another').click();
    await admin.page.waitForFunction((old) => document.querySelector('.new-password input').value !== old, suggested);
});

test('the administrator adds a person', async () => {
    await admin.field('First password').fill(PASSWORD);
    await admin.button('Add', { exact: true }).click();
    await admin.sees('grace@example.com');
});

test('a wrong password is answered in plain words', async () => {
    guest = await browser.person();
    guest.allow(/status of 401/);
    await guest.signIn('grace@example.com', 'Not-The-Password-1');
    await guest.sees(/don’t go together/);
});

test('the new person must choose an own password first, on every page', async () => {
    await guest.signIn('grace@example.com', PASSWORD);
    await guest.sees('Choose your own password');
    await guest.open('/gallery');
    await guest.sees('Choose your own password');
    await guest.field('Password you were given').fill(PASSWORD);
    await guest.field('New password').fill(OWN_PASSWORD);
    await guest.button('Save and go on').click();
    await guest.page.getByRole('heading', { name: 'Gallery', level: 1 }).waitFor();
});

test('People is for administrators alone', async () => {
    assert.equal(await guest.page.getByRole('link', { name: 'People' }).count(), 0);
    await guest.open('/people');
    await guest.sees('This page is for administrators');
});

test('the profile says who may change the address: an administrator is led to where it is done', async () => {
    await guest.open('/profile');
    await guest.sees('An administrator can change it.');
    await admin.open('/profile');
    const field = admin.field('You sign in with');
    await field.waitFor();
    const hint = await field.evaluate((one) => document.getElementById(one.getAttribute('aria-describedby')).textContent);
    assert.equal(hint, 'You can change it on the page People.');
    await admin.page.locator('main').getByRole('link', { name: 'People' }).click();
    await admin.button('More for The Admin').click();
    await admin.page.getByRole('menuitem', { name: 'Edit' }).click();
    await admin.field('Email address').fill('the.admin@example.com');
    await admin.button('Save').click();
    await admin.sees('Saved.');
    await admin.open('/profile');
    await field.waitFor();
    assert.equal(await field.inputValue(), 'the.admin@example.com');
});

test('the own name and the list of own sessions', async () => {
    await guest.open('/profile');
    await guest.field('Name').fill('Grace H.');
    await guest.button('Save name').click();
    await guest.sees('Your name was saved.');
    await guest.sees('This one');
    assert.equal(await guest.page.locator('.session').count(), 1);
});

test('another own session is signed out from the list, and its page says so', async () => {
    const second = await browser.person();
    second.allow(/status of 401/);
    await second.signIn('grace@example.com', OWN_PASSWORD);
    await second.page.waitForURL('**/create');
    await second.open('/gallery?board=none');
    await second.live();
    const token = await second.page.evaluate(() => localStorage.getItem('auth_token'));
    await guest.open('/profile');
    await guest.page.locator('.session').nth(1).getByRole('button', { name: 'Sign out' }).click();
    await guest.sees('That device was signed out.');
    await second.sees('You were signed out from another device, or by an administrator. Sign in again.');
    assert.equal(new URL(second.page.url()).pathname, '/login');
    // A page that wasn't open at that moment learns of it when it is opened.
    await second.page.evaluate((ended) => localStorage.setItem('auth_token', ended), token);
    await second.open('/gallery?board=none');
    await second.sees('You were signed out from another device, or by an administrator. Sign in again.');
    // Signing in leads on to the page that was asked for.
    await second.field('Email address').fill('grace@example.com');
    await second.field('Password').fill(OWN_PASSWORD);
    await second.button('Sign in').click();
    await second.page.getByRole('heading', { name: 'Gallery', level: 1 }).waitFor();
    assert.equal(new URL(second.page.url()).pathname, '/gallery');
    await second.context.close();
});

test('signing in leads to no address outside', async () => {
    for (const to of ['//elsewhere.example/', '/\\elsewhere.example', 'https://elsewhere.example/', '/login']) {
        const person = await browser.person();
        await person.open(`/login?to=${encodeURIComponent(to)}`);
        await person.field('Email address').fill('grace@example.com');
        await person.field('Password').fill(OWN_PASSWORD);
        await person.button('Sign in').click();
        await person.field('What do you want to see?').waitFor();
        assert.equal(person.page.url(), `${server.url}/create`);
        await person.context.close();
    }
});

test('suspending a person ends what they do at once, and they are let in again', async () => {
    guest.allow(/status of 40[13]/);
    await admin.open('/people');
    await admin.button('More for Grace H.').click();
    await admin.page.getByRole('menuitem', { name: 'Suspend' }).click();
    await admin.page.locator('.tag', { hasText: 'Suspended' }).waitFor();
    await guest.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await guest.sees('Your account was suspended. An administrator can end that.');
    await admin.button('More for Grace H.').click();
    await admin.page.getByRole('menuitem', { name: 'End the suspension' }).click();
    await admin.page.locator('.tag', { hasText: 'Suspended' }).waitFor({ state: 'detached' });
    await guest.signIn('grace@example.com', OWN_PASSWORD);
    await guest.page.waitForURL('**/create');
});

test('a new password keeps this session and ends the others', async () => {
    const second = await browser.person();
    second.allow(/status of 401/);
    await second.signIn('grace@example.com', OWN_PASSWORD);
    await second.page.waitForURL('**/create');
    await guest.open('/profile');
    await guest.field('Current password').fill(OWN_PASSWORD);
    await guest.field('New password').fill('Eight-Paper-Boats-22');
    await guest.button('Change password').click();
    await guest.sees('Your password was changed. Other devices were signed out.');
    await second.sees('You were signed out because your password was changed. Sign in again.');
    await guest.open('/gallery');
    await guest.page.getByRole('heading', { name: 'Gallery', level: 1 }).waitFor();
});

test('deleting a person takes typing the name', async () => {
    await admin.button('More for Grace H.').click();
    await admin.page.getByRole('menuitem', { name: 'Delete' }).click();
    await admin.button('Delete for good').click({ force: true });
    await admin.field('To go on, type: Grace H.').fill('Grace H.');
    await admin.button('Delete for good').click();
    await admin.sees('Grace H. was deleted.');
    await admin.lacks('grace@example.com');
    assert.equal(admin.calls.filter((call) => call.startsWith('DELETE')).length, 1, 'nothing happened without the name');
    await guest.sees('Your account was deleted. An administrator can tell you more.');
});

test('signing out leads to the sign-in page and leaves nothing behind', async () => {
    await admin.open('/create');
    await admin.field('What do you want to see?').fill('a secret wish');
    await admin.open('/profile');
    await admin.button('Sign out').first().click();
    await admin.page.waitForURL('**/login');
    const kept = await admin.page.evaluate(() => JSON.stringify(localStorage));
    assert.doesNotMatch(kept, /secret wish|auth_token"/);
});
