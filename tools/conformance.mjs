#!/usr/bin/env node
// Runs a black-box conformance suite against fresh private servers:  node tools/conformance.mjs SUITE [FILE...]
// SUITE is a folder with package.json and *.test.mjs that reads its settings from the environment (BASE_URL and so on).
// One server is in multi-user mode and carries the test hook, one is in single-user mode. Nothing in SUITE is changed.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync, spawn } from 'node:child_process';
import { BUILD, REPO, reach } from '../tests/lib/paths.mjs';
import { startServer } from '../tests/lib/server.mjs';
import { countTap } from './tap.mjs';

const [suiteArgument, ...wanted] = process.argv.slice(2);
if (!suiteArgument) {
    console.error('usage: node tools/conformance.mjs SUITE [FILE...]');
    process.exit(2);
}
const suite = path.resolve(suiteArgument);
if (!fs.existsSync(path.join(suite, 'package.json'))) {
    console.error(`there is no conformance suite in ${suite} (no package.json): give its folder as SUITE=DIR`);
    process.exit(2);
}

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-conformance-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true, force: true }));

/** A copy of the suite with its packages. */
function prepare() {
    const copy = path.join(scratch, 'suite');
    fs.cpSync(suite, copy, { recursive: true, filter: (file) => path.basename(file) !== 'node_modules' });
    spawnSync('chmod', ['-R', 'u+w', copy]);
    fs.copyFileSync(path.join(REPO, '.npmrc'), path.join(copy, '.npmrc'));
    const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: copy, stdio: ['ignore', 'inherit', 'inherit'] });
    if (npm.status !== 0) {
        throw new Error('npm ci failed in the copy of the suite');
    }
    return copy;
}

/** A program that drives queue items of the server: $HOOK_CMD start|progress|complete|fail ITEM. */
function hookProgram(server) {
    const program = path.join(scratch, 'hook');
    const hook = path.join(BUILD, 'imu-hook');
    if (!fs.existsSync(hook)) {
        return '';
    }
    fs.writeFileSync(program, `#!/bin/sh\nexec '${hook}' '${server.run}' "$@"\n`, { mode: 0o755 });
    return program;
}

function environment(multi, single) {
    const openapi = path.join(suite, '../contract/openapi-6.14.json');
    const found = {
        BASE_URL: multi.url,
        SINGLE_BASE_URL: single.url,
        JWT_SECRET: multi.sql("SELECT value FROM app_settings WHERE key = 'jwt_secret'")[0].value,
        HOOK_CMD: hookProgram(multi),
        INVITE_ACCEPT_PATH: '/api/v1/auth/accept-invitation',
        OPENAPI_JSON: fs.existsSync(openapi) ? openapi : '',
    };
    const tools = path.join(BUILD, 'bin');
    if (fs.existsSync(tools)) {
        Object.assign(found, { CLI_BIN: reach(tools), CLI_ROOT: multi.data });
    }
    return Object.fromEntries(Object.entries(found).filter(([, value]) => value));
}

/** Runs the files one after another. @returns {Promise<{passed, failed, skipped}>} */
async function runSuite(copy, env) {
    const files = fs.readdirSync(copy).filter((f) => f.endsWith('.test.mjs') && (!wanted.length || wanted.includes(f))).sort();
    const sum = { passed: 0, failed: 0, skipped: 0 };
    if (files.length === 0) {
        throw new Error(`no test file found in ${suite}`);
    }
    for (const file of files) {
        const output = await runFile(copy, file, env);
        const count = countTap(output);
        if (count.passed + count.failed + count.skipped === 0) {
            count[/# SKIP/.test(output) ? 'skipped' : 'failed'] = 1; // a file skipped as a whole counts no test
        }
        console.log(`${count.failed ? 'not ok' : 'ok    '}  ${file}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
        for (const name of unsuccessful(output)) {
            console.log(`          ${name}`);
        }
        Object.keys(sum).forEach((key) => (sum[key] += count[key]));
    }
    return sum;
}

function runFile(copy, file, env) {
    const log = path.join(BUILD, 'test-logs', `conformance-${file}.log`);
    fs.mkdirSync(path.dirname(log), { recursive: true });
    const child = spawn('node', ['--test', '--test-reporter=tap', file], {
        cwd: copy,
        env: { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks = [];
    child.stdout.on('data', (c) => chunks.push(c));
    child.stderr.on('data', (c) => chunks.push(c));
    return new Promise((resolve) =>
        child.on('close', () => {
            const output = Buffer.concat(chunks).toString('utf8');
            fs.writeFileSync(log, output);
            resolve(output);
        }),
    );
}

/** Titles of failed and skipped tests, the innermost only. */
function unsuccessful(output) {
    return output
        .split('\n')
        .filter((line) => /^\s+not ok |# SKIP/.test(line))
        .map((line) => line.trim().replace(/^(not )?ok \d+ - /, (m) => (m.startsWith('not') ? 'FAILED  ' : 'skipped ')));
}

const options = { worker: 1, media: true, hook: true, models: path.join(REPO, 'tests/fixtures/diffusion') };
if (!fs.existsSync(options.models)) {
    delete options.models;
}
const copy = prepare();
const [multi, single] = [await startServer({ ...options, multiuser: true }), await startServer({ ...options, multiuser: false })];
let failed = false;
try {
    const sum = await runSuite(copy, environment(multi, single));
    console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
    failed = sum.failed > 0;
} finally {
    for (const server of [multi, single]) {
        await server.stop().catch((error) => {
            console.error(error.message);
            failed = true;
        });
    }
}
process.exit(failed ? 1 : 0);
