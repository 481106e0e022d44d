// Deleting a person asks for the name as it is read, whatever letters and blanks it is stored in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, setupAdmin } from '../lib/users.mjs';

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
