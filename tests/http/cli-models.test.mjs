// The list of models on the command line, beside a server that runs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../lib/cli.mjs';
import { addModel, modelFolder } from '../lib/models.mjs';
import { startServer } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';

describe('models on the command line', () => {
    const dir = modelFolder();
    addModel(dir, 'alpha', { name: 'Alpha one' });
    addModel(dir, 'omega', { name: 'Omega' });
    let server, admin;
    const invokemu = (...args) => run(server, 'invokemu', ['models', ...args]);
    const well = async (...args) => {
        const { code, out, err } = await invokemu(...args);
        assert.deepEqual([code, err], [0, ''], args.join(' '));
        return out;
    };
    const names = async () => (await admin.get('/api/v2/models/')).body.models.map((m) => m.name);
    const states = async () => Object.fromEntries(JSON.parse(await well('list', '--json')).map((m) => [m.name, m.state]));

    before(async () => {
        server = await startServer({ multiuser: true, models: dir });
        admin = await setupAdmin(server);
    });
    after(() => server?.stop());

    test('lists them with size and state', async () => {
        const [alpha] = (await admin.get('/api/v2/models/')).body.models;
        const line = (await well('list')).split('\n')[0];
        assert.ok(line.startsWith(alpha.key) && line.endsWith('Alpha one'), line);
        assert.match(line, /sd-1 +main +\d+\.\d MB +usable/);
        assert.deepEqual(await states(), { 'Alpha one': 'usable', Omega: 'usable' });
    });

    test('takes one off the list by name, by key or by folder, and brings it back', async () => {
        const [{ key }] = (await admin.get('/api/v2/models/')).body.models;
        for (const what of ['Alpha one', key, 'alpha']) {
            assert.match(await well('remove', what), /Removed Alpha one/);
            assert.deepEqual(await names(), ['Omega'], what);
            assert.deepEqual(await states(), { 'Alpha one': 'removed', Omega: 'usable' });
            assert.equal((await invokemu('remove', what)).code, 1, 'it is off the list');
            await well('restore', what);
            assert.deepEqual(await names(), ['Alpha one', 'Omega'], what);
        }
        assert.equal((await admin.get('/api/v2/models/')).body.models[0].key, key);
        assert.equal((await invokemu('restore', 'Omega')).code, 1, 'it was not removed');
    });

    test('says what it can’t do', async () => {
        assert.deepEqual((await invokemu('remove')).code, 2);
        assert.match((await invokemu('remove', 'nobody')).err, /no model on the list is called "nobody"/);
        assert.equal((await invokemu('list', '--loudly')).code, 2);
        const lost = await invokemu('scan', '--models', path.join(dir, 'none'));
        assert.deepEqual([lost.code, /--models/.test(lost.err)], [1, true]);
    });

    test('says of a model outside the server’s folder what the pages say: it is not offered', async () => {
        const elsewhere = modelFolder();
        addModel(elsewhere, 'stranger', { name: 'Stranger' });
        await well('scan', '--models', elsewhere);
        const { state, problem } = JSON.parse(await well('list', '--json')).find((m) => m.name === 'Stranger');
        assert.deepEqual([state, problem], ['elsewhere', 'It lies outside the server\'s model folder (InvokeMUModels).']);
        const person = await addUser(admin, 'Pia');
        assert.ok(!(await person.get('/api/v2/models/')).body.models.some((m) => m.name === 'Stranger'));
        assert.match(await well('list'), /elsewhere +Stranger\n {4}It lies outside the server's model folder \(InvokeMUModels\)\.\n/);
        fs.rmSync(elsewhere, { recursive: true });
        await well('remove', 'Stranger');
    });

    test('finds new folders and mended ones, and leaves removed ones away', async () => {
        await well('remove', 'Omega');
        const torn = addModel(dir, 'torn');
        const merges = path.join(torn, 'tokenizer/merges.txt');
        const kept = fs.readFileSync(merges);
        fs.rmSync(merges);
        assert.match(await well('scan', '--models', `${dir}/`), /3 models are known, 1 of them new/);
        assert.equal((await states()).torn, 'broken');
        fs.writeFileSync(merges, kept);
        assert.equal((await states()).torn, 'not read yet');
        assert.match(await well('scan', '--models', dir), /3 models are known, 0 of them new/);
        assert.deepEqual(await states(), { 'Alpha one': 'usable', Omega: 'removed', torn: 'usable' });
        assert.deepEqual(await names(), ['Alpha one', 'torn']);
    });

    test('a name that several have needs the key', async () => {
        await well('restore', 'Omega');
        const omega = (await admin.get('/api/v2/models/')).body.models.find((m) => m.name === 'Omega');
        assert.equal((await admin.patch(`/api/v2/models/i/${omega.key}`, { name: 'Alpha one' })).status, 200);
        const both = await invokemu('remove', 'Alpha one');
        assert.deepEqual([both.code, /2 models are called "Alpha one"/.test(both.err)], [1, true]);
        await well('remove', omega.key);
        assert.deepEqual(await names(), ['Alpha one', 'torn']);
    });

    test('a kept tokenizer that was damaged is written anew from a model that has it', async () => {
        const kept = path.join(server.data, 'tokenizers');
        const [hash] = fs.readdirSync(kept);
        const merges = path.join(kept, hash, 'merges.txt');
        const whole = fs.readFileSync(merges);
        const doctor = async (...args) => {
            const { code, out } = await run(server, 'invokemu', ['doctor', '--json', ...args]);
            return [code, JSON.parse(out).map((f) => [f.what, f.names, f.mended])];
        };
        fs.mkdirSync(path.join(kept, 'lost+found'));
        assert.deepEqual(await doctor(), [0, []]);
        fs.truncateSync(merges, whole.length - 1);
        assert.deepEqual(await doctor(), [3, [['tokenizers', [hash], 0]]]);
        assert.deepEqual(await doctor('--fix'), [0, [['tokenizers', [hash], 1]]]);
        assert.deepEqual(fs.readFileSync(merges), whole);

        fs.renameSync(path.join(kept, hash), path.join(kept, '0'.repeat(64)));
        assert.deepEqual(await doctor('--fix'), [3, [['tokenizers', ['0'.repeat(64)], 0]]], 'no model has such a one');
    });

    test('one whose folder is gone is forgotten', async () => {
        fs.rmSync(path.join(dir, 'alpha'), { recursive: true });
        const at = async (folder) => JSON.parse(await well('list', '--json')).find((m) => m.path === folder)?.state;
        assert.equal(await at('alpha'), 'gone');
        await well('remove', 'alpha');
        assert.equal(await at('alpha'), undefined);
        assert.equal((await invokemu('restore', 'alpha')).code, 1);
    });
});
