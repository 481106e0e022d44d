// Folders of a server, made without one.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { BUILD } from './paths.mjs';
import { makePng } from './png.mjs';

export const DATABASE = 'databases/invokemu.db';

/** A root with a database, and with pictures of these names. */
export function makeRoot(root, names = []) {
    fs.mkdirSync(path.join(root, 'outputs/images/thumbnails'), { recursive: true });
    execFileSync(path.join(BUILD, 'bin/invokemu'), ['migrate', '--root', root], { stdio: 'pipe' });
    for (const name of names) {
        fs.writeFileSync(path.join(root, 'outputs/images', name), makePng(8, 8));
        fs.writeFileSync(path.join(root, 'outputs/images/thumbnails', name.replace(/png$/, 'webp')), 'RIFF\x04\0\0\0WEBP');
    }
    const values = names.map((name) => `('${name}', 'internal', 'general', 8, 8, 'system', '2025-01-01 00:00:00.000', '2025-01-01 00:00:00.000')`);
    if (names.length) {
        execFileSync('sqlite3', [path.join(root, DATABASE)], {
            input: `INSERT INTO images (image_name, image_origin, image_category, width, height, user_id, created_at, updated_at) VALUES ${values.join(', ')};`,
        });
    }
}
