// A small HTTP client for the tests. It follows nothing, hides nothing and keeps no connection open unless it is given an agent.
import http from 'node:http';
import https from 'node:https';
import { urlToHttpOptions } from 'node:url';
import { WAIT_MS } from './waits.mjs';

/** Encodes a multipart/form-data body. `parts`: [{name, value, filename?, type?}]. */
export function multipart(parts) {
    const boundary = `imu-${Math.random().toString(36).slice(2)}-${Date.now()}`;
    const chunks = [];
    for (const { name, value, filename, type } of parts) {
        let head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
        if (filename !== undefined) {
            head += `; filename="${filename}"`;
        }
        head += type ? `\r\nContent-Type: ${type}\r\n\r\n` : '\r\n\r\n';
        chunks.push(Buffer.from(head), Buffer.from(value), Buffer.from('\r\n'));
    }
    chunks.push(Buffer.from(`--${boundary}--\r\n`));
    return { type: `multipart/form-data; boundary=${boundary}`, body: Buffer.concat(chunks) };
}

/**
 * Sends one request.
 * @param {string} url absolute address
 * @param {object} [options] method, headers, token (Bearer), cookie, json (a value to encode), body (text or bytes),
 *   form (parts for multipart), timeout (ms), agent (one of node's, to keep connections), from (a local address)
 * @returns {Promise<{status:number, headers:object, raw:Buffer, text:string, body:any}>} body is the decoded JSON, or
 *   the text where the answer is not JSON
 */
export function request(url, options = {}) {
    const headers = { ...(options.agent ? {} : { connection: 'close' }), ...options.headers };
    let body = options.body;
    if (options.json !== undefined) {
        body = JSON.stringify(options.json);
        headers['content-type'] ??= 'application/json';
    }
    if (options.form) {
        const encoded = multipart(options.form);
        body = encoded.body;
        headers['content-type'] = encoded.type;
    }
    if (options.token) {
        headers.authorization = `Bearer ${options.token}`;
    }
    if (options.cookie) {
        headers.cookie = options.cookie;
    }
    if (body !== undefined) {
        body = Buffer.from(body);
        headers['content-length'] ??= body.length;
    }
    const client = url.startsWith('https:') ? https : http;
    // The path goes out as it is written: a URL object would clean up the ".." that a test wants to send. Host and
    // port go alone: beside an address, https.request() of Node.js 18 takes the path from there.
    const [, origin, path] = /^(https?:\/\/[^/]+)(.*)$/s.exec(url);
    const { hostname, port } = urlToHttpOptions(new URL(origin));
    return new Promise((resolve, reject) => {
        const req = client.request(
            {
                hostname,
                localAddress: options.from,
                port,
                method: options.method || 'GET',
                path: path || '/',
                headers,
                agent: options.agent || false,
                rejectUnauthorized: false,
            },
            (res) => {
                const chunks = [];
                res.on('data', (c) => chunks.push(c));
                res.on('error', reject);
                res.on('end', () => {
                    const raw = Buffer.concat(chunks);
                    const text = raw.toString('utf8');
                    let parsed = text;
                    if (res.statusCode !== 206 && /^application\/([a-z.+-]+\+)?json/.test(res.headers['content-type'] || '') && text) {
                        parsed = JSON.parse(text);
                    }
                    resolve({ status: res.statusCode, headers: res.headers, raw, text, body: parsed });
                });
            },
        );
        req.setTimeout(options.timeout ?? WAIT_MS, () => req.destroy(new Error(`no answer in time: ${url}`)));
        req.on('error', reject);
        req.end(body);
    });
}

/** Requests of one person: `new Client(server.url, {token})`; paths start with "/". */
export class Client {
    constructor(base, { token, cookie } = {}) {
        this.base = base;
        this.token = token;
        this.cookie = cookie;
    }

    send(method, path, options = {}) {
        return request(this.base + path, { token: this.token, cookie: this.cookie, ...options, method });
    }

    get(path, options) {
        return this.send('GET', path, options);
    }

    head(path, options) {
        return this.send('HEAD', path, options);
    }

    /** `json` may be left out for a POST without a body. */
    post(path, json, options) {
        return this.send('POST', path, { json, ...options });
    }

    put(path, json, options) {
        return this.send('PUT', path, { json, ...options });
    }

    patch(path, json, options) {
        return this.send('PATCH', path, { json, ...options });
    }

    delete(path, json, options) {
        return this.send('DELETE', path, { json, ...options });
    }
}
