// The list of people: more of them than one answer holds, names that can't be seen or typed, and what is told of an account.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, login, setupAdmin } from '../lib/users.mjs';

const server = useServer({ multiuser: true, models: testModels() });
const browser = useBrowser(server);

const NAMES = [
    ['Ada  Lovelace', 'Ada Lovelace'],
    ['Ame\u0301lie', 'Am\u00e9lie'],
];

test('a name with two blanks, or with letters in two parts, is taken as it is typed', async () => {
    const admin = await setupAdmin(server);
    for (const [i, [display_name]] of NAMES.entries()) {
        const account = { email: `p${i}@example.com`, display_name, password: PASSWORD, is_admin: false };
        assert.equal((await admin.post('/api/v1/auth/users', account)).status, 201);
    }
    const person = await browser.person();
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.open('/people');
    for (const [i, [, typed]] of NAMES.entries()) {
        const line = person.page.locator('.person', { hasText: `p${i}@example.com` });
        await line.getByRole('button').click();
        await person.page.getByRole('menuitem', { name: 'Delete' }).click();
        await person.page.getByRole('dialog').getByRole('textbox').fill(typed.slice(0, -1));
        const yes = person.button('Delete for good');
        assert.equal(await yes.getAttribute('aria-disabled'), 'true', 'not before the whole name is there');
        await person.page.getByRole('dialog').getByRole('textbox').fill(typed);
        await person.page.locator('dialog button[type=submit]:not([aria-disabled])').waitFor({ timeout: 5000 });
        await yes.click();
        await line.waitFor({ state: 'detached' });
    }
});

test('a name that nobody can type is not asked for, and nothing typed is never enough', async () => {
    const admin = await login(server, ADMIN.email, ADMIN.password);
    const names = ['\u3164', '\u2800\u2800', '\u200b\u200d', '\u00a0', '\u202egnihtyna', 'Vic\u200b', 'A\u2066B'];
    for (const [i, display_name] of names.entries()) {
        await addUser(admin, `odd${i}`);
        server.sql(`UPDATE users SET display_name = '${display_name}' WHERE email = 'odd${i}@example.com'`);
    }
    server.sql("UPDATE users SET email = 'm\u200baz@example.com' WHERE email = 'odd0@example.com'");
    const person = await browser.person();
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.open('/people');
    await person.page.locator('.person:not(.skeleton)').nth(names.length).waitFor();
    // Who has no name to be seen is called by the address; nothing in a name turns around what stands beside it.
    assert.equal(await person.page.locator('.person', { hasText: 'odd1@example.com' }).locator('strong').innerText(), 'odd1@example.com');
    assert.equal(await person.page.locator('.person', { hasText: 'odd4@example.com' }).locator('strong').innerText(), 'gnihtyna');
    const dialog = person.page.getByRole('dialog');
    const yes = person.button('Delete for good');
    for (const i of names.keys()) {
        const email = i ? `odd${i}@example.com` : 'm\u200baz@example.com';
        const line = person.page.locator('.person').filter({ has: person.page.locator('.note', { hasText: email }) });
        await line.getByRole('button').click();
        await person.page.getByRole('menuitem', { name: 'Delete' }).click();
        await dialog.waitFor();
        assert.equal(await yes.getAttribute('aria-disabled'), 'true', `nothing typed for number ${i}`);
        if (i) {
            const field = person.field(`To go on, type: ${email}`);
            await field.fill(' ');
            assert.equal(await yes.getAttribute('aria-disabled'), 'true', 'a blank is nothing');
            await field.fill(email);
        } else {
            await dialog.getByRole('checkbox', { name: 'Yes, delete this account' }).check();
        }
        await person.page.locator('dialog button[type=submit]:not([aria-disabled])').waitFor();
        await yes.click();
        await line.waitFor({ state: 'detached' });
    }
    await person.context.close();
});

test('of an account that was deleted before the data came only that is told, and what it keeps can be handed on', async () => {
    const began = '1970-01-01 00:00:00.000';
    server.sql(`INSERT INTO users (user_id, email, display_name, password_hash, is_active, created_at, updated_at) VALUES ('gone', 'owner-0123456789ab@deleted.invalid', 'Deleted account', '*', 0, '${began}', '${began}')`);
    server.sql(`INSERT INTO boards (board_id, board_name, user_id, created_at, updated_at) VALUES ('left', 'Left behind', 'gone', '${began}', '${began}')`);
    const person = await browser.person({ reducedMotion: 'reduce' });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.open('/people');
    const line = person.page.locator('[data-user="gone"]');
    await line.waitFor();
    assert.equal(await person.page.locator('.person').last().getAttribute('data-user'), 'gone', 'after those who are here');
    await line.getByText('Was deleted before the data came here').waitFor();
    assert.doesNotMatch(await line.innerText(), /1970|Invited|Suspended|invitation|Added|signed in/);
    assert.deepEqual(await person.axe(), []);
    await line.getByRole('button').click();
    assert.deepEqual(await person.page.getByRole('menuitem').allInnerTexts(), ['Edit', 'Delete']);
    await person.page.getByRole('menuitem', { name: 'Edit' }).click();
    await person.field('Name').fill('Of before');
    assert.equal(await person.page.locator('dialog').getByRole('textbox').count(), 1, 'neither an address nor a role');
    assert.equal(await person.page.locator('dialog').getByRole('checkbox').count(), 0);
    await person.button('Save').click();
    await line.getByText('Of before').waitFor();
    await line.getByRole('button').click();
    await person.page.getByRole('menuitem', { name: 'Delete' }).click();
    await person.page.getByRole('radio', { name: 'Give it to somebody' }).check();
    await person.page.locator('option', { hasText: ADMIN.display_name }).waitFor({ state: 'attached' });
    await person.field('Who gets them').selectOption({ label: `${ADMIN.display_name} (${ADMIN.email})` });
    await person.field('To go on, type: Of before').fill('Of before');
    await person.button('Delete for good').click();
    await line.waitFor({ state: 'detached' });
    const admin = await login(server, ADMIN.email, ADMIN.password);
    assert.deepEqual((await admin.get('/api/v1/boards/?all=true')).body.map((board) => [board.board_name, board.user_id]), [['Left behind', admin.user.user_id]]);
    await person.context.close();
});

test('more people than one answer holds are shown page by page, and who is there stays there', async () => {
    const MANY = 1030;
    server.sql(`INSERT INTO users (user_id, email, display_name, password_hash, created_at, updated_at)
        SELECT 'many' || value, 'many' || value || '@example.com', 'Many ' || value, '$2b$12$x', '2050-01-01 00:00:00.000', '2050-01-01 00:00:00.000' FROM json_each('[${Array.from({ length: MANY }, (_, i) => i)}]')`);
    const [{ total }] = server.sql("SELECT count(*) AS total FROM users WHERE user_id <> 'system'");
    const person = await browser.person({ reducedMotion: 'reduce' });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.open('/people');
    const people = person.page.locator('.person:not(.skeleton)');
    const more = person.button('Show more people');
    const shown = (n) => person.page.waitForFunction((wanted) => document.querySelectorAll('.person:not(.skeleton)').length === wanted, n);
    await shown(50);
    // One that can't be read leaves the list as it is.
    person.allow(/status of 500/);
    await person.page.route('**/users?*offset=50*', (route) => route.fulfill({ status: 500, body: '' }));
    await more.click();
    await person.sees(/Something went wrong on the server/);
    await shown(50);
    await person.page.unroute('**/users?*offset=50*');
    for (let n = 100; n < total; n += 50) {
        await more.click();
        await shown(n);
    }
    await more.click();
    await shown(total);
    await more.waitFor({ state: 'detached' });
    assert.equal(new Set(await people.evaluateAll((list) => list.map((one) => one.dataset.user))).size, total);
    // After a change all of them are read again.
    await people.last().getByRole('button').click();
    await person.page.getByRole('menuitem', { name: 'Suspend' }).click();
    await people.last().getByText('Suspended').waitFor();
    await shown(total);
    await people.last().getByRole('button').click();
    await person.page.getByRole('menuitem', { name: 'Delete' }).click();
    await person.page.getByRole('radio', { name: 'Give it to somebody' }).check();
    await person.page.waitForFunction((n) => document.querySelectorAll('dialog option').length > n, 1001);
    await person.context.close();
});
