// Measures a running server and prints one table:  node tests/bench/bench.mjs [SOCKETS]
// Everything runs on this machine, the load generators too: compare figures of one run with each other.
import fs from 'node:fs';
import path from 'node:path';
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { REPO } from '../lib/paths.mjs';
import { freePort, startServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';
import { enqueuePictures, pictureModel } from '../lib/pictures.mjs';
import { makePng } from '../lib/png.mjs';
import { settled } from '../lib/queue.mjs';
import { measureJourneys } from './journey.mjs';
import { measureSockets, memory } from './sockets.mjs';

const run = promisify(execFile);
const SOCKETS = Number(process.argv[2] || 2000);
const MODELS = path.join(REPO, 'tests/fixtures/diffusion');
const HEAD = ['what', 'measured', 'aim', ''];
const rows = [];

/** One line of the table. `aim` is a number with 'at least' or 'at most' before it and a unit behind it; `figure` is what it is compared with. */
function row(what, value, aim = '', figure = undefined) {
    const [, side, limit] = /^at (least|most) ([\d.]+)/.exec(aim) || [];
    const verdict = !side ? '' : (side === 'least' ? figure >= Number(limit) : figure <= Number(limit)) ? 'met' : 'MISSED';
    console.error(`${what}: ${value}`); // shows how far it is; the table comes at the end
    rows.push([what, value, aim, verdict]);
}

/** Requests a second, by ab with kept connections. */
async function rate(url, token) {
    const args = ['-q', '-k', '-n', '4000', '-c', '8', ...(token ? ['-H', `Authorization: Bearer ${token}`] : []), url];
    const { stdout } = await run('ab', args, { maxBuffer: 1 << 24 });
    const failed = Number(/^Non-2xx responses:\s+(\d+)/m.exec(stdout)?.[1] || 0);
    if (failed) {
        throw new Error(`${failed} requests to ${url} were refused`);
    }
    return Number(/^Requests per second:\s+([\d.]+)/m.exec(stdout)[1]);
}

const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];

/** Median rates of addresses, measured in turns so that a busy moment hits all of them. */
async function rates(targets) {
    const found = targets.map(() => []);
    for (let turn = 0; turn < 3; turn++) {
        for (const [i, [url, token]] of targets.entries()) {
            found[i].push(await rate(url, token));
        }
    }
    return found.map(median);
}

async function requests(server, plain, admin) {
    for (let i = 0; i < 20; i++) {
        await admin.send('POST', `/api/v1/boards/?board_name=Board%20${i}`);
    }
    const picture = await upload(admin, { png: makePng(1024, 768) });
    const boards = '/api/v1/boards/?all=true';
    const thumbnail = `/api/v1/images/i/${picture.image_name}/thumbnail`;
    fs.writeFileSync(path.join(server.root, 'plain/list.json'), (await admin.get(boards)).raw);
    fs.writeFileSync(path.join(server.root, 'plain/picture.webp'), (await admin.get(thumbnail)).raw);
    const [listFile, list, pictureFile, thumb] = await rates([
        [`${plain}/list.json`],
        [`${server.url}${boards}`, admin.token],
        [`${plain}/picture.webp`],
        [`${server.url}${thumbnail}`, admin.token],
    ]);
    const share = (ours, file) => `${Math.round((ours / file) * 100)} %  (${Math.round(ours)} of ${Math.round(file)} /s)`;
    row('board list (20), share of a plain file', share(list, listFile), 'at least 60 %', (100 * list) / listFile);
    row('thumbnail, share of a plain file', share(thumb, pictureFile), 'at least 80 %', (100 * thumb) / pictureFile);
}

async function step(admin) {
    const model = await pictureModel(admin);
    const seconds = async (steps) => {
        const [id] = await enqueuePictures(admin, model, { steps, width: 256, height: 256 });
        const item = await settled(admin, id, ['completed', 'failed', 'canceled'], 300000);
        if (item.status !== 'completed') {
            throw new Error(`the picture failed: ${item.error_message}`);
        }
        return (Date.parse(`${item.completed_at}Z`) - Date.parse(`${item.started_at}Z`)) / 1000;
    };
    await seconds(2);
    const [few, many] = [await seconds(5), await seconds(25)];
    row('denoising step, test model at 256 x 256', `${((many - few) / 20).toFixed(4)} s`);
}

async function server() {
    const port = await freePort();
    const begin = Date.now();
    const found = await startServer({
        worker: 1,
        workerArgs: [],
        media: true,
        models: MODELS,
        logLevel: 'warn',
        prepare: (root) => fs.mkdirSync(path.join(root, 'plain')),
        conf: (root) => `Listen 127.0.0.1:${port}\n<Directory "${root}/plain">\nRequire all granted\n</Directory>`,
        sites: (root) => `<VirtualHost *:${port}>\nDocumentRoot "${root}/plain"\n</VirtualHost>`,
    });
    row('start of all processes to the first answer', `${Date.now() - begin} ms`);
    const admin = await setupAdmin(found);
    await requests(found, `http://127.0.0.1:${port}`, admin);
    await step(admin);
    const { httpd, children, dispatcher, workers, media } = found.pids();
    const mib = (pids) => `${(memory(pids) / 1024).toFixed(1)} MiB`;
    row('memory: httpd with dispatcher', mib([httpd, dispatcher, ...children]));
    row('memory: worker, media process', `${mib(workers)}, ${mib([media])}`);
    const again = Date.now();
    await found.restart('hard');
    row('hard restart to the next answer', `${Date.now() - again} ms`);
    await found.stop();
}

async function sockets(tls) {
    const found = await startServer({ tls, logLevel: 'warn', conf: `InvokeMUMaxPersonSockets ${2 * SOCKETS}` });
    const admin = await setupAdmin(found);
    const owner = await addUser(admin, 'Owner');
    const result = await measureSockets(found, admin, owner, SOCKETS);
    const name = `${SOCKETS} ${tls ? 'TLS' : 'plain'} sockets`;
    row(`${name}: threads of a child`, `${result.threads} (without the sockets ${result.threadsWithout})`, 'at most 25', result.threads);
    row(`${name}: memory for each`, `${result.kib.toFixed(1)} KiB`, 'at most 64 KiB', result.kib);
    row(`${name}: event to its owner, p50 / p99`, `${result.p50.toFixed(1)} / ${result.p99.toFixed(1)} ms`, 'at most 50 ms (p99)', result.p99);
    row(`${name}: the same at 5 a second, told to all of them`, `${result.all50.toFixed(1)} / ${result.all99.toFixed(1)} ms`);
    found.allowLog(/IMU03/);
    await found.stop();
}

async function journeys() {
    const found = await startServer({ multiuser: true, logLevel: 'warn' });
    const { secondPerson, signIn } = await measureJourneys(found);
    row('from an empty server to a second person, by hand', `${secondPerson.toFixed(0)} s`, 'at most 120 s', secondPerson);
    row('from pressing "Sign in" to a live page', `${signIn.toFixed(2)} s`, 'at most 2 s', signIn);
    await found.stop();
}

await server();
await journeys();
await sockets(false);
await sockets(true);
const cpu = /^model name\s*: (.*)$/m.exec(fs.readFileSync('/proc/cpuinfo', 'utf8'))?.[1] || 'unknown processor';
console.log(`${execFileSync('nproc', { encoding: 'utf8' }).trim()} processors: ${cpu}; load before: ${fs.readFileSync('/proc/loadavg', 'utf8').split(' ')[0]}`);
const widths = [0, 1, 2, 3].map((i) => Math.max(...rows.map((r) => r[i].length), HEAD[i].length));
for (const line of [HEAD, ...rows]) {
    console.log(line.map((cell, i) => cell.padEnd(widths[i])).join('  ').trimEnd());
}
const judged = (verdict) => rows.filter((each) => each[3] === verdict).length;
console.log(`aims: ${judged('met')} met, ${judged('MISSED')} missed`);
