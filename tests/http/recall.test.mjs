// Recalling settings: what a program sets arrives in the same person's client, and opens no way to anybody's pictures.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';
import { makePng } from '../lib/png.mjs';

describe('recall', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, ann, ben;
    before(async () => {
        admin = await setupAdmin(server);
        ann = await addUser(admin, 'Ann');
        ben = await addUser(admin, 'Ben');
    });
    const set = (who, settings, query = '') => who.post(`/api/v1/recall/default${query}`, settings);
    const kept = async (who) => (await who.get('/api/v1/recall/default')).body.parameters;

    test('keeps settings for the person who set them, and adds to earlier ones', async () => {
        assert.equal((await set(ann, { positive_prompt: 'a lighthouse', seed: 7 })).body.updated_count, 2);
        assert.equal((await set(ann, { steps: 12, seamless_x: true, denoise_strength: 0.5 })).status, 200);
        assert.deepEqual(await kept(ann), { positive_prompt: 'a lighthouse', seed: 7, steps: 12, seamless_x: true, denoise_strength: 0.5 });
        assert.deepEqual(await kept(ben), {});
        const state = await ann.get('/api/v1/client_state/default/get_by_key?key=recall_positive_prompt');
        assert.equal(state.body, '"a lighthouse"');
    });

    test('clears what is not named when strict', async () => {
        await set(ann, { positive_prompt: 'gone soon', loras: [{ model_name: 'x' }] });
        const answer = await set(ann, { steps: 3 }, '?strict=true');
        assert.deepEqual([answer.body.parameters.steps, answer.body.parameters.positive_prompt, answer.body.parameters.loras], [3, null, []]);
        assert.equal((await kept(ann)).positive_prompt, null);
        assert.equal((await set(ann, { steps: 3 }, '?strict=true&append=true')).status, 400);
    });

    test('gives pictures their size, and refuses those the person may not see before anything is kept', async () => {
        const mine = await upload(ben, { png: makePng(40, 30) });
        const foreign = await upload(ann);
        const answer = await set(ben, { reference_images: [{ image_name: mine.image_name }] });
        assert.deepEqual(answer.body.parameters.reference_images, [{ image: { image_name: mine.image_name, width: 40, height: 30 } }]);
        for (const list of ['reference_images', 'control_layers', 'ip_adapters']) {
            const settings = { steps: 44, [list]: [{ model_name: 'm', image_name: foreign.image_name }] };
            assert.equal((await set(ben, settings)).status, 403, list);
            assert.notEqual((await kept(ben)).steps, 44);
        }
        assert.equal((await set(ben, { reference_images: [{ image_name: 'unknown.png' }] })).status, 403, 'unknown looks like foreign');
        assert.equal((await set(admin, { reference_images: [{ image_name: foreign.image_name }] })).status, 200);
    });

    for (const wrong of [{ steps: 0 }, { steps: 'many' }, { width: 63 }, { seed: -1 }, { denoise_strength: 1.1 }, { invented: 1 }, { loras: {} }, { loras: [1] }, { loras: [{ weight: 1 }] }, { reference_images: [{}] }, { ip_adapters: [{ model_name: 'm', weight: 99 }] }, []]) {
        test(`refuses ${JSON.stringify(wrong)}`, async () => {
            assert.equal((await set(ann, wrong)).status, 422);
        });
    }
});
