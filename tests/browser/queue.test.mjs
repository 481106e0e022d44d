// The queue page: tidying up asks first, and takes only what it says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { QUEUE, enqueue } from '../lib/queue.mjs';
import { until, useServer } from '../lib/server.mjs';
import { ADMIN, addUser, login, PASSWORD, setupAdmin } from '../lib/users.mjs';

const server = useServer({ multiuser: true, hook: true, models: testModels() });
const browser = useBrowser(server);
let admin;
let grace;

const jobsOf = async (client) => (await client.get(`${QUEUE}/item_ids?mine=true`)).body.item_ids.length;

async function cancelledJob(client) {
    const [id] = await enqueue(client);
    assert.equal((await client.put(`${QUEUE}/i/${id}/cancel`)).status, 200);
}

const menu = async (person, words) => {
    await person.button('More for the queue').click();
    await person.page.getByRole('menuitem', { name: words, exact: true }).click();
    await person.page.getByRole('dialog').getByText('kept nowhere else').waitFor();
};

async function confirm(person, words) {
    const done = person.page.waitForResponse((response) => response.url().includes('/prune'));
    await person.page.getByRole('dialog').getByRole('button', { name: words, exact: true }).click();
    await done;
    await person.page.getByRole('dialog').waitFor({ state: 'detached' });
}

test('an administrator tidies up after themselves, and after everyone only when asked to', async () => {
    admin = await setupAdmin(server);
    await addUser(admin, 'Grace');
    grace = await login(server, 'grace@example.com', PASSWORD);
    await cancelledJob(admin);
    await cancelledJob(grace);
    const person = await browser.person();
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.page.locator('.tile[data-item]').waitFor();
    await person.page.getByRole('link', { name: /Queue/ }).click();

    await menu(person, 'Tidy up my finished jobs');
    await person.page.keyboard.press('Escape');
    await person.page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.deepEqual([await jobsOf(admin), await jobsOf(grace)], [1, 1], 'nothing without a yes');

    await menu(person, 'Tidy up my finished jobs');
    await confirm(person, 'Remove finished jobs');
    assert.deepEqual([await jobsOf(admin), await jobsOf(grace)], [0, 1]);
    // Create shows the same without being loaded again.
    await person.page.getByRole('link', { name: 'Create' }).first().click();
    await person.sees('Your pictures will appear here');

    await person.page.getByRole('link', { name: /Queue/ }).click();
    await menu(person, 'Tidy up finished jobs of everyone');
    await person.page.getByRole('dialog').getByText('of everyone here').waitFor();
    await confirm(person, 'Remove everyone’s finished jobs');
    assert.deepEqual([await jobsOf(admin), await jobsOf(grace)], [0, 0]);
});

test('others have one entry, for their own', async () => {
    await cancelledJob(admin);
    await cancelledJob(grace);
    const person = await browser.person();
    await person.signIn('grace@example.com', PASSWORD);
    await person.page.waitForURL('**/create');
    await person.page.getByRole('link', { name: /Queue/ }).click();
    await person.button('More for the queue').click();
    assert.equal(await person.page.getByRole('menuitem').filter({ hasText: 'everyone' }).count(), 0);
    await person.page.keyboard.press('Escape');
    await menu(person, 'Tidy up finished jobs');
    await confirm(person, 'Remove finished jobs');
    assert.deepEqual([await jobsOf(admin), await jobsOf(grace)], [1, 0]);
});

test('what an administrator tidies up goes from the open pages of everybody', async () => {
    const kept = await enqueue(grace);
    await cancelledJob(grace);
    const person = await browser.person();
    await person.signIn('grace@example.com', PASSWORD);
    await person.page.waitForURL('**/create');
    await person.live();
    await person.page.locator('.tile[data-status="canceled"]').waitFor();
    const other = await person.context.newPage();
    await other.goto(`${server.url}/queue`);
    await other.locator('html[data-live="on"]').waitFor();
    await other.locator('.job.canceled').waitFor();
    assert.equal((await admin.put(`${QUEUE}/prune`)).status, 200);
    await person.page.locator('.tile[data-status="canceled"]').waitFor({ state: 'detached', timeout: 10000 });
    await other.locator('.job.canceled').waitFor({ state: 'detached', timeout: 10000 });
    // What still waits stays.
    assert.deepEqual(await person.page.locator('.tile').evaluateAll((tiles) => tiles.map((one) => Number(one.dataset.item))), kept);
    assert.equal(await other.locator(`.job[data-item="${kept[0]}"]`).count(), 1);
    assert.equal((await grace.put(`${QUEUE}/clear`)).status, 200);
});

test('a job that waits for its model says so to its owner, and to an administrator where the model has to be', async () => {
    server.sql(`INSERT INTO models (key, hash, base, type, name, path, record, created_at, updated_at) VALUES ('away', 'x', 'sd-1', 'main', 'Away', '/usr', '{"key": "away"}', '', '')`);
    assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    const [held, other] = [...(await enqueue(grace)), ...(await enqueue(grace))];
    server.sql(`UPDATE session_queue SET held_for = 'away' WHERE item_id = ${held}`);
    for (const [email, password, words] of [['grace@example.com', PASSWORD, 'waits until the server can read its model'], [ADMIN.email, ADMIN.password, 'waits until its model lies in the server’s model folder (InvokeMUModels)']]) {
        const person = await browser.person();
        await person.signIn(email, password);
        await person.page.waitForURL('**/create');
        await person.open('/queue');
        await person.page.getByRole('radio', { name: 'Everyone’s' }).check();
        await person.page.locator(`.job[data-item="${held}"]`).getByText(words, { exact: true }).waitFor();
        await person.page.locator(`.job[data-item="${other}"]`).getByText('next', { exact: true }).waitFor();
        if (email !== ADMIN.email) {
            await person.page.getByRole('link', { name: 'Create' }).first().click();
            await person.page.locator(`.tile[data-item="${held}"]`).getByText('waiting for its model', { exact: true }).waitFor();
            await person.page.locator(`.tile[data-item="${other}"]`).getByText('waiting its turn', { exact: true }).waitFor();
        }
        await person.context.close();
    }
    server.sql("DELETE FROM models WHERE key = 'away'");
    assert.equal((await admin.put(`${QUEUE}/clear`)).status, 200);
    assert.equal((await admin.put(`${QUEUE}/processor/resume`)).status, 200);
});

test('what a deleted account left waiting is listed as it is counted, and an administrator can take it out', async () => {
    const began = '1970-01-01 00:00:00.000';
    server.sql(`INSERT INTO users (user_id, email, display_name, password_hash, is_active, created_at, updated_at) VALUES ('gone', 'owner-0123456789ab@deleted.invalid', 'Deleted account', '*', 0, '${began}', '${began}')`);
    assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    const [left] = await enqueue(grace);
    await enqueue(grace);
    server.sql(`UPDATE session_queue SET user_id = 'gone' WHERE item_id = ${left}`);
    const person = await browser.person();
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.open('/queue');
    await person.sees('0 of yours, 2 in all');
    assert.equal(await person.page.locator('.rail .badge').getAttribute('title'), 'none of yours, 2 in all');
    await person.page.getByRole('radio', { name: 'Everyone’s' }).check();
    const now = person.page.locator('section', { has: person.page.getByRole('heading', { name: 'Now' }) }).locator('.job');
    await now.nth(1).waitFor();
    const line = person.page.locator(`.job[data-item="${left}"]`);
    await line.getByText('Deleted account').waitFor();
    await line.getByText('not run, as nobody can sign in to this account').waitFor();
    assert.deepEqual(await person.axe(), []);
    await line.getByRole('button', { name: 'Cancel' }).click();
    await person.sees('0 of yours, 1 in all');
    assert.equal((await admin.put(`${QUEUE}/clear`)).status, 200);
    assert.equal((await admin.put(`${QUEUE}/processor/resume`)).status, 200);
    await person.context.close();
});

test('a large card is cancelled in one request', async () => {
    const person = await browser.person();
    await person.signIn('grace@example.com', PASSWORD);
    await person.page.waitForURL('**/create');
    await person.live();
    const ids = await enqueue(grace, { runs: 20 });
    await person.page.locator('.tile').nth(19).waitFor();
    person.calls.length = 0;
    await person.button('More for this card').first().click();
    // The server may have done it before the browser's word of the request is here.
    const told = person.page.waitForRequest((request) => request.method() === 'PUT');
    await person.page.getByRole('menuitem', { name: 'Cancel all 20' }).click();
    await told;
    await person.page.locator('.tile[data-status="canceled"]').nth(19).waitFor();
    await until(async () => (await grace.get(`${QUEUE}/status`)).body.queue.pending === 0, 'all of them to be cancelled');
    assert.equal(ids.length, 20);
    assert.deepEqual(person.calls.filter((call) => call.startsWith('PUT')), [`PUT ${QUEUE}/cancel_by_batch_ids`]);
});
