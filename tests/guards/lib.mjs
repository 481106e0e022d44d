// What the guards share: the tracked files and the tables in the C sources.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { REPO } from '../lib/paths.mjs';

export const read = (file) => fs.readFileSync(path.join(REPO, file), 'utf8');

/**
 * Files of the project whose path matches. An export without its history has no list of tracked files: there, every file
 * counts but the fetched and the built ones.
 */
export function files(pattern) {
    const found = all().filter((file) => pattern.test(file));
    assert.ok(found.length > 0, `no file matches ${pattern}: the guard would check nothing`);
    return found;
}

function all() {
    if (fs.existsSync(path.join(REPO, '.git'))) {
        const options = { cwd: REPO, encoding: 'utf8', maxBuffer: 1 << 26 };
        const out = execFileSync('git', ['-c', `safe.directory=${REPO}`, 'ls-files', '--cached', '--others', '--exclude-standard', '-z'], options);
        return out.split('\0').filter((file) => file && fs.existsSync(path.join(REPO, file)));
    }
    return fs
        .readdirSync(REPO, { recursive: true })
        .map(String)
        .filter((file) => !/(^|\/)(node_modules|build|run|\.git)(\/|$)/.test(file) && fs.statSync(path.join(REPO, file)).isFile());
}

/** C source without comments and without the text of its strings, so that a word in a sentence is not a call. */
export function withoutWords(source) {
    return source.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"/g, (text) => (text[0] === '"' ? '""' : text.replace(/[^\n]/g, ' ')));
}

/** Directives of the module: [{name, kind, setter}]. */
export function directives() {
    const source = read('mod_invokemu/directives.c');
    const found = [...source.matchAll(/AP_INIT_(\w+)\("(\w+)",\s*(\w+)/g)].map(([, kind, name, setter]) => ({ kind, name, setter }));
    assert.ok(found.length >= 20, `only ${found.length} directives found in directives.c`);
    return found;
}

/** Rows of the route table: [{method, path, access, handler}]. */
export function routes() {
    const source = read('mod_invokemu/routes.c');
    const found = [...source.matchAll(/^\s*(?:ROUTE|FREES)\((\w+),\s*"([^"]+)",\s*(\w+),\s*(\w+)\)/gm)].map(([, method, where, access, handler]) => ({
        method,
        path: where,
        access,
        handler,
    }));
    assert.ok(found.length >= 40, `only ${found.length} routes found in routes.c`);
    return found;
}
