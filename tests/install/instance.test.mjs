// The private instance that `make run` starts, from the products of the build: as a user without rights, on a free port.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { request } from '../lib/http.mjs';
import { BUILD, REPO, reachable, runUser } from '../lib/paths.mjs';
import { rendered } from '../lib/pictures.mjs';
import { freePort, until } from '../lib/server.mjs';
import { ADMIN, login, setupAdmin } from '../lib/users.mjs';

const LOG_BYTES = 16 * 1024;
const user = runUser();
const skip = user && !reachable(path.join(REPO, 'Makefile')) ? `${user.name} can't read this clone` : false;
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-instance-'));
const server = {};

/** Runs tools/instance. @returns {{status: number, text: string}} what it printed, both ways */
function instance(command, settings = {}) {
    const env = { ...process.env, ROOT: path.join(root, 'home'), PORT: String(server.port), LISTEN: '127.0.0.1', LOG_SIZE: `${LOG_BYTES / 1024}K`, B: BUILD, ...settings };
    const as = user ? ['setpriv', '--reuid', user.uid, '--regid', user.gid, '--clear-groups', '--'].map(String) : [];
    const [program, ...words] = [...as, path.join(REPO, 'tools/instance'), command];
    const log = fs.openSync(path.join(root, 'printed'), 'w');
    // A file and no pipe: what is started goes on, and must not keep this waiting.
    const { status } = spawnSync(program, words, { env, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    return { status, text: fs.readFileSync(path.join(root, 'printed'), 'utf8') };
}

/** The command lines of what runs from below the instance's folder. */
function running() {
    return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
        try {
            const line = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
            return line.includes(`${root}/home/`) ? [{ pid: Number(pid), line }] : [];
        } catch {
            return []; // it ended meanwhile
        }
    });
}

const worker = () => running().find(({ line }) => /^\S+invokemu-worker .*worker\.sock/.test(line));
const logs = (name) => fs.readdirSync(path.join(root, 'home/logs')).filter((file) => file.startsWith(`${name}.log`));

describe('a private instance', { skip }, () => {
    before(async () => {
        server.port = await freePort();
        server.url = `http://127.0.0.1:${server.port}`;
        if (user) {
            fs.chownSync(root, user.uid, user.gid);
        }
        const { status, text } = instance('start');
        assert.equal(status, 0, text);
        assert.match(text, new RegExp(`address: +${server.url}/`));
    });

    after(() => {
        instance('stop');
        fs.rmSync(root, { recursive: true, force: true });
    });

    test('draws a picture with the model that comes with it', async () => {
        server.admin = await setupAdmin(server);
        const { image_name } = await rendered(server.admin);
        assert.equal((await server.admin.get(`/api/v1/images/i/${image_name}`)).body.width, 64);
        server.picture = image_name;
    });

    test('started again, it has what it had', async () => {
        const { status, text } = instance('start');
        assert.equal(status, 0, text);
        const admin = await login(server, ADMIN.email, ADMIN.password);
        assert.equal((await admin.get(`/api/v1/images/i/${server.picture}/full`)).status, 200);
    });

    test('a worker that is killed comes back, and its log says so', async () => {
        const { pid } = worker();
        process.kill(pid, 'SIGKILL');
        await until(() => worker() && worker().pid !== pid, 'another worker');
        await until(() => /ended with status 137; starting it again/.test(fs.readFileSync(path.join(root, 'home/logs/worker.log'), 'utf8')), 'the line in worker.log');
    });

    test('its logs have a bound', async () => {
        for (let i = 0; logs('access').length < 3; i += 1) {
            assert.ok(i < 2000, `${logs('access')} after ${i} requests`);
            await request(`${server.url}/api/v1/app/version`);
        }
        const most = LOG_BYTES + 4096; // it turns to the next file after the line that is one too many
        for (const name of logs('access')) {
            assert.ok(fs.statSync(path.join(root, 'home/logs', name)).size <= most, name);
        }
        assert.deepEqual(['error', 'media', 'worker'].map((name) => logs(name)[0]), ['error.log', 'media.log', 'worker.log']);
    });

    test('what is left of a server whose parent was killed is ended, and makes room for the next', async () => {
        process.kill(Number(fs.readFileSync(path.join(root, 'home/httpd.pid'))), 'SIGKILL');
        process.kill(Number(fs.readFileSync(path.join(root, 'home/run/worker.pid'))), 'SIGKILL');
        const before = running().map(({ pid }) => pid);
        const { status, text } = instance('start');
        assert.equal(status, 0, text);
        assert.deepEqual(running().filter(({ pid }) => before.includes(pid)), []);
        assert.equal(running().filter(({ line }) => /worker\.sock/.test(line) && !/keep-running/.test(line)).length, 1);
        await login(server, ADMIN.email, ADMIN.password);
    });

    test('settings that can’t be are refused in a sentence', () => {
        for (const [settings, sentence] of [[{ PORT: '0' }, /PORT must be a number from 1 to 65535, not "0"/], [{ MULTIUSER: 'yes' }, /MULTIUSER is on or off, not "yes"/]]) {
            const { status, text } = instance('start', settings);
            assert.deepEqual([status, sentence.test(text)], [1, true], text);
        }
    });

    test('a port that is taken is refused before anything is stopped', async () => {
        const other = net.createServer();
        await new Promise((resolve) => other.listen({ port: 0, host: '127.0.0.1' }, resolve));
        const before = running().map(({ pid }) => pid).sort();
        try {
            for (const LISTEN of ['127.0.0.1', 'localhost', '']) {
                const { status, text } = instance('start', { PORT: String(other.address().port), LISTEN });
                assert.deepEqual([status, /another program listens on port \d+: choose another PORT\. The instance that runs here goes on/.test(text)], [1, true], text);
            }
        } finally {
            other.close();
        }
        assert.deepEqual(running().map(({ pid }) => pid).sort(), before);
        await login(server, ADMIN.email, ADMIN.password);
    });

    test('stopped, nothing of it runs', async () => {
        assert.equal(instance('status').status, 0);
        const { status, text } = instance('stop');
        assert.equal(status, 0, text);
        await until(() => running().length === 0, `nothing to run`).catch(() => assert.deepEqual(running(), []));
        await assert.rejects(request(`${server.url}/`), /ECONNREFUSED/);
        assert.equal(instance('status').status, 1);
    });
});
