// Style presets: private, public and default ones; their pictures; the table that administrators take out and put in.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { until, useServer } from '../lib/server.mjs';
import { Client, request } from '../lib/http.mjs';
import { makePng } from '../lib/png.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

const LIST = '/api/v1/style_presets/';
const BASE = { name: 'Oil', positive_prompt: 'oil on canvas, {prompt}', negative_prompt: 'photo', type: 'user', is_public: false };
const PNG = makePng(300, 200);
const status = async (promise) => (await promise).status;
const at = (preset, view = '') => `/api/v1/style_presets/i/${preset.id}${view}`;

/** The multipart body of a preset; `data` may be a text of its own. */
function form(data, image) {
    const parts = [{ name: 'data', value: typeof data === 'string' ? data : JSON.stringify({ ...BASE, ...data }) }];
    return { form: image === undefined ? parts : [...parts, { name: 'image', filename: 'p.png', type: 'image/png', value: image }] };
}

async function create(client, data, image) {
    const answer = await client.send('POST', LIST, form(data, image));
    assert.equal(answer.status, 200, answer.text);
    return answer.body;
}

const ids = async (client) => (await client.get(LIST)).body.map((preset) => preset.id);
const table = (value, { filename = 'presets.csv', type = 'text/csv' } = {}) => ({ form: [{ name: 'file', filename, type, value }] });

describe('style presets', () => {
    const server = useServer({ multiuser: true, media: true });
    let admin, owner, other;
    const files = () => {
        const folder = path.join(server.data, 'outputs/style_presets');
        return fs.existsSync(folder) ? fs.readdirSync(folder) : [];
    };

    before(async () => {
        admin = await setupAdmin(server);
        owner = await addUser(admin, 'Pia');
        other = await addUser(admin, 'Paul');
    });

    for (const kind of ['private', 'public', 'default']) {
        test(`the access matrix of a ${kind} preset`, async () => {
            const data = { is_public: kind === 'public', type: kind === 'default' ? 'default' : 'user' };
            const preset = await create(kind === 'default' ? admin : owner, data, PNG);
            for (const [name, who] of Object.entries({ anonymous: new Client(server.url), other, owner, admin })) {
                const may = (yes) => (name === 'anonymous' ? 401 : yes ? 200 : 403);
                const changes = name === 'admin' || (name === 'owner' && kind !== 'default');
                const reads = changes || kind !== 'private';
                assert.equal(await status(who.get(at(preset))), may(reads), `${name} reads`);
                assert.equal(await status(who.get(at(preset, '/image'))), may(reads), `${name} sees the picture`);
                assert.equal(await status(who.send('PATCH', at(preset), form(data, PNG))), may(changes), `${name} changes`);
                if (name === 'anonymous') {
                    assert.equal(await status(who.delete(at(preset))), 401);
                    continue;
                }
                assert.equal((await ids(who)).includes(preset.id), reads, `${name} has it in the list`);
                if (name === 'other') {
                    assert.equal(await status(who.delete(at(preset))), 403);
                }
            }
            assert.equal((await admin.get(at(preset))).body.user_id, preset.user_id, 'it keeps its owner');
            assert.equal(await status(admin.delete(at(preset))), 200);
            assert.equal(await status(owner.get(at(preset))), 404);
            assert.deepEqual(files(), []);
        });
    }

    test('it comes back as it was sent; what is left out of a change stays, but for the picture', async () => {
        const preset = await create(owner, { name: 'Öl 🎨', negative_prompt: '' });
        const { id, ...rest } = preset;
        const preset_data = { positive_prompt: BASE.positive_prompt, negative_prompt: '' };
        assert.deepEqual(rest, { name: 'Öl 🎨', preset_data, type: 'user', is_public: false, user_id: owner.user.user_id, image: null });
        assert.deepEqual((await owner.get(at(preset))).body, preset);
        assert.equal(await status(owner.get(at(preset, '/image'))), 404);
        await owner.send('PATCH', at(preset), form({ is_public: true }));
        const changed = (await owner.send('PATCH', at(preset), form({ name: 'B', is_public: undefined }, PNG))).body;
        assert.deepEqual([changed.id, changed.name, changed.is_public], [id, 'B', true]);
        assert.ok(changed.image);
        assert.equal((await owner.send('PATCH', at(preset), form({}))).body.image, null);
        assert.equal(await status(owner.delete(at(preset))), 200);
    });

    test('what cannot be stored is refused, and nothing of it stays', async () => {
        const known = await ids(admin);
        const preset = await create(owner, {}, PNG);
        const bad = ['', '[]', '{', 'null', { name: '' }, { name: 7 }, { name: undefined }, { name: 'x'.repeat(1001) }, { type: 'x' }, { type: undefined },
            { positive_prompt: undefined }, { positive_prompt: null }, { negative_prompt: 'x'.repeat(20001) }, { name: 'a\u0000b' }, { is_public: 'yes' }];
        for (const data of bad) {
            assert.equal(await status(owner.send('POST', LIST, form(data))), 400, JSON.stringify(data));
            assert.equal(await status(owner.send('PATCH', at(preset), form(data, PNG))), 400, JSON.stringify(data));
        }
        for (const image of ['', 'no picture', PNG.subarray(0, 40)]) {
            assert.equal(await status(owner.send('POST', LIST, form({}, image))), 415);
            assert.equal(await status(owner.send('PATCH', at(preset), form({}, image))), 415);
        }
        assert.equal(await status(owner.send('POST', LIST, { form: [{ name: 'image', filename: 'p.png', value: PNG }] })), 422, 'no data');
        assert.equal(await status(owner.send('POST', LIST, { form: [{ name: 'data', filename: 'd', value: JSON.stringify(BASE) }] })), 422, 'data as a file');
        assert.equal(await status(owner.send('POST', LIST, { form: [...form({}).form, { name: 'image', value: 'text' }] })), 422, 'a picture as text');
        assert.equal(await status(owner.post(LIST, BASE)), 415, 'no multipart');
        assert.deepEqual((await owner.get(at(preset))).body, preset);
        assert.equal(await status(owner.delete(at(preset))), 200);
        assert.deepEqual(await ids(admin), known);
        assert.deepEqual(files(), []);
    });

    test('a file field that a form left empty is no picture', async () => {
        const left = { form: [...form({}).form, { name: 'image', filename: '', type: 'application/octet-stream', value: '' }] };
        const answer = await owner.send('POST', LIST, left);
        assert.deepEqual([answer.status, answer.body.image], [200, null]);
        assert.equal(await status(owner.delete(at(answer.body))), 200);
    });

    test('only administrators make default presets, of new ones or of their own', async () => {
        const preset = await create(owner, {}, PNG);
        assert.equal(await status(owner.send('POST', LIST, form({ type: 'default' }, PNG))), 403);
        assert.equal(await status(owner.send('PATCH', at(preset), form({ type: 'default' }, PNG))), 403);
        assert.deepEqual((await owner.get(at(preset))).body, preset);
        assert.equal(files().length, 1);
        assert.equal((await admin.send('PATCH', at(preset), form({ type: 'default' }))).body.type, 'default');
        assert.equal(await status(owner.send('PATCH', at(preset), form({}))), 403, 'it is the house’s now');
        assert.equal(await status(owner.delete(at(preset))), 403);
        assert.equal(await status(admin.delete(at(preset))), 200);
    });

    test('the picture is a small WebP behind token or cookie; a new one replaces it', async () => {
        const preset = await create(owner, {}, PNG);
        const cookie = owner.sessionCookie.split('; ').find((c) => c.startsWith('invokeai_media_token='));
        const answer = await request(server.url + preset.image, { cookie });
        assert.deepEqual([answer.status, answer.headers['content-type'], answer.raw.toString('latin1', 8, 12)], [200, 'image/webp', 'WEBP']);
        assert.equal(answer.headers['cache-control'], 'private, no-store');
        assert.equal(await status(request(server.url + preset.image)), 401);
        const [old] = files();
        const changed = (await owner.send('PATCH', at(preset), form({}, makePng(100, 100)))).body;
        assert.notEqual(changed.image, preset.image);
        assert.equal(files().length, 1);
        assert.notEqual(files()[0], old);
        assert.notDeepEqual((await owner.get(changed.image)).raw, answer.raw);
        assert.equal(await status(owner.delete(at(preset))), 200);
        assert.deepEqual(files(), []);
    });

    test('with an account its presets are gone, and their pictures out of reach', async () => {
        const leaver = await addUser(admin, 'Lea');
        const preset = await create(leaver, { is_public: true }, PNG);
        assert.equal(await status(other.get(preset.image)), 200);
        assert.equal(await status(admin.delete(`/api/v1/auth/users/${leaver.user.user_id}`)), 204);
        assert.equal(await status(other.get(preset.image)), 404);
        assert.equal(await status(admin.get(at(preset))), 404);
    });

    test('the files of deleted accounts go when the server starts again', async () => {
        const [left] = files();
        assert.ok(left, 'the account above left a file');
        const kept = await create(owner, {}, PNG);
        const [young] = files().filter((name) => name !== left);
        for (const name of [left, young]) {
            fs.utimesSync(path.join(server.data, 'outputs/style_presets', name), 1e9, 1e9);
        }
        await server.restart('graceful');
        await until(() => !files().includes(left), 'the file to go');
        assert.deepEqual(files(), [young]);
        assert.equal(await status(owner.get(kept.image)), 200);
        assert.equal(await status(owner.delete(at(kept))), 200);
    });

    test('what one administrator exports another imports unchanged', async () => {
        const texts = ['a, "b"', 'two\r\nlines', '=1+1', "'=1", '-x', 'ü'];
        const made = [];
        for (const text of texts) {
            made.push(await create(owner, { name: text, positive_prompt: `${text},`, negative_prompt: text }));
        }
        const house = await create(admin, { type: 'default', name: 'of the house' });
        const out = await admin.get('/api/v1/style_presets/export');
        assert.deepEqual([out.status, out.headers['content-type']], [200, 'text/csv; charset=utf-8']);
        assert.match(out.headers['content-disposition'], /^attachment; filename="[\w-]+\.csv"$/);
        assert.equal(out.text.split('\r\n')[0], 'name,prompt,negative_prompt');
        assert.ok(!out.text.includes('of the house'));
        assert.doesNotMatch(out.text, /(^|,)"?[=+@-]/m, 'no cell begins a formula');
        for (const preset of [...made, house]) {
            assert.equal(await status(admin.delete(at(preset))), 200);
        }
        assert.equal(await status(admin.send('POST', '/api/v1/style_presets/import', table(out.raw))), 200);
        const mine = (await admin.get(LIST)).body.filter((preset) => preset.user_id === admin.user.user_id);
        assert.deepEqual(mine.map((p) => [p.name, p.preset_data.positive_prompt, p.preset_data.negative_prompt, p.type, p.is_public]).sort(),
            texts.map((text) => [text, `${text},`, text, 'user', false]).sort());
        for (const preset of mine) {
            assert.equal(await status(admin.delete(at(preset))), 200);
        }
    });

    test('imports are all or nothing, from CSV or JSON, for administrators', async () => {
        const send = (client, ...args) => status(client.send('POST', '/api/v1/style_presets/import', table(...args)));
        const json = { filename: 'p.json', type: 'application/json' };
        const known = await ids(admin);
        for (const text of ['name,prompt\nok,fine\n,empty name\n', 'name\nno prompt\n', 'name,prompt\n"open', 'name,prompt\na,b,c\n', Buffer.from('name,prompt\n\xff,x\n', 'latin1')]) {
            assert.equal(await send(admin, text), 400, String(text));
        }
        for (const text of ['{}', '[1]', '[{"name":"a"}]', 'x', '[{"name":"a","prompt":"b"},{"name":3,"prompt":"b"}]']) {
            assert.equal(await send(admin, text, json), 400, text);
        }
        assert.equal(await send(admin, `name,prompt\n${'a,b\n'.repeat(1001)}`), 400);
        assert.equal(await send(admin, 'x'.repeat(4 * 1024 * 1024 + 1)), 413);
        assert.equal(await send(admin, 'text', { filename: 'p.txt', type: 'text/plain' }), 415);
        assert.equal(await send(admin, ''), 415);
        assert.equal(await send(owner, 'name,prompt\na,b\n'), 403);
        assert.deepEqual(await ids(admin), known);
        assert.equal(await send(admin, '[{"name":"a","prompt":"b","negative_prompt":"c"},{"name":"d","positive_prompt":"e"}]', json), 200);
        const made = (await admin.get(LIST)).body.filter((preset) => !known.includes(preset.id));
        assert.deepEqual(made.map((p) => [p.name, p.preset_data]), [
            ['a', { positive_prompt: 'b', negative_prompt: 'c' }],
            ['d', { positive_prompt: 'e', negative_prompt: '' }],
        ]);
    });
});

describe('style presets in single-user mode', () => {
    const server = useServer({ multiuser: false, media: true });

    test('everybody is the same person, to whom all belongs', async () => {
        const anyone = new Client(server.url);
        const preset = await create(anyone, { is_public: undefined }, PNG);
        assert.deepEqual([preset.user_id, preset.is_public], ['system', true]);
        assert.equal(await status(anyone.get(preset.image)), 200);
        const house = await create(anyone, { type: 'default', name: 'B' });
        assert.deepEqual(await ids(anyone), [house.id, preset.id]);
        assert.equal(await status(anyone.send('POST', '/api/v1/style_presets/import', table('name,prompt\nC,c\n'))), 200);
        assert.match((await anyone.get('/api/v1/style_presets/export')).text, /^C,c,\r$/m);
        assert.equal(await status(anyone.send('PATCH', at(house), form({ type: 'user', name: 'D' }))), 200);
        assert.equal(await status(anyone.delete(at(house))), 200);
        assert.equal((await ids(anyone)).length, 2);
    });
});
