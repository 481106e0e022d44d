// Every setting of the Create page takes effect: what is set there stands in the queued graph, in the metadata and in the size of
// the picture, and it changes the picture itself. The same settings make the same picture again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { enqueuePictures, pictureModel, pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, login } from '../lib/users.mjs';

const server = useServer({ multiuser: true, worker: 1, media: true, models: testModels() });
const browser = useBrowser(server);
const PROMPT = 'a lighthouse in a storm';

/** What is set in the page, none of it the default; seeds count up from `seed`. */
const WISH = { negative: 'fog', steps: 7, guidance: 4.5, scheduler: 'ddim', seed: 1234, shape: 'Portrait', count: 2 };
const SIZES = { Square: [128, 128], Portrait: [104, 160], Landscape: [160, 104] };

let me;
let script;
let first;

/** Types a value where it belongs, as somebody would. */
const set = {
    async negative(text) {
        if (!(await me.field('Leave out').isVisible())) {
            await me.button('Leave something out').click();
        }
        await me.field('Leave out').fill(text);
    },
    steps: (n) => number('Steps, as a number', n),
    guidance: (n) => number('Guidance, as a number', n),
    scheduler: (key) => me.field('Sampling method').selectOption(key),
    seed: (n) => number('Seed', n),
    shape: (name) => me.page.getByRole('radio', { name, exact: true }).check(),
    async count(n) {
        const shown = me.page.getByRole('group', { name: 'How many' }).getByText(/^\d+ pictures?$/);
        while (Number.parseInt(await shown.textContent(), 10) !== n) {
            const now = Number.parseInt(await shown.textContent(), 10);
            await me.button(now < n ? 'One picture more' : 'One picture fewer').click();
        }
    },
};

async function number(label, n) {
    await me.field(label).fill(String(n));
    await me.field(label).press('Tab');
}

/** Presses Create and waits for the pictures. @returns {Promise<object[]>} as of pictures() */
async function create() {
    const posted = me.page.waitForResponse((response) => response.url().endsWith('/enqueue_batch'));
    await me.button('Create', { exact: true }).click();
    return pictures((await (await posted).json()).item_ids);
}

/** What became of jobs. @returns {Promise<object[]>} job, picture (its name), width, height and data (pixels) of each */
async function pictures(ids) {
    const made = [];
    for (const id of ids) {
        const job = await settled(script, id, ['completed', 'failed', 'canceled'], 60000);
        assert.equal(job.status, 'completed', `${job.error_type}: ${job.error_message}`);
        const [picture] = pictureNames(job);
        const file = await script.get(`/api/v1/images/i/${picture}/full`);
        assert.equal(file.status, 200);
        made.push({ job, picture, ...readPixels(file.raw) });
    }
    return made;
}

/** The node of a queued graph whose output feeds that input. */
function source(graph, node, field) {
    const edges = graph.edges.filter(({ destination: d }) => d.node_id === node.id && d.field === field);
    assert.equal(edges.length, 1, `${edges.length} edges into ${node.type}.${field}`);
    return graph.nodes[edges[0].source.node_id];
}

/** The queued graph, followed back from the picture that it keeps, asks for `wish`. */
function checkGraph({ job }, wish, seed) {
    const { graph } = job.session;
    const kept = Object.values(graph.nodes).filter((node) => !node.is_intermediate);
    assert.deepEqual(kept.map((node) => node.type), ['l2i']);
    const denoise = source(graph, kept[0], 'latents');
    assert.deepEqual([denoise.steps, denoise.cfg_scale, denoise.scheduler], [wish.steps, wish.guidance, wish.scheduler]);
    assert.deepEqual([denoise.denoising_start, denoise.denoising_end], [0, 1]);
    const noise = source(graph, denoise, 'noise');
    assert.deepEqual([noise.width, noise.height], SIZES[wish.shape]);
    assert.equal(source(graph, noise, 'seed').value, seed);
    const negative = source(graph, source(graph, denoise, 'negative_conditioning'), 'item');
    assert.equal(negative.prompt, wish.negative);
    const positive = source(graph, source(graph, denoise, 'positive_conditioning'), 'item');
    assert.equal(source(graph, positive, 'prompt').value, PROMPT);
}

async function checkMetadata({ picture }, wish, seed) {
    const [width, height] = SIZES[wish.shape];
    const { body } = await script.get(`/api/v1/images/i/${picture}/metadata`);
    const expected = {
        positive_prompt: PROMPT, negative_prompt: wish.negative, steps: wish.steps, cfg_scale: wish.guidance, scheduler: wish.scheduler, seed, width, height,
    };
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, body[key]])), expected);
}

async function check(made, wish) {
    assert.equal(made.length, wish.count, 'as many pictures as were asked for');
    for (const [i, each] of made.entries()) {
        checkGraph(each, wish, wish.seed + i);
        assert.deepEqual([each.width, each.height], SIZES[wish.shape], 'the size of the file');
        await checkMetadata(each, wish, wish.seed + i);
    }
}

test('everything that is set in the page is in the graph, the metadata and the size of each picture', async () => {
    me = await browser.person();
    await me.setUp(ADMIN);
    script = await login(server, ADMIN.email, ADMIN.password);
    await me.page.getByRole('textbox', { name: 'What do you want to see?' }).fill(PROMPT);
    await me.page.getByText('More control').click();
    for (const [name, value] of Object.entries(WISH)) {
        await set[name](value);
    }
    first = await create();
    await check(first, WISH);
    assert.ok(!first[0].data.equals(first[1].data), 'another seed makes another picture');
});

test('the same settings make the same pictures again', async () => {
    const again = await create();
    await check(again, WISH);
    assert.deepEqual(again.map((each, i) => each.data.equals(first[i].data)), [true, true]);
});

test('a script that asks for the same gets the same picture', async () => {
    const { negative, steps, guidance, scheduler, seed } = WISH;
    const [width, height] = SIZES.Portrait;
    const options = { prompt: PROMPT, negative, width, height, steps, guidance, scheduler, seeds: [seed] };
    const [made] = await pictures(await enqueuePictures(script, await pictureModel(script), options));
    assert.ok(made.data.equals(first[0].data));
});

const changes = { negative: 'people', steps: 9, guidance: 11, scheduler: 'euler_a', seed: 99 };
for (const [name, value] of Object.entries(changes)) {
    test(`another value makes another picture: ${name}`, async () => {
        await set.count(1);
        await set[name](value);
        const wish = { ...WISH, count: 1, [name]: value };
        const [made, ...more] = await create();
        await check([made, ...more], wish);
        assert.ok(!made.data.equals(first[0].data), 'the picture is the same');
        await set[name](WISH[name]);
    });
}

test('another shape makes a picture of another size, and the one before comes back with the one before', async () => {
    for (const shape of ['Landscape', 'Square']) {
        await set.shape(shape);
        await check(await create(), { ...WISH, count: 1, shape });
    }
    await set.shape('Portrait');
    const [back] = await create();
    await check([back], { ...WISH, count: 1 });
    assert.ok(back.data.equals(first[0].data));
});

test('without a seed each picture is another', async () => {
    await set.seed('');
    const seeds = [];
    for (let i = 0; i < 2; i++) {
        const [made] = await create();
        const { body } = await script.get(`/api/v1/images/i/${made.picture}/metadata`);
        await check([made], { ...WISH, count: 1, seed: body.seed });
        seeds.push(body.seed);
        assert.ok(!made.data.equals(first[0].data));
    }
    assert.notEqual(seeds[0], seeds[1]);
});
