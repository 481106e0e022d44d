// The command line beside a server under test.
import path from 'node:path';
import { spawn } from 'node:child_process';
import { until } from './server.mjs';
import { BUILD } from './paths.mjs';

/** Runs a tool on the server's folder; `input` goes to its standard input, `env` into its environment. Resolves to {code, out, err}. */
export const run = (server, tool, args, input = '', env = {}) =>
    new Promise((resolve, reject) => {
        const child = spawn(path.join(BUILD, 'bin', tool), args, { env: { ...process.env, INVOKEMU_ROOT: server.data, ...env } });
        let out = '';
        let err = '';
        child.stdout.on('data', (d) => (out += d));
        child.stderr.on('data', (d) => (err += d));
        child.on('error', reject);
        child.on('close', (code) => resolve({ code, out, err }));
        child.stdin.on('error', () => {}); // a tool that refuses at once does not read
        child.stdin.end(input);
    });

/**
 * Runs invokemu on a terminal. `talk` is a list of [what it must have asked by then, what is typed]. Resolves to {code, screen}.
 */
export async function onTerminal(server, args, talk) {
    const command = [path.join(BUILD, 'bin/invokemu'), ...args].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { env: { ...process.env, INVOKEMU_ROOT: server.data } });
    let screen = '';
    let ended = false;
    child.stdout.on('data', (d) => (screen += d));
    const code = new Promise((resolve) => child.on('close', resolve)).then((c) => ((ended = true), c));
    for (const [asked, typed] of talk) {
        await until(() => ended || asked.test(screen), `${asked} on the terminal, which shows ${screen}`);
        child.stdin.write(`${typed}\n`);
    }
    return { code: await code, screen };
}
