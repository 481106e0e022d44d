// Say it, watch it appear, keep it; while somebody else looks on and sees nothing but that there is a job. The hook
// moves the jobs, so that every state stands still long enough to be looked at.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { enqueue, hook } from '../lib/queue.mjs';
import { lastingPort, useServer } from '../lib/server.mjs';
import { PASSWORD, addUser, login, setupAdmin } from '../lib/users.mjs';

const PROMPT = 'a lighthouse nobody else may read of';

const server = useServer({ multiuser: true, hook: true, models: testModels(), port: await lastingPort() });
const browser = useBrowser(server);
/** Grace, who makes pictures, and Linus, who only looks on. */
let grace;
let linus;
let ids;
const heard = [];

const tile = (person, id) => person.page.locator(`[data-item="${id}"]`);
const state = (person, id, status) => person.page.locator(`.tile[data-item="${id}"][data-status="${status}"]`).waitFor();

async function step(what, id) {
    const { code, text } = await hook(server, what, id);
    assert.equal(code, 0, text);
}

/** Everything that reaches the second browser: live events and answers. */
function listen(person) {
    person.page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => heard.push(String(payload))));
    person.page.on('response', async (response) => {
        if (/\/(api|ws)\//.test(response.url())) {
            heard.push(await response.text().catch(() => ''));
        }
    });
}

test('two people sign in', async () => {
    const admin = await setupAdmin(server);
    await addUser(admin, 'Grace');
    await addUser(admin, 'Linus');
    grace = await browser.person();
    linus = await browser.person();
    listen(linus);
    await grace.signIn('grace@example.com', PASSWORD);
    await linus.signIn('linus@example.com', PASSWORD);
    await grace.sees('Your pictures will appear here');
    await linus.sees('Your pictures will appear here');
    await grace.live();
    await linus.live();
});

test('a wish becomes a card with a place for each picture', async () => {
    await grace.field('What do you want to see?').fill(PROMPT);
    await grace.button('One picture more').click();
    const answer = grace.page.waitForResponse((response) => response.url().endsWith('/enqueue_batch'));
    await grace.page.getByRole('textbox', { name: 'What do you want to see?' }).press('Enter');
    await grace.page.locator('.card .tile').nth(1).waitFor();
    ({ item_ids: ids } = await (await answer).json());
    assert.equal(ids.length, 2);
    await state(grace, ids[0], 'pending');
    await state(grace, ids[1], 'pending');
});

test('the graph is the one that InvokeAI’s own client posts', async () => {
    const captured = ['main_model_loader', 'clip_skip', 'compel', 'collect', 'noise', 'denoise_latents', 'core_metadata', 'l2i', 'integer', 'string'];
    const [{ session }] = server.sql(`SELECT session FROM session_queue WHERE item_id = ${ids[0]}`);
    const { graph } = JSON.parse(session);
    const nodes = Object.values(graph.nodes);
    assert.deepEqual([...new Set(nodes.map((node) => node.type))].sort(), captured.sort());
    assert.equal(nodes.length, 12);
    assert.equal(graph.edges.length, 16);
    assert.equal(nodes.filter((node) => !node.is_intermediate).map((node) => node.id.split(':')[0]).join(), 'canvas_output');
});

test('the preview, the ring and the percent appear in the place of the picture', async () => {
    await step('start', ids[0]);
    await state(grace, ids[0], 'in_progress');
    await step('loading', ids[0]);
    await tile(grace, ids[0]).getByText('loading the model').waitFor();
    assert.equal(await tile(grace, ids[0]).getByRole('progressbar').getAttribute('aria-valuenow'), '25');
    await step('progress', ids[0]);
    await tile(grace, ids[0]).locator('img.preview').waitFor();
    const ring = tile(grace, ids[0]).getByRole('progressbar');
    assert.equal(await ring.getAttribute('aria-valuenow'), '50');
    assert.equal(await tile(grace, ids[0]).getByText('loading the model').count(), 0);
});

test('somebody else sees only that there is a job', async () => {
    await linus.page.getByRole('link', { name: /Queue/ }).click();
    await linus.sees('0 of yours, 2 in all');
    await linus.sees('Nothing of yours waits');
    await linus.sees('2 jobs of others are in the queue.');
    await linus.page.getByRole('radio', { name: 'Everyone’s' }).check();
    await linus.page.locator('.job.foreign').nth(1).waitFor();
    assert.equal(await linus.page.getByText('A job of someone else').count(), 2);
    assert.equal(await linus.button('Cancel').count(), 0);
});

test('a waiting picture is cancelled in its place', async () => {
    await tile(grace, ids[1]).getByRole('button', { name: 'Cancel' }).click();
    await state(grace, ids[1], 'canceled');
    await tile(grace, ids[1]).getByText('Cancelled').waitFor();
});

test('a picture that fails says so and can be tried again', async () => {
    await step('fail', ids[0]);
    await tile(grace, ids[0]).getByText('This one didn’t work.').waitFor();
    await tile(grace, ids[0]).getByRole('button', { name: 'Try again' }).click();
    await grace.page.locator('.tile[data-status="pending"]').waitFor();
    // In the place of the one that failed.
    await tile(grace, ids[0]).waitFor({ state: 'detached' });
    assert.equal(await grace.page.locator('.tile').count(), 2);
});

test('the feed is the same after loading the page again', async () => {
    await grace.page.reload();
    await grace.page.locator('.tile[data-status="pending"]').waitFor();
    assert.deepEqual(await grace.page.locator('.tile').evaluateAll((tiles) => tiles.map((one) => one.dataset.status)), ['pending', 'canceled']);
    await grace.page.locator('.card-prompt', { hasText: PROMPT }).first().waitFor();
});

test('a server that goes away is said so, and seen again when it is back', async () => {
    const gone = /net::ERR_|WebSocket connection|status of 50/;
    grace.allow(gone);
    linus.allow(gone);
    const [id] = await grace.page.locator('.tile[data-status="pending"]').evaluateAll((tiles) => tiles.map((tile) => Number(tile.dataset.item)));
    await grace.page.getByRole('link', { name: 'Gallery' }).click();
    await grace.sees('Nothing here yet');
    await grace.page.getByRole('link', { name: 'Create' }).first().click();
    const lost = 'The connection to the server is lost. Trying again; your jobs are kept there.';
    await server.kill(server.httpd, 'SIGTERM');
    await grace.sees(lost);
    await grace.page.getByRole('link', { name: 'Gallery' }).click();
    await grace.button('Starred').click();
    await grace.sees('These pictures can’t be read right now');
    await linus.page.getByRole('link', { name: 'Me' }).click();
    await linus.sees('This page didn’t arrive');
    await server.launch();
    await grace.live();
    await grace.lacks(lost);
    // What could not be read is read now, without being asked.
    await grace.sees('No stars here yet');
    await grace.page.getByRole('link', { name: 'Create' }).first().click();
    await linus.page.getByRole('heading', { name: 'Your profile' }).waitFor();
    await step('start', id);
    await state(grace, id, 'in_progress');
});

test('nothing of it has reached the other browser', async () => {
    await linus.open('/create');
    await linus.sees('Your pictures will appear here');
    assert.ok(heard.length > 5, 'the test listens');
    assert.ok(heard.some((text) => text.includes('queue_item_status_changed')), 'the other person hears that there are jobs');
    const leaks = heard.filter((text) => text.includes(PROMPT) || text.includes('data:image') || text.includes('invocation_progress'));
    assert.deepEqual(leaks, []);
});

test('one’s own pictures are there, however many jobs others made since', async () => {
    await enqueue(await login(server, 'linus@example.com', PASSWORD), { runs: 300 });
    await grace.open('/create');
    await grace.page.locator('.card-prompt', { hasText: PROMPT }).first().waitFor();
    await linus.open('/create');
    await linus.page.locator('.tile').first().waitFor();
});
