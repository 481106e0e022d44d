// The build takes a machine as it is: what it can do without, it does without, and says so.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { REPO } from '../lib/paths.mjs';

const PARTS = ['bin/nvcc', 'include/cuda_runtime.h', 'include/cublasLt.h', 'lib64/libcublasLt.so', 'lib64/libcudart_static.a'];

/** What make would do, in an empty build folder, with a CUDA toolkit of these (empty) files. */
function plan(t, parts) {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-cuda-'));
    t.after(() => fs.rmSync(home, { recursive: true }));
    for (const part of parts) {
        fs.mkdirSync(path.dirname(path.join(home, part)), { recursive: true });
        fs.writeFileSync(path.join(home, part), '', { mode: 0o755 });
    }
    const command = ['-n', '--no-print-directory', `NVCC=${path.join(home, 'bin/nvcc')}`, `B=${path.join(home, 'build')}`];
    return execFileSync('make', command, { cwd: REPO, encoding: 'utf8', maxBuffer: 1 << 26 });
}

const compiles = (text) => /device_cuda\.o|\.cu\.o|invokemu-cuda\.so/.test(text);

test('a whole CUDA toolkit: the plugin is built', (t) => {
    const text = plan(t, PARTS);
    assert.ok(compiles(text), 'no plugin');
    assert.doesNotMatch(text, /No CUDA here/);
});

for (const missing of PARTS)
    test(`a CUDA toolkit without ${missing}: the worker is built without the plugin`, (t) => {
        const text = plan(t, PARTS.filter((part) => part !== missing));
        assert.ok(!compiles(text), 'something of the plugin would be compiled');
        assert.match(text, /No CUDA here \(missing: \S+\)/);
        assert.match(text, /invokemu-worker /, 'the worker is built all the same');
    });
