// What phones of every width owe: words that have room, and a composer that leaves the newest pictures in sight.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { QUEUE } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, setupAdmin } from '../lib/users.mjs';

const LONG = 'A lighthouse on a cliff above a sea in a storm, painted in oil with broad strokes, and a boat that is nearly home. '.repeat(6);
const PATTERN = /This model only draws patterns/;
const server = useServer({ multiuser: true, media: true, models: testModels() });
const browser = useBrowser(server);

before(async () => {
    const admin = await setupAdmin(server);
    assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
});

async function signedIn(options) {
    const person = await browser.person({ reducedMotion: 'reduce', ...options });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.live();
    return person;
}

/** How much wider the words of a field are than the room that it has for them. */
const excess = (field, what) =>
    field.evaluate((one, said) => {
        const style = getComputedStyle(one);
        const pen = document.createElement('canvas').getContext('2d');
        pen.font = style.font;
        return pen.measureText(said).width - (one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
    }, what);

/** Whether the words that stand in an empty field are cut: measured where the browser itself keeps them, beside parts of its own. */
async function placeholderCut(person, selector) {
    const session = await person.context.newCDPSession(person.page);
    const { root } = await session.send('DOM.getDocument', { depth: -1, pierce: true });
    const inside = (node) => [node, ...[...(node.children || []), ...(node.shadowRoots || [])].flatMap(inside)];
    const { nodeId } = await session.send('DOM.querySelector', { nodeId: root.nodeId, selector });
    const field = inside(root).find((node) => node.nodeId === nodeId);
    const words = inside(field).find(({ nodeName, attributes }) => nodeName === 'DIV' && attributes.includes('placeholder'));
    const { object } = await session.send('DOM.resolveNode', { nodeId: words.nodeId });
    const functionDeclaration = 'function () { return this.scrollWidth > this.clientWidth; }';
    const { result } = await session.send('Runtime.callFunctionOn', { objectId: object.objectId, functionDeclaration, returnByValue: true });
    await session.detach();
    return result.value;
}

test('search and “Unsorted” have room on every phone', async () => {
    const person = await signedIn({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    for (const width of [360, 375, 390, 412, 430]) {
        await person.page.setViewportSize({ width, height: 740 });
        await person.open('/create');
        const board = person.page.locator('.board-pick select');
        await board.waitFor();
        assert.ok((await excess(board, 'Unsorted')) < 1, `“Unsorted” at ${width}: ${await excess(board, 'Unsorted')}`);
        const [arrow, create] = await Promise.all([person.page.locator('.board-pick .icon-down').boundingBox(), person.button('Create').boundingBox()]);
        assert.ok(create.x - (arrow.x + arrow.width) >= 4, `the arrow at ${width}: ${JSON.stringify([arrow, create])}`);
        await person.open('/gallery');
        const search = person.page.locator('.search input');
        await search.waitFor();
        assert.equal(await placeholderCut(person, '.search input'), false, `“Search” at ${width}`);
    }
    await person.context.close();
});

/** Waits until the field has grown with its text: that takes a frame. */
const roomy = (person) => person.page.waitForFunction(() => document.querySelector('#prompt').offsetHeight > 150);

for (const [width, height, hasTouch] of [[360, 800, true], [390, 844, true], [390, 844, false], [412, 915, true], [360, 640, true]]) {
    test(`a long prompt covers nothing of the newest card at ${width} × ${height}${hasTouch ? '' : ' with a keyboard'}`, async () => {
        const person = await signedIn({ viewport: { width, height }, hasTouch, isMobile: hasTouch });
        const field = person.field('What do you want to see?');
        await field.fill(LONG);
        await roomy(person);
        const cards = await person.page.locator('.card:not(.skeleton)').count();
        await person.button('Create').click();
        await person.page.locator('.card:not(.skeleton)').nth(cards).waitFor();
        const card = person.page.locator('.card').first();
        const parts = ['time', '.card-row .button'].map((selector) => card.locator(selector));
        if (height < 700) {
            await card.locator('.card-row').evaluate((row) => row.scrollIntoView({ block: 'center' }));
        }
        for (const part of parts) {
            const covered = await part.evaluateAll((list) =>
                list.filter((one) => {
                    const { left, top, width: w, height: h } = one.getBoundingClientRect();
                    return ![top + 1, top + h - 1].every((y) => one.contains(document.elementFromPoint(left + w / 2, y)));
                }).map((one) => one.textContent || one.ariaLabel),
            );
            assert.deepEqual(covered, []);
        }
        await field.click();
        await roomy(person);
        await person.context.close();
    });
}

test('that a model draws patterns only is said where its pictures come', async () => {
    const person = await signedIn({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    const line = person.page.locator('main').getByText(PATTERN);
    await line.waitFor();
    assert.ok(await line.isVisible());
    await person.page.locator('.starters').getByRole('link', { name: 'Add a full model' }).waitFor();
    await person.context.close();
});
