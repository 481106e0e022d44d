// What check-engine allows a model to be off by follows from the model's own files, whatever it is called.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { modelFolder } from '../lib/models.mjs';
import { BUILD, REPO } from '../lib/paths.mjs';

const FIXTURES = path.join(REPO, 'tests/fixtures/diffusion');

for (const [of, name] of [['sd21v', 'owl'], ['sdxl', 'fox']]) {
    test(`${of} under another name is compared by the same measure`, () => {
        const folder = modelFolder();
        const golden = path.join(folder, 'golden', name);
        fs.mkdirSync(golden, { recursive: true });
        for (const file of ['inputs.json', 'trajectories.safetensors']) {
            fs.symlinkSync(path.join(FIXTURES, 'golden', of, file), path.join(golden, file));
        }
        fs.symlinkSync(path.join(FIXTURES, `tiny-${of}`), path.join(folder, `tiny-${name}`));
        const { status, stdout, stderr } = spawnSync(path.join(BUILD, 'check-engine'), [folder], { encoding: 'utf8' });
        assert.equal(status, 0, stdout + stderr);
        assert.match(stdout, new RegExp(`^${name}/trajectories\\.safetensors +1\\d\\d +0 `, 'm'));
    });
}
