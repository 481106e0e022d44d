// Packing pictures: one person takes neither the threads of a child nor the disk with it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { closeAll, listen } from '../lib/events.mjs';
import { oneChild, until, useServer } from '../lib/server.mjs';
import { addUser, setupAdmin, upload } from '../lib/users.mjs';

const DOWNLOAD = '/api/v1/images/download';

describe('packing', () => {
    // Three of these threads may pack, two of them for one account.
    const server = useServer({ media: true, conf: oneChild(25) });
    let admin, ann, ben;
    before(async () => {
        admin = await setupAdmin(server);
        ann = await addUser(admin, 'Ann');
        ben = await addUser(admin, 'Ben');
    });
    after(closeAll);
    const folder = () => path.join(server.data, 'outputs/bulk_downloads');
    const file = (picture) => path.join(server.data, 'outputs/images', picture);
    const ask = async (who, names) => who.post(DOWNLOAD, { image_names: names ?? [(await upload(who)).image_name] });
    const make = async (who, names) => {
        const answer = await ask(who, names);
        assert.equal(answer.status, 202, answer.text);
        return answer.body.bulk_download_item_name;
    };

    test('of one person holds few threads, and others get theirs', async () => {
        const people = [await addUser(admin, 'Greedy'), await addUser(admin, 'Other'), await addUser(admin, 'Third')];
        // Nothing comes out of such a file until its writer is done.
        const ends = [];
        const slow = async (who) => {
            const [name, next] = [(await upload(who)).image_name, (await upload(who)).image_name];
            fs.rmSync(file(name));
            execFileSync('mkfifo', [file(name)]);
            const writer = fs.openSync(file(name), 'r+');
            ends.push(() => {
                fs.rmSync(file(name));
                fs.closeSync(writer);
            });
            return [name, next];
        };
        const [much, some, more] = await Promise.all(people.map(slow));
        const news = await listen(server, people[0]);
        const [started, failed] = ['started', 'error'].map((what) => () => news.all(`bulk_download_${what}`));
        const refused = [];
        const all = Array.from({ length: 20 }, () => ask(people[0], much).then((answer) => (answer.status === 429 ? refused.push(answer) : 0, answer)));
        // Who has as many as one may does not stand in line.
        await until(() => refused.length === 18, 'the refusal of most', 5000);
        assert.ok(Number(refused[0].headers['retry-after']) > 0);
        assert.match(refused[0].body.detail, /packing other downloads/);
        await until(() => started().length === 2, 'the beginning of two');
        assert.equal((await admin.get('/api/v1/boards/?all=true')).status, 200);
        const theirs = [ask(people[1], some), ask(people[2], more)];
        await until(() => fs.readdirSync(folder()).length === 4, 'the beginning of theirs: who has two waits with one');
        ends.forEach((end) => end());
        const answers = await Promise.all([...all, ...theirs]);
        assert.deepEqual(answers.slice(-2).map((answer) => answer.status), [202, 202]);
        assert.equal(answers.filter((answer) => answer.status === 202).length, 4);
        assert.equal(failed().length, 0, 'nobody had to leave');
        assert.equal(fs.readdirSync(folder()).length, 4);
    });

    /** Pictures of a person that take a while: of every other one nothing comes until `go` lets it pass. */
    const long = async (who) => {
        const { image_name: first } = await upload(who);
        const names = Array.from({ length: 120 }, (_, i) => `${i}-${first}`);
        const row = (name) => `UPDATE one SET image_name = '${name}'; INSERT INTO images SELECT * FROM one;`;
        server.sql(`CREATE TEMP TABLE one AS SELECT * FROM images WHERE image_name = '${first}'; BEGIN; ${names.map(row).join(' ')} COMMIT`);
        const held = names.filter((_, i) => i % 2).map(file);
        names.filter((_, i) => i % 2 === 0).forEach((name) => fs.copyFileSync(file(first), file(name)));
        execFileSync('mkfifo', held);
        const go = () => {
            try {
                fs.closeSync(fs.openSync(held[0], fs.constants.O_WRONLY | fs.constants.O_NONBLOCK));
                held.shift();
            } catch (error) {
                assert.equal(error.code, 'ENXIO', 'nobody reads it yet');
            }
        };
        let timer = setInterval(() => held.length && go(), 250);
        const finish = () => {
            clearInterval(timer);
            timer = setInterval(() => (held.length ? go() : clearInterval(timer)), 5);
        };
        const answer = ask(who, names).finally(() => clearInterval(timer));
        return { answer, finish };
    };

    test('goes round: who comes has a turn soon, and nobody else loses theirs', async () => {
        const people = await Promise.all(['Long-a', 'Long-b', 'Long-c'].map((name) => addUser(admin, name)));
        const before = fs.readdirSync(folder()).length;
        const all = await Promise.all(people.map(long));
        let over = 0;
        all.forEach(({ answer }) => answer.then(() => over++));
        await until(() => fs.readdirSync(folder()).length === before + 3, 'the beginning of all three');
        await make(ben);
        assert.equal(over, 0, 'the others are not done');
        all.forEach(({ finish }) => finish());
        assert.deepEqual((await Promise.all(all.map(({ answer }) => answer))).map(({ status }) => status), [202, 202, 202]);
    });

    test('lets those in first who were refused, not who asks again at once', async () => {
        const people = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => addUser(admin, `Again-${name}`)));
        const before = fs.readdirSync(folder()).length;
        const all = await Promise.all(people.map(long));
        await until(() => fs.readdirSync(folder()).length === before + 5, 'the beginning of all five');
        assert.equal((await ask(ben)).status, 429);
        all[0].finish();
        assert.equal((await all[0].answer).status, 202);
        assert.equal((await ask(people[0])).status, 429, 'somebody else waits');
        assert.equal((await ask(ben)).status, 202);
        assert.equal((await ask(people[0])).status, 202);
        all.forEach(({ finish }) => finish());
        const answers = await Promise.all(all.map(({ answer }) => answer));
        assert.deepEqual(answers.map(({ status }) => status), Array(5).fill(202));
    });

    test('keeps no place for those who were refused when nobody is in', async () => {
        const people = [];
        for (let i = 0; i < 10; i++) {
            people.push(await addUser(admin, `Idle-${i}`));
        }
        const before = fs.readdirSync(folder()).length;
        const all = await Promise.all(people.slice(0, 5).map(long));
        await until(() => fs.readdirSync(folder()).length === before + 5, 'the beginning of all five');
        for (const refused of people.slice(5)) {
            assert.equal((await ask(refused)).status, 429);
        }
        all.forEach(({ finish }) => finish());
        await Promise.all(all.map(({ answer }) => answer));
        assert.equal((await ask(ben)).status, 202);
    });

    test('leaves nothing behind when the account goes meanwhile', async () => {
        const who = await addUser(admin, 'Goes');
        const before = fs.readdirSync(folder());
        const { answer, finish } = await long(who);
        await until(() => fs.readdirSync(folder()).length === before.length + 1, 'the beginning');
        server.sql(`PRAGMA foreign_keys = ON; DELETE FROM users WHERE user_id = '${who.user.user_id}'`);
        finish();
        assert.ok((await answer).status >= 400);
        assert.deepEqual(fs.readdirSync(folder()), before);
    });

    /** Fetches an archive, and reads no further than its beginning. */
    const begin = async (who, name) => {
        const socket = net.connect(server.port, '127.0.0.1');
        socket.on('error', () => {});
        socket.write(`GET ${DOWNLOAD}/${name} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nAuthorization: Bearer ${who.token}\r\n\r\n`);
        const [head] = await once(socket, 'data');
        socket.pause();
        assert.match(head.toString('latin1'), /^HTTP\/1.1 200/);
        return { socket, length: head.length };
    };
    /** A picture that no socket takes at once. */
    const large = async (who) => {
        const { image_name: name } = await upload(who);
        fs.truncateSync(file(name), 16 * 1024 ** 2);
        return [name];
    };

    test('counts what is being sent for whom it was made, and sends it once', async () => {
        const who = await addUser(admin, 'Reads-nothing');
        const pictures = await large(who);
        const before = fs.readdirSync(folder()).length;
        const all = [];
        for (let i = 0; i < 10; i++) {
            const name = await make(who, pictures);
            all.push({ name, ...(await begin(who, name)) });
        }
        const answer = await ask(who, pictures);
        assert.deepEqual([answer.status, Number(answer.headers['retry-after']) > 0], [429, true]);
        assert.match(answer.body.detail, /have not arrived yet/);
        assert.equal(fs.readdirSync(folder()).length, before + 10);
        assert.equal((await who.get(`${DOWNLOAD}/${all[0].name}`)).status, 404, 'somebody has it');
        const [{ socket, length }, ...others] = all;
        others.forEach((each) => each.socket.destroy());
        await until(() => fs.readdirSync(folder()).length === before + 1, 'the end of those that were broken off');
        await make(who, pictures);
        let read = length;
        socket.on('data', (data) => (read += data.length)).resume();
        await until(() => read > 16 * 1024 ** 2, 'the rest of the first');
        await until(() => !fs.existsSync(path.join(folder(), all[0].name)), 'its end');
        socket.destroy();
    });

    test('can be fetched again when the server was killed while it sent it', async () => {
        const who = await addUser(admin, 'Killed');
        const name = await make(who, await large(who));
        const { socket } = await begin(who, name);
        server.allowLog(/exit signal Killed|IMU0\d+:.*child/);
        process.kill(server.pids().children[0], 'SIGKILL');
        await once(socket.resume(), 'close');
        const { status, raw } = await who.get(`${DOWNLOAD}/${name}`);
        assert.deepEqual([status, raw.length > 16 * 1024 ** 2], [200, true]);
        await until(() => !fs.existsSync(path.join(folder(), name)), 'its end');
    });

    test('again and again leaves the newest ten of a person, and others theirs', async () => {
        const kept = await make(ben);
        const names = [];
        for (let i = 0; i < 12; i++) {
            names.push(await make(ann));
        }
        const there = fs.readdirSync(folder());
        assert.deepEqual(names.map((name) => there.includes(name)), [false, false, ...Array(10).fill(true)]);
        assert.equal((await ann.get(`${DOWNLOAD}/${names[1]}`)).status, 404);
        assert.equal((await ann.get(`${DOWNLOAD}/${names[2]}`)).status, 200);
        assert.equal((await ben.get(`${DOWNLOAD}/${kept}`)).status, 200);
    });

    test('leaves of large ones what is small enough together, and always the newest', async () => {
        const who = await addUser(admin, 'Large');
        const [oldest, large] = [await make(who), await make(who)];
        fs.truncateSync(path.join(folder(), large), 8 * 1024 ** 3);
        const newest = await make(who);
        const there = [oldest, large, newest].map((name) => fs.existsSync(path.join(folder(), name)));
        assert.deepEqual(there, [false, false, true]);
        assert.equal((await who.head(`${DOWNLOAD}/${large}`)).status, 404);
    });

    test('of what would take more than half of the free disk is refused before it begins', async () => {
        const { image_name: name } = await upload(ben);
        const before = fs.readdirSync(folder());
        const { bavail, bsize } = fs.statfsSync(folder());
        server.allowLog(/IMU0101: POST \/api\/v1\/images\/download failed \(disk_low\): \d+ MiB at \S+ would take more than half/);
        fs.truncateSync(file(name), Math.ceil((bavail * bsize) / 2) + 1024 ** 3);
        const answer = await ask(ben, [name]);
        assert.equal(answer.status, 507, answer.text);
        assert.match(answer.body.detail, /too little room/);
        assert.deepEqual(fs.readdirSync(folder()), before);
    });
});
