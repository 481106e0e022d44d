// Kills a part of a busy server again and again, and looks what became of the jobs.
import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { REPO } from '../lib/paths.mjs';
import { startServer, until } from '../lib/server.mjs';
import { addUser, setupAdmin } from '../lib/users.mjs';
import { enqueuePictures, pictureModel, pictureNames } from '../lib/pictures.mjs';
import { readPng } from '../lib/png.mjs';

const FINAL = ['completed', 'failed', 'canceled'];
const ROUND_MS = 120000;

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
    return until(() => ask().then((answer) => (answer.status < 500 ? answer : null), () => null), 'an answer after a kill', 30000);
}

/** One kill of the worker, the dispatcher or a child of httpd. */
async function killSomething(server, part, random) {
    const pids = server.pids();
    if (part === 'worker') {
        await server.kill(server.workers[0]);
        await server.startWorker(0);
    } else if (part === 'dispatcher') {
        process.kill(await until(() => server.pids().dispatcher, 'a dispatcher to kill'), 'SIGKILL');
    } else {
        process.kill(pids.children[random(pids.children.length)], 'SIGKILL');
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

/** A completed job has exactly one picture, whole and readable; any other job says why. */
async function inspect(client, job) {
    if (job.status !== 'completed') {
        assert.equal(job.status, 'failed', `job ${job.item_id} is ${job.status} although nobody cancelled it`);
        assert.ok(job.error_message, `job ${job.item_id} failed without a reason`);
        return;
    }
    const names = pictureNames(job);
    assert.equal(names.length, 1, `job ${job.item_id} has ${names.length} pictures`);
    const file = await insist(() => client.get(`/api/v1/images/i/${names[0]}/full`));
    assert.equal(file.status, 200, `the picture of job ${job.item_id} is missing`);
    assert.equal(readPng(file.raw).width, 64);
    const small = await insist(() => client.get(`/api/v1/images/i/${names[0]}/thumbnail`));
    assert.equal(small.status, 200, `the thumbnail of job ${job.item_id} is missing`);
}

/**
 * @param {number} rounds
 * @param {number} seed start of the random numbers
 * @param {(line: string) => void} say told after each round
 * @returns {Promise<object>} counts of jobs by state and of kills by part
 */
export async function killRounds(rounds, seed, say = () => {}) {
    const random = randomFrom(seed);
    const server = await startServer({ worker: 1, media: true, models: path.join(REPO, 'tests/fixtures/diffusion') });
    // What dies by our hand may be told; a crash of another kind may not.
    server.allowLog(/exit signal Killed|AH00045|AH00046|IMU0\d+:.*(worker|dispatcher|media|lost|again|gone|child)/i);
    const counts = { completed: 0, failed: 0, worker: 0, dispatcher: 0, child: 0 };
    const all = new Map();
    const admin = await setupAdmin(server);
    const people = [await addUser(admin, 'Anna'), await addUser(admin, 'Bert')];
    const model = await pictureModel(admin);
    try {
        for (let round = 1; round <= rounds; round++) {
            const ids = [];
            for (const person of people) {
                const seeds = Array.from({ length: 1 + random(2) }, () => random(1000000));
                ids.push([person, await enqueuePictures(person, model, { seeds, steps: 20 + random(80) })]);
            }
            await pause(random(800));
            const part = ['worker', 'dispatcher', 'child'][round % 3];
            await killSomething(server, part, random);
            counts[part]++;
            for (const [person, list] of ids) {
                for (const job of await ended(person, list)) {
                    await inspect(person, job);
                    counts[job.status]++;
                    all.set(job.item_id, [person, job.status]);
                }
            }
            say(`round ${round}: ${part} killed; ${counts.completed} completed, ${counts.failed} failed so far`);
        }
        await endedOnce(all);
        await noStrays(admin, server, counts);
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

/** As many pictures as completed jobs: no job was run twice to the end. */
async function noStrays(admin, server, counts) {
    const [row] = server.sql("SELECT COUNT(*) AS n FROM images WHERE is_intermediate = 0");
    assert.equal(row.n, counts.completed, 'pictures in the database and completed jobs differ');
}
