// A model whose folder goes away while people have the page open.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { addModel, modelFolder } from '../lib/models.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, setupAdmin } from '../lib/users.mjs';

const models = modelFolder();
const alpha = addModel(models, 'alpha', { name: 'Alpha' });
addModel(models, 'omega', { name: 'Omega' });
const server = useServer({ multiuser: true, models });
const browser = useBrowser(server);
let grace;

/** What the list of models offers: [name, whether it can be chosen]. */
const offered = (person) =>
    person.page.getByLabel('Model', { exact: true }).locator('option').evaluateAll((all) => all.map((o) => [o.textContent.trim(), !o.disabled]));

/** Waits until the list of models offers these. */
async function offers(person, ...names) {
    await person.page.waitForFunction((wanted) => {
        const list = [...document.querySelectorAll('.settings select')].find((one) => one.labels[0]?.textContent === 'Model');
        return list && [...list.options].map((o) => o.textContent.trim()).join() === wanted;
    }, names.join());
}

test('a model that went away is refused in plain words, and not offered any more', async () => {
    const admin = await setupAdmin(server);
    await addUser(admin, 'Grace');
    grace = await browser.person();
    await grace.signIn('grace@example.com', PASSWORD);
    await offers(grace, 'Alpha', 'Omega');
    fs.renameSync(alpha, path.join(models, '.away'));
    grace.allow(/status of 409/);
    const field = grace.page.getByRole('textbox', { name: 'What do you want to see?' });
    await field.fill('a lighthouse');
    await field.press('Enter');
    await grace.sees("This model can't be used just now: ask the person who looks after this server.");
    await offers(grace, 'Omega');
    const answer = grace.page.waitForResponse((response) => response.url().endsWith('/enqueue_batch'));
    await field.press('Enter');
    assert.equal((await answer).status(), 201);
});

test('an administrator sees what is wrong, and takes it off the list', async () => {
    const root = await browser.person();
    await root.signIn(ADMIN.email, ADMIN.password);
    await offers(root, 'Omega', 'Alpha (can’t be used)');
    assert.deepEqual(await offered(root), [['Omega', true], ['Alpha (can’t be used)', false]]);
    await root.sees('The folder "alpha" is gone from the server\'s model folder.');
    await root.button('Take off the list').click();
    await offers(root, 'Omega');
    await root.button('Undo').click();
    await offers(root, 'Omega', 'Alpha (can’t be used)');
    await root.button('Take off the list').click();
    const gone = root.page.waitForResponse((response) => response.request().method() === 'DELETE');
    await root.button('Dismiss').click();
    assert.equal((await gone).status(), 204);
    await root.page.reload();
    await offers(root, 'Omega');
});

test('a broken file is named', async () => {
    const omega = path.join(models, 'omega');
    fs.truncateSync(path.join(omega, 'unet/diffusion_pytorch_model.fp16.safetensors'), 5000);
    const root = await browser.person();
    await root.signIn(ADMIN.email, ADMIN.password);
    await root.sees('Its file unet/diffusion_pytorch_model.fp16.safetensors is damaged or not complete.');
    assert.equal(await root.button('Take off the list').count(), 0);
    await root.sees('No model can be used just now. Settings says why.');
    await grace.page.reload();
    await grace.sees('There is no model here that can be used just now. Ask the person who looks after this server.');
});
