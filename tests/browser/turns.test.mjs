// The queue among many: whose turn comes when, one's own jobs before those of others, and older ones as far as there are any.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { enqueue, hook, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { PASSWORD, addUser, setupAdmin } from '../lib/users.mjs';

const server = useServer({ multiuser: true, hook: true, models: testModels() });
const browser = useBrowser(server);
let admin;
let grace;
let linus;
let page;
let own;
let others;

/** What the page says of a job. */
const says = (id, text) => page.page.locator(`.job[data-item="${id}"]`).getByText(text, { exact: true }).waitFor();

test('many jobs of one person wait, then a few of another', async () => {
    admin = await setupAdmin(server);
    grace = await addUser(admin, 'Grace');
    linus = await addUser(admin, 'Linus');
    assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    page = await browser.person();
    await page.signIn('grace@example.com', PASSWORD);
    await page.page.waitForURL('**/create');
    await page.live();
    await page.open('/queue');
    await page.sees('Nothing waits');
    others = await enqueue(linus, { runs: 60 });
    await page.sees('60 jobs of others are in the queue.');
    own = await enqueue(grace, { runs: 3 });
});

test('one’s own are shown, with as many jobs before each as people’s turns put there', async () => {
    await says(own[0], '1 job before it');
    await says(own[1], '3 jobs before it');
    await says(own[2], '5 jobs before it');
    assert.equal(await page.page.locator('.job').count(), 3);
});

test('the numbers keep up with what is done, and with what is asked for by others', async () => {
    const { code, text } = await hook(server, 'start', others[0]);
    assert.equal(code, 0, text);
    assert.equal((await linus.put(`${QUEUE}/cancel_by_batch_ids`, { batch_ids: [] })).status, 200);
    assert.equal((await linus.put(`${QUEUE}/cancel_all_except_current`)).status, 200);
    await says(own[0], 'next');
    await says(own[2], '2 jobs before it');
    await enqueue(linus, { runs: 1 });
    await says(own[1], '2 jobs before it');
    await grace.put(`${QUEUE}/i/${own[0]}/cancel`);
    await says(own[2], '2 jobs before it');
    await says(own[0], 'Cancelled');
});

test('everybody’s are shown when that is asked for, of others no more than that they are there', async () => {
    await page.page.getByRole('radio', { name: 'Everyone’s' }).check();
    await page.page.locator('.job.foreign').nth(1).waitFor();
    assert.equal(await page.page.locator('.job.foreign').count(), 2, 'one runs, one waits; what others are done with is not listed');
    assert.equal(await page.page.locator('.job.foreign').getByText(/before it|next/).count(), 0, 'nothing of the turns of others');
    await says(own[2], '2 jobs before it');
    assert.equal(await page.button('Show more jobs').count(), 0);
    await page.page.getByRole('radio', { name: 'Yours' }).check();
    await page.page.locator('.job.foreign').first().waitFor({ state: 'detached' });
    assert.deepEqual(await page.axe(), []);
});

test('an administrator sees whose jobs they are, in the order in which they come', async () => {
    const boss = await browser.person();
    await boss.signIn('admin@example.com', 'Correct-Horse-7-Battery');
    await boss.page.waitForURL('**/create');
    await boss.open('/queue');
    await boss.sees('Nothing of yours waits');
    await boss.page.getByRole('radio', { name: 'Everyone’s' }).check();
    await boss.sees('Linus');
    const listed = await boss.page.locator('section:first-of-type .job').evaluateAll((jobs) => jobs.map((job) => Number(job.dataset.item)));
    assert.deepEqual(listed.slice(0, 2), [others[0], own[1]]);
    await boss.context.close();
});

test('older pictures are offered as long as there are some', async () => {
    page.allow(/status of 404/);
    const older = page.button('Show older pictures');
    const tiles = (n) => page.page.waitForFunction((count) => document.querySelectorAll('.tile').length === count, n);
    await admin.put(`${QUEUE}/clear`);
    for (let i = 0; i < 30; i += 1) {
        await enqueue(grace);
    }
    await page.open('/create');
    await page.page.locator('.tile').nth(23).waitFor();
    await older.scrollIntoViewIfNeeded().catch(() => {});
    await tiles(30);
    await older.waitFor({ state: 'detached' });
    // Reading the newest ones again does not make the others unread.
    await page.live();
    await enqueue(grace);
    await tiles(31);
    assert.equal(await older.count(), 0);
});

test('a batch as long as several pages does not hide what is older than it', async () => {
    await admin.put(`${QUEUE}/clear`);
    await enqueue(grace);
    await enqueue(grace, { runs: 200 });
    await page.open('/create');
    await page.page.locator('.card').nth(1).waitFor();
    await page.button('Show older pictures').waitFor({ state: 'detached' });
});
