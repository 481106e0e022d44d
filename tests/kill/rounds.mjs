// Kills a part of a busy server again and again, and looks what became of the jobs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { REPO } from '../lib/paths.mjs';
import { startServer, until } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { enqueuePictures, pictureModel, pictureNames } from '../lib/pictures.mjs';
import { readPixels } from '../lib/png.mjs';

/** What a round kills; the jobs of the round see nothing else die. */
const PARTS = ['worker', 'dispatcher', 'child', 'worker twice', 'dispatcher', 'child'];
const FINAL = ['completed', 'failed', 'canceled'];
const ROUND_MS = 120000;
/** What mod_invokemu/dispatch gives a job that its worker dies of. */
const MAX_ATTEMPTS = 2;
/** Sizes that pictures are asked for in, by chance. */
const SIZES = [[64, 64], [72, 64], [64, 80]];

/** Numbers that look random and are the same in each run with the same start (xorshift32). */
function randomFrom(start) {
    let state = start >>> 0 || 1;
    return (below) => {
        state ^= state << 13;
        state >>>= 0;
        state ^= state >>> 17;
        state ^= state << 5;
        state >>>= 0;
        return state % below;
    };
}

/** Asks until there is an answer: the child that had the connection may just have been killed. */
async function insist(ask) {
    return until(() => ask().then((answer) => (answer.status < 500 ? answer : null), () => null), 'an answer after a kill');
}

function jobs(server, where) {
    return server.sql(`SELECT COUNT(*) AS n FROM session_queue WHERE ${where}`)[0].n;
}

/** Kills the worker in so many attempts of one job, unless all jobs end before. */
async function killWorker(server, times) {
    for (let i = 0; i < times; i++) {
        const there = () => jobs(server, `status = 'in_progress' AND attempts > ${i}`) > 0;
        await until(() => there() || jobs(server, "status IN ('pending', 'waiting', 'in_progress')") === 0, 'a job to run');
        await server.kill(server.workers[0]);
        await server.startWorker(0);
    }
}

/** Kills what the round is for. */
async function killSomething(server, part, random) {
    if (part === 'worker') {
        await killWorker(server, 1);
    } else if (part === 'worker twice') {
        await killWorker(server, MAX_ATTEMPTS);
    } else if (part === 'dispatcher') {
        process.kill(await until(() => server.pids().dispatcher, 'a dispatcher to kill'), 'SIGKILL');
    } else {
        const { children } = server.pids();
        process.kill(children[random(children.length)], 'SIGKILL');
    }
}

/** Waits until every job has ended. @returns {Promise<object[]>} the jobs */
async function ended(client, ids) {
    const jobs = [];
    for (const id of ids) {
        const job = await until(
            async () => {
                const answer = await insist(() => client.get(`/api/v1/queue/default/i/${id}`));
                assert.equal(answer.status, 200, `job ${id} is lost: ${answer.text.slice(0, 200)}`);
                return FINAL.includes(answer.body.status) && answer.body;
            },
            `job ${id} to end`,
            ROUND_MS,
        );
        jobs.push(job);
    }
    return jobs;
}

/** The one way to fail by right (docs/worker-protocol.md): each of a job's attempts lost its worker, which was killed that often. */
function failedByRight(server, job, part) {
    const [{ attempts }] = server.sql(`SELECT attempts FROM session_queue WHERE item_id = ${job.item_id}`);
    const why = `job ${job.item_id} failed (${part} killed, attempt ${attempts}): ${job.error_type}: ${job.error_message}`;
    assert.deepEqual([part, job.error_type, attempts], ['worker twice', 'WorkerLost', MAX_ATTEMPTS], why);
}

/** A completed job has exactly one picture, of the size that was asked for, readable to its last pixel, over HTTP and on the disk. */
async function inspect(server, client, job, size, part) {
    if (job.status === 'failed') {
        failedByRight(server, job, part);
        return;
    }
    assert.equal(job.status, 'completed', `job ${job.item_id} is ${job.status} although nobody cancelled it`);
    const names = pictureNames(job);
    assert.equal(names.length, 1, `job ${job.item_id} has ${names.length} pictures`);
    const rows = server.sql(`SELECT image_name FROM images WHERE session_id = '${job.session_id}' AND is_intermediate = 0`);
    assert.deepEqual(rows.map((row) => row.image_name), names, `job ${job.item_id} left other pictures than it names`);
    const file = await insist(() => client.get(`/api/v1/images/i/${names[0]}/full`));
    assert.equal(file.status, 200, `the picture of job ${job.item_id} is missing`);
    assert.ok(fs.readFileSync(path.join(server.data, 'outputs/images', names[0])).equals(file.raw), `the file of job ${job.item_id} is another`);
    const { width, height } = readPixels(file.raw);
    assert.deepEqual([width, height], size, `the picture of job ${job.item_id} has another size`);
    const small = await insist(() => client.get(`/api/v1/images/i/${names[0]}/thumbnail`));
    assert.equal(small.status, 200, `the thumbnail of job ${job.item_id} is missing`);
    assert.equal(small.raw.toString('latin1', 8, 12), 'WEBP', `the thumbnail of job ${job.item_id} is no picture`);
}

/**
 * @param {number} rounds
 * @param {number} seed start of the random numbers
 * @param {(line: string) => void} say told after each round
 * @returns {Promise<object>} counts of jobs by state, of rounds by part, and of attempts that were made `again`
 */
export async function killRounds(rounds, seed, say = () => {}) {
    const random = randomFrom(seed);
    const server = await startServer({ worker: 1, media: true, models: path.join(REPO, 'tests/fixtures/diffusion') });
    // What dies by our hand may be told; a crash of another kind may not.
    server.allowLog(/exit signal Killed|AH00045|AH00046|IMU0\d+:.*(worker|dispatcher|media|lost|again|gone|child)/i);
    const counts = { completed: 0, failed: 0, worker: 0, 'worker twice': 0, dispatcher: 0, child: 0 };
    const all = new Map();
    const admin = await setupAdmin(server);
    const people = [await addUser(admin, 'Anna'), await addUser(admin, 'Bert')];
    const model = await pictureModel(admin);
    try {
        for (let round = 1; round <= rounds; round++) {
            const asked = [];
            for (const person of people) {
                const seeds = Array.from({ length: 1 + random(2) }, () => random(1000000));
                const size = SIZES[random(SIZES.length)];
                const [width, height] = size;
                asked.push([person, size, await enqueuePictures(person, model, { seeds, steps: 20 + random(80), width, height })]);
            }
            await pause(random(800));
            const part = PARTS[round % PARTS.length];
            await killSomething(server, part, random);
            counts[part]++;
            for (const [person, size, list] of asked) {
                for (const job of await ended(person, list)) {
                    await inspect(server, person, job, size, part);
                    counts[job.status]++;
                    all.set(job.item_id, [person, job.status]);
                }
            }
            say(`round ${round}: ${part} killed; ${counts.completed} completed, ${counts.failed} failed so far`);
        }
        await endedOnce(all);
        noStrays(server, counts);
        counts.again = server.errorLog().match(/IMU0430/g)?.length || 0;
    } finally {
        await server.stop();
    }
    return counts;
}

/** Nothing that had ended changed its state afterwards. */
async function endedOnce(all) {
    for (const [id, [person, status]] of all) {
        const answer = await insist(() => person.get(`/api/v1/queue/default/i/${id}`));
        assert.equal(answer.body.status, status, `job ${id} ended twice`);
    }
}

/** As many pictures as completed jobs: none was run twice to the end. Those that failed may have left what an attempt made. */
function noStrays(server, counts) {
    const [row] = server.sql(`SELECT COUNT(*) AS n FROM images WHERE is_intermediate = 0
        AND session_id IN (SELECT session_id FROM session_queue WHERE status = 'completed')`);
    assert.equal(row.n, counts.completed, 'pictures in the database and completed jobs differ');
}
