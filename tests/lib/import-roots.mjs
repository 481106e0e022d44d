// Whole roots of InvokeAI, with the counts that a correct import gives, where they lie beside the clone (or behind IMU_IMPORT_ROOTS).
// tests/http/import.test.mjs makes smaller ones of its own, and takes these along where there are any.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from './cli.mjs';
import { request } from './http.mjs';
import { REPO } from './paths.mjs';
import { startServer } from './server.mjs';
import { login, setupAdmin } from './users.mjs';

const ROOTS = process.env.IMU_IMPORT_ROOTS || path.join(REPO, '../shared/fixtures/import');
const SYSTEM = 'system';

const versions = fs.existsSync(ROOTS) ? fs.readdirSync(ROOTS).map((name) => /^expected-(.*)\.json$/.exec(name)?.[1]).filter(Boolean) : [];

/** Imports the root of one version and compares. */
function describeRoot(version) {
    describe(`the root of ${version}`, () => {
        const { after_import: expected, logins, source } = JSON.parse(fs.readFileSync(path.join(ROOTS, `expected-${version}.json`), 'utf8'));
        let server, admin, dir, report;
        before(async () => {
            dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-root-'));
            fs.cpSync(path.join(ROOTS, version), dir, { recursive: true });
            fs.chmodSync(dir, 0o755);
            server = await startServer({ multiuser: true, media: true });
            admin = await setupAdmin(server);
            const done = await run(server, 'invokemu', ['import', dir, '--json']);
            assert.deepEqual([done.code, done.err], [3, ''], done.err);
            report = JSON.parse(done.out);
        });
        after(async () => {
            await server?.stop();
            fs.rmSync(dir, { recursive: true, force: true });
        });

        const one = (query) => Object.values(server.sql(query)[0])[0];
        const GALLERY = 'is_intermediate = 0';
        const PICTURE = "image_category = 'general'";
        const UNBOARDED = 'image_name NOT IN (SELECT image_name FROM board_images)';
        /** What a person has, by the names of the expectation. */
        const has = (id) => {
            const of = (table, where = '1') => one(`SELECT COUNT(*) FROM ${table} WHERE user_id = '${id}' AND ${where}`);
            const by = (column, table, values) => Object.fromEntries(values.map((value) => [value, of(table, `${column} = '${value}'`)]));
            return {
                images: of('images'),
                images_in_gallery: of('images', GALLERY),
                intermediates: of('images', 'is_intermediate = 1'),
                starred_in_gallery: of('images', `${GALLERY} AND starred = 1`),
                images_with_workflow: of('images', 'has_workflow = 1'),
                images_without_metadata: of('images', 'metadata IS NULL'),
                boards: of('boards'),
                boards_archived: of('boards', 'archived = 1'),
                boards_by_visibility: by('board_visibility', 'boards', ['private', 'shared', 'public']),
                workflows_user: of('workflows'),
                workflows_public: of('workflows', 'is_public = 1'),
                style_presets_user: of('style_presets'),
                client_state_keys: of('client_state'),
                queue: by('status', 'session_queue', ['pending', 'in_progress', 'completed', 'failed', 'canceled']),
                uncategorized_in_gallery: of('images', `${GALLERY} AND ${UNBOARDED}`),
                assets_in_gallery: of('images', `${GALLERY} AND NOT ${PICTURE}`),
            };
        };

        test('each person has what is expected', () => {
            for (const person of [...expected.users, ...expected.owners_without_account]) {
                const found = has(person.user_id);
                const wanted = Object.fromEntries(Object.keys(found).map((what) => [what, person[what]]));
                assert.deepEqual(found, wanted, person.email || person.user_id);
            }
        });

        test('people are called what they were', () => {
            for (const { user_id: id, display_name: name } of expected.users.filter((u) => u.user_id !== SYSTEM)) {
                assert.deepEqual(server.sql(`SELECT display_name FROM users WHERE user_id = '${id}'`), [{ display_name: name }]);
            }
        });

        test('the report names what it has to', () => {
            const wanted = expected.report;
            const left = (what, reason) => report.left_out.filter((l) => l.what === what && reason.test(l.reason)).map((l) => l.name).sort();
            assert.deepEqual(left('picture', /file is missing/), wanted.image_rows_without_file.toSorted());
            assert.deepEqual(left('picture', /deleted/), wanted.images_soft_deleted.toSorted());
            assert.deepEqual(left('picture', /leads out/), wanted.image_rows_with_unsafe_path.toSorted());
            assert.deepEqual(left('file', /no row/), wanted.files_without_row.toSorted());
            const bare = report.notes.map((note) => /^the thumbnail of (.*) is missing there/.exec(note)?.[1]).filter(Boolean);
            assert.deepEqual(bare.sort(), wanted.images_without_thumbnail.toSorted());
            assert.ok(bare.every((name) => fs.existsSync(path.join(server.data, 'outputs/images/thumbnails', name.replace(/png$/, 'webp')))));
            assert.deepEqual(server.sql('SELECT board_id FROM boards WHERE cover_image_name IS NOT NULL ORDER BY 1').map((b) => b.board_id), wanted.boards_with_explicit_cover.toSorted());
            assert.deepEqual([wanted.board_images_without_image_or_board, wanted.model_relationships_dropped], [[], source.tables.model_relationships - report.counts['relations of models'].taken]);
        });

        test('of models whose file is there nobody says that it is missing', async () => {
            const { models } = (await admin.get('/api/v2/models/')).body;
            const missing = (m) => m.missing === true;
            assert.deepEqual(Object.fromEntries(models.map((m) => [m.key, !missing(m)])), Object.fromEntries(expected.models.map((m) => [m.key, m.present])));
            assert.equal(models.filter(missing).length, expected.totals.models_missing);
            assert.deepEqual((await admin.get('/api/v2/models/missing')).body.models.filter(missing).length, expected.totals.models_missing);
        });

        test('all of it together, and the models', () => {
            const { totals } = expected;
            const count = (table) => one(`SELECT COUNT(*) FROM ${table}`);
            const found = { images: count('images'), boards: count('boards'), board_images: count('board_images'), workflows_user: count('workflows'), style_presets_user: count('style_presets'), queue_items: count('session_queue'), model_relationships: count('model_relationships') };
            assert.deepEqual(found, Object.fromEntries(Object.keys(found).map((what) => [what, totals[what]])));
            assert.equal(count('shared_boards'), totals.shared_boards || 0);
            const models = server.sql('SELECT key, name, base, type FROM models');
            for (const { key, name, base, type } of expected.models) {
                assert.deepEqual(models.find((m) => m.key === key), { key, name, base, type });
            }
        });

        test('everybody signs in with the old password, and sees exactly their own pictures', async () => {
            for (const person of expected.users.filter((u) => u.email && u.user_id !== SYSTEM)) {
                const credentials = { email: person.email, password: logins[person.email] };
                if (!person.is_active) {
                    assert.equal((await request(`${server.url}/api/v1/auth/login`, { method: 'POST', json: credentials })).status, 403, person.email);
                    continue;
                }
                const they = await login(server, credentials.email, credentials.password);
                assert.deepEqual([they.user.user_id, they.user.is_admin], [person.user_id, person.is_admin]);
                if (!person.is_admin) {
                    const { body } = await they.get('/api/v1/images/?limit=1000');
                    const own = server.sql(`SELECT image_name FROM images WHERE user_id = '${person.user_id}'`).map((row) => row.image_name);
                    assert.deepEqual(body.items.map((item) => item.image_name).sort(), own.sort(), person.email);
                }
            }
        });

        test('the doctor finds nothing, and a second run adds nothing', async () => {
            assert.deepEqual(JSON.parse((await run(server, 'invokemu', ['doctor', '--json'])).out), []);
            const again = JSON.parse((await run(server, 'invokemu', ['import', dir, '--json'])).out);
            assert.equal(Object.values(again.counts).reduce((n, c) => n + c.taken, 0), 0, JSON.stringify(again.counts));
            assert.deepEqual(again.left_out, report.left_out);
        });
    });
}

/** Tests for each root there is; none where there are none. */
export function describeRoots() {
    versions.forEach(describeRoot);
}
