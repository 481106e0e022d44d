// Who may not see a thing learns nothing of it: somebody else's ids, at every address there is, in every form of asking.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { closeAll, listen, settle } from '../lib/events.mjs';
import { Client } from '../lib/http.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';
import { routes } from '../guards/lib.mjs';

const MARK = 'Marzipan-Volcano';
const QUEUE = '/api/v1/queue/default';
const workflowOf = (text) => ({
    name: text, author: text, description: text, version: '1', contact: '', tags: text, notes: text,
    exposedFields: [], meta: { version: '3.0.0', category: 'user' }, nodes: [{ id: 'n', type: 'invocation', note: text }], edges: [], form: null,
});

describe('another person', () => {
    const server = useServer({ media: true });
    let ann, ben, ids, ears;
    const state = async () => {
        const paths = [`/api/v1/boards/${ids.board_id}`, `/api/v1/images/i/${ids.image_name}`, `/api/v1/workflows/i/${ids.workflow_id}`, `/api/v1/style_presets/i/${ids.style_preset_id}`, '/api/v1/client_state/default/get_by_key?key=mine', `${QUEUE}/i/${ids.item_id}`, `/api/v1/boards/${ids.board_id}/shares`, '/api/v1/auth/me'];
        const answers = await Promise.all(paths.map((path) => ann.get(path)));
        assert.ok(answers.every((a) => a.status === 200), answers.map((a) => a.status).join());
        return answers.map((a) => a.text.replace(/"last_login_at":"[^"]*"/, ''));
    };

    before(async () => {
        const admin = await setupAdmin(server);
        assert.equal((await admin.put(`${QUEUE}/processor/pause`)).status, 200);
        ann = await addUser(admin, 'Ann');
        ben = await addUser(admin, 'Ben');
        ears = await listen(server, ben);
        const ok = (answer) => assert.ok(answer.status < 300, answer.text) || answer.body;
        const board = ok(await ann.post(`/api/v1/boards/?board_name=${MARK}`));
        const picture = await upload(ann, { query: `&board_id=${board.board_id}` });
        const workflow = ok(await ann.post('/api/v1/workflows/', { workflow: workflowOf(MARK) }));
        const preset = ok(await ann.send('POST', '/api/v1/style_presets/', { form: [{ name: 'data', value: JSON.stringify({ name: MARK, positive_prompt: MARK, negative_prompt: MARK, type: 'user' }) }] }));
        ok(await ann.post('/api/v1/client_state/default/set_by_key?key=mine', MARK));
        const node = { id: 't', type: 'string', value: MARK };
        const job = ok(await ann.post(`${QUEUE}/enqueue_batch`, { batch: { graph: { id: MARK, nodes: { t: node }, edges: [] }, runs: 1, origin: MARK, destination: MARK, workflow: workflowOf(MARK) } }));
        const archive = ok(await ann.post('/api/v1/images/download', { image_names: [picture.image_name] }));
        ids = {
            board_id: board.board_id, image_name: picture.image_name, workflow_id: workflow.workflow_id, style_preset_id: preset.id,
            item_id: job.item_ids[0], batch_id: job.batch.batch_id, destination: MARK, bulk_download_item_name: archive.bulk_download_item_name,
            user_id: ann.user.user_id, queue_id: 'default', session_id: (ok(await ann.get('/api/v1/auth/sessions'))).sessions[0].session_id,
        };
    });
    after(closeAll);

    // Everything that a body may name; routes that insist on less get it in the second form.
    const bodies = () => [
        {
            image_names: [ids.image_name], image_name: ids.image_name, board_id: ids.board_id, item_ids: [ids.item_id], batch_ids: [ids.batch_id],
            user_ids: [ben.user.user_id], permission: 'admin', is_public: true, workflow: { ...workflowOf('Taken'), id: ids.workflow_id }, starred: true,
        },
        { board_visibility: 'public' },
        [ids.item_id],
        { control_layers: [{ model_name: 'm', image_name: ids.image_name }] },
    ];
    const secrets = () => [MARK, ids.user_id, 'ann@example.com', ids.batch_id];
    const says = (answer) => JSON.stringify(answer.headers) + answer.raw.toString('latin1');
    const quiet = (answer, what) => {
        for (const secret of secrets().filter((s) => !what.includes(s))) {
            assert.ok(!says(answer).includes(secret), `${what} told ${secret}: ${says(answer).slice(0, 600)}`);
        }
        assert.ok(!/^(\x89PNG|RIFF|PK)/.test(answer.raw.subarray(0, 4).toString('latin1')), `${what} gave a file`);
    };

    for (const route of routes().filter((r) => !/\/logout|\/auth\/sessions$|\/login|\/setup|accept-invitation/.test(r.path))) {
        test(`learns and changes nothing by ${route.method} ${route.path}`, async () => {
            const path = route.path.replace(/\{(\w+)\}/g, (whole, name) => ids[name] ?? 'x');
            const query = `?destination=${MARK}&key=mine&prefix=m&board_id=${ids.board_id}&all=true&image_category=user&is_intermediate=false`;
            const before = await state();
            const forms = route.method === 'GET'
                ? [{}, { headers: { range: 'bytes=0-10' } }, { headers: { 'if-none-match': `"${ids.image_name}-full"` } }, { headers: { 'if-none-match': '*' } }]
                : [{}, ...bodies().map((json) => ({ json }))];
            for (const form of forms) {
                for (const to of [path, path + query]) {
                    quiet(await ben.send(route.method, to, form), `${route.method} ${to}`);
                    if (route.method === 'GET') {
                        quiet(await ben.head(to, form), `HEAD ${to}`);
                        quiet(await new Client(server.url).get(to, form), `a stranger's GET ${to}`);
                    }
                }
            }
            assert.deepEqual(await state(), before);
        });
    }

    test('cannot tell a picture from none', async () => {
        const none = ids.image_name.replace(/^./, (c) => (c === '0' ? '1' : '0'));
        for (const view of ['', '/metadata', '/workflow', '/urls', '/full', '/thumbnail']) {
            const [real, unreal] = [await ben.get(`/api/v1/images/i/${ids.image_name}${view}`), await ben.get(`/api/v1/images/i/${none}${view}`)];
            assert.deepEqual([real.status, real.text], [unreal.status, unreal.text]);
        }
        for (const [method, path, body] of [['POST', '/api/v1/images/star', (n) => ({ image_names: [n] })], ['POST', '/api/v1/images/images_by_names', (n) => ({ image_names: [n] })], ['POST', '/api/v1/images/download', (n) => ({ image_names: [n] })], ['DELETE', '/api/v1/board_images/', (n) => ({ image_name: n })]]) {
            const [real, unreal] = [await ben.send(method, path, { json: body(ids.image_name) }), await ben.send(method, path, { json: body(none) })];
            assert.deepEqual([real.status, real.text], [unreal.status, unreal.text], path);
        }
    });

    test('heard nothing of it either', async () => {
        await settle(ears);
        assert.ok(ears.all('batch_enqueued').length > 0, 'that there is a job is told');
        for (const secret of secrets()) {
            assert.ok(!ears.text().includes(secret), `${secret} in ${ears.text().slice(0, 800)}`);
        }
    });
});
