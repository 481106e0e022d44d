// invokemu import: an InvokeAI root becomes people, boards and pictures of a server that runs.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../lib/cli.mjs';
import { describeRoots } from '../lib/import-roots.mjs';
import { OldRoot, TIME } from '../lib/old-root.mjs';
import { BUILD } from '../lib/paths.mjs';
import { makePng } from '../lib/png.mjs';
import { useServer } from '../lib/server.mjs';
import { addUser, login, PASSWORD, setupAdmin, upload } from '../lib/users.mjs';

// Ids as other programs make them: of any version.
const id = (name) => crypto.createHash('md5').update(name).digest('hex').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
const ODD = 'Upload-ÄÖÜ-猫.png';
const METADATA = '{"positive_prompt":"a \\"quoted\\" {prompt}",  "seed": 12345678901234567890}';
// As much of a long password as bcrypt reads, and its hash.
const LONG = 'Ninety-Seven-Geese-Went-Over-The-Lake-and-never-came-back-and-never-came';
const LONG_HASH = '$2b$10$aliGYd2HVVMTHl507KKSi.y8bQ7HkcVUv/.8SbYy8nVRVfpRo0bCy';
const WORKFLOW = JSON.stringify({ name: 'Porträt', nodes: [], edges: [] });
const [EVA, FOLKE, GONE] = ['eva', 'folke', 'gone'].map(id);

/** A root with two people, somebody who is gone, and everything that an import has to do with. */
function peopled(folder, version, hash, thumbnail) {
    const old = new OldRoot(folder, version);
    const times = { created_at: TIME, updated_at: TIME };
    const user = (user_id, email, more = {}) => old.row('users', { user_id, email, display_name: email.split('@')[0], password_hash: hash, is_admin: 0, is_active: 1, ...times, ...more });
    if (version !== '5') {
        user(EVA, 'Eva@Old.example', { is_admin: 1, display_name: 'Eva Ü' });
        user(FOLKE, 'folke@old.example');
        user(id('off'), 'off@old.example', { is_active: 0 });
        user(id('odd'), 'not an address');
        user(id('long'), 'long@old.example', { password_hash: LONG_HASH });
    }
    const board = (name, user_id, more = {}) => old.row('boards', { board_id: id(name), board_name: name, user_id, board_visibility: 'private', archived: 0, ...times, ...more });
    board('Sea', EVA, { board_visibility: 'shared', cover_image_name: `${id('p1')}.png` });
    board('Attic', EVA, { archived: 1 });
    board('Folke’s', FOLKE);
    board('Deleted', FOLKE, { deleted_at: TIME });
    if (version !== '5') {
        old.row('shared_boards', { board_id: id('Folke’s'), user_id: EVA, can_edit: 1, shared_at: TIME });
        old.row('client_state', { user_id: EVA, key: 'params', value: '{"a":  1}', updated_at: TIME });
        old.row('client_state', { user_id: FOLKE, key: 'params', value: 'x'.repeat(60000), updated_at: TIME });
        old.row('app_settings', { key: 'strange', value: '1' });
    }
    old.picture(`${id('p1')}.png`, { user_id: EVA, board: id('Sea'), thumbnail, starred: 1, metadata: METADATA, size: 20, subfolder: version === '6.14' ? '2025/03/04' : '' });
    old.picture(`${id('p2')}.png`, { user_id: EVA, thumbnail, is_intermediate: 1 });
    old.picture(ODD, { user_id: FOLKE, board: id('Folke’s'), image_origin: 'external', image_category: 'user', thumbnail });
    old.picture(`${id('flow')}.png`, { user_id: FOLKE, has_workflow: 1, thumbnail, chunks: { invokeai_workflow: WORKFLOW, invokeai_graph: '{"id":"g","nodes":{}}' } });
    old.picture(`${id('bare')}.png`, { user_id: FOLKE, size: 30 });
    old.picture(`${id('lost')}.png`, { user_id: FOLKE, file: false });
    old.picture(`${id('deleted')}.png`, { user_id: FOLKE, deleted_at: TIME });
    old.picture(`${id('stranger')}.png`, { user_id: GONE, thumbnail });
    old.row('images', { image_name: '../../../etc/escape.png', image_origin: 'internal', image_category: 'general', width: 1, height: 1, user_id: EVA, ...times });
    fs.writeFileSync(path.join(folder, 'outputs/images', `${id('nobody')}.png`), 'no row');
    const workflow = (name, user_id, more = {}) => old.row('workflow_library', { workflow_id: id(name), workflow: WORKFLOW, category: 'user', name, description: '', tags: 'a,b', user_id, is_public: 0, ...times, ...more });
    workflow('Mine', EVA);
    workflow('Open', FOLKE, { is_public: 1, opened_at: TIME });
    workflow('Shipped', 'system', { category: 'default' });
    workflow('Broken', EVA, { workflow: '{' });
    fs.writeFileSync(path.join(folder, 'workflow_thumbnails', `${id('Mine')}.webp`), thumbnail);
    const preset = (name, user_id, more = {}) => old.row('style_presets', { id: id(name), name, preset_data: '{"positive_prompt":"{prompt}, ink","negative_prompt":""}', type: 'user', user_id, is_public: 0, ...times, ...more });
    preset('Ink', FOLKE);
    preset('Shipped style', 'system', { type: 'default' });
    fs.writeFileSync(path.join(folder, 'style_presets', `${id('Ink')}.webp`), thumbnail);
    const model = (name, where) => old.row('models', { id: id(name), hash: `blake3:${id(name)}`, base: 'sd-1', type: 'main', path: where, name, config: JSON.stringify({ key: id(name), name, base: 'sd-1', type: 'main', format: 'checkpoint', hash: `blake3:${id(name)}` }), ...times });
    model('Here', 'here.safetensors');
    model('Away', '/nonexistent/away.safetensors');
    fs.writeFileSync(path.join(folder, 'models/here.safetensors'), 'weights');
    old.row('model_relationships', { model_key_1: id('Here'), model_key_2: id('Away'), created_at: TIME });
    ['completed', 'failed', 'in_progress', 'canceled', ...(version === '6.14' ? ['waiting'] : [])].forEach((status, i) =>
        old.row('session_queue', { item_id: 10 + i, batch_id: 'b', queue_id: 'default', session_id: id(`job${i}`), session: '{"id":"s","graph":{"id":"g","nodes":{},"edges":[]}}', status, user_id: i % 2 ? FOLKE : EVA, retried_from_item_id: i === 3 ? 11 : null, ...times }),
    );
    old.done();
    return old;
}

/** Names, contents and times of all files below a folder, but for what SQLite itself leaves beside a database. */
const snapshot = (folder) =>
    fs.readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((e) => e.isFile())
        .map((e) => path.join(e.parentPath ?? e.path, e.name))
        .sort()
        .map((file) => [file, fs.statSync(file).mtimeMs, crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex')]);
const TABLES = ['users', 'boards', 'shared_boards', 'images', 'image_documents', 'board_images', 'workflows', 'style_presets', 'client_state', 'models', 'model_relationships', 'session_queue'];
const contents = (root) =>
    Object.fromEntries(TABLES.map((name) => [name, execFileSync('sqlite3', ['-json', path.join(root, 'databases/invokemu.db'), `SELECT * FROM ${name} ORDER BY 1, 2`], { encoding: 'utf8', maxBuffer: 1 << 28 })]));
const pictures = (root) => snapshot(path.join(root, 'outputs')).map(([file, , digest]) => [path.relative(root, file), digest]);

for (const version of ['6.12', '6.14']) {
    describe(`import of ${version}`, () => {
        const server = useServer({ multiuser: true, media: true });
        let admin, old, before_, eva, folke;
        const invokemu = (...args) => run(server, 'invokemu', ['import', old.root, '--media', path.join(server.run, 'media.sock'), '--json', ...args]);
        const names = async (who, what = '') => (await who.get(`/api/v1/images/?limit=1000${what}`)).body.items.map((i) => i.image_name).sort();

        before(async () => {
            admin = await setupAdmin(server);
            await addUser(admin, 'Anna');
            const { image_name: made } = await upload(admin);
            const thumbnail = fs.readFileSync(path.join(server.data, 'outputs/images/thumbnails', made.replace('.png', '.webp')));
            const [{ password_hash: hash }] = server.sql("SELECT password_hash FROM users WHERE email = 'anna@example.com'");
            old = peopled(path.join(server.root, 'old'), version, hash, thumbnail);
            before_ = snapshot(old.root);
        });

        test('a trial run says what would come and changes nothing', async () => {
            const ours = contents(server.data);
            const { code, out, err } = await invokemu('--dry-run');
            assert.deepEqual([code, err], [3, '']);
            const { counts, left_out: left, dry_run: dry } = JSON.parse(out);
            assert.deepEqual([dry, counts.pictures, counts.accounts], [true, { taken: 6, there: 0 }, { taken: 4, there: 0 }]);
            assert.ok(left.some((l) => l.name === `${id('lost')}.png` && /missing/.test(l.reason)));
            assert.deepEqual(contents(server.data), ours);
            assert.equal(pictures(server.data).length, 2);
        });

        test('takes everything in that has a place, and says what has none', async () => {
            const { code, out, err } = await invokemu();
            assert.deepEqual([code, err], [3, '']);
            const { counts, left_out: left } = JSON.parse(out);
            const taken = Object.fromEntries(Object.entries(counts).map(([what, n]) => [what, n.taken]));
            assert.deepEqual(taken, {
                accounts: 4, boards: 3, shares: 1, pictures: 6, 'thumbnails made anew': 1, 'workflows in pictures': 1, workflows: 2,
                'style presets': 1, 'settings of people': 2, models: 2, 'relations of models': 1, jobs: version === '6.14' ? 5 : 4,
            });
            const reasons = Object.fromEntries(left.map((l) => [`${l.what} ${l.name}`, l.reason]));
            for (const [what, reason] of Object.entries({
                [`picture ${id('lost')}.png`]: /file is missing/, [`picture ${id('deleted')}.png`]: /deleted/, 'picture ../../../etc/escape.png': /leads out/,
                [`file ${id('nobody')}.png`]: /no row/, 'workflow Broken': /read/, 'setting strange': /no meaning/, 'account not an address': /address/,
                ...(version === '6.14' ? { 'video film.mp4': /no place/, 'system prompt Be brief': /no place/ } : {}),
            })) {
                assert.match(reasons[what] || '', reason, what);
                delete reasons[what];
            }
            assert.deepEqual(reasons, {});
            assert.deepEqual(snapshot(old.root), before_, 'the other root is as it was');
        });

        test('people sign in with their old passwords and see exactly their own things', async () => {
            [eva, folke] = [await login(server, 'eva@old.example', PASSWORD), await login(server, 'folke@old.example', PASSWORD)];
            await login(server, 'long@old.example', `${LONG} and what InvokeAI did not look at`);
            assert.deepEqual([eva.user.user_id, eva.user.is_admin, eva.user.display_name], [EVA, true, 'Eva Ü']);
            assert.deepEqual(await names(folke), [ODD, `${id('bare')}.png`, `${id('flow')}.png`].sort());
            const boards = (await folke.get('/api/v1/boards/?all=true&include_archived=true')).body;
            assert.deepEqual(boards.map((b) => b.board_name).sort(), ['Folke’s', 'Sea']);
            assert.equal((await folke.get(`/api/v1/boards/${id('Attic')}`)).status, 403);
            assert.equal((await folke.get(`/api/v1/images/i/${id('p2')}.png`)).status, 403);
            const sea = boards.find((b) => b.board_name === 'Sea');
            assert.deepEqual([sea.cover_image_name, sea.board_visibility, sea.user_id], [`${id('p1')}.png`, 'shared', EVA]);
            const refused = await server.sql(`SELECT is_active FROM users WHERE email = 'off@old.example'`);
            assert.equal(refused[0].is_active, 0);
            assert.equal((await folke.get('/api/v1/client_state/default/get_by_key?key=params')).body, 'x'.repeat(60000));
            assert.deepEqual(server.sql(`SELECT user_id, permission FROM shared_boards WHERE board_id = '${id('Folke’s')}'`), [{ user_id: EVA, permission: 'write' }]);
        });

        test('pictures are what they were, under whatever name', async () => {
            const one = (await eva.get(`/api/v1/images/i/${id('p1')}.png`)).body;
            assert.deepEqual([one.starred, one.created_at, one.board_id, one.width], [true, TIME, id('Sea'), 20]);
            assert.equal(server.sql(`SELECT metadata FROM images WHERE image_name = '${id('p1')}.png'`)[0].metadata, METADATA);
            const odd = (await folke.get(`/api/v1/images/i/${encodeURIComponent(ODD)}`)).body;
            assert.equal(odd.image_name, ODD);
            for (const url of [odd.image_url, odd.thumbnail_url, `/api/v1/images/i/${id('bare')}.png/thumbnail`]) {
                assert.equal((await folke.get(url)).status, 200, url);
            }
            const bytes = (await folke.get(odd.image_url)).raw;
            assert.deepEqual(bytes, fs.readFileSync(path.join(old.root, 'outputs/images', ODD)));
            const { workflow, graph } = (await folke.get(`/api/v1/images/i/${id('flow')}.png/workflow`)).body;
            assert.deepEqual([workflow, JSON.parse(graph).id], [WORKFLOW, 'g']);
            const zip = await folke.post('/api/v1/images/download', { image_names: [ODD] });
            assert.equal(zip.status, 202);
            assert.equal((await folke.delete(`/api/v1/images/i/${id('bare')}.png`)).status, 200);
            assert.ok(!fs.existsSync(path.join(server.data, 'outputs/images', `${id('bare')}.png`)));
            assert.ok(fs.existsSync(path.join(old.root, 'outputs/images', `${id('bare')}.png`)), 'theirs stays');
        });

        test('the library, the queue and the models came along', async () => {
            const workflow = (await eva.get(`/api/v1/workflows/i/${id('Mine')}`)).body;
            assert.equal(workflow.name, 'Mine');
            assert.equal((await eva.get(`/api/v1/workflows/i/${id('Mine')}/thumbnail`)).status, 200);
            assert.equal((await folke.get(`/api/v1/style_presets/i/${id('Ink')}`)).body.preset_data.positive_prompt, '{prompt}, ink');
            assert.equal((await folke.get(`/api/v1/style_presets/i/${id('Ink')}/image`)).status, 200);
            const jobs = server.sql('SELECT status, user_id, retried_from_item_id, item_id FROM session_queue ORDER BY item_id');
            assert.deepEqual(jobs.map((j) => j.status), ['completed', 'failed', 'canceled', 'canceled', ...(version === '6.14' ? ['canceled'] : [])]);
            assert.equal(jobs[3].retried_from_item_id, jobs[1].item_id);
            const models = JSON.parse((await run(server, 'invokemu', ['models', 'list', '--json'])).out);
            assert.deepEqual(models.map((m) => [m.name, m.state]).sort(), [['Away', 'gone'], ['Here', 'broken']]);
            assert.equal(server.sql(`SELECT path FROM models WHERE key = '${id('Here')}'`)[0].path, path.join(old.root, 'models/here.safetensors'));
            assert.equal(server.sql('SELECT COUNT(*) AS n FROM model_relationships')[0].n, 1);
        });

        test('who is gone leaves an account that nobody can sign in to, for administrators to hand on', async () => {
            const [{ email, is_active: active }] = server.sql(`SELECT email, is_active FROM users WHERE user_id = '${GONE}'`);
            assert.equal(active, 0);
            assert.ok((await names(eva)).includes(`${id('stranger')}.png`));
            assert.equal((await run(server, 'invokemu', ['users', 'del', email, '--transfer-to', 'folke@old.example', '--force'])).code, 0);
            assert.ok((await names(folke)).includes(`${id('stranger')}.png`));
        });

        test('a second run changes nothing but what was deleted here', async () => {
            const again = await run(server, 'invokemu', ['import', old.root, '--media', path.join(server.run, 'media.sock')]);
            assert.match(again.out, / pictures? \(\d+ more are here already\)$/m);
            const ours = contents(server.data);
            const { counts } = JSON.parse((await invokemu()).out);
            assert.deepEqual(Object.entries(counts).filter(([, n]) => n.taken), []);
            assert.deepEqual(contents(server.data), ours);
            const entries = (await admin.get('/api/v1/audit?action=data_imported')).body.entries;
            assert.deepEqual(entries.map((entry) => entry.detail.begun ?? false), [false, true, false, true, false, true]);
            assert.deepEqual((await run(server, 'invokemu', ['doctor', '--json', '--media', path.join(server.run, 'media.sock')])).out.trim(), '[]');
        });
    });
}

describe('import without a server', () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-import-'));
    const hash = '$2b$12$vO7FIqJY4WDhVYbD/14souQg9Lc51Cqr1kMi9vv/f2dc5u3TUxBM.';
    const thumbnail = Buffer.concat([Buffer.from('RIFF\x0c\0\0\0WEBPVP8L', 'latin1'), Buffer.alloc(8)]);
    const invokemu = (root, ...args) => run({ data: root }, 'invokemu', args);
    const fresh = async (name) => {
        const root = path.join(dir, name);
        fs.mkdirSync(path.join(root, 'databases'), { recursive: true });
        assert.equal((await invokemu(root, 'migrate')).code, 0);
        return root;
    };
    after(() => fs.rmSync(dir, { recursive: true, force: true }));

    test('an installation of one person goes to the account that is named', async () => {
        const old = peopled(path.join(dir, 'single'), '5', hash, thumbnail);
        const root = await fresh('of-one');
        assert.equal((await run({ data: root }, 'invokemu', ['users', 'add', 'me@example.com', '--admin', '--password-stdin'], `${PASSWORD}\n`)).code, 0);
        const nobody = await invokemu(root, 'import', old.root, '--owner', 'nobody@example.com');
        assert.deepEqual([nobody.code, /no account nobody/.test(nobody.err)], [1, true]);
        const { code, err } = await invokemu(root, 'import', old.root, '--owner', 'me@example.com', '--media', '/nonexistent');
        assert.deepEqual([code, err], [3, '']);
        const count = (table) => Number(execFileSync('sqlite3', [path.join(root, 'databases/invokemu.db'), `SELECT COUNT(*) FROM ${table} WHERE user_id = (SELECT user_id FROM users WHERE email = 'me@example.com')`], { encoding: 'utf8' }));
        assert.deepEqual(['images', 'boards', 'workflows', 'style_presets', 'session_queue'].map(count), [6, 3, 2, 1, 4]);
    });

    test('takes rows in that lack a value, and lists those whose key is no text', { timeout: 60000 }, async () => {
        const old = new OldRoot(path.join(dir, 'odd'), '6.14');
        const times = { created_at: TIME, updated_at: TIME };
        old.row('workflow_library', { workflow_id: id('w'), workflow: WORKFLOW, category: null, name: 'w', ...times });
        old.row('style_presets', { id: id('s'), name: 's', preset_data: '{}', type: null, ...times });
        old.row('session_queue', { item_id: 1, batch_id: 'b', queue_id: 'default', session_id: id('j'), session: '{}', status: null, ...times });
        old.done();
        const root = await fresh('odd-rows');
        const { code, out, err } = await invokemu(root, 'import', old.root, '--json');
        assert.deepEqual([code, err], [3, '']);
        const { counts } = JSON.parse(out);
        assert.deepEqual(['workflows', 'style presets', 'jobs'].map((what) => counts[what]?.taken), [1, 1, 1]);
        assert.equal(execFileSync('sqlite3', [path.join(root, 'databases/invokemu.db'), 'SELECT status FROM session_queue'], { encoding: 'utf8' }).trim(), 'canceled');
        old.sql("INSERT INTO style_presets (id, name, preset_data) VALUES (x'616263', 'b', '{}')");
        const blob = JSON.parse((await invokemu(root, 'import', old.root, '--json')).out);
        assert.ok(blob.left_out.some((l) => l.what === 'style preset' && l.name === '(1 of them)' && /no text/.test(l.reason)), JSON.stringify(blob.left_out));
        assert.deepEqual(blob.counts['style presets'], { taken: 0, there: 1 });
    });

    test('whatever the columns hold, what fits comes in, the rest is listed, and a second run ends', { timeout: 120000 }, async () => {
        const old = new OldRoot(path.join(dir, 'wild'), '6.14');
        const q = (v) => (v === null ? 'NULL' : typeof v === 'number' || /^x'/.test(v) ? String(v) : `'${v.replaceAll("'", "''")}'`);
        /** The table without types and keys, which then holds whatever is put in. */
        const loose = (table) => {
            const columns = execFileSync('sqlite3', [old.database, `SELECT group_concat(name) FROM pragma_table_info('${table}')`], { encoding: 'utf8' }).trim();
            old.sql(`DROP TABLE ${table}; CREATE TABLE ${table} (${columns});`);
        };
        const add = (table, values) => old.sql(`INSERT INTO ${table} (${Object.keys(values)}) VALUES (${Object.values(values).map(q)});`);
        ['users', 'boards', 'images', 'board_images', 'workflow_library', 'style_presets', 'models', 'session_queue', 'shared_boards', 'client_state', 'model_relationships'].forEach(loose);
        const times = { created_at: TIME, updated_at: TIME };
        const strange = { created_at: 'the day before', updated_at: -5 };
        const huge = 'ä'.repeat(40000);
        add('users', { user_id: EVA, email: 'eva@old.example', display_name: '\x1b[2JEva', password_hash: 7, is_admin: 'yes', is_active: -1, token_epoch: -99, ...strange });
        add('users', { user_id: FOLKE, email: 12, display_name: null, password_hash: null, is_admin: null, is_active: 1, ...times });
        add('users', { user_id: null, email: 'null@old.example', ...times });
        add('users', { user_id: 5, email: 'five@old.example', ...times });
        add('users', { user_id: "x'6162'", email: 'blob@old.example', ...times });
        add('users', { user_id: id('twin'), email: 'EVA@old.example', ...times });
        add('users', { user_id: huge, email: 'huge@old.example', ...times });
        for (const name of [null, '', 3, huge, "x'ff00fe'", '\x1b]0;own\x07', 'Fine']) {
            add('boards', { board_id: id(`board ${String(name).slice(0, 9)}`), board_name: name, user_id: EVA, board_visibility: -1, archived: 'no', is_public: 'x', ...strange });
        }
        add('boards', { board_id: id('board Fine'), board_name: 'Again', user_id: FOLKE, ...times });
        add('boards', { board_id: "x'00ff'", board_name: 'Blob', ...times });
        add('boards', { board_id: null, board_name: 'Null', ...times });
        add('shared_boards', { board_id: id('board Fine'), user_id: null, can_edit: 'x', shared_at: 0 });
        add('shared_boards', { board_id: 9, user_id: EVA, can_edit: null, shared_at: null });
        const picture = (name, values = {}) => {
            add('images', { image_name: name, image_origin: 'internal', image_category: 'general', width: 12, height: 12, user_id: EVA, image_subfolder: '', ...times, ...values });
            fs.writeFileSync(path.join(old.root, 'outputs/images', name), makePng(12, 12));
        };
        picture('good.png', { metadata: '{"seed": 1}', ...strange });
        picture('twice.png');
        picture('twice.png');
        picture('board.png');
        add('board_images', { board_id: id('board null'), image_name: 'board.png', ...times });
        add('board_images', { board_id: "x'aa'", image_name: 'good.png', ...strange });
        picture('small.png', { width: -3 });
        picture('wide.png', { width: 'wide' });
        picture('kind.png', { image_category: "x'01'" });
        picture('origin.png', { image_origin: null });
        picture('meta.png', { metadata: "x'ff01'" });
        picture('folder.png', { image_subfolder: 77 });
        add('images', { image_name: 8, ...times });
        add('images', { image_name: "x'2e2e'", ...times });
        const workflow = (name, values) => add('workflow_library', { workflow_id: id(`flow ${name}`), workflow: WORKFLOW, category: 'user', name, user_id: EVA, ...times, ...values });
        workflow('fine', { opened_at: "x'00'", tags: 3, description: null });
        workflow('number', { workflow: 17 });
        workflow('list', { workflow: '[]' });
        workflow('deep', { workflow: '['.repeat(5000) });
        add('workflow_library', { workflow_id: '../../../etc/passwd', workflow: WORKFLOW, category: 'user', name: null, ...times });
        add('style_presets', { id: 'a/../b', name: null, preset_data: '{}', type: 3, ...strange });
        add('style_presets', { id: id('ink'), name: 'Ink', preset_data: "x'7b7d'", type: 'user', ...times });
        add('client_state', { user_id: EVA, key: 'k', value: "x'fffe'", updated_at: 1 });
        add('client_state', { user_id: EVA, key: 'good', value: '1', updated_at: 1 });
        add('client_state', { user_id: EVA, key: 4, value: null, updated_at: 1 });
        add('models', { id: id('m'), hash: null, base: 1, type: null, path: 3, name: null, config: 'null', ...times });
        add('models', { id: id('n'), hash: 'h', base: null, type: 'main', path: '../../../../etc', name: 5, config: '{}', ...times });
        add('model_relationships', { model_key_1: id('m'), model_key_2: id('m'), created_at: null });
        const job = (item_id, values) => add('session_queue', { item_id, batch_id: 'b', queue_id: 'default', session_id: id(`job ${item_id}`), session: '{}', status: 'completed', user_id: EVA, ...times, ...values });
        job(1, { retried_from_item_id: 2, priority: -9 });
        job(2, { retried_from_item_id: 1, priority: 'high', started_at: 'x', completed_at: -1 });
        job(-4, {});
        job('text', {});
        job(null, {});
        job(6, { status: 'dreaming' });
        job(7, { session: null });
        job(8, { queue_id: null, batch_id: null });
        job(9, { session_id: id('job 1') });
        const root = await fresh('wild-rows');
        const { code, out, err } = await invokemu(root, 'import', old.root, '--json', '--media', '/nonexistent');
        assert.deepEqual([code, err], [3, '']);
        const { counts, left_out: left } = JSON.parse(out);
        const taken = Object.fromEntries(Object.entries(counts).map(([what, { taken: n }]) => [what, n]).filter(([, n]) => n));
        const database = path.join(root, 'databases/invokemu.db');
        const ask = (query) => execFileSync('sqlite3', [database, query], { encoding: 'utf8' }).trim().split('\n');
        assert.deepEqual(taken, { accounts: 1, boards: 7, pictures: 4, 'settings of people': 1, 'style presets': 1, workflows: 1, jobs: 3 }, JSON.stringify(left, null, 1));
        assert.deepEqual(ask("SELECT board_name FROM boards WHERE length(board_name) < 20 ORDER BY 1"), ['3', 'Fine', 'Unnamed', 'Unnamed', String.raw`\x1b]0;own\x07`, String.raw`\xff`]);
        assert.deepEqual(ask('SELECT max(length(board_name)) FROM boards'), ['500']);
        assert.deepEqual(ask("SELECT b.board_name FROM board_images bi JOIN boards b USING (board_id)"), ['Unnamed']);
        assert.deepEqual(ask("SELECT email, display_name, is_admin FROM users WHERE user_id <> 'system'"), [String.raw`eva@old.example|\x1b[2JEva|0`]);
        const why = (what) => left.filter((l) => l.what === what).map((l) => l.name);
        assert.deepEqual(why('account').length, 4, why('account').join());
        assert.ok(why('board').includes('(2 of them)') && why('picture').includes('(2 of them)') && why('job').includes('(2 of them)'), JSON.stringify(left));
        for (const name of ['small.png', 'wide.png', 'kind.png', 'origin.png']) {
            assert.ok(why('picture').includes(name), name);
            assert.ok(!fs.existsSync(path.join(root, 'outputs/images', name)), `${name} is left where it is`);
        }
        assert.ok(left.every((l) => l.what && l.reason), 'each with a reason');
        const again = JSON.parse((await invokemu(root, 'import', old.root, '--json', '--media', '/nonexistent')).out);
        assert.equal(Object.values(again.counts).reduce((n, c) => n + c.taken, 0), 0, JSON.stringify(again.counts));
        const found = JSON.parse((await invokemu(root, 'doctor', '--json')).out).map((f) => f.what);
        assert.deepEqual(found, ['thumbnails']);
    });

    test('texts that are no UTF-8 stay out or are repaired; a pipe is no file of settings; one thing is said to be one', { timeout: 60000 }, async () => {
        const old = new OldRoot(path.join(dir, 'bytes'), '6.14');
        const times = { created_at: TIME, updated_at: TIME };
        for (const name of ['ok', 'bad']) {
            old.row('workflow_library', { workflow_id: id(`b ${name}`), workflow: WORKFLOW, category: 'user', name, description: '', tags: '', user_id: 'system', ...times });
            old.picture(`${name}.png`, { user_id: 'system', thumbnail: Buffer.from('RIFF\x04\0\0\0WEBP') });
        }
        old.row('boards', { board_id: id('b'), board_name: 'x', user_id: 'system', ...times });
        old.row('models', { id: id('gguf'), hash: 'h', base: 'sd-1', type: 'main', path: 'big.gguf', name: 'Big', config: '{}', ...times });
        old.row('models', { id: id('cut'), hash: 'h2', base: 'sd-1', type: 'main', path: 'cut.safetensors', name: 'Cut', config: '{}', ...times });
        fs.writeFileSync(path.join(old.root, 'models/big.gguf'), 'x');
        fs.writeFileSync(path.join(old.root, 'models/cut.safetensors'), 'x');
        old.done();
        execFileSync('sqlite3', [old.database, `UPDATE workflow_library SET description = CAST(X'FF' AS TEXT) WHERE name = 'bad'; UPDATE images SET node_id = CAST(X'E9' AS TEXT) WHERE image_name = 'bad.png'; UPDATE boards SET board_name = CAST(X'4AE9' AS TEXT);`]);
        fs.rmSync(path.join(old.root, 'invokeai.yaml'), { force: true });
        execFileSync('mkfifo', [path.join(old.root, 'invokeai.yaml')]);
        const root = await fresh('bytes-here');
        const { code, out, err } = await invokemu(root, 'import', old.root, '--json', '--media', '/nonexistent');
        assert.deepEqual([code, err], [3, '']);
        const { counts, left_out: left, notes } = JSON.parse(out);
        assert.deepEqual([counts.workflows.taken, counts.pictures.taken, counts.boards.taken, counts['thumbnails made anew']], [1, 1, 1, undefined]);
        assert.deepEqual(left.filter((l) => /UTF-8/.test(l.reason)).map((l) => l.what).sort(), ['picture', 'workflow']);
        assert.ok(!fs.existsSync(path.join(root, 'outputs/images/bad.png')));
        assert.ok(notes.some((n) => /model Big can't be used as it is .*have to be safetensors/.test(n)), notes.join('\n'));
        assert.ok(notes.some((n) => /model Cut can't be used as it is .*damaged or not complete/.test(n)), notes.join('\n'));
        const again = await invokemu(await fresh('bytes-too'), 'import', old.root, '--media', '/nonexistent');
        assert.match(again.out, /^ +1 board$/m);
        assert.match(again.out, /^ +2 models$/m);
        assert.deepEqual(JSON.parse((await invokemu(root, 'doctor', '--json')).out), []);
    });

    test('a database that lacks what an import needs is refused with the reason', async () => {
        for (const [name, damage, reason] of [
            ['no-boards', 'DROP TABLE boards', /boards/],
            ['no-name', 'ALTER TABLE boards DROP COLUMN board_name', /board_name/],
            ['no-version', "UPDATE migrations SET version = version + 900", /newer/],
            ['no-versions', 'DELETE FROM migrations', /before 5\.0/],
        ]) {
            const old = new OldRoot(path.join(dir, name), '6.14');
            old.sql(`${damage};`);
            const refused = await invokemu(await fresh(`${name}-here`), 'import', old.root);
            assert.deepEqual([refused.code, reason.test(refused.err)], [1, true], refused.err);
        }
    });

    test('broken off at ten random moments and run again, it ends the same', async (t) => {
        const old = peopled(path.join(dir, 'large'), '6.14', hash, thumbnail);
        for (let i = 0; i < 400; i++) {
            old.picture(`${id(`many${i}`)}.png`, { user_id: i % 2 ? EVA : FOLKE, thumbnail, board: i % 3 ? undefined : id('Sea'), size: 3 });
        }
        old.done();
        const args = ['import', old.root, '--media', '/nonexistent', '--copy'];
        const whole = await fresh('whole');
        assert.equal((await invokemu(whole, ...args)).code, 3);
        const root = await fresh('killed');
        const placed = () => (fs.existsSync(path.join(root, 'outputs/images')) ? fs.readdirSync(path.join(root, 'outputs/images')).length : 0);
        let killed = 0;
        for (let i = 0; i < 10; i++) {
            const child = spawn(path.join(BUILD, 'bin/invokemu'), [...args, '--root', root], { stdio: 'ignore' });
            const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal)));
            // The first ones early; later ones when so many files are there, and a moment more.
            let signal;
            void ended.then((s) => (signal = s));
            while (signal === undefined && placed() < (i - 1) * 40) {
                await pause(1);
            }
            await Promise.race([pause(Math.random() * 40), ended]);
            child.kill('SIGKILL');
            killed += (await ended) === 'SIGKILL';
        }
        t.diagnostic(`killed ${killed} of 10`);
        assert.ok(killed > 4, `only ${killed} were killed`);
        assert.equal((await invokemu(root, ...args)).code, 3);
        assert.deepEqual(contents(root), contents(whole));
        const entries = execFileSync('sqlite3', [path.join(root, 'databases/invokemu.db'), "SELECT (SELECT COUNT(*) FROM audit_log WHERE action = 'account_created' AND target_id = users.user_id) FROM users WHERE user_id <> 'system'"], { encoding: 'utf8' });
        assert.deepEqual(entries.trim().split('\n'), ['1', '1', '1', '1', '1'], 'each account has its entry, once');
        const left = pictures(root).filter(([file]) => !path.basename(file).startsWith('.part-'));
        assert.deepEqual(left, pictures(whole));
    });

    test('refuses what it does not know, and a root that is in use', async () => {
        const root = await fresh('refusals');
        const refused = async (from, why) => {
            const { code, err } = await invokemu(root, 'import', from);
            assert.deepEqual([code, why.test(err)], [1, true], err);
            assert.deepEqual(fs.readdirSync(path.join(root, 'tmp')), [], 'nothing is left behind');
        };
        await refused(path.join(dir, 'nowhere'), /no root of InvokeAI/);
        const newer = new OldRoot(path.join(dir, 'newer'), '6.14');
        newer.sql("INSERT INTO migrations VALUES (99, 'later')");
        await refused(newer.root, /newer InvokeAI/);
        const older = new OldRoot(path.join(dir, 'older'), '5');
        older.sql('UPDATE migrations SET version = 3');
        await refused(older.root, /before 5\.0/);
        const broken = new OldRoot(path.join(dir, 'broken'), '5');
        fs.writeFileSync(broken.database, 'x'.repeat(5000));
        fs.rmSync(`${broken.database}-wal`, { force: true });
        await refused(broken.root, /no database of InvokeAI/);
        const used = new OldRoot(path.join(dir, 'used'), '6.12');
        const holder = spawn('sqlite3', [used.database], { stdio: ['pipe', 'pipe', 'inherit'] });
        holder.stdin.write('SELECT COUNT(*) FROM images;\n');
        await new Promise((resolve) => holder.stdout.once('data', resolve));
        await refused(used.root, /in use/);
        holder.stdin.end();
        await new Promise((resolve) => holder.on('close', resolve));
        assert.equal((await invokemu(root, 'import')).code, 2);
        // A link at the lock's place: root must not make what it names.
        const elsewhere = path.join(dir, 'elsewhere.lock');
        fs.symlinkSync(elsewhere, path.join(root, 'tmp/import.lock'));
        assert.equal((await invokemu(root, 'import', used.root)).code, 1);
        assert.ok(!fs.existsSync(elsewhere));
    });
});

describeRoots();
