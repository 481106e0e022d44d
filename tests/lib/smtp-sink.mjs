// A mail server that keeps what it gets, for tests: plain, with STARTTLS, or with TLS from the start.
//
//     const sink = await SmtpSink.start({ tls: 'starttls' });      // 'none', 'starttls', 'implicit'
//     sink.mode = 'refuse';                                         // 'accept', 'refuse' (the recipient), 'busy', 'slow', 'close', 'denied' (the account)
//     const mail = await sink.next();                               // {from, to, headers, subject, text, raw, secure, user, password}
//     await sink.down(); await sink.up();                           // nobody listens in between
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { execFileSync } from 'node:child_process';
import { lastingPort, until } from './server.mjs';

const words = (text) => text.replace(/\?=\s+=\?/g, '?==?').replace(/=\?UTF-8\?B\?([^?]*)\?=/g, (_, code) => Buffer.from(code, 'base64').toString('utf8'));

/** Header fields (unfolded, decoded) and the text of a message. */
export function readMail(raw) {
    const end = raw.indexOf('\r\n\r\n');
    const headers = {};
    for (const line of raw.slice(0, end).replace(/\r\n[ \t]/g, ' ').split('\r\n')) {
        const [, name, value] = /^([A-Za-z-]+): (.*)$/.exec(line) || [null, 'broken', line];
        (headers[name.toLowerCase()] ??= []).push(value.includes('=?') ? words(value) : value);
    }
    const body = raw.slice(end + 4);
    const text = headers['content-transfer-encoding']?.[0] === 'base64' ? Buffer.from(body, 'base64').toString('utf8') : body.replace(/\r\n/g, '\n');
    return { headers, subject: headers.subject?.[0], text, raw };
}

export class SmtpSink {
    static async start({ tls: kind = 'none' } = {}) {
        const sink = new SmtpSink();
        sink.tls = kind;
        sink.mode = 'accept';
        sink.mails = [];
        sink.taken = 0;
        sink.attempts = 0;
        sink.sockets = new Set();
        sink.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-smtp-'));
        fs.chmodSync(sink.dir, 0o755);
        sink.ca = path.join(sink.dir, 'cert.pem');
        const key = path.join(sink.dir, 'key.pem');
        execFileSync('openssl', [
            ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
            ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
            ...['-keyout', key, '-out', sink.ca],
        ], { stdio: 'ignore' });
        fs.chmodSync(sink.ca, 0o644);
        sink.secrets = { key: fs.readFileSync(key), cert: fs.readFileSync(sink.ca) };
        sink.port = await lastingPort();
        await sink.up();
        return sink;
    }

    /** What InvokeMUMailServer says. */
    get url() {
        return `${this.tls === 'implicit' ? 'smtps' : 'smtp'}://127.0.0.1:${this.port}`;
    }

    up() {
        const take = (socket) => this.serve(socket, this.tls === 'implicit');
        this.server = this.tls === 'implicit' ? tls.createServer(this.secrets, take) : net.createServer(take);
        this.server.on('connection', (socket) => this.keep(socket));
        this.server.on('tlsClientError', () => {});
        return new Promise((resolve, reject) => this.server.on('error', reject).listen(this.port, '127.0.0.1', resolve));
    }

    async down() {
        const closed = new Promise((resolve) => this.server.close(resolve));
        this.sockets.forEach((socket) => socket.destroy());
        await closed;
    }

    async stop() {
        await this.down();
        fs.rmSync(this.dir, { recursive: true, force: true });
    }

    keep(socket) {
        this.attempts++;
        this.sockets.add(socket);
        socket.on('close', () => this.sockets.delete(socket));
        socket.on('error', () => {});
    }

    /** The next mail that was not looked at yet; waits for it. */
    async next() {
        await until(() => this.mails.length > this.taken, 'a mail');
        return this.mails[this.taken++];
    }

    serve(socket, secure) {
        const session = { secure, from: '', to: [], user: null, password: null, data: null, mode: this.mode };
        let rest = '';
        const onData = (chunk) => {
            rest += chunk.toString('latin1');
            for (let end; (end = rest.indexOf('\r\n')) >= 0 && !socket.destroyed; ) {
                const line = rest.slice(0, end);
                rest = rest.slice(end + 2);
                if (this.line(socket, session, line) === 'starttls') {
                    socket.removeListener('data', onData);
                    const safe = new tls.TLSSocket(socket, { isServer: true, ...this.secrets });
                    safe.on('error', () => {});
                    this.serve(safe, true);
                    return;
                }
            }
        };
        socket.on('error', () => {});
        socket.on('data', onData);
        if (session.mode === 'close') {
            socket.destroy();
        } else if (session.mode !== 'slow' && !(secure && this.tls === 'starttls')) {
            socket.write('220 sink ESMTP\r\n');
        }
    }

    line(socket, s, line) {
        const say = (text) => socket.write(`${text}\r\n`);
        if (s.mode === 'slow') {
            return null;
        }
        if (s.data) {
            if (line === '.') {
                this.mails.push({ ...readMail(Buffer.from(s.data.join('\r\n') + '\r\n', 'latin1').toString('utf8')), from: s.from, to: s.to, secure: s.secure, user: s.user, password: s.password });
                s.data = null;
                say('250 kept');
            } else {
                s.data.push(line.startsWith('.') ? line.slice(1) : line);
            }
            return null;
        }
        if (s.signing) {
            const [, user, password] = Buffer.from(line, 'base64').toString('utf8').split('\0');
            Object.assign(s, { user, password, signing: false });
            say(s.mode === 'denied' ? '535 no' : '235 welcome');
            return null;
        }
        const verb = line.split(' ')[0].toUpperCase();
        if (verb === 'EHLO') {
            const more = [this.tls === 'starttls' && !s.secure && 'STARTTLS', s.secure && 'AUTH PLAIN'].filter(Boolean);
            ['sink', ...more, '8BITMIME'].forEach((word, i, all) => say(`250${i < all.length - 1 ? '-' : ' '}${word}`));
        } else if (verb === 'STARTTLS') {
            say('220 go on');
            return 'starttls';
        } else if (verb === 'AUTH') {
            s.signing = true;
            say('334 ');
        } else if (verb === 'MAIL') {
            s.from = /<([^>]*)>/.exec(line)[1];
            say(s.mode === 'busy' ? '451 later' : '250 ok');
        } else if (verb === 'RCPT') {
            s.to.push(Buffer.from(/<([^>]*)>/.exec(line)[1], 'latin1').toString('utf8'));
            say(s.mode === 'refuse' ? '550 nobody of that name: secret-words-of-the-server' : '250 ok');
        } else if (verb === 'DATA') {
            s.data = [];
            say('354 go on');
        } else if (verb === 'QUIT') {
            socket.end('221 bye\r\n');
        } else {
            say(verb === 'RSET' || verb === 'NOOP' ? '250 ok' : '502 what');
        }
        return null;
    }
}

/** Lines of configuration for a server that mails through the sink. */
export function mailLines(sink, templates, more = []) {
    return [
        `InvokeMUMailServer ${sink.url}`,
        'InvokeMUMailFrom "Pictures & Co. <pictures@example.org>"',
        `InvokeMUMailTemplates "${templates}"`,
        'InvokeMUPublicURL https://pictures.example.org/',
        ...(sink.tls === 'none' ? ['InvokeMUMailTLS Off'] : [`InvokeMUMailCA "${sink.ca}"`]),
        ...more,
    ];
}
