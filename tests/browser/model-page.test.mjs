// The page of models for administrators and everybody else, and what Create shows while a sample model is selected.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { DESK, PHONE, useBrowser } from '../lib/browser.mjs';
import { addModel, modelFolder } from '../lib/models.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, PASSWORD, addUser, setupAdmin } from '../lib/users.mjs';

const IDEAS = ['a red apple on a hill', 'a cat by the sea', 'two boats at night', 'a fox in the snow', 'a house in the rain', 'a tree at sunset', 'a star', `a ${'very '.repeat(38)}old oak`];
const PHONE_TOUCH = { viewport: PHONE, hasTouch: true, isMobile: true };
const SMALL = 'This is a small sample model to try things out with: it knows far less than a full one.';

const models = modelFolder();
addModel(models, 'small', { name: 'Picture box', description: 'Draws simple things', sample: true, suggestions: IDEAS, default_settings: { width: 128, height: 64, steps: 7, cfg_scale: 4 } });
fs.writeFileSync(path.join(models, 'small/cover.png'), makePng(16, 16));
addModel(models, 'large', { name: 'Large' });

describe('the page of models', () => {
    const server = useServer({ multiuser: true, models });
    const browser = useBrowser(server);
    let root, grace;

    async function signedIn(email, password, options = {}) {
        const person = await browser.person({ reducedMotion: 'reduce', ...options });
        await person.signIn(email, password);
        await person.page.waitForURL('**/create');
        await person.live();
        return person;
    }
    const card = (person, name) => person.page.locator('.model', { has: person.page.getByRole('heading', { name, level: 2 }) });
    const prompt = (person) => person.field('What do you want to see?');
    const chips = (person) => person.page.locator('.chip').allTextContents();
    /** Waits until these cards are there, in this order. */
    const shows = (person, ...names) =>
        person.page.waitForFunction((wanted) => [...document.querySelectorAll('.model:not(.skeleton) h2')].map((h) => h.firstChild.textContent).join() === wanted, names.join());
    async function choose(person, action, name) {
        await person.button(`More for ${name}`).click();
        await person.page.getByRole('menuitem', { name: action }).click();
    }

    test('readers see what there is and what it starts with, and may use it; nothing pretends that they may change it', async () => {
        await addUser(await setupAdmin(server), 'Grace');
        grace = await signedIn('grace@example.com', PASSWORD);
        await grace.page.getByRole('link', { name: 'Models', exact: true }).click();
        await shows(grace, 'Picture box', 'Large');
        const small = card(grace, 'Picture box');
        const words = await small.innerText();
        for (const part of ['Sample', 'Draws simple things', /\d MB on disk/, 'starts with 128 × 64 pixels, 7 steps, guidance 4', 'Ready to use']) {
            assert.match(words, new RegExp(part));
        }
        await small.locator('img').evaluate((img) => img.decode());
        assert.equal(await card(grace, 'Large').locator('img').count(), 0);
        await grace.sees('Only administrators change models.');
        for (const name of [/^More for/, 'Look for new models', /^Bring back/]) {
            assert.equal(await grace.button(name).count(), 0);
        }
        assert.ok(!grace.calls.some((call) => /scan_folder/.test(call)), 'what would be refused is not asked for');
        await grace.button('Use Large').click();
        await grace.page.waitForURL('**/create');
        assert.equal(await grace.field('Model').locator('option:checked').innerText(), 'Large');
    });

    test('an administrator describes a model; other open pages follow', async () => {
        root = await signedIn(ADMIN.email, ADMIN.password);
        await root.open('/models');
        await shows(root, 'Picture box', 'Large');
        await root.live();
        await choose(root, 'Edit', 'Large');
        await root.field('Name').fill('Larger');
        await root.field('Description').fill('Takes its time');
        await root.button('Save').click();
        await shows(root, 'Picture box', 'Larger');
        await grace.page.waitForFunction(() => document.querySelector('.settings select').selectedOptions[0].textContent === 'Larger');
    });

    test('removed, and taken back at once', async () => {
        await choose(root, 'Remove', 'Larger');
        await shows(root, 'Picture box');
        await root.sees('“Larger” is off the list; its files stay');
        await grace.page.waitForFunction(() => document.querySelector('.settings select').options.length === 1);
        await root.page.getByRole('heading', { name: 'Removed' }).waitFor();
        await root.button('Undo').click();
        await shows(root, 'Picture box', 'Larger');
        await root.page.getByRole('heading', { name: 'Removed' }).waitFor({ state: 'detached' });
        await grace.page.waitForFunction(() => document.querySelector('.settings select').options.length === 2);
    });

    test('removed, and brought back by the keyboard alone', async () => {
        const { keyboard } = root.page;
        await root.button('More for Larger').focus();
        await keyboard.press('Enter');
        await root.page.getByRole('menu').waitFor();
        await keyboard.press('ArrowDown');
        await keyboard.press('Enter');
        await shows(root, 'Picture box');
        await root.button('Bring back Larger').waitFor();
        await root.page.waitForFunction(() => document.activeElement.textContent === 'Models');
        assert.deepEqual(await root.axe(), []);
        await root.button('Bring back Larger').focus();
        await keyboard.press('Enter');
        await shows(root, 'Picture box', 'Larger');
        await root.sees('“Larger” is back on the list.');
        assert.equal(await card(root, 'Larger').getByText('Takes its time').count(), 1);
    });

    test('looks for new models, and says what can’t be used', async () => {
        await root.button('Look for new models').click();
        await root.sees('Nothing new in the model folder.');
        addModel(models, 'newer', { name: 'Newer' });
        const torn = addModel(models, 'torn');
        fs.rmSync(path.join(torn, 'vae'), { recursive: true });
        await root.button('Look for new models').click();
        await root.sees('New on the list: “Newer”.');
        await shows(root, 'Picture box', 'Larger', 'Newer');
        await root.sees('The folder “torn” holds a model that can’t be used. Its file vae/config.json is missing.');
        fs.rmSync(torn, { recursive: true });
    });

    test('a model that broke says why, and can be removed', async () => {
        fs.rmSync(path.join(models, 'newer/vae'), { recursive: true });
        await root.page.reload();
        await shows(root, 'Picture box', 'Larger', 'Newer');
        await card(root, 'Newer').getByText('Can’t be used just now. Its file vae/config.json is missing.').waitFor();
        assert.equal(await root.button('Use Newer').count(), 0);
        assert.deepEqual(await root.axe(), []);
        await choose(root, 'Remove', 'Newer');
        await shows(root, 'Picture box', 'Larger');
    });

    test('Create says what a sample model is, and offers prompts that it draws well', async () => {
        await root.open('/create');
        await root.sees(SMALL);
        const first = await chips(root);
        assert.equal(first.length, 5);
        assert.ok(first.every((text) => IDEAS.includes(text)) && new Set(first).size === 5);
        await root.button('Other ideas').click();
        await root.page.waitForFunction((before) => document.querySelector('.chip').textContent !== before, first[0]);
        const second = await chips(root);
        assert.equal(second.length, 5);
        assert.deepEqual(IDEAS.filter((text) => !first.includes(text) && !second.includes(text)), [], 'those not shown yet come first');
        assert.deepEqual(await root.axe(), []);
        await root.button(second[1], { exact: true }).click();
        assert.equal(await prompt(root).inputValue(), second[1]);
        assert.equal(await root.page.evaluate(() => document.activeElement.id), 'prompt');
        await root.page.locator('.chip[aria-pressed="true"]').waitFor();
        await prompt(root).fill('something of my own');
        await root.page.locator('.chip').first().waitFor({ state: 'detached' });
        await root.sees(SMALL);
        await prompt(root).fill('');
        await root.page.locator('.chip').first().waitFor();
        await root.page.getByRole('link', { name: 'Add a full model' }).click();
        await root.page.getByRole('heading', { name: 'Adding a model' }).waitFor();
    });

    test('another model has neither, and people without rights read whom to ask', async () => {
        assert.equal(await grace.page.locator('.chip').count(), 0, 'the other model is selected');
        assert.equal(await grace.page.getByText(SMALL).count(), 0);
        await grace.field('Model').selectOption({ label: 'Picture box' });
        await grace.sees('For a full one, ask the person who looks after this server.');
        await grace.page.locator('.chip').first().waitFor();
        assert.equal(await grace.page.getByRole('link', { name: 'Add a full model' }).count(), 0);
    });

    test('one of a kind that this server does not run goes and comes back like any other', async () => {
        const index = path.join(models, 'large/model_index.json');
        const whole = fs.readFileSync(index);
        fs.writeFileSync(index, '{"_class_name": "FluxPipeline"}');
        await root.page.reload();
        await card(root, 'Larger').getByText('names no Stable Diffusion pipeline').waitFor();
        await choose(root, 'Remove', 'Larger');
        await shows(root, 'Picture box');
        await root.button('Bring back Larger').click();
        await shows(root, 'Picture box', 'Larger');
        fs.writeFileSync(index, whole);
        await root.page.reload();
        await root.button('Use Larger').waitFor();
    });

    for (const [name, options] of [
        ['a phone, dark', { ...PHONE_TOUCH, colorScheme: 'dark' }],
        ['a narrow phone', { ...PHONE_TOUCH, viewport: { width: 320, height: 640 } }],
        ['a tablet', { viewport: { width: 820, height: 1180 }, hasTouch: true, isMobile: true }],
        ['a low desk', { viewport: { ...DESK, height: 600 } }],
    ]) {
        test(`has room and is found on ${name}`, async () => {
            const person = await signedIn(ADMIN.email, ADMIN.password, options);
            await person.page.locator('.chip').first().waitFor();
            const fits = async (where) => {
                const { inner, scroll } = await person.page.evaluate(() => ({ inner: innerWidth, scroll: document.documentElement.scrollWidth }));
                assert.ok(scroll <= inner, `${where} is ${scroll} wide on ${inner}`);
                assert.deepEqual(await person.axe(), [], where);
            };
            await fits('create');
            if (options.viewport.width < 700) {
                await person.button('More', { exact: true }).click();
            }
            await person.page.getByRole('link', { name: 'Models', exact: true }).click();
            await shows(person, 'Picture box', 'Larger');
            await person.button('Bring back Newer').waitFor();
            await fits('models');
            await person.context.close();
        });
    }
});

describe('alone', () => {
    const own = modelFolder();
    addModel(own, 'large', { name: 'Large' });
    const server = useServer({ multiuser: false, models: own });
    const browser = useBrowser(server);

    test('who is alone may change models', async () => {
        const person = await browser.person();
        await person.open('/models');
        await person.button('Look for new models').waitFor();
        await person.button('More for Large').waitFor();
        assert.equal(await person.page.getByText('Only administrators change models.').count(), 0);
    });
});

describe('after moving in', () => {
    const server = useServer({ multiuser: true });
    const browser = useBrowser(server);
    const listed = (key, type, base, name, place) => {
        const record = JSON.stringify({ key, hash: `blake3:${key}`, base, type, name, path: place, format: 'checkpoint', file_size: 2000000, source: place, source_type: 'path' });
        const now = '2026-01-01 00:00:00.000';
        server.sql(`INSERT INTO models (key, hash, base, type, name, path, record, created_at, updated_at) VALUES ('${key}', 'blake3:${key}', '${base}', '${type}', '${name}', '${place}', '${record}', '${now}', '${now}')`);
    };

    test('administrators find every kind of model with the reason why it can’t be used, and no error where there is no folder', async () => {
        await addUser(await setupAdmin(server), 'Grace');
        listed('one', 'lora', 'sd-1', 'Watercolour', '/nowhere/watercolour.safetensors');
        listed('two', 'vae', 'sdxl', 'Clear colours', '/nowhere/colours.safetensors');
        listed('three', 'clip_vision', 'any', 'Eyes', '/nowhere/eyes.safetensors');
        listed('four', 'main', 'flux', 'Large stranger', '/nowhere/stranger.safetensors');
        const root = await browser.person({ reducedMotion: 'reduce' });
        await root.signIn(ADMIN.email, ADMIN.password);
        await root.page.waitForURL('**/create');
        await root.open('/models');
        await root.sees('This server has no folder for models yet.');
        const groups = root.page.locator('main section', { has: root.page.locator('.model') });
        assert.deepEqual(await groups.locator('h2').allTextContents(), ['Models of other families', 'LoRAs', 'VAEs', 'Other parts']);
        assert.deepEqual(await groups.locator('h3').allTextContents(), ['Large stranger', 'Watercolour', 'Clear colours', 'Eyes']);
        await root.page.locator('[data-model="one"]').getByText('Can’t be used just now. The file "watercolour.safetensors" is gone.').waitFor();
        await root.page.locator('[data-model="one"]').getByText('for Stable Diffusion 1').waitFor();
        assert.equal(await root.button('Look for new models').count(), 0);
        assert.ok(!root.calls.some((call) => /scan_folder/.test(call)), 'there is nothing to look through');
        assert.deepEqual(await root.axe(), []);
        const grace = await browser.person();
        await grace.signIn('grace@example.com', PASSWORD);
        await grace.page.waitForURL('**/create');
        await grace.open('/models');
        await grace.sees('Only administrators change models.');
        await grace.sees('There is no model here yet');
        assert.equal(await grace.page.locator('.model').count(), 0);
    });
});
