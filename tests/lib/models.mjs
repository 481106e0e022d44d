// Folders of models for servers under test.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { REPO } from './paths.mjs';

/** A folder that holds the small test model alone, readable for the server's user. Goes away with this process. */
export function testModels() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-models-'));
    process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
    fs.chmodSync(folder, 0o755);
    fs.cpSync(path.join(REPO, 'tests/fixtures/diffusion/tiny-sd15'), path.join(folder, 'tiny'), { recursive: true });
    fs.copyFileSync(path.join(REPO, 'conf/test-model.json'), path.join(folder, 'tiny/invokemu.json'));
    return folder;
}
