// make install into a staging root, and a stock Debian httpd layout started from it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { request } from '../lib/http.mjs';
import { BUILD, HTTPD, REPO, runUser } from '../lib/paths.mjs';
import { freePort, until } from '../lib/server.mjs';

const stage = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-stage-'));
const etc = path.join(stage, 'etc/apache2');
const user = runUser();
let port;
let httpd;
let ended = '';

/** Runs a2enmod and the like on the staging copy of /etc/apache2. */
function a2(tool, name) {
    const env = { ...process.env, APACHE_CONFDIR: etc, APACHE_STATE_DIRECTORY: path.join(stage, 'var/lib/apache2') };
    execFileSync(`/usr/sbin/${tool}`, ['--quiet', name], { env, stdio: 'pipe' });
}

/** Points a configuration file at the staging root instead of the system. */
function relocate(file) {
    const text = fs.readFileSync(file, 'utf8');
    const moved = text
        .replace(/(?<=[\s"])\/(usr\/(lib\/apache2\/modules\/mod_invokemu|share\/invokemu|lib\/invokemu)|var\/lib\/invokemu|run\/invokemu)/g, `${stage}/$1`)
        .replace(/\b9090\b/g, String(port));
    fs.writeFileSync(file, moved);
}

function environment() {
    return {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        LANG: 'C',
        APACHE_RUN_USER: user ? user.name : os.userInfo().username,
        APACHE_RUN_GROUP: user ? user.name : execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim(),
        APACHE_PID_FILE: path.join(stage, 'run/apache2.pid'),
        APACHE_RUN_DIR: path.join(stage, 'run'),
        APACHE_LOCK_DIR: path.join(stage, 'run'),
        APACHE_LOG_DIR: path.join(stage, 'log'),
    };
}

before(async () => {
    port = await freePort();
    fs.chmodSync(stage, 0o755);
    for (const dir of ['run', 'log', 'etc', 'var/lib/apache2', 'var/lib/invokemu/models']) {
        fs.mkdirSync(path.join(stage, dir), { recursive: true });
    }
    execFileSync('cp', ['-a', '/etc/apache2', etc]);
    execFileSync('bash', ['-c', 'rm -f "$1"/sites-enabled/* "$1"/*/*invokemu* "$1"/mods-enabled/{dbd,ssl}.*', 'bash', etc]);
    fs.writeFileSync(path.join(etc, 'ports.conf'), '# the site brings its own Listen\n');
    execFileSync(path.join(REPO, 'tools/install'), [BUILD, stage], { stdio: 'pipe' });
});

after(async () => {
    if (httpd && !ended) {
        httpd.kill('SIGTERM');
        await until(() => ended, 'httpd to end');
    }
    fs.rmSync(stage, { recursive: true, force: true });
});

test('everything lies where Debian expects it', () => {
    const files = [
        'usr/lib/apache2/modules/mod_invokemu.so', 'usr/lib/invokemu/invokemu-worker', 'usr/bin/invokemu', 'usr/bin/invoke-useradd',
        'usr/share/man/man1/invokemu.1', 'usr/share/bash-completion/completions/invokemu', 'etc/apache2/mods-available/invokemu.load',
        'etc/apache2/mods-available/invokemu.conf', 'etc/apache2/sites-available/invokemu.conf',
        'etc/apache2/sites-available/invokemu-tls.conf', 'usr/lib/systemd/system/invokemu-worker.service', 'usr/lib/systemd/system/invokemu-worker@.service',
        'usr/lib/systemd/system/invokemu-media.service', 'usr/lib/sysusers.d/invokemu.conf', 'usr/lib/tmpfiles.d/invokemu.conf',
        'usr/share/invokemu/htdocs/index.html', 'usr/share/doc/invokemu/reference.conf', 'usr/share/doc/invokemu/copyright',
        ...fs.readdirSync(path.join(REPO, 'conf/mail')).map((name) => `etc/invokemu/mail/${name}`),
    ];
    assert.deepEqual(files.filter((file) => !fs.existsSync(path.join(stage, file))), []);
});

test('an update keeps the settings of the administrator, and takes along those that nobody changed', () => {
    const install = () => execFileSync(path.join(REPO, 'tools/install'), [BUILD, stage], { encoding: 'utf8' });
    const [conf, site, tls] = ['mods-available/invokemu.conf', 'sites-available/invokemu.conf', 'sites-available/invokemu-tls.conf'];
    const text = (file) => fs.readFileSync(path.join(etc, file), 'utf8');
    const before_ = text(tls);
    fs.appendFileSync(path.join(etc, conf), '# changed here\n');
    fs.appendFileSync(path.join(etc, tls), '# changed here\n');
    assert.doesNotMatch(install(), /Kept/);
    // As if the installed version had come with other texts.
    for (const file of [site, tls]) {
        fs.writeFileSync(path.join(stage, 'usr/share/invokemu/conf/etc/apache2', file), '# of an older version\n');
    }
    fs.writeFileSync(path.join(etc, site), '# of an older version\n');
    assert.match(install(), /Kept \S+invokemu-tls\.conf,/);
    assert.match(text(conf), /# changed here/);
    assert.ok(!fs.existsSync(path.join(etc, `${conf}.new`)), 'nothing new to look at');
    assert.match(text(tls), /# changed here/);
    assert.equal(text(`${tls}.new`), before_);
    assert.equal(text(site), fs.readFileSync(path.join(REPO, 'conf/apache/site.conf'), 'utf8'));
    fs.writeFileSync(path.join(etc, tls), before_);
});

test('a2enmod and a2ensite are all that a stock layout needs', async () => {
    ['mods-available/invokemu.load', 'mods-available/invokemu.conf', 'sites-available/invokemu.conf'].forEach((file) =>
        relocate(path.join(etc, file)),
    );
    a2('a2enmod', 'invokemu');
    a2('a2ensite', 'invokemu');
    assert.ok(fs.existsSync(path.join(etc, 'mods-enabled/dbd.load')), 'a2enmod invokemu enables dbd as well');
    const out = fs.openSync(path.join(stage, 'log/console.log'), 'a');
    httpd = spawn(HTTPD, ['-d', etc, '-f', path.join(etc, 'apache2.conf'), '-DFOREGROUND'], {
        env: environment(),
        stdio: ['ignore', out, out],
        detached: true,
    });
    httpd.on('exit', (code, signal) => (ended = signal || `status ${code}`));
    const answers = () => request(`http://127.0.0.1:${port}/api/v1/auth/status`).then((a) => a, () => null);
    const answer = await until(async () => ended || (await answers()), 'the server to answer', 60000);
    const logs = () => execFileSync('sh', ['-c', 'cat "$1"/log/*', 'sh', stage], { encoding: 'utf8' });
    assert.equal(answer.status, 200, logs());
    assert.equal(answer.body.multiuser_enabled, true);
    const page = await request(`http://127.0.0.1:${port}/`);
    assert.equal(page.status, 200);
    assert.match(page.text, /<!doctype html>/i);
    const complaints = logs().split('\n').filter((line) => /\[(invokemu|core|mpm_event):(warn|error|crit|emerg)\]/.test(line));
    assert.deepEqual(complaints.filter((line) => !/AH00558|AH00557|IMU\d+: .*(worker|media)/.test(line)), []);
});

test('the virtual host with TLS is accepted', () => {
    const file = path.join(etc, 'sites-available/invokemu-tls.conf');
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(stage, name));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    relocate(file);
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/\/etc\/ssl\S+\.pem/, cert).replace(/\/etc\/ssl\S+\.key/, key));
    a2('a2enmod', 'ssl');
    a2('a2ensite', 'invokemu-tls');
    execFileSync(HTTPD, ['-d', etc, '-f', path.join(etc, 'apache2.conf'), '-t'], { env: environment(), stdio: 'pipe' });
});

test('the units name programs and folders that the installation brings', () => {
    for (const unit of ['worker', 'media']) {
        const text = fs.readFileSync(path.join(stage, `usr/lib/systemd/system/invokemu-${unit}.service`), 'utf8');
        const [, program] = /^ExecStart=(\S+)/m.exec(text);
        assert.ok(fs.existsSync(path.join(stage, program)), program);
        const socket = /--socket (\S+)/.exec(text)[1];
        assert.match(fs.readFileSync(path.join(REPO, 'conf/apache/invokemu.conf'), 'utf8'), new RegExp(`${socket}$`, 'm'));
    }
});

test('the worker of one GPU differs from the other in its GPU and its socket alone', () => {
    const unit = (name) => fs.readFileSync(path.join(stage, `usr/lib/systemd/system/invokemu-worker${name}.service`), 'utf8');
    const [one, all] = [unit('@'), unit('')];
    assert.match(one, /^ExecStart=\S+ --socket \/run\/invokemu-worker-%i\/worker\.sock .* --device cuda:%i$/m);
    const common = one.replace(/^#.*\n/, '').replaceAll('invokemu-worker-%i', 'invokemu-worker').replace(' --device cuda:%i', '').replace(' on GPU %i', '');
    assert.equal(common, all);
});

test('nothing but data and changed settings is left behind', () => {
    const other = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-stage-'));
    try {
        execFileSync(path.join(REPO, 'tools/install'), [BUILD, other], { stdio: 'pipe' });
        const site = path.join(other, 'etc/apache2/sites-available/invokemu-tls.conf');
        fs.appendFileSync(site, '# changed here\n');
        assert.match(execFileSync(path.join(REPO, 'tools/uninstall'), [other], { encoding: 'utf8' }), /Kept \S+invokemu-tls\.conf/);
        const left = execFileSync('find', [other, '-not', '-type', 'd'], { encoding: 'utf8' }).trim().split('\n');
        assert.deepEqual(left, [site]);
    } finally {
        fs.rmSync(other, { recursive: true, force: true });
    }
});
