// What clients let the server work out.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

describe('dynamic prompts', () => {
    const server = useServer();
    const at = '/api/v1/utilities/dynamicprompts';
    let ann;
    before(async () => (ann = await addUser(await setupAdmin(server), 'Ann')));

    test('are every combination', async () => {
        const answer = await ann.post(at, { prompt: 'a {red|blue} {cat|dog}', max_prompts: 100 });
        assert.equal(answer.status, 200, answer.text);
        assert.deepEqual(answer.body, { prompts: ['a red cat', 'a red dog', 'a blue cat', 'a blue dog'], error: null });
        assert.equal((await ann.post(at, { prompt: '{1|2|3|4}{1|2|3|4}', max_prompts: 5 })).body.prompts.length, 5);
    });
    test('are drawn at random, the same ones from the same seed', async () => {
        const draw = async (seed) => (await ann.post(at, { prompt: '{a|b|c|d}{a|b|c|d}', max_prompts: 30, combinatorial: false, seed })).body.prompts;
        const [first, again, other] = [await draw(5), await draw(5), await draw(6)];
        assert.equal(first.length, 30);
        assert.deepEqual(first, again);
        assert.notDeepEqual(first, other);
        assert.equal((await draw(null)).length, 30);
    });
    test('that cannot be read come back with the reason', async () => {
        const { body } = await ann.post(at, { prompt: 'a {red' });
        assert.deepEqual(body.prompts, ['a {red']);
        assert.match(body.error, /\}/);
    });
    for (const body of [{}, { prompt: 5 }, { prompt: 'a', max_prompts: 0 }, { prompt: 'a', max_prompts: 10001 }, { prompt: 'x'.repeat(20001) }]) {
        test(`need a prompt and sizes that fit: ${JSON.stringify(body).slice(0, 40)}`, async () => {
            assert.equal((await ann.post(at, body)).status, 422);
        });
    }
});
