// The strip of boards: one's own, those shared with one by name, and those of others, each told apart and by whose they are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, PHONE, useBrowser } from '../lib/browser.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, login, setupAdmin, upload } from '../lib/users.mjs';

const server = useServer({ multiuser: true, media: true });
const browser = useBrowser(server);
let olga;
let grace;

async function make(owner, name, visibility) {
    const { status, body } = await owner.post(`/api/v1/boards/?board_name=${encodeURIComponent(name)}`);
    assert.equal(status, 201);
    if (visibility) {
        assert.equal((await owner.patch(`/api/v1/boards/${body.board_id}`, { board_visibility: visibility })).status, 201);
    }
    return body.board_id;
}

const share = async (owner, board, person) =>
    assert.equal((await owner.post(`/api/v1/boards/${board}/share`, { user_ids: [person.user.user_id], permission: 'write' })).status, 200);

/** The groups as they are told: [[name, [what each board is called]]]. */
const groups = (person) =>
    person.page.locator('.board-group').evaluateAll((list) =>
        list.map((group) => [group.querySelector('h2').textContent, [...group.querySelectorAll('a.board')].map((a) => a.querySelector('strong').textContent)]),
    );

async function gallery(email, password, options = {}) {
    const person = await browser.person({ reducedMotion: 'reduce', ...options });
    await person.signIn(email, password);
    await person.page.waitForURL('**/create');
    await person.open('/gallery');
    await person.page.locator('.board.new').waitFor();
    await person.page.locator('.blank').waitFor();
    return person;
}

test('boards of three people', async () => {
    const admin = await setupAdmin(server);
    olga = await addUser(admin, 'Olga');
    grace = await addUser(admin, 'Grace');
    await make(olga, 'Diary');
    await make(olga, 'Look at this', 'shared');
    const both = await make(olga, 'Open, and hers by name', 'public');
    const party = await make(olga, 'Party');
    await share(olga, both, grace);
    await share(olga, party, grace);
});

test('who has nothing but their own sees no names of groups', async () => {
    const alone = await gallery('olga@example.com', PASSWORD);
    await alone.page.locator('.board', { hasText: 'Diary' }).waitFor();
    assert.deepEqual(await groups(alone), [['My boards', ['Unsorted', 'Party', 'Open, and hers by name', 'Look at this', 'Diary']]]);
    assert.equal(await alone.page.locator('.board-group h2:not(.sr)').count(), 0);
    // Which of the private boards some people were chosen for can be told, in words as well.
    await alone.page.getByRole('link', { name: /Party.*Shared with 1 person.*0 pictures/ }).click();
    await alone.page.locator('.seen-by', { hasText: 'Shared with 1 person' }).waitFor();
    await alone.page.getByRole('link', { name: /^Diary\s*0 pictures$/ }).click();
    await alone.page.locator('.seen-by', { hasText: 'Private' }).waitFor();
    // It changes with the people chosen, without reading anything again.
    await alone.page.route('**/api/v1/boards/?*', (route) => route.abort());
    alone.allow(/ERR_FAILED/);
    await alone.button('This board').click();
    await alone.page.getByRole('menuitem', { name: 'Who can see it' }).click();
    await alone.page.getByLabel('Name or email address').fill('grace@example.com');
    await alone.button('Share', { exact: true }).click();
    await alone.page.locator('.named', { hasText: 'Grace' }).waitFor();
    await alone.page.locator('.seen-by', { hasText: 'Shared with 1 person' }).waitFor();
    await alone.button('Stop sharing with Grace').click();
    await alone.page.locator('.seen-by', { hasText: 'Private' }).waitFor();
    await alone.context.close();
});

for (const [name, options] of [
    ['a desk', { viewport: DESK }],
    ['a phone', { viewport: PHONE, hasTouch: true, isMobile: true }],
]) {
    test(`own boards, those shared with me and open ones stand apart on ${name}, with their owners`, async () => {
        const own = await make(grace, `Ideas on ${name}`);
        const person = await gallery('grace@example.com', PASSWORD, options);
        await person.page.locator('.board', { hasText: 'Party' }).waitFor();
        assert.deepEqual((await groups(person)).map(([words, list]) => [words, list.filter((one) => !one.startsWith('Ideas'))]), [
            ['My boards', ['Unsorted']],
            ['Shared with me', ['Party', 'Open, and hers by name']],
            ['Open to everyone here', ['Look at this']],
        ]);
        // Where they go on beyond the edge, it fades; at the end of the strip, or where all are in sight, it does not.
        const strip = person.page.locator('.board-groups');
        const fades = (yes) => person.page.waitForFunction((want) => (getComputedStyle(document.querySelector('.board-groups')).maskSize === '100% 100%') === want, yes);
        await fades(await strip.evaluate((it) => it.scrollWidth > it.clientWidth));
        await strip.evaluate((it) => it.scrollTo(it.scrollWidth, 0));
        await fades(false);
        await strip.evaluate((it) => it.scrollTo(0, 0));
        for (const words of ['My boards', 'Shared with me', 'Open to everyone here']) {
            await person.page.getByRole('list', { name: words }).waitFor();
        }
        await person.page.getByRole('link', { name: /Party.*Olga · 0 pictures/ }).waitFor();
        assert.deepEqual(await person.axe(), []);
        // By keyboard: on from the last of one's own, and what has the focus is in sight.
        await person.button('New board').focus();
        await person.page.keyboard.press('Tab');
        assert.match(await person.page.evaluate(() => document.activeElement.textContent), /^Party/);
        await person.page.keyboard.press('Tab');
        await person.page.keyboard.press('Tab');
        assert.match(await person.page.evaluate(() => document.activeElement.textContent), /^Look at this/);
        const inSight = (selector) => person.page.waitForFunction((what) => {
            const { left, right } = document.querySelector(what).getBoundingClientRect();
            return left >= 0 && right <= innerWidth;
        }, selector);
        await inSight('.board:focus');
        const [head] = await person.page.locator('.board-group h2').last().evaluateAll((list) => list.map((h) => h.getBoundingClientRect()).map(({ left, right }) => ({ left, right })));
        assert.ok(head.left >= 0 && head.right <= (options.viewport.width), `the name of the group is in sight: ${JSON.stringify(head)}`);
        await person.page.keyboard.press('Enter');
        await person.page.locator('.seen-by', { hasText: 'Olga · Everyone here can see' }).waitFor();
        // Who comes by its address finds the open one in sight, too.
        await person.page.reload();
        await person.page.locator('.board[aria-current]', { hasText: 'Look at this' }).waitFor();
        await inSight('.board[aria-current]');
        assert.equal(await person.page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'the page itself does not scroll aside');
        await person.context.close();
        assert.equal((await grace.delete(`/api/v1/boards/${own}`)).status, 200);
    });
}

test('arrow keys, Home and End go from board to board, and Tab as it did', async () => {
    const person = await gallery('grace@example.com', PASSWORD);
    const { keyboard } = person.page;
    await person.page.locator('.board', { hasText: 'Party' }).waitFor();
    const at = () => person.page.evaluate(() => document.activeElement.querySelector('strong')?.textContent);
    await person.page.locator('.board', { hasText: 'Unsorted' }).focus();
    for (const [key, name] of [
        ['ArrowLeft', 'Unsorted'],
        ['ArrowRight', 'New board'],
        ['ArrowRight', 'Party'],
        ['End', 'Look at this'],
        ['ArrowRight', 'Look at this'],
        ['ArrowLeft', 'Open, and hers by name'],
        ['Home', 'Unsorted'],
        ['Tab', 'New board'],
        ['Tab', 'Party'],
    ]) {
        await keyboard.press(key);
        assert.equal(await at(), name, key);
    }
    await keyboard.press('Enter');
    await person.page.getByRole('heading', { name: 'Party' }).waitFor();
    await person.context.close();
});

test('what goes wrong in the sharing dialog is said there', async () => {
    const person = await gallery('olga@example.com', PASSWORD);
    person.allow(/status of 500/);
    await person.page.getByRole('link', { name: /Party/ }).click();
    await person.button('This board').click();
    await person.page.getByRole('menuitem', { name: 'Who can see it' }).click();
    const dialog = person.page.getByRole('dialog');
    await dialog.locator('.named', { hasText: 'Grace' }).waitFor();
    for (const body of ['{"detail":"Internal Server Error"}', '<html></html>']) {
        await person.page.route('**/boards/*/people?*', (route) => route.fulfill({ status: 500, contentType: body[0] === '{' ? 'application/json' : 'text/html', body }));
        await dialog.getByRole('combobox', { name: 'Name or email address' }).fill(body[0]);
        await dialog.getByText('Nobody can be looked up right now. The whole email address works, too.').waitFor();
        await person.page.unroute('**/boards/*/people?*');
        await dialog.getByRole('combobox', { name: 'Name or email address' }).fill('');
        await dialog.getByText('Nobody can be looked up right now.').waitFor({ state: 'detached' });
    }
    // An answer that makes no sense is none.
    await person.page.route('**/boards/*/people?*', (route) => route.fulfill({ status: 200, contentType: 'application/json', body: '{"detail":"?"}' }));
    await dialog.getByRole('combobox', { name: 'Name or email address' }).fill('?');
    await dialog.getByText('Nobody can be looked up right now.').waitFor();
    await person.page.route('**/boards/*/share/*', (route) => route.fulfill({ status: 500, contentType: 'application/json', body: '{"detail":"?"}' }));
    await person.button('Stop sharing with Grace').click();
    await dialog.getByRole('alert').getByText('Something went wrong on the server.').waitFor();
    await dialog.locator('.named', { hasText: 'Grace' }).waitFor();
    await person.page.route('**/boards/*/shares', (route) => route.fulfill({ status: 500, contentType: 'application/json', body: '{"detail":"?"}' }));
    await person.page.keyboard.press('Escape');
    await person.page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await person.button('This board').click();
    await person.page.getByRole('menuitem', { name: 'Who can see it' }).click();
    await dialog.getByRole('alert').getByText('Something went wrong on the server.').waitFor();
    assert.deepEqual(await person.axe(), []);
    await person.page.unroute('**/boards/*/shares');
    await dialog.getByRole('button', { name: 'Try again' }).click();
    await dialog.locator('.named', { hasText: 'Grace' }).waitFor();
    assert.equal(await person.page.getByText('This page stumbled').count(), 0);
    await person.context.close();
});

test('an administrator finds the private boards of others with them, by whose they are', async () => {
    const person = await gallery(ADMIN.email, ADMIN.password);
    await person.page.locator('.board', { hasText: 'Diary' }).waitFor();
    assert.deepEqual(await groups(person), [
        ['My boards', ['Unsorted']],
        ['Other people’s boards', ['Everyone’s unsorted', 'Party', 'Open, and hers by name', 'Look at this', 'Diary']],
    ]);
    await person.page.getByRole('link', { name: /Diary.*Private.*Olga · 0 pictures/ }).waitFor();
    await person.context.close();
});

test('an administrator’s own unsorted pictures stand apart from everyone’s, which say whose they are', async () => {
    const root = await login(server, ADMIN.email, ADMIN.password);
    const [his, hers] = [(await upload(root)).image_name, (await upload(olga)).image_name];
    const person = await browser.person({ reducedMotion: 'reduce' });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    const shown = async (list) => {
        await person.page.waitForFunction((n) => document.querySelectorAll('.thumb').length === n, list.length);
        const found = await person.page.locator('.thumb-open').evaluateAll((tiles) => tiles.map((tile) => tile.dataset.picture));
        assert.deepEqual(found.sort(), [...list].sort());
    };
    await person.open('/gallery');
    await shown([his]);
    await person.page.getByRole('link', { name: /Everyone’s unsorted/ }).click();
    await person.page.getByRole('heading', { name: 'Everyone’s unsorted' }).waitFor();
    await shown([his, hers]);
    assert.equal(await person.button('Add pictures').count(), 0, 'what is added is one’s own');
    await person.button('Details').click();
    await person.page.locator(`[data-picture="${hers}"]`).focus();
    await person.page.getByText('Belongs to').waitFor();
    await person.page.locator('.facts div', { hasText: 'Belongs to' }).getByText('Olga').waitFor();
    assert.deepEqual(await person.axe(), []);
    await person.context.close();

    // The address alone gives nobody else more than there was: it leads to their own.
    const grace2 = await gallery('grace@example.com', PASSWORD);
    await grace2.open('/gallery?board=everyone');
    await grace2.page.waitForURL((url) => url.pathname === '/gallery' && !url.search);
    await grace2.page.getByRole('heading', { name: 'Unsorted', exact: true }).waitFor();
    assert.equal(await grace2.page.getByText('Everyone’s unsorted').count(), 0);
});

/** Where on the line each of `parts` begins, left to right, as it is drawn. */
const drawn = (element, parts) =>
    element.evaluate((root, wanted) => {
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        const nodes = [];
        while (walker.nextNode()) {
            nodes.push(walker.currentNode);
        }
        const left = (part) => {
            const node = nodes.find(({ data }) => data.includes(part));
            const range = document.createRange();
            range.setStart(node, node.data.indexOf(part));
            range.setEnd(node, node.data.indexOf(part) + part.length);
            return range.getBoundingClientRect().left;
        };
        return [...wanted].sort((a, b) => left(a) - left(b));
    }, parts);

test('names from right to left leave what stands beside them where it belongs', async () => {
    const admin = await login(server, ADMIN.email, ADMIN.password);
    const fatima = await addUser(admin, 'فاطمة', { email: 'fatima@example.com' });
    await make(fatima, 'الصيف', 'public');
    const person = await browser.person({ reducedMotion: 'reduce' });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.open('/gallery');
    const board = person.page.locator('a.board', { hasText: 'الصيف' });
    await board.waitFor();
    assert.deepEqual(await drawn(board.locator('.board-words > span > span'), ['فاطمة', '0', 'pictures']), ['فاطمة', '0', 'pictures']);
    await board.click();
    await person.button('This board').click();
    await person.page.getByRole('menuitem', { name: 'Delete' }).click();
    await person.button('Delete the board').click();
    const toast = person.page.locator('.toast p');
    assert.deepEqual(await drawn(toast, ['Board', 'الصيف', 'deleted']), ['Board', 'الصيف', 'deleted']);
    await person.open('/people');
    await person.button(/More for .*فاطمة/).click();
    await person.page.getByRole('menuitem', { name: 'Delete' }).click();
    await person.page.getByRole('dialog').getByText('To go on, type: ').waitFor();
    await person.field('To go on, type: \u2068فاطمة\u2069').fill('فاطمة');
    assert.equal(await person.button('Delete for good').getAttribute('aria-disabled'), null, 'what is typed is the name');
});
