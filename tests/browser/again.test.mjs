// Pictures that were cancelled or failed: readable in cards of any size, and tried again once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, PHONE, useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { enqueue, hook, QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, setupAdmin } from '../lib/users.mjs';

const SIZES = [4, 8, 11];
const server = useServer({ multiuser: true, hook: true, models: testModels() });
const browser = useBrowser(server);
let admin;

const cardOf = (person, count) => person.page.locator('.card').filter({ has: person.page.locator(`.tile:nth-child(${count}):last-child`) });

async function signedIn(options) {
    const person = await browser.person({ reducedMotion: 'reduce', ...options });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    return person;
}

/** Whether all of an element's words show, and nothing lies over its middle. */
const readable = (element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return element.scrollWidth <= element.clientWidth && element.scrollHeight <= element.clientHeight + 1 && element.contains(document.elementFromPoint(left + width / 2, top + height / 2));
};

test('cards of 4, 8 and 11 with one that fails and all others cancelled', async () => {
    admin = await setupAdmin(server);
    for (const runs of SIZES) {
        const ids = await enqueue(admin, { runs });
        for (const step of ['start', 'fail']) {
            assert.equal((await hook(server, step, ids[0])).code, 0);
        }
        assert.equal((await admin.put(`${QUEUE}/cancel_all_except_current`)).status, 200);
    }
});

for (const [name, options] of [['a phone', { viewport: PHONE, hasTouch: true, isMobile: true }], ['a desk', { viewport: DESK }]]) {
    test(`what became of each can be read, and tried again, on ${name}`, async () => {
        const person = await signedIn(options);
        const reasons = await admin.get(`${QUEUE}/list_all`);
        const reason = reasons.body.find((item) => item.status === 'failed').error_message;
        for (const count of SIZES) {
            const card = cardOf(person, count);
            await card.scrollIntoViewIfNeeded();
            const faults = await card.locator('.tile').evaluateAll((tiles) =>
                tiles.flatMap((tile, i) => {
                    const room = tile.getBoundingClientRect();
                    const button = tile.querySelector('button');
                    const box = button.getBoundingClientRect();
                    const icon = tile.querySelector('.ended > .icon').getBoundingClientRect();
                    const within = [box, icon].every((one) => one.left >= room.left && one.right <= room.right && one.top >= room.top && one.bottom <= room.bottom);
                    const words = tile.querySelector('p');
                    const clipped = words.clientWidth > 1 && (words.scrollWidth > words.clientWidth || words.getBoundingClientRect().bottom > room.bottom);
                    return [
                        within || `${i}: out of its tile`,
                        icon.bottom <= box.top || `${i}: mark and button overlap`,
                        clipped ? `${i}: words are cut` : true,
                        (button.textContent || button.ariaLabel).trim() === 'Try again' || `${i}: no label`,
                    ].filter((fault) => fault !== true);
                }),
            );
            assert.deepEqual(faults, [], `a card of ${count}`);
            const why = card.getByText(reason);
            await why.scrollIntoViewIfNeeded();
            assert.ok(await why.evaluate(readable), `the reason of a card of ${count} can be read`);
            await card.getByText(`${count - 1} of ${count} cancelled.`).waitFor();
        }
        assert.deepEqual(await person.axe(), []);
        await person.context.close();
    });
}

test('“Try again” answers at once, makes one job however often it is pressed, and gives the place to it', async () => {
    const person = await signedIn({ viewport: DESK });
    const before = (await admin.get(`${QUEUE}/item_ids`)).body.item_ids.length;
    let answer;
    const held = new Promise((resolve) => (answer = resolve));
    let asked = 0;
    await person.page.route('**/retry_items_by_id', async (route) => {
        asked += 1;
        await held;
        await route.continue();
    });
    const tile = cardOf(person, 4).locator('.tile').first();
    const old = await tile.getAttribute('data-item');
    const button = tile.getByRole('button', { name: 'Try again' });
    await button.click();
    await tile.locator('button[aria-busy="true"][aria-disabled="true"]').waitFor();
    await button.click({ force: true });
    await button.click({ force: true });
    answer();
    await person.page.locator(`.tile[data-item="${old}"]`).waitFor({ state: 'detached' });
    assert.equal(await tile.getAttribute('data-status'), 'pending');
    assert.equal(await cardOf(person, 4).count(), 1, 'the card keeps its four places');
    assert.equal(asked, 1);
    assert.equal((await admin.get(`${QUEUE}/item_ids`)).body.item_ids.length, before + 1);
    // Loaded anew it looks the same, and on the queue the old job can't be tried a second time.
    await person.page.reload();
    await cardOf(person, 4).locator('.tile[data-status="pending"]').waitFor();
    await person.open('/queue');
    await person.page.locator(`.job[data-item="${old}"]`).waitFor();
    assert.equal(await person.page.locator(`.job[data-item="${old}"]`).getByRole('button', { name: 'Try again' }).count(), 0);
});
