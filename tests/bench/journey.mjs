// The measures of the specification (15.2), as people go through them: from an empty server to a second person who is signed in, at
// the pace of somebody who reads and types with two fingers; and from pressing "Sign in" to the page one works on.
import { setTimeout as pause } from 'node:timers/promises';
import { Person, launchBrowser } from '../lib/browser.mjs';
import { ADMIN } from '../lib/users.mjs';

const THOUGHT_MS = 2000; // before each field and each press
const KEY_MS = 300; // about 40 words a minute
const GUEST = { email: 'guest@example.com', password: 'Seven-Paper-Boats-21' };
const SIGN_INS = 5;

async function arrive(chromium, server) {
    const context = await chromium.newContext();
    return new Person(context, await context.newPage(), server.url);
}

async function type(person, field, text) {
    await pause(THOUGHT_MS);
    await person.field(field).pressSequentially(text, { delay: KEY_MS });
}

async function press(person, name, options) {
    await pause(THOUGHT_MS);
    await person.button(name, options).click();
}

/** @returns seconds from opening the empty server's page to the second person's own page */
async function toSecondPerson(chromium, server) {
    const begin = performance.now();
    const admin = await arrive(chromium, server);
    await admin.open('/');
    await type(admin, 'Your name', 'Ada');
    await type(admin, 'Email address', ADMIN.email);
    await type(admin, 'Password', ADMIN.password);
    await press(admin, 'Set up');
    await admin.page.waitForURL('**/create');
    await pause(THOUGHT_MS);
    await admin.page.getByRole('link', { name: 'People' }).click();
    await press(admin, 'Invite', { exact: true });
    await type(admin, 'Email address', GUEST.email);
    await press(admin, 'Make the link');
    const link = await admin.field('Link').inputValue();
    const guest = await arrive(chromium, server);
    await pause(THOUGHT_MS);
    await guest.page.goto(link);
    await type(guest, 'Password', GUEST.password);
    await press(guest, 'Save and sign in');
    await guest.page.waitForURL('**/create');
    await guest.live();
    return (performance.now() - begin) / 1000;
}

/** @returns median of the seconds from pressing the button to a page that is there and hears of what happens */
async function toSignIn(chromium, server) {
    const found = [];
    for (let i = 0; i < SIGN_INS; i++) {
        const person = await arrive(chromium, server);
        await person.open('/login');
        await person.field('Email address').fill(GUEST.email);
        await person.field('Password').fill(GUEST.password);
        const begin = performance.now();
        await person.button('Sign in').click();
        await person.page.waitForURL('**/create');
        await person.live();
        found.push((performance.now() - begin) / 1000);
        await person.context.close();
    }
    return found.sort((a, b) => a - b)[Math.floor(SIGN_INS / 2)];
}

/** @param server one without accounts */
export async function measureJourneys(server) {
    const chromium = await launchBrowser();
    try {
        return { secondPerson: await toSecondPerson(chromium, server), signIn: await toSignIn(chromium, server) };
    } finally {
        await chromium.close();
    }
}
