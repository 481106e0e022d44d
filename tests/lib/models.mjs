// Folders of models for servers under test.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { REPO } from './paths.mjs';

/** An empty folder for models, readable for the server's user. Goes away with this process. */
export function modelFolder() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-models-'));
    process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
    fs.chmodSync(folder, 0o755);
    return folder;
}

/** Puts a copy of the small test model there, with that description. @returns {string} its folder */
export function addModel(folder, name, about) {
    const to = path.join(folder, name);
    fs.cpSync(path.join(REPO, 'tests/fixtures/diffusion/tiny-sd15'), to, { recursive: true });
    if (about) {
        fs.writeFileSync(path.join(to, 'invokemu.json'), JSON.stringify(about));
    }
    return to;
}

/** The models that this person may use, by their names. */
export async function modelsByName(client) {
    return Object.fromEntries((await client.get('/api/v2/models/')).body.models.map((m) => [m.name, m]));
}

/** What a graph names a model by. */
export const named = ({ key, hash, name, base, type }) => ({ key, hash, name, base, type });

/** A folder that holds the small test model alone. */
export function testModels() {
    const folder = modelFolder();
    fs.copyFileSync(path.join(REPO, 'conf/test-model.json'), path.join(addModel(folder, 'tiny'), 'invokemu.json'));
    return folder;
}
