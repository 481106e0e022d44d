// Which pictures of another server are taken in, and what is said of the others.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { OldRoot, TIME } from '../lib/old-root.mjs';
import { makePng } from '../lib/png.mjs';

const thumbnail = Buffer.concat([Buffer.from('RIFF\x0c\0\0\0WEBPVP8L', 'latin1'), Buffer.alloc(8)]);
const times = { created_at: TIME, updated_at: TIME };

describe('pictures of another server', () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-moving-'));
    const data = path.join(dir, 'here');
    const invokemu = (...args) => run({ data }, 'invokemu', args);
    const sql = (statement) => execFileSync('sqlite3', [path.join(data, 'databases/invokemu.db'), statement], { encoding: 'utf8' }).trim();
    const importing = async (old, ...args) => {
        const { code, out, err } = await invokemu('import', old.root, '--json', '--media', '/nonexistent', ...args);
        assert.equal(err, '');
        return { code, ...JSON.parse(out) };
    };
    const why = ({ left_out: left }) => Object.fromEntries(left.filter((l) => l.what === 'picture').map((l) => [l.name, l.reason]));
    const rootOf = (name, version = '6.14') => new OldRoot(path.join(dir, name), version);
    const person = (old, name) => old.row('users', { user_id: name, email: `${name}@example.com`, display_name: name, password_hash: '', is_admin: 0, is_active: 1, ...times });
    const here = (name) => path.join(data, 'outputs/images', name);

    before(async () => {
        fs.mkdirSync(data);
        assert.equal((await invokemu('migrate')).code, 0);
    });
    after(() => fs.rmSync(dir, { recursive: true, force: true }));

    test('are here already when owner and content are the same, and are left out by name when not', async () => {
        const first = rootOf('first');
        person(first, 'anna');
        for (const name of ['same.png', 'theirs.png', 'other.png', 'size.png']) {
            first.picture(name, { user_id: 'anna', thumbnail });
        }
        first.done();
        assert.deepEqual((await importing(first)).counts.pictures, { taken: 4, there: 0 });
        const second = rootOf('second');
        person(second, 'anna');
        person(second, 'bert');
        second.picture('same.png', { user_id: 'anna', thumbnail });
        second.picture('theirs.png', { user_id: 'bert', thumbnail });
        second.picture('other.png', { user_id: 'anna', thumbnail });
        second.picture('size.png', { user_id: 'anna', thumbnail, size: 20 });
        second.done();
        const file = path.join(second.root, 'outputs/images/other.png');
        const bytes = fs.readFileSync(file);
        bytes[bytes.length - 13] ^= 1; // a checksum: the same length
        fs.writeFileSync(file, bytes);
        const lying = rootOf('lying');
        lying.picture('lying.png', { thumbnail });
        lying.done();
        fs.writeFileSync(here('lying.png'), makePng(5, 5));
        const before_ = ['same.png', 'theirs.png', 'other.png', 'size.png', 'lying.png'].map((name) => fs.readFileSync(here(name)));
        for (const args of [['--dry-run'], [], ['--copy']]) {
            const report = await importing(second, ...args);
            assert.deepEqual([report.code, report.counts.pictures], [3, { taken: 0, there: 1 }], args.join());
            assert.deepEqual(why(report), {
                'theirs.png': 'it is here already, and belongs to anna@example.com',
                'other.png': 'another picture of that name is here already',
                'size.png': 'another picture of that name is here already',
            });
            const alone = await importing(lying, ...args);
            assert.deepEqual([alone.counts.pictures, why(alone)], [undefined, { 'lying.png': 'another picture of that name is here already' }]);
        }
        assert.deepEqual(['same.png', 'theirs.png', 'other.png', 'size.png', 'lying.png'].map((name) => fs.readFileSync(here(name))), before_);
        assert.equal(sql("SELECT group_concat(DISTINCT user_id) FROM images WHERE image_name <> 'x'"), 'anna');
        fs.rmSync(here('lying.png'));
    });

    test('of nobody stay nobody’s when an owner is named later, and the report says so', async () => {
        const old = rootOf('nobodys', '5');
        old.row('boards', { board_id: 'n', board_name: 'n', ...times });
        old.picture('nobodys.png', { thumbnail });
        old.done();
        assert.deepEqual((await importing(old)).notes.filter((note) => /belong to nobody/.test(note)), []);
        const { notes, counts } = await importing(old, '--owner', 'anna@example.com');
        assert.deepEqual(counts.pictures, { taken: 0, there: 1 });
        assert.match(notes.find((note) => /belong to nobody/.test(note)) ?? notes.join('\n'), /^1 board, 1 picture, 0 workflows and 0 style presets were here before .*invokemu legacy --owner/);
        assert.equal((await invokemu('legacy')).out, '1 board, 1 picture, 0 workflows and 0 style presets belong to no account.\n');
    });

    test('that lie behind a link, are no pictures or have no possible name are left out with the reason', async () => {
        const old = rootOf('odd');
        const images = path.join(old.root, 'outputs/images');
        const elsewhere = path.join(dir, 'elsewhere');
        fs.mkdirSync(elsewhere);
        for (const name of ['deep.png', 'linked.png']) {
            fs.writeFileSync(path.join(elsewhere, name), makePng(4, 4));
        }
        fs.symlinkSync(elsewhere, path.join(images, 'sub'));
        fs.symlinkSync(path.join(elsewhere, 'linked.png'), path.join(images, 'linked.png'));
        const picture = (name, content = makePng(12, 12), more = {}) => {
            old.row('images', { image_name: name, image_origin: 'internal', image_category: 'general', width: 12, height: 12, image_subfolder: '', ...times, ...more });
            if (content !== null) {
                fs.writeFileSync(path.join(images, name), content);
            }
        };
        picture('deep.png', null, { image_subfolder: 'sub' });
        picture('linked.png', null);
        picture('empty.png', '');
        picture('text.png', 'hello');
        picture('half.png', makePng(40, 40).subarray(0, 60));
        picture('photo.jpg');
        picture('UP.PNG');
        picture('turn\u202egnp.png');
        picture('line\u2028end.png');
        picture('line\nend.png');
        picture('../up.png', null);
        picture('nowhere.png', null);
        picture('fine.png');
        fs.mkdirSync(path.join(images, 'folder.png'));
        picture('folder.png', null);
        old.done();
        for (const args of [['--dry-run'], []]) {
            const report = await importing(old, ...args);
            assert.deepEqual(report.counts.pictures, { taken: 1, there: 0 });
            const reasons = why(report);
            for (const [name, reason] of Object.entries({
                'deep.png': /over a link/, 'linked.png': /over a link/, 'empty.png': /no whole PNG/, 'text.png': /no whole PNG/, 'half.png': /no whole PNG/,
                'photo.jpg': /does not end in \.png/, 'UP.PNG': /does not end in \.png/, 'turn\u202egnp.png': /name can't be one/, 'line\u2028end.png': /name can't be one/,
                'line\nend.png': /name can't be one/, '../up.png': /leads out/, 'nowhere.png': /is missing/, 'folder.png': /is no file/,
            })) {
                assert.match(reasons[name] ?? '', reason, name);
                delete reasons[name];
            }
            assert.deepEqual(reasons, {});
        }
        assert.deepEqual(fs.readdirSync(path.join(data, 'outputs/images')).filter((name) => name.endsWith('.png')).sort(), ['fine.png', 'nobodys.png', 'other.png', 'same.png', 'size.png', 'theirs.png']);
    });

    test('that stand for workflows and style presets come along only as pictures of their own folder', async () => {
        const old = rootOf('previews', '6.12');
        const id = (n) => `0a1b2c3d-0000-4000-8000-00000000000${n}`;
        const theirs = { workflow_library: 'workflow_thumbnails', style_presets: 'style_presets' };
        const place = (table, n) => path.join(old.root, theirs[table], `${id(n)}.webp`);
        const secret = path.join(dir, 'secret');
        fs.writeFileSync(secret, 'a secret of this machine');
        fs.writeFileSync(path.join(dir, 'elsewhere.webp'), thumbnail);
        const large = Buffer.alloc(4 * 1024 * 1024 + 1);
        thumbnail.copy(large);
        const faults = [
            [(file) => fs.writeFileSync(file, thumbnail)],
            [() => {}],
            [(file) => fs.symlinkSync(path.join(dir, 'elsewhere.webp'), file), /over a link/],
            [(file) => fs.linkSync(secret, file), /no whole WebP/],
            [(file) => fs.writeFileSync(file, thumbnail.subarray(0, 15)), /no whole WebP/],
            [(file) => fs.writeFileSync(file, large), /too large/],
            [(file) => execFileSync('mkfifo', [file]), /is no file/],
        ];
        faults.forEach(([put], n) => {
            old.row('workflow_library', { workflow_id: id(n), workflow: '{}', category: 'user', name: `w${n}`, description: '', tags: '', ...times });
            old.row('style_presets', { id: id(n), name: `s${n}`, preset_data: '{}', type: 'user', ...times });
            Object.keys(theirs).forEach((table) => put(place(table, n)));
        });
        old.row('style_presets', { id: 'short', name: 'short', preset_data: '{}', type: 'user', ...times });
        fs.writeFileSync(path.join(old.root, 'style_presets/short.webp'), thumbnail);
        old.done();
        const wanted = Object.values(theirs).flatMap((folder) => faults.map(([, reason], n) => [`${folder}/${id(n)}.webp`, reason]).filter(([, reason]) => reason));
        wanted.push(['style_presets/short.webp', /name can't be one/]);
        for (const args of [['--dry-run'], [], []]) {
            const { left_out: left } = await importing(old, ...args);
            assert.deepEqual(left.map((l) => l.name).sort(), wanted.map(([name]) => name).sort());
            wanted.forEach(([name, reason]) => assert.match(left.find((l) => l.what === 'preview' && l.name === name).reason, reason));
        }
        assert.equal(sql(`SELECT group_concat(thumbnail) FROM workflows`), `${id(0)}.webp`);
        assert.equal(sql(`SELECT group_concat(image) FROM style_presets`), `${id(0)}.webp`);
        for (const folder of ['outputs/workflow_thumbnails', 'outputs/style_presets']) {
            assert.deepEqual(fs.readdirSync(path.join(data, folder)), [`${id(0)}.webp`]);
        }
        // The folder itself is a link.
        const linked = rootOf('linked-previews', '6.12');
        linked.row('workflow_library', { workflow_id: id(9), workflow: '{}', category: 'user', name: 'w', description: '', tags: '', ...times });
        linked.done();
        fs.rmdirSync(path.join(linked.root, 'workflow_thumbnails'));
        fs.mkdirSync(path.join(dir, 'other-folder'));
        fs.writeFileSync(path.join(dir, 'other-folder', `${id(9)}.webp`), thumbnail);
        fs.symlinkSync(path.join(dir, 'other-folder'), path.join(linked.root, 'workflow_thumbnails'));
        const { left_out: left } = await importing(linked);
        assert.deepEqual(left.map((l) => [l.what, l.name, /over a link/.test(l.reason)]), [['preview', `workflow_thumbnails/${id(9)}.webp`, true]]);
        assert.deepEqual(fs.readdirSync(path.join(data, 'outputs/workflow_thumbnails')), [`${id(0)}.webp`]);
    });
});
