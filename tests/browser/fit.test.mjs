// What must have room: menus, buttons, rings and long names, on phones, tablets and desks; and what pictures are called.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, PHONE, useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { enqueue, hook, QUEUE } from '../lib/queue.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, addUser, login, setupAdmin } from '../lib/users.mjs';

const TABLET = { width: 820, height: 1180 };
const TOUCH = { hasTouch: true, isMobile: true };
const NAME = 'Holiday by the sea with everybody who could come '.repeat(7).slice(0, 300);
const UNBROKEN = 'W'.repeat(300);
const PROMPT = 'A street of crooked houses at dusk';
const server = useServer({ multiuser: true, media: true, hook: true, models: testModels() });
const browser = useBrowser(server);
let boards;

async function signedIn(options) {
    const person = await browser.person({ reducedMotion: 'reduce', ...options });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    return person;
}

/** Boxes of all that a selector finds: {left, top, right, bottom}. */
const boxes = (person, selector) =>
    person.page.locator(selector).evaluateAll((list) => list.map((e) => e.getBoundingClientRect()).map(({ left, top, right, bottom }) => ({ left, top, right, bottom })));

const inside = (box, room) => box.left >= room.left - 1 && box.right <= room.right + 1 && box.top >= room.top - 1 && box.bottom <= room.bottom + 1;
const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;

/** Words of the gallery's head that have no room. */
const cutWords = (person) =>
    person.page.locator('.search input, .seen-by > span').evaluateAll((list) => {
        const pen = document.createElement('canvas').getContext('2d');
        const room = (e) => e.clientWidth - parseFloat(getComputedStyle(e).paddingLeft) - parseFloat(getComputedStyle(e).paddingRight);
        const words = (e) => (e.placeholder ? ((pen.font = getComputedStyle(e).font), pen.measureText(e.placeholder).width) : e.scrollWidth);
        return list.filter((e) => words(e) > room(e) + 1).map((e) => e.placeholder || e.textContent);
    });

test('people, pictures and boards with names as long as they may be', async () => {
    const admin = await setupAdmin(server);
    assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
    for (const name of ['Ada', 'Barbara', 'Dennis', 'Edsger', 'Grace', 'Linus', 'Margaret', 'Niklaus', 'Radia']) {
        await addUser(admin, name);
    }
    boards = [];
    for (const name of [NAME, UNBROKEN]) {
        const { status, body } = await admin.post(`/api/v1/boards/?board_name=${encodeURIComponent(name)}`);
        assert.equal(status, 201);
        boards.push(body.board_id);
    }
    for (const meta of [{ positive_prompt: PROMPT }, null]) {
        const form = [{ name: 'file', filename: 'a.png', type: 'image/png', value: makePng(320, 420) }];
        const more = meta ? [{ name: 'metadata', value: JSON.stringify(meta) }] : [];
        for (const board of boards) {
            const query = `image_category=general&is_intermediate=false&board_id=${board}`;
            assert.equal((await admin.send('POST', `/api/v1/images/upload?${query}`, { form: [...form, ...more] })).status, 201);
        }
    }
    const ids = await enqueue(admin, { runs: 8 });
    for (const step of ['start', 'progress']) {
        assert.equal((await hook(server, step, ids[0])).code, 0);
    }
    await enqueue(admin, { runs: 12 });
});

for (const [name, viewport, extra] of [['a phone', PHONE, TOUCH], ['a desk', { ...DESK, height: 600 }, {}]]) {
    test(`the menu of the last person can be reached on ${name}`, async () => {
        const person = await signedIn({ viewport, ...extra });
        await person.open('/people');
        await person.page.locator('.person:not(.skeleton)').nth(9).waitFor();
        await person.page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
        await person.button(/^More for/).last().click();
        await person.page.getByRole('menu').waitFor();
        const reached = await person.page.getByRole('menuitem').evaluateAll((list) =>
            list.map((item) => {
                const { left, top, width, height } = item.getBoundingClientRect();
                return item.contains(document.elementFromPoint(left + width / 2, top + height / 2)) && top >= 0 && top + height <= innerHeight;
            }),
        );
        assert.ok(reached.length > 3);
        assert.deepEqual(reached, reached.map(() => true));
        await person.context.close();
    });

    test(`rings and buttons of a card of many fit into its tiles on ${name}`, async () => {
        const person = await signedIn({ viewport, ...extra });
        await person.page.locator('.n9 .tile').nth(7).waitFor();
        await person.page.locator('.n16 .tile').nth(11).waitFor();
        for (const size of ['n9', 'n16']) {
            const tiles = await boxes(person, `.${size} .tile`);
            for (const part of ['.ring', '.button']) {
                const parts = await boxes(person, `.${size} .tile ${part}`);
                assert.equal(parts.length, tiles.length);
                parts.forEach((box, i) => assert.ok(inside(box, tiles[i]), `${part} ${i} of ${size}: ${JSON.stringify([box, tiles[i]])}`));
            }
            const rings = await boxes(person, `.${size} .ring`);
            const buttons = await boxes(person, `.${size} .tile .button`);
            rings.forEach((ring, i) => assert.ok(apart(ring, buttons[i]), `ring and button ${i} of ${size}`));
        }
        await person.context.close();
    });
}

for (const [name, viewport, extra] of [['a phone', PHONE, TOUCH], ['a tablet', TABLET, {}]]) {
    test(`dialogs hold the longest names on ${name}`, async () => {
        const person = await signedIn({ viewport, ...extra });
        const dialog = person.page.getByRole('dialog');
        const fits = async (what) => {
            await dialog.waitFor();
            const [{ wide, room, head, tall, high }] = await dialog.evaluateAll((list) =>
                list.map((d) => ({
                    wide: d.scrollWidth, room: d.clientWidth, tall: d.getBoundingClientRect().height, high: innerHeight, head: d.querySelector('h2').offsetHeight,
                })),
            );
            assert.ok(wide <= room, `${what} is ${wide} wide in ${room}`);
            assert.ok(tall <= high && head <= 90, `${what}: ${tall} high, its title ${head}`);
            await person.page.keyboard.press('Escape');
            await dialog.waitFor({ state: 'detached' });
        };
        for (const id of boards) {
            await person.open(`/gallery?board=${id}`);
            await person.page.locator('.thumb img.sharp').nth(1).waitFor();
            for (const entry of ['Rename', 'Who can see it', 'Delete']) {
                await person.button('This board').click();
                await person.page.getByRole('menuitem', { name: entry }).click();
                await fits(entry);
            }
            await person.page.locator('.thumb-open').first().focus();
            await person.page.keyboard.press(' ');
            await person.button('Move…').click();
            await fits('Move');
        }
        await person.context.close();
    });
}

test('name and tools of the gallery share a line on a tablet, however long the name', async () => {
    const person = await signedIn({ viewport: TABLET });
    const client = await login(server, ADMIN.email, ADMIN.password);
    const share = await client.post(`/api/v1/boards/${boards[0]}/share`, { email: 'ada@example.com', permission: 'read' });
    assert.equal(share.status, 200);
    for (const where of ['/gallery', ...boards.map((id) => `/gallery?board=${id}`)]) {
        await person.open(where);
        await person.page.locator(where === '/gallery' ? '.blank' : '.thumb img.sharp').first().waitFor();
        const [title] = await boxes(person, '.gallery-title h2');
        const tools = await boxes(person, '.gallery-tools > *:not(.sr, .panel-toggle)');
        assert.equal(tools.length, 3);
        for (const tool of tools) {
            assert.ok(tool.top < title.bottom && tool.bottom > title.top, `${where}: the tools stand beside the name`);
            assert.ok(tool.left >= title.right && tool.right <= TABLET.width, `${where}: nothing lies over anything`);
        }
        assert.ok(title.right - title.left > 40, `${where}: the name can be seen`);
        const cut = await cutWords(person);
        assert.deepEqual(cut, [], `${where}: no word is cut`);
    }
    await person.context.close();
});

test('the smallest phone has room for the search and for adding pictures', async () => {
    const person = await signedIn({ viewport: { width: 320, height: 640 }, ...TOUCH });
    await person.open(`/gallery?board=${boards[0]}`);
    await person.page.locator('.thumb img.sharp').first().waitFor();
    assert.deepEqual(await cutWords(person), []);
    const add = await person.button('Add pictures').boundingBox();
    assert.ok(add.x + add.width <= 320 - 12 + 1, JSON.stringify(add));
    await person.context.close();
});

test('the buttons of the lightbox lie beside the picture on a phone while details are open', async () => {
    const person = await signedIn({ viewport: PHONE, ...TOUCH });
    await person.open(`/gallery?board=${boards[0]}`);
    await person.page.locator('.thumb-open').first().click();
    await person.page.locator('.box-tools').getByRole('button', { name: 'Details' }).click();
    await person.page.locator('.facts').waitFor();
    await person.page.waitForFunction(() => {
        const picture = document.querySelector('.pswp__item[aria-hidden="false"] img.pswp__img:not(.pswp__img--placeholder)')?.getBoundingClientRect();
        const details = document.querySelector('.box-details').getBoundingClientRect();
        return picture?.height > 100 && picture.bottom <= details.top + 1;
    });
    const [picture] = await boxes(person, '.pswp__item[aria-hidden="false"] img.pswp__img:not(.pswp__img--placeholder)');
    for (const button of await boxes(person, '.box-tools .button')) {
        assert.ok(apart(button, picture), JSON.stringify([button, picture]));
    }
    await person.context.close();
});

test('a line below a board that is too long for a phone ends in dots', async () => {
    const owner = await addUser(await login(server, ADMIN.email, ADMIN.password), 'Wilhelmina-Alexandrina-Victoria');
    const { body } = await owner.post('/api/v1/boards/?board_name=Theirs');
    assert.equal((await owner.patch(`/api/v1/boards/${body.board_id}`, { board_visibility: 'public' })).status, 201);
    const person = await signedIn({ viewport: PHONE, ...TOUCH });
    await person.open('/gallery');
    const line = person.page.getByText(/^Wilhelmina.* · 0 pictures/);
    await line.waitFor();
    const look = await line.evaluate((one) => {
        const { display, textOverflow } = getComputedStyle(one);
        return { display, textOverflow, long: one.scrollWidth > one.clientWidth };
    });
    assert.deepEqual(look, { display: 'block', textOverflow: 'ellipsis', long: true });
    await person.context.close();
});

test('pictures are called by what they show, or by when they were made', async () => {
    const person = await signedIn();
    await person.open(`/gallery?board=${boards[0]}`);
    await person.page.getByRole('button', { name: PROMPT, exact: true }).waitFor();
    await person.page.getByRole('checkbox', { name: `Select: ${PROMPT}` }).waitFor();
    await person.page.getByRole('button', { name: /^Picture of .*\d{4}/ }).waitFor();
    await person.page.getByRole('button', { name: PROMPT, exact: true }).click();
    await person.page.getByRole('img', { name: PROMPT }).waitFor();
    await person.context.close();
});
