// Where the products of the build are, and where a server that runs as another user can read them.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPO = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** The build folder under test: IMU_BUILD names another one, such as build/san. */
export const BUILD = path.resolve(REPO, process.env.IMU_BUILD || 'build');
export const SANITIZED = /(^|\/)t?san$/.test(BUILD);
/** Built with SAN=thread: races instead of memory. */
export const THREADED = /(^|\/)tsan$/.test(BUILD);
export const HTTPD = process.env.IMU_HTTPD || '/usr/sbin/apache2';
export const MODULES = process.env.IMU_HTTPD_MODULES || '/usr/lib/apache2/modules';

/** The user that httpd's children and the workers run as: null when the tests themselves are not root. */
export function runUser() {
    if (process.getuid() !== 0) {
        return null;
    }
    const line = fs.readFileSync('/etc/passwd', 'utf8').split('\n').find((l) => l.startsWith('www-data:'));
    if (!line) {
        throw new Error('the user www-data is missing: install the package apache2');
    }
    const [name, , uid, gid] = line.split(':');
    return { name, uid: Number(uid), gid: Number(gid) };
}

/** True when everybody may pass through every folder above `file`. */
export function reachable(file) {
    for (let dir = path.dirname(fs.realpathSync(file)); ; dir = path.dirname(dir)) {
        if ((fs.statSync(dir).mode & 0o001) === 0) {
            return false;
        }
        if (dir === '/') {
            return true;
        }
    }
}

let staged = null;

/**
 * A path at which the run user can read a product of the build. A clone below a closed folder (such as /root) is
 * copied once to a temporary folder that goes away with this process.
 */
export function reach(file) {
    if (!runUser() || reachable(file)) {
        return file;
    }
    if (!staged) {
        staged = fs.mkdtempSync(path.join(os.tmpdir(), 'invokemu-stage-'));
        fs.chmodSync(staged, 0o755);
        process.on('exit', () => fs.rmSync(staged, { recursive: true, force: true }));
    }
    const copy = path.join(staged, path.relative(REPO, file).replaceAll('..', '_'));
    if (!fs.existsSync(copy)) {
        fs.mkdirSync(path.dirname(copy), { recursive: true });
        fs.cpSync(file, copy, { recursive: true });
    }
    return copy;
}
