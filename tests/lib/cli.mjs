// The command line beside a server under test.
import path from 'node:path';
import { spawn } from 'node:child_process';
import { BUILD } from './paths.mjs';

/** Runs a tool on the server's folder; `input` goes to its standard input. Resolves to {code, out, err}. */
export const run = (server, tool, args, input = '') =>
    new Promise((resolve, reject) => {
        const child = spawn(path.join(BUILD, 'bin', tool), args, { env: { ...process.env, INVOKEMU_ROOT: server.data } });
        let out = '';
        let err = '';
        child.stdout.on('data', (d) => (out += d));
        child.stderr.on('data', (d) => (err += d));
        child.on('error', reject);
        child.on('close', (code) => resolve({ code, out, err }));
        child.stdin.on('error', () => {}); // a tool that refuses at once does not read
        child.stdin.end(input);
    });
