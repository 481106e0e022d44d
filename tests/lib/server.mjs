// A real httpd with the module, in a temporary folder and on a free port, for one group of tests.
//
//     const server = useServer({ multiuser: true });        // started before, stopped after the tests of the file
//     test('…', async () => { const me = await setupAdmin(server); … });
//
// stop() fails when the error log holds a line at level warn or above that no allowLog() pattern covers, when a
// process crashed, and when a process outlives the server.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { after, before } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { request } from './http.mjs';
import { BUILD, HTTPD, MODULES, REPO, SANITIZED, THREADED, reach, runUser } from './paths.mjs';
import { WAIT_MS } from './waits.mjs';

// Bounds of what hangs, not of what is slow: machines may have much else to do.
const START_MS = 60000;
const STOP_MS = 60000;
const LOG_LINE = /^\[[^\]]+\] \[([^:\]]*):([a-z0-9]+)\] \[pid \d+(?::tid \d+)?\] /;
const QUIET_LEVELS = new Set(['notice', 'info', 'debug', 'trace1', 'trace2', 'trace3', 'trace4', 'trace5']);
// What a machine brings with it. AH00045: a child took longer than httpd's three seconds to end, on a busy one; one that hangs
// is killed (AH00046), and fails. AH01882: its OpenSSL has been updated less lately than its Apache.
const MACHINE = /AH00045: child process|AH01882: Init/;
const CRASH = /exit signal|AH0005[0-2]|Sanitizer|runtime error:|stack smashing|buffer overflow detected/;

const running = new Set();
process.on('exit', () => running.forEach((server) => server.killAll()));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    process.once(signal, () => process.exit(1));
}

/** A TCP port that was free a moment ago; `wanted` itself, when one is wanted. Fails when that is taken. */
export function freePort(wanted = 0) {
    return new Promise((resolve, reject) => {
        const probe = net.createServer();
        probe.on('error', reject);
        probe.listen(wanted, '127.0.0.1', () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}

/** A port that nobody is given by chance, for a server that goes away for a moment: below those of outgoing connections. */
export async function lastingPort() {
    for (let tries = 0; tries < 50; tries++) {
        const port = await freePort(20000 + Math.floor(Math.random() * 12000)).catch(() => 0);
        if (port) {
            return port;
        }
    }
    throw new Error('no free port between 20000 and 32000');
}

/** Asks `probe` again and again until it answers something true. Fails after `ms`. */
export async function until(probe, what, ms = WAIT_MS) {
    for (const end = Date.now() + ms; ; ) {
        const found = await probe();
        if (found) {
            return found;
        }
        if (Date.now() > end) {
            throw new Error(`waited ${ms} ms in vain for ${what}`);
        }
        await pause(20);
    }
}

/** TCP sockets of this machine with the local port `port`: their states and inodes, as /proc/net/tcp has them. */
function socketsAt(port) {
    const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    return ['/proc/net/tcp', '/proc/net/tcp6']
        .flatMap((file) => fs.readFileSync(file, 'utf8').split('\n'))
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[1]?.endsWith(local))
        .map((fields) => ({ state: fields[3], inode: fields[9] }));
}

/** True while the process `pid` takes connections at `port`. */
function listens(pid, port) {
    const inodes = new Set(socketsAt(port).filter(({ state }) => state === '0A').map(({ inode }) => `socket:[${inode}]`));
    try {
        const folder = `/proc/${pid}/fd`;
        return fs.readdirSync(folder).some((fd) => inodes.has(fs.readlinkSync(path.join(folder, fd), { encoding: 'utf8' })));
    } catch (error) {
        assert.ok(['ENOENT', 'ESRCH'].includes(error.code), error.message); // gone meanwhile: the process, or one of its files
        return fs.existsSync(`/proc/${pid}`);
    }
}

/** True when somebody accepts connections on the Unix socket `file`. */
function accepts(file) {
    return new Promise((resolve) => {
        const socket = net.connect(file, () => {
            socket.destroy();
            resolve(true);
        });
        socket.on('error', () => resolve(false));
    });
}

/** Process ids whose environment carries the mark of this test server. */
function markedProcesses(root) {
    const mark = Buffer.from(`IMU_TEST_ROOT=${root}\0`);
    return fs
        .readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map(Number)
        .filter((pid) => {
            try {
                return fs.readFileSync(`/proc/${pid}/environ`).includes(mark);
            } catch {
                return false;
            }
        });
}

/** Parent and name of a process, or null when it is gone (or a zombie). */
export function processInfo(pid) {
    try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [, name, state, parent] = /^\d+ \((.*)\) (\S) (\d+)/s.exec(stat);
        return state === 'Z' ? null : { pid, name, parent: Number(parent) };
    } catch {
        return null;
    }
}

export class Server {
    /** See startServer for the options. */
    constructor(options = {}) {
        this.options = { multiuser: true, mpm: 'event', logLevel: 'info', ...options };
        this.allowed = [];
        this.workers = [];
        this.media = null;
        this.user = runUser();
    }

    /** Starts everything. Later calls wait for the same start. */
    start() {
        this.starting ??= this.startAll();
        return this.starting;
    }

    async startAll() {
        this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-'));
        this.data = path.join(this.root, 'data');
        this.run = path.join(this.root, 'run');
        this.logs = path.join(this.root, 'logs');
        for (const dir of [this.data, this.run, this.logs]) {
            fs.mkdirSync(dir);
        }
        // Workers may read later what is there when they start.
        this.tokenizers = path.join(this.data, 'tokenizers');
        fs.mkdirSync(this.tokenizers);
        this.own(this.root, this.data, this.run, this.logs, this.tokenizers);
        fs.chmodSync(this.root, 0o755);
        running.add(this);
        this.options.prepare?.(this.root);
        try {
            await this.startCompanions();
            await this.startHttpd();
        } catch (error) {
            this.killAll();
            error.message += `\n--- logs ---\n${this.allLogs().slice(-4000)}`;
            running.delete(this);
            fs.rmSync(this.root, { recursive: true, force: true });
            throw error;
        }
        return this;
    }

    /** Hands files to the user that the server runs as. */
    own(...files) {
        if (this.user) {
            files.forEach((file) => fs.chownSync(file, this.user.uid, this.user.gid));
        }
    }

    async startCompanions() {
        const { worker, media } = this.options;
        for (let i = 0; i < Number(worker || 0); i++) {
            await this.startWorker(i);
        }
        if (media) {
            await this.startMedia();
        }
    }

    workerSocket(i) {
        return path.join(this.run, `worker${i}.sock`);
    }

    /** Starts (again) worker number `i`; resolves when it listens. */
    async startWorker(i = 0) {
        this.workers[i] = await this.startCompanion(['--socket', this.workerSocket(i), '--tokenizers', this.tokenizers], `worker${i}`);
        return this.workers[i];
    }

    async startMedia() {
        this.media = await this.startCompanion(['--media', '--socket', path.join(this.run, 'media.sock')], 'media');
        return this.media;
    }

    async startCompanion(args, name) {
        const socket = args[args.indexOf('--socket') + 1];
        // One thread: on a busy machine, threads that wait for each other at every operation make a worker very slow.
        const extra = this.options.workerArgs || (name === 'media' ? [] : ['--threads', '1']);
        const [program, ...before] = this.options.workerCommand?.(this.root, name) || [reach(path.join(BUILD, 'invokemu-worker'))];
        const child = this.spawn(program, [...before, ...args, ...extra], {
            log: `${name}.log`,
            ...(this.user ? { uid: this.user.uid, gid: this.user.gid } : {}),
        });
        await until(() => child.gone || accepts(socket), `the ${name} process to listen`, START_MS);
        if (child.gone) {
            throw new Error(`the ${name} process ended at once (${child.gone})`);
        }
        return child;
    }

    spawn(program, args, { log, uid, gid, files, preload } = {}) {
        const out = fs.openSync(path.join(this.logs, log), 'a');
        const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', IMU_TEST_ROOT: this.root, ...(preload ? { LD_PRELOAD: preload } : {}), ...sanitizerEnv(program) };
        // A process group of its own: the prefork MPM stops its children by signalling the whole group.
        const whole = [...(files ? ['prlimit', `--nofile=${files}`] : []), program, ...args];
        const child = spawn(whole[0], whole.slice(1), { cwd: this.root, env, uid, gid, stdio: ['ignore', out, out], detached: true });
        fs.closeSync(out);
        child.unref(); // a failed test that forgot its server must not keep the test run waiting
        child.gone = '';
        child.on('error', (error) => (child.gone = error.message));
        child.on('exit', (code, signal) => (child.gone = signal || `status ${code}`));
        return child;
    }

    /** What `httpd -t` says of a configuration: {status, stderr}. */
    look(file) {
        return spawnSync(HTTPD, ['-t', '-f', file], { encoding: 'utf8', env: { ...process.env, IMU_TEST_ROOT: this.root, ...sanitizerEnv(HTTPD) } });
    }

    /** Starts httpd; tries another port when somebody took the chosen one in between. */
    async startHttpd() {
        for (let attempt = 1; ; attempt++) {
            this.port = this.options.port || (await freePort());
            this.url = `${this.options.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
            this.conf = path.join(this.root, 'httpd.conf');
            fs.writeFileSync(this.conf, this.configuration());
            await this.launch();
            if (!this.httpd.gone) {
                return;
            }
            if (attempt === 3 || !this.allLogs().includes('AH00072')) {
                throw new Error(`httpd ended while starting (${this.httpd.gone})`);
            }
            fs.rmSync(path.join(this.logs, 'error.log'), { force: true });
            fs.rmSync(path.join(this.logs, 'httpd.log'), { force: true });
        }
    }

    /** Starts httpd with the configuration that is there, as after hard stops in a test. */
    async launch() {
        // The leak checker can't look into a process that changed its user: there, httpd starts as the user itself.
        const as = SANITIZED && this.user ? { uid: this.user.uid, gid: this.user.gid } : {};
        const defines = this.options.hook ? ['-DInvokeMUTestHook'] : [];
        this.httpd = this.spawn(HTTPD, ['-f', this.conf, '-DFOREGROUND', ...defines], { log: 'httpd.log', files: this.options.files, preload: this.options.preload, ...as });
        const ready = async () => {
            try {
                return (await request(`${this.url}/api/v1/auth/status`, { timeout: 5000 })).status > 0;
            } catch {
                return false;
            }
        };
        await until(async () => this.httpd.gone || (await ready()), 'httpd to answer', START_MS);
    }

    configuration() {
        const { options } = this;
        const htdocs = options.htdocs?.(this.root) || path.join(BUILD, 'htdocs');
        const lines = (value) => [(typeof value === 'function' ? value(this.root) : value) || []].flat().join('\n');
        const values = {
            ROOT: this.root,
            RUN: this.run,
            ERRORLOG: path.join(this.logs, 'error.log'),
            ACCESSLOG: path.join(this.logs, 'access.log'),
            DATA: this.data,
            MODULES,
            MODULE: reach(path.join(BUILD, 'mod_invokemu.so')),
            MPM: options.mpm,
            USER: this.user ? `User ${this.user.name}\nGroup ${this.user.name}` : '',
            LISTEN: `127.0.0.1:${this.port}`,
            PORT: this.port,
            LOGLEVEL: options.logLevel,
            MULTIUSER: options.multiuser ? 'On' : 'Off',
            WORKERS: Array.from({ length: Number(options.worker || 0) }, (_, i) => `InvokeMUWorker "${this.workerSocket(i)}"`).join('\n'),
            MEDIA: options.media ? `InvokeMUMedia "${path.join(this.run, 'media.sock')}"` : '',
            MODELS: options.models ? `InvokeMUModels "${reach(options.models)}"` : '',
            GLOBAL: lines(options.conf),
            SITES: lines(options.sites),
            HTDOCS: fs.existsSync(htdocs) ? reach(htdocs) : htdocs,
            VHOST: (options.tls ? this.tlsLines() : '') + lines(options.vhost),
        };
        if (options.tls) {
            values.GLOBAL = `LoadModule socache_shmcb_module ${MODULES}/mod_socache_shmcb.so\nLoadModule ssl_module ${MODULES}/mod_ssl.so\nSSLSessionCache shmcb:${this.run}/ssl(131072)\n${values.GLOBAL}`;
        }
        const template = fs.readFileSync(path.join(REPO, 'conf/instance.conf.in'), 'utf8');
        return template.replace(/@([A-Z]+)@/g, (_, name) => {
            assert.ok(name in values, `conf/instance.conf.in asks for ${name}, which the tests do not give`);
            return values[name];
        });
    }

    tlsLines() {
        const key = path.join(this.root, 'key.pem');
        const cert = path.join(this.root, 'cert.pem');
        execFileSync('openssl', [
            ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
            ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
            ...['-addext', 'basicConstraints=critical,CA:FALSE'],
            ...['-keyout', key, '-out', cert],
        ], { stdio: 'ignore' });
        this.own(key, cert);
        return `SSLEngine On\nSSLCertificateFile "${cert}"\nSSLCertificateKeyFile "${key}"\n`;
    }

    /** What httpd logged so far. */
    errorLog() {
        const file = path.join(this.logs, 'error.log');
        return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    }

    allLogs() {
        const files = fs.readdirSync(this.logs).filter((name) => name !== 'access.log');
        return files.map((name) => `== ${name}\n${fs.readFileSync(path.join(this.logs, name), 'utf8')}`).join('\n');
    }

    /** Resolves when the error log, from `from` characters on, has a match. */
    waitLog(pattern, { ms = WAIT_MS, from = 0 } = {}) {
        return until(() => pattern.exec(this.errorLog().slice(from)), `${pattern} in the error log`, ms);
    }

    /** Declares that lines matching `pattern` are what the test provokes. */
    allowLog(pattern) {
        this.allowed.push(pattern);
    }

    /**
     * Resolves when no connection to the server is open or closing, or soon in any case: parked ones stay. On a hard stop, the event
     * MPM touches sockets that a thread is just closing (close_worker_sockets in httpd's event.c), and may crash on one.
     */
    async settled() {
        const busy = () => socketsAt(this.port).some(({ state }) => !['0A', '06'].includes(state)); // listening; long closed
        await until(() => !busy(), 'connections to close', 500).catch(() => {});
        await pause(5); // from the socket's end to the thread's, which nothing tells
    }

    /**
     * Restarts httpd in place: 'graceful' (SIGUSR1) or 'hard' (SIGHUP). Resolves when it answers again, and nobody answers any
     * more who read the configuration of before.
     */
    async restart(kind = 'graceful') {
        const from = this.errorLog().length;
        const { children } = this.pids();
        await this.settled();
        this.httpd.kill(kind === 'graceful' ? 'SIGUSR1' : 'SIGHUP');
        await this.waitLog(/resuming normal operations/, { ms: START_MS, from });
        await until(() => !children.some((pid) => listens(pid, this.port)), 'the children of before to stop listening', START_MS);
        await until(
            () => request(`${this.url}/api/v1/auth/status`, { timeout: 5000 }).then((a) => a.status > 0, () => false),
            'httpd to answer after its restart',
            START_MS,
        );
    }

    /** The processes of this server that live now. */
    pids() {
        const all = markedProcesses(this.root).map(processInfo).filter(Boolean);
        const below = all.filter((p) => p.parent === this.httpd.pid);
        const dispatcher = below.find((p) => p.name.startsWith('imu-dispatch'));
        return {
            httpd: this.httpd.pid,
            children: below.filter((p) => p !== dispatcher).map((p) => p.pid),
            dispatcher: dispatcher ? dispatcher.pid : null,
            workers: this.workers.map((w) => (w.gone ? null : w.pid)),
            media: this.media && !this.media.gone ? this.media.pid : null,
        };
    }

    /** Processor time that httpd's children and the dispatcher have used, in milliseconds: other work on the machine doesn't count. */
    cpuMs() {
        const { children, dispatcher } = this.pids();
        const ticks = [...children, dispatcher].filter(Boolean).map((pid) => {
            const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
            return Number(fields[11]) + Number(fields[12]);
        });
        return ticks.reduce((sum, each) => sum + each, 0) * 10;
    }

    /** Runs one SQL statement on the database, from outside. @returns {object[]} rows */
    sql(statement) {
        const out = execFileSync('sqlite3', ['-json', '-cmd', '.timeout 10000', path.join(this.data, 'databases/invokemu.db'), statement], { encoding: 'utf8' });
        return out.trim() ? JSON.parse(out) : [];
    }

    /** Lines that no test declared, of httpd and of the companions. */
    unexpectedLines() {
        const found = [];
        for (const name of fs.readdirSync(this.logs).filter((file) => file !== 'access.log')) {
            for (const line of fs.readFileSync(path.join(this.logs, name), 'utf8').split('\n')) {
                if (line && !this.expected(name, line) && !this.allowed.some((pattern) => pattern.test(line))) {
                    found.push(`${name}: ${line}`);
                }
            }
        }
        return found;
    }

    expected(name, line) {
        if (CRASH.test(line)) {
            return false;
        }
        if (name !== 'error.log') {
            return name !== 'httpd.log' && !/\b(warn(ing)?|error|fatal|assert)/i.test(line);
        }
        if (MACHINE.test(line)) {
            return true;
        }
        const match = LOG_LINE.exec(line);
        return match !== null && QUIET_LEVELS.has(match[2]);
    }

    /** Stops everything and asserts that nothing went wrong. The folder is kept, and named, when it did. */
    async stop() {
        const problems = [];
        for (const [name, child] of [['httpd', this.httpd], ...this.workers.map((w, i) => [`worker${i}`, w]), ['media', this.media]]) {
            if (child) {
                problems.push(...(await this.end(name, child)));
            }
        }
        const left = await until(() => markedProcesses(this.root).length === 0, 'all processes to end', 3000).then(
            () => [],
            () => markedProcesses(this.root).map(processInfo).filter(Boolean),
        );
        problems.push(...left.map((p) => `process ${p.pid} (${p.name}) outlives the server`));
        this.killAll();
        problems.push(...this.unexpectedLines());
        running.delete(this);
        if (problems.length === 0) {
            fs.rmSync(this.root, { recursive: true, force: true });
        }
        assert.equal(problems.length, 0, `the server of ${this.root} was not quiet:\n${problems.slice(0, 30).join('\n')}`);
    }

    async end(name, child) {
        if (child.gone) {
            return child.endedByTest ? [] : [`${name} ended by itself: ${child.gone}`];
        }
        if (name === 'httpd') {
            await this.settled();
        }
        child.kill('SIGTERM');
        const ended = await until(() => child.gone, name, STOP_MS).catch(() => `no end for ${STOP_MS} ms after SIGTERM`);
        return ended === 'status 0' || ended === 'SIGTERM' ? [] : [`${name}: ${ended}`];
    }

    /** Kills one of the companions, or httpd, as a test's step. */
    async kill(child, signal = 'SIGKILL') {
        child.endedByTest = true;
        child.kill(signal);
        await until(() => child.gone, 'the killed process to end', STOP_MS);
    }

    killAll() {
        if (!this.root) {
            return;
        }
        for (const pid of markedProcesses(this.root)) {
            try {
                process.kill(pid, 'SIGKILL');
            } catch {
                continue;
            }
        }
    }
}

/** What the sanitizers need. In httpd, every block of an APR pool is one of its own, so that they see where it ends. */
function sanitizerEnv(program) {
    if (!SANITIZED) {
        return {};
    }
    const library = (name) => execFileSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
    if (THREADED) {
        return {
            ...(program === HTTPD ? { LD_PRELOAD: library('libtsan.so') } : {}),
            TSAN_OPTIONS: `suppressions=${reach(path.join(REPO, 'tests/lib/tsan.supp'))}:print_suppressions=0:report_signal_unsafe=0`,
        };
    }
    const blocks = program === HTTPD ? `:${reach(path.join(BUILD, 'pool-blocks.so'))}` : '';
    return {
        LD_PRELOAD: `${library('libasan.so')}:${library('libubsan.so')}${blocks}`,
        ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=1:detect_odr_violation=0',
        UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
        LSAN_OPTIONS: `suppressions=${reach(path.join(REPO, 'tests/lib/lsan.supp'))}:print_suppressions=0`,
    };
}

/** Directives for a single child, so that a test knows who answers. @param {number} threads  that it serves with */
export const oneChild = (threads) =>
    `StartServers 1\nServerLimit 1\nThreadsPerChild ${threads}\nMaxRequestWorkers ${threads}\nMinSpareThreads 1\nMaxSpareThreads ${threads + 1}\n`;

/** Directives for HTTP/2 without TLS. */
export const HTTP2 = `LoadModule http2_module "${MODULES}/mod_http2.so"\nProtocols h2c http/1.1\n`;

/**
 * Starts a server.
 * @param {object} [options]
 *   multiuser (true), mpm ('event' | 'worker' | 'prefork'), worker (number of worker processes, true: one), media (true: with
 *   the media process), models (folder for InvokeMUModels), conf, vhost, sites (extra lines of the main server, in the virtual
 *   host, behind it: text, list, or function of the server's folder), prepare (function of that folder, called first), tls (true), hook (true: -D InvokeMUTestHook), logLevel of the module ('info'), files (how many httpd may open at once), preload (a library of httpd's, not beside a sanitizer), workerArgs (['--threads', '1']), workerCommand (function of the server's folder and 'worker0', 'media': what is started instead of the worker),
 *   port (a fixed one), htdocs (function of the server's folder: another folder for InvokeMUClient)
 * @returns {Promise<Server>}
 */
export function startServer(options) {
    return new Server(options).start();
}

/**
 * Starts a server before the tests of the enclosing file or suite and stops it after them. Hooks at the top of a file do not
 * wait for each other: one that needs the server there says `await server.start()` first, as setupAdmin() does. What is in
 * `server.guests` leaves before the server does: nobody should see it go.
 */
export function useServer(options) {
    const server = new Server(options);
    server.guests = [];
    before(() => server.start());
    after(async () => {
        try {
            for (const leave of server.guests) {
                await leave();
            }
        } finally {
            await server.stop();
        }
    });
    return server;
}
