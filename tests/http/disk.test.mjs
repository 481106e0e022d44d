// With a disk that is nearly full, nothing large is taken in; what makes room works.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { textBatch, QUEUE } from '../lib/batches.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

describe('a disk that is nearly full', () => {
    const server = useServer({ conf: 'InvokeMUMinFree 1024G' });
    let ann;
    before(async () => {
        ann = await addUser(await setupAdmin(server), 'Ann');
        server.allowLog(/IMU0101: \w+ \S+ failed \(disk_low\): less than InvokeMUMinFree \(1048576 MiB\) is free at /);
    });

    const large = {
        'an upload': () => ann.send('POST', '/api/v1/images/upload?image_category=user&is_intermediate=false', { form: [{ name: 'file', filename: 'a.png', type: 'image/png', value: makePng(8, 8) }] }),
        'a batch': () => ann.post(`${QUEUE}/enqueue_batch`, textBatch()),
        'a download': () => ann.post('/api/v1/images/download', { image_names: ['a.png'] }),
        'the state of a client': () => ann.post('/api/v1/client_state/default/set_by_key?key=k', 'v'),
    };
    for (const [what, send] of Object.entries(large)) {
        test(`takes no ${what.replace(/^an? |^the /, '')}`, async () => {
            const answer = await send();
            assert.equal(answer.status, 507, answer.text);
            assert.match(answer.body.detail, /disk is nearly full/);
        });
    }
    test('lets people sign in, look and delete', async () => {
        assert.equal((await ann.get('/api/v1/auth/me')).status, 200);
        assert.equal((await ann.post('/api/v1/images/delete', { image_names: [] })).status, 200);
        assert.equal((await ann.put(`${QUEUE}/clear`)).status, 200);
        assert.equal((await ann.post('/api/v1/client_state/default/delete')).status, 204);
    });
});
