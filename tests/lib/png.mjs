// Writes and reads PNG files (W3C PNG, third edition): only what the tests need.
import zlib from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

const CRC_TABLE = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) {
        c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    }
    return c >>> 0;
});

function crc32(bytes) {
    let c = 0xffffffff;
    for (const b of bytes) {
        c = CRC_TABLE[(c ^ b) & 0xff] ^ (c >>> 8);
    }
    return (c ^ 0xffffffff) >>> 0;
}

function chunk(type, data) {
    const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const out = Buffer.alloc(named.length + 8);
    out.writeUInt32BE(data.length, 0);
    named.copy(out, 4);
    out.writeUInt32BE(crc32(named), named.length + 4);
    return out;
}

/**
 * Makes an RGB or RGBA picture.
 * @param {number} width
 * @param {number} height
 * @param {object} [options] color [r,g,b] for all pixels (default: a gradient) or pixel(x, y) that gives three or four channels, text {key: value} stored as iTXt,
 *   claim {width,height} to lie about the size in the header
 */
export function makePng(width, height, { color, pixel, text = {}, claim } = {}) {
    const at = pixel || ((x, y) => color || [(x * 255) / width, (y * 255) / height, (x + y) & 0xff]);
    const channels = at(0, 0).length;
    const rows = Buffer.alloc(height * (1 + width * channels));
    for (let y = 0; y < height; y++) {
        const row = y * (1 + width * channels) + 1;
        for (let x = 0; x < width; x++) {
            rows.set(at(x, y), row + x * channels);
        }
    }
    const header = Buffer.alloc(13);
    header.writeUInt32BE(claim?.width ?? width, 0);
    header.writeUInt32BE(claim?.height ?? height, 4);
    header.set([8, channels === 4 ? 6 : 2, 0, 0, 0], 8);
    const texts = Object.entries(text).map(([key, value]) =>
        chunk('iTXt', Buffer.concat([Buffer.from(`${key}\0\0\0\0\0`, 'latin1'), Buffer.from(value, 'utf8')])),
    );
    return Buffer.concat([
        SIGNATURE,
        chunk('IHDR', header),
        ...texts,
        chunk('IDAT', zlib.deflateSync(rows)),
        chunk('IEND', Buffer.alloc(0)),
    ]);
}

/** Reads size and text chunks (tEXt, zTXt, iTXt); throws when the bytes are no whole PNG. */
export function readPng(bytes) {
    if (!bytes.subarray(0, 8).equals(SIGNATURE)) {
        throw new Error('not a PNG');
    }
    const found = { width: 0, height: 0, text: {} };
    for (let at = 8; at < bytes.length; ) {
        const length = bytes.readUInt32BE(at);
        const type = bytes.toString('latin1', at + 4, at + 8);
        const data = bytes.subarray(at + 8, at + 8 + length);
        if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== bytes.readUInt32BE(at + 8 + length)) {
            throw new Error(`bad checksum in chunk ${type}`);
        }
        if (type === 'IHDR') {
            found.width = data.readUInt32BE(0);
            found.height = data.readUInt32BE(4);
        } else if (type === 'tEXt' || type === 'zTXt' || type === 'iTXt') {
            const [key, value] = readText(type, data);
            found.text[key] = value;
        } else if (type === 'IEND') {
            return found;
        }
        at += length + 12;
    }
    throw new Error('the PNG has no end');
}

/** Undoes the five filters of a row (W3C PNG, 9.2); `above` is the row before, or zeros. */
function unfilter(type, row, above, bpp) {
    for (let i = 0; i < row.length; i++) {
        const left = i < bpp ? 0 : row[i - bpp];
        const corner = i < bpp ? 0 : above[i - bpp];
        const estimate = left + above[i] - corner;
        const [a, b, c] = [left, above[i], corner].map((n) => Math.abs(estimate - n));
        const paeth = a <= b && a <= c ? left : b <= c ? above[i] : corner;
        row[i] += [0, left, above[i], (left + above[i]) >> 1, paeth][type];
    }
}

/** The pixels of a PNG of 8 bits a channel, without interlacing: {width, height, channels, data}. Throws when one is missing. */
export function readPixels(bytes) {
    const { width, height } = readPng(bytes);
    const parts = [];
    let header;
    for (let at = 8; at < bytes.length; ) {
        const length = bytes.readUInt32BE(at);
        const type = bytes.toString('latin1', at + 4, at + 8);
        const data = bytes.subarray(at + 8, at + 8 + length);
        header ??= data;
        if (type === 'IDAT') {
            parts.push(data);
        }
        at += length + 12;
    }
    const channels = { 0: 1, 2: 3, 4: 2, 6: 4 }[header[9]];
    if (header[8] !== 8 || !channels || header[12] !== 0) {
        throw new Error('a PNG of another kind than expected');
    }
    const raw = zlib.inflateSync(Buffer.concat(parts));
    const line = width * channels;
    if (raw.length !== height * (line + 1)) {
        throw new Error(`the PNG says ${width} x ${height} but holds ${raw.length} bytes`);
    }
    const data = Buffer.alloc(height * line);
    let above = Buffer.alloc(line);
    for (let y = 0; y < height; y++) {
        const type = raw[y * (line + 1)];
        const row = data.subarray(y * line, (y + 1) * line);
        raw.copy(row, 0, y * (line + 1) + 1, (y + 1) * (line + 1));
        if (type > 4) {
            throw new Error('a filter that PNG does not know');
        }
        unfilter(type, row, above, channels);
        above = row;
    }
    return { width, height, channels, data };
}

function readText(type, data) {
    const end = data.indexOf(0);
    const key = data.toString('latin1', 0, end);
    if (type === 'tEXt') {
        return [key, data.toString('latin1', end + 1)];
    }
    if (type === 'zTXt') {
        return [key, zlib.inflateSync(data.subarray(end + 2)).toString('latin1')];
    }
    const language = data.indexOf(0, end + 3);
    const translated = data.indexOf(0, language + 1);
    const value = data.subarray(translated + 1);
    return [key, (data[end + 1] ? zlib.inflateSync(value) : value).toString('utf8')];
}
