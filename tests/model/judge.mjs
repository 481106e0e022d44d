// The judge of the built-in model: a small convolutional network that says which things, background, style and time of day
// it sees in a picture. Trained by train_judge.py on rendered scenes; here is only its arithmetic.
import fs from 'node:fs';

const EDGE = 96;

function half(bits) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
    return bits & 0x8000 ? -size : size;
}

/** Tensors of a safetensors file in float16: {name: {shape, values}}. */
function readTensors(file) {
    const bytes = fs.readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const tensors = {};
    const { __metadata__, ...header } = JSON.parse(bytes.subarray(8, 8 + length));
    for (const [name, { shape, data_offsets: [from, to] }] of Object.entries(header)) {
        const values = new Float32Array((to - from) / 2);
        values.forEach((_, i) => (values[i] = half(bytes.readUInt16LE(8 + length + from + 2 * i))));
        tensors[name] = { shape, values };
    }
    return tensors;
}

/** For each of EDGE target pixels: which source pixels it covers, and how much of each. */
function covers(size) {
    return Array.from({ length: EDGE }, (_, i) => {
        const [from, to] = [(i * size) / EDGE, ((i + 1) * size) / EDGE];
        const found = [];
        for (let p = Math.floor(from); p < to && p < size; p++) {
            const part = Math.min(to, p + 1) - Math.max(from, p);
            if (part > 1e-9) {
                found.push([p, part / (to - from)]);
            }
        }
        return found;
    });
}

/** {width, height, rgb} as planes of EDGE x EDGE, -1..1. */
function shrink({ width, height, rgb }) {
    const [columns, rows] = [covers(width), covers(height)];
    const planes = new Float32Array(3 * EDGE * EDGE).fill(-1);
    rows.forEach((row, y) =>
        columns.forEach((column, x) => {
            for (const [sourceY, partY] of row) {
                for (const [sourceX, partX] of column) {
                    for (let c = 0; c < 3; c++) {
                        planes[c * EDGE * EDGE + y * EDGE + x] += (rgb[3 * (sourceY * width + sourceX) + c] / 127.5) * partX * partY;
                    }
                }
            }
        }),
    );
    return planes;
}

/** max(0, convolution of 3 x 3, padded by 1): planes of `edge` to planes of edge / stride. */
function convolve(input, edge, { shape: [out, inward], values }, bias, stride) {
    const size = edge / stride;
    const padded = edge + 2;
    const wide = new Float32Array(inward * padded * padded);
    for (let c = 0; c < inward; c++) {
        for (let y = 0; y < edge; y++) {
            wide.set(input.subarray((c * edge + y) * edge, (c * edge + y + 1) * edge), (c * padded + y + 1) * padded + 1);
        }
    }
    const result = new Float32Array(out * size * size);
    for (let o = 0; o < out; o++) {
        const plane = result.subarray(o * size * size, (o + 1) * size * size).fill(bias[o]);
        for (let c = 0; c < inward; c++) {
            for (let k = 0; k < 9; k++) {
                const weight = values[(o * inward + c) * 9 + k];
                const start = (c * padded + Math.floor(k / 3)) * padded + (k % 3);
                for (let y = 0; y < size; y++) {
                    for (let x = 0, from = start + y * stride * padded, to = y * size; x < size; x++) {
                        plane[to + x] += weight * wide[from + x * stride];
                    }
                }
            }
        }
        plane.forEach((value, i) => (plane[i] = Math.max(value, 0)));
    }
    return result;
}

/** Opens judge.safetensors. Its answer to a picture {width, height, rgb}: one list of scores for each of `sizes`. */
export function openJudge(file, sizes) {
    const tensors = readTensors(file);
    const layers = Object.keys(tensors).filter((name) => /^conv\d+\.weight$/.test(name)).length;
    return (picture) => {
        let [x, edge] = [shrink(picture), EDGE];
        for (let i = 0; i < layers; i++) {
            const weight = tensors[`conv${i}.weight`];
            const stride = weight.shape[0] === weight.shape[1] ? 1 : 2;
            x = convolve(x, edge, weight, tensors[`conv${i}.bias`].values, stride);
            edge /= stride;
        }
        const area = edge * edge;
        const planes = Array.from({ length: x.length / area }, (_, c) => x.subarray(c * area, (c + 1) * area));
        const features = [...planes.map((p) => p.reduce((a, b) => a + b, 0) / area), ...planes.map((p) => p.reduce((a, b) => Math.max(a, b), 0))];
        const { values, shape: [rows, width] } = tensors['head.weight'];
        const scores = Array.from({ length: rows }, (_, r) => features.reduce((sum, f, i) => sum + f * values[r * width + i], tensors['head.bias'].values[r]));
        return sizes.map((size) => scores.splice(0, size));
    };
}
