// What the built-in model draws of prompts that combine what no training picture combined, and what the judge sees in it.
//   node tests/model/check.mjs MODEL [COUNT] [FOLDER]     (make check-model)
// Prints the judge's figures, those of the control with prompts shuffled, and how much two seeds differ.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { openJudge } from './judge.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const BUILD = path.resolve(HERE, '../..', process.env.IMU_BUILD || 'build');
const SEEDS_APART = 16; // prompts drawn with a second seed

/** Pixels of a PPM file (P6). */
export function readPpm(file) {
    const bytes = fs.readFileSync(file);
    const [head, width, height] = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.subarray(0, 64).toString('latin1'));
    return { width: Number(width), height: Number(height), rgb: bytes.subarray(head.length) };
}

/** Draws a prompt with the worker's engine, by the model's own default settings. */
async function render(model, prompt, seed, file) {
    const { default_settings: settings } = JSON.parse(fs.readFileSync(path.join(model, 'invokemu.json')));
    const options = { width: settings.width, height: settings.height, steps: settings.steps, guidance: settings.cfg_scale, scheduler: settings.scheduler, seed };
    await promisify(execFile)(path.join(BUILD, 'imu-render'), [model, prompt, file, ...Object.entries(options).map(([k, v]) => `${k}=${v}`)]);
    return readPpm(file);
}

const best = (scores, count) => [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, count);

/** Parts of right answers, 0..1, by question. */
export function figures(answers, prompts) {
    const hits = { thing: [], 'both things': [], background: [], style: [], time: [] };
    prompts.forEach(({ things, kind, style, time }, i) => {
        const [seen, kinds, styles, times] = answers[i];
        if (things.length === 1) {
            hits.thing.push(best(seen, 1)[0] === things[0]);
        } else {
            hits['both things'].push(best(seen, 2).every((thing) => things.includes(thing)));
        }
        hits.background.push(best(kinds, 1)[0] === kind);
        hits.style.push(best(styles, 1)[0] === style);
        if (time >= 0) {
            hits.time.push(best(times, 1)[0] === time);
        }
    });
    return Object.fromEntries(Object.entries(hits).filter(([, row]) => row.length).map(([name, row]) => [name, row.filter(Boolean).length / row.length]));
}

/** Mean absolute difference of two pictures, in 255ths. */
export function distance(a, b) {
    return a.rgb.reduce((sum, value, i) => sum + Math.abs(value - b.rgb[i]), 0) / a.rgb.length;
}

/** Draws `count` of the prompts and judges them: {figures, shuffled, apart, trulyApart}, the last two in 255ths. The pictures stay in `folder`. */
export async function check(model, count, folder) {
    const asked = JSON.parse(fs.readFileSync(path.join(HERE, 'prompts.json')));
    const judge = openJudge(path.join(HERE, 'judge.safetensors'), [asked.things, asked.kinds, asked.styles, asked.times].map((names) => names.length));
    const prompts = asked.prompts.slice(0, count);
    const answers = [];
    const distances = [];
    for (const [i, { prompt, seed }] of prompts.entries()) {
        const picture = await render(model, prompt, seed, path.join(folder, `${String(i).padStart(3, '0')}.ppm`));
        answers.push(judge(picture));
        if (i < SEEDS_APART) {
            distances.push(distance(picture, await render(model, prompt, seed + 100000, path.join(folder, 'second.ppm'))));
        }
    }
    const moved = [...prompts.slice(7), ...prompts.slice(0, 7)];
    return { figures: figures(answers, prompts), shuffled: figures(answers, moved), apart: distances.reduce((a, b) => a + b, 0) / distances.length, trulyApart: asked.apart };
}

const percent = (rows) => Object.entries(rows).map(([name, part]) => `${name} ${(100 * part).toFixed(1)} %`).join(', ');

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const [model, count = '200', folder = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-model-'))] = process.argv.slice(2);
    if (!model || !fs.existsSync(path.join(model, 'invokemu.json')) || !fs.existsSync(path.join(HERE, 'judge.safetensors'))) {
        console.log('skipped: no model or no judge in this tree yet');
    } else {
        const result = await check(model, Number(count), folder);
        console.log(`${count} held-out prompts: ${percent(result.figures)}`);
        console.log(`prompts shuffled: ${percent(result.shuffled)}`);
        console.log(`two seeds of a prompt differ by ${result.apart.toFixed(1)} of 255, two scenes of the training by ${result.trulyApart}; pictures in ${folder}`);
    }
}
