// What is being written is not lost, not cut, and nobody else's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { enqueue, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { PASSWORD, addUser, login, setupAdmin } from '../lib/users.mjs';

const LIMIT = 16384;
const WISH = 'a glass house nobody else may read of';
const NEGATIVE = 'curtains of my own';
const server = useServer({ multiuser: true, models: testModels() });
const browser = useBrowser(server);
let admin;
let person;

const prompt = () => person.field('What do you want to see?');

/** Ends every session of Grace's: what the page asks next is answered with 401. */
async function endSessions() {
    const grace = await login(server, 'grace@example.com', PASSWORD);
    const { sessions } = (await grace.get('/api/v1/auth/sessions')).body;
    for (const { session_id: id } of sessions.filter((session) => !session.current)) {
        assert.equal((await grace.delete(`/api/v1/auth/sessions/${id}`)).status, 200);
    }
}

async function signIn(email) {
    await person.field('Email address').fill(email);
    await person.field('Password').fill(PASSWORD);
    await person.button('Sign in').click();
    await person.page.waitForURL('**/create');
}

/** What this browser keeps of the form. */
const kept = () => person.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));

test('somebody signs in and writes', async () => {
    admin = await setupAdmin(server);
    assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    await addUser(admin, 'Grace');
    await addUser(admin, 'Linus');
    person = await browser.person();
    person.allow(/status of 401|WebSocket/);
    await person.signIn('grace@example.com', PASSWORD);
    await person.page.waitForURL('**/create');
    await prompt().fill(WISH);
    await person.button('Leave something out').click();
    await person.field('Leave out').fill(NEGATIVE);
    await person.button('One picture more').click();
    await person.page.getByRole('radio', { name: 'Wide' }).check();
    await person.page.getByText('More control').click();
    await person.page.getByRole('spinbutton', { name: 'Steps' }).fill('11');
    await person.page.getByRole('spinbutton', { name: 'Steps' }).press('Tab');
    await person.field('Seed').fill('4711');
    await person.field('Seed').press('Tab');
});

/** Everything that was written is there again. */
async function formIsWhole() {
    await person.page.waitForFunction((text) => document.querySelector('#prompt')?.value === text, WISH);
    assert.equal(await person.field('Leave out').inputValue(), NEGATIVE);
    await person.page.locator('.stepper').getByText('2 pictures').waitFor();
    await person.page.getByRole('radio', { name: 'Wide', checked: true }).waitFor();
    await person.page.getByText('More control').click();
    assert.equal(await person.page.getByRole('spinbutton', { name: 'Steps' }).inputValue(), '11');
    assert.equal(await person.field('Seed').inputValue(), '4711');
}

test('a session that ends takes nothing of the form with it', async () => {
    await endSessions();
    await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await signIn('grace@example.com');
    await formIsWhole();
});

test('nor does one whose end shows only when Create is pressed', async () => {
    // The line is cut first, so that the page doesn't hear of the end.
    await person.page.route('**/ws/**', (route) => route.abort());
    person.allow(/net::ERR_FAILED/);
    await person.page.reload();
    await prompt().waitFor();
    // It ends while what Create sends is on its way: what the page still asks for at its start would hear of it first.
    const ended = async (route) => {
        await endSessions();
        await route.continue();
    };
    await person.page.route('**/enqueue_batch', ended, { times: 1 });
    await person.button('Create').click();
    await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await person.page.unroute('**/ws/**');
    await signIn('grace@example.com');
    await formIsWhole();
});

test('two tabs keep what is written in each, and a new one starts with what was written last', async () => {
    const box = (page) => page.locator('#prompt');
    const says = (page, text) => page.waitForFunction((words) => document.querySelector('#prompt')?.value === words, text);
    const second = await person.context.newPage();
    await second.goto(`${server.url}/create`);
    await says(second, WISH);
    await box(second).fill('a glass house for frogs');
    await person.page.reload();
    await says(person.page, WISH);
    await second.reload();
    await says(second, 'a glass house for frogs');
    await box(second).fill('a glass house for toads');
    const third = await person.context.newPage();
    await third.goto(`${server.url}/create`);
    await says(third, 'a glass house for toads');
    await third.close();
    // Signed out in one tab is signed out in all of them.
    await second.goto(`${server.url}/profile`);
    await second.getByRole('button', { name: 'Sign out', exact: true }).click();
    await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await second.close();
    assert.doesNotMatch(await kept(), /glass house|curtains/);
    await signIn('grace@example.com');
    await prompt().waitFor();
    assert.equal(await prompt().inputValue(), '');
    await prompt().fill(WISH);
});

test('somebody else who signs in at the same browser finds nothing of it, not even in what the browser keeps', async () => {
    await endSessions();
    await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await signIn('linus@example.com');
    await prompt().waitFor();
    await person.sees('Your pictures will appear here');
    assert.equal(await prompt().inputValue(), '');
    await person.page.locator('.stepper').getByText('1 picture').waitFor();
    assert.doesNotMatch(await kept(), /glass house|curtains/);
});

test('a long prompt says how much more fits, is never cut, and waits to be shortened when it is too long', async () => {
    await prompt().fill('x'.repeat(5000));
    assert.equal((await prompt().inputValue()).length, 5000, 'longer than any limit of the page');
    assert.equal(await person.page.getByText(/Room for about/).count(), 0);
    await prompt().fill('x'.repeat(LIMIT - 900));
    await person.sees('Room for about 900 more letters');
    await prompt().fill('x'.repeat(LIMIT));
    await person.sees('Room for about 0 more letters');
    assert.deepEqual(await person.axe(), []);
    const sent = person.page.waitForResponse((response) => response.url().endsWith('/enqueue_batch'));
    await person.button('Create').click();
    assert.equal((await sent).status(), 201);
    // Counted as the engine counts: this letter takes two places.
    await prompt().fill(`ä${'x'.repeat(LIMIT - 1)}`);
    await person.sees('The prompt is too long by about 1 letter. Shorten it to go on; nothing is cut off.');
    assert.equal((await prompt().inputValue()).length, LIMIT);
    const before = person.calls.length;
    await person.button('Create').click({ force: true });
    await prompt().press('Enter');
    await prompt().fill('short enough');
    await person.lacks(/too long/);
    assert.equal(person.calls.slice(before).filter((call) => call.endsWith('enqueue_batch')).length, 0);
});

test('what is left out is measured too', async () => {
    await person.button('Leave something out').click();
    await person.field('Leave out').fill('y'.repeat(LIMIT + 5));
    await person.sees('“Leave out” is too long by about 5 letters');
    await person.button('Leave nothing out').click();
    await person.lacks(/too long/);
});

test('“Again” for a large batch makes as many as the form could, and says so', async () => {
    const linus = await login(server, 'linus@example.com', PASSWORD);
    person.allow(/status of 404/);
    await linus.put(`${QUEUE}/clear`);
    await enqueue(linus, { runs: 40 });
    await person.page.reload();
    await person.page.locator('.card .tile').nth(20).waitFor();
    const sent = person.page.waitForResponse((response) => response.url().endsWith('/enqueue_batch'));
    await person.button('Again').click();
    assert.equal((await (await sent).json()).item_ids.length, 8);
    await person.sees(/Again makes 8, the most at a time\./);
});

test('what goes wrong for many at once is said once', async () => {
    await person.page.route('**/cancel_by_batch_ids', (route) => route.fulfill({ status: 409, contentType: 'application/json', body: '{"detail":"That did not work."}' }));
    person.allow(/status of 409/);
    await person.button('More for this card').first().click();
    const answers = person.page.waitForResponse((response) => response.url().endsWith('/cancel_by_batch_ids'));
    await person.page.getByRole('menuitem', { name: 'Cancel all 8' }).click();
    await answers;
    await person.sees('That did not work.');
    await person.page.waitForLoadState('networkidle');
    assert.equal(await person.page.locator('.toast', { hasText: 'That did not work.' }).count(), 1);
});
