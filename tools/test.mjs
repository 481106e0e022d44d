#!/usr/bin/env node
// Runs the test groups and adds them up:  node tools/test.mjs [--only GROUP,...] [--units "FILE FILE ..."]
// The last line is "N passed, N failed, N skipped"; the exit status tells whether anything failed.
// A group in which no test is found has failed: a test that went missing must not look like success.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { countTap } from './tap.mjs';

const REPO = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const BUILD = process.env.IMU_BUILD || 'build';
const LOGS = path.join(REPO, BUILD, 'test-logs');
// Of one command: something hangs. (--test-timeout of node is newer than Debian's.)
const LIMIT_MS = (/san$/.test(BUILD) ? 60 : 15) * 60 * 1000; // the engine is slow under a sanitizer
const JOBS = Math.max(1, Math.min(4, os.cpus().length));
const GRACE_MS = 10 * 1000; // from the polite signal, on which the tests stop their servers, to the other one
const VALGRIND = [
    'valgrind', '-q', '--error-exitcode=99', '--leak-check=full', '--errors-for-leak-kinds=definite',
    '--suppressions=tests/lib/valgrind.supp',
];
// Unit tests that don't belong under valgrind: they compute pictures or run whole corpora (minutes), watch a
// sandbox count system calls and processor time (valgrind makes its own), or limit a process's addresses (it takes
// more). All but the last run under the sanitizers instead.
const NOT_UNDER_VALGRIND = /engine|ways|tiles|media|confine|test_memory|test_scarce|replay_/;

function arguments_() {
    const found = { only: null, units: [] };
    const args = process.argv.slice(2);
    while (args.length) {
        const [name, value] = args.splice(0, 2);
        if (name === '--only' && value) {
            found.only = value.split(',');
        } else if (name === '--units') {
            found.units = (value || '').split(/\s+/).filter(Boolean);
        } else {
            console.error(`unknown argument: ${name}`);
            process.exit(2);
        }
    }
    return found;
}

function testFiles(dir) {
    const folder = path.join(REPO, dir);
    if (!fs.existsSync(folder)) {
        return [];
    }
    return fs.readdirSync(folder).filter((f) => f.endsWith('.test.mjs')).sort().map((f) => path.join(dir, f));
}

/** The commands of each group: one for each unit test binary and each file of node tests, so many of them at once. */
function groups(units) {
    const node = (dir, jobs) => ({
        jobs,
        commands: testFiles(dir).map((file) => ({ name: file, command: ['node', '--test-reporter=tap', file] })),
    });
    const programs = (files, suffix = '', front = []) => ({
        jobs: JOBS,
        commands: files.map((file) => ({ name: `${path.basename(file)}${suffix}`, command: [...front, file] })),
    });
    return {
        guards: node('tests/guards', JOBS),
        unit: programs(units),
        valgrind: programs(units.filter((file) => !NOT_UNDER_VALGRIND.test(path.basename(file))), '-valgrind', VALGRIND),
        http: node('tests/http', JOBS),
        events: node('tests/events', JOBS),
        worker: node('tests/worker', 1),
        browser: node('tests/browser', Math.min(2, JOBS)),
        install: node('tests/install', 1),
        kill: node('tests/kill', 1),
    };
}

/** Runs a command, its output goes to a log file. @returns {Promise<{status: string, output: string}>} */
function run({ name, command }) {
    const log = path.join(LOGS, `${name.replaceAll('/', '-')}.log`);
    const env = { ...process.env, CMOCKA_MESSAGE_OUTPUT: 'TAP' };
    return new Promise((resolve) => {
        const child = spawn(command[0], command.slice(1), { cwd: REPO, env, stdio: ['ignore', 'pipe', 'pipe'] });
        const chunks = [];
        child.stdout.on('data', (c) => chunks.push(c));
        child.stderr.on('data', (c) => chunks.push(c));
        let late = '';
        const timers = [
            setTimeout(() => {
                late = `no end after ${LIMIT_MS / 1000} s`;
                child.kill('SIGTERM');
            }, LIMIT_MS),
            setTimeout(() => child.kill('SIGKILL'), LIMIT_MS + GRACE_MS),
        ];
        const end = (status) => {
            timers.forEach(clearTimeout);
            const output = Buffer.concat(chunks).toString('utf8');
            fs.writeFileSync(log, output);
            resolve({ status: late || status, output, log });
        };
        child.on('error', (error) => end(error.message));
        child.on('close', (code, signal) => end(signal || (code ? `status ${code}` : '')));
    });
}

async function runGroup(name, { jobs, commands }) {
    const sum = { passed: 0, failed: 0, skipped: 0 };
    const begin = Date.now();
    if (commands.length === 0) {
        console.log(`not ok  ${name}: no tests found`);
        return { passed: 0, failed: 1, skipped: 0 };
    }
    const waiting = [...commands];
    const one = async () => {
        for (let command = waiting.shift(); command; command = waiting.shift()) {
            await runCommand(command, sum);
        }
    };
    await Promise.all(Array.from({ length: Math.min(jobs, commands.length) }, one));
    const seconds = ((Date.now() - begin) / 1000).toFixed(1);
    console.log(`${sum.failed ? 'not ok' : 'ok    '}  ${name}: ${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped (${seconds} s)`);
    return sum;
}

/** Runs one command of a group, tells what failed, and adds its results to `sum`. */
async function runCommand(command, sum) {
    const { status, output, log } = await run(command);
    const count = countTap(output);
    // A program that prints no TAP counts as one test, a file of node tests without any as a failure; one that fails beside its
    // tests, as one more failure.
    if (count.passed + count.failed + count.skipped === 0) {
        count[status || command.command[0] === 'node' ? 'failed' : 'passed'] += 1;
    } else if (status && count.failed === 0) {
        count.failed += 1;
    }
    if (count.failed) {
        console.log(`--- ${command.name} (${status || 'status 0'}; all of it in ${path.relative(REPO, log)})`);
        console.log(failures(output));
    }
    for (const key of Object.keys(sum)) {
        sum[key] += count[key];
    }
}

/** The failed tests, all of them in a few lines each and then the first ones with what they said, or the end of the output. */
function failures(output) {
    const lines = output.split('\n');
    const failed = lines.flatMap((line, i) => (/^\s*not ok\b/.test(line) ? [lines.slice(i, i + 22)] : []));
    if (failed.length === 0) {
        return lines.slice(-30).join('\n');
    }
    return [...failed.flatMap(gist), ...failed.slice(0, 3).flat()].join('\n');
}

/** The name of a failed test, where it is, and the first lines of its error. */
function gist([name, ...said]) {
    const place = said.find((line) => line.includes('location:')) || '';
    const at = said.findIndex((line) => line.includes('error:'));
    return [name, place, ...(at < 0 ? [] : said.slice(at, at + 4))].filter(Boolean);
}

const { only, units } = arguments_();
fs.mkdirSync(LOGS, { recursive: true });
const total = { passed: 0, failed: 0, skipped: 0 };
const all = groups(units);
for (const name of only || Object.keys(all)) {
    const sum = all[name] ? await runGroup(name, all[name]) : await runGroup(name, { jobs: 1, commands: [] });
    for (const key of Object.keys(total)) {
        total[key] += sum[key];
    }
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed ? 1 : 0);
