// Copying where browsers keep the clipboard from pages: at a name or an address in the own network, over plain http.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { PHONE, useBrowser } from '../lib/browser.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, setupAdmin } from '../lib/users.mjs';

const NAME = 'studio.test';
const PROMPT = 'A street of crooked houses,\nat dusk, “watercolour”';
const server = useServer({ multiuser: true, media: true });
const browser = useBrowser(server, { flags: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`] });

before(async () => {
    const admin = await setupAdmin(server);
    const form = [
        { name: 'file', filename: 'a.png', type: 'image/png', value: makePng(320, 420) },
        { name: 'metadata', value: JSON.stringify({ positive_prompt: PROMPT }) },
    ];
    const answer = await admin.send('POST', '/api/v1/images/upload?image_category=general&is_intermediate=false', { form });
    assert.equal(answer.status, 201);
});

/** Somebody who is signed in at a name over plain http; `copied` reads the clipboard where that is allowed. */
async function atName(options) {
    const person = await browser.person({ reducedMotion: 'reduce', ...options });
    person.base = server.url.replace('127.0.0.1', NAME);
    await person.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    assert.equal(await person.page.evaluate(() => isSecureContext), false);
    return person;
}

async function copied(person) {
    const page = await person.context.newPage();
    await page.goto(`${server.url}/login`);
    const text = await page.evaluate(() => navigator.clipboard.readText());
    await page.evaluate(() => navigator.clipboard.writeText('something else'));
    await page.close();
    return text;
}

/** Presses `button` and sees that `text` was copied, that nothing is left of the doing, and that the focus stays. */
async function copies(person, button, done, text) {
    const before = await person.page.locator('textarea, dialog, .pswp').count();
    await button.click();
    await person.sees(done);
    assert.equal(await copied(person), text);
    assert.equal(await person.page.locator('textarea, dialog, .pswp').count(), before);
    await person.page.bringToFront();
    assert.ok(await button.evaluate((one) => one === document.activeElement), 'the button keeps the focus');
}

for (const [name, options] of [['a desk', {}], ['a phone', { viewport: PHONE, hasTouch: true, isMobile: true }]]) {
    test(`a prompt is copied from the lightbox on ${name}`, async () => {
        const person = await atName(options);
        await person.open('/gallery');
        await person.page.locator('.thumb-open').first().click();
        await person.page.locator('.box-tools').getByRole('button', { name: 'Details' }).click();
        await copies(person, person.button('Copy prompt'), 'Prompt copied.', PROMPT);
        await person.context.close();
    });
}

test('a prompt is copied from the panel beside the pictures', async () => {
    const person = await atName();
    await person.open('/gallery');
    await person.page.locator('.thumb-open').first().waitFor();
    await person.button('Details').click();
    await copies(person, person.button('Copy prompt'), 'Prompt copied.', PROMPT);
    await person.context.close();
});

test('a link and a password are copied out of their dialogs', async () => {
    const person = await atName();
    await person.open('/people');
    await person.button('Invite', { exact: true }).click();
    await person.field('Email address').fill('guest@example.com');
    await person.button('Make the link').click();
    const link = await person.field('Link').inputValue();
    await copies(person, person.button('Copy', { exact: true }), 'Link copied.', link);
    await person.button('Done').click();
    await person.button('Add a person').click();
    await person.button('Suggest one').click();
    const password = await person.field('First password').inputValue();
    assert.ok(password.length > 8);
    // Also while it is hidden: a browser copies nothing out of a field that hides what it holds.
    await person.button('Hide').click();
    await copies(person, person.button('Copy', { exact: true }), 'Password copied.', password);
    await person.context.close();
});
