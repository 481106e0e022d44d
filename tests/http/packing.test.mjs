// Packing pictures: one person takes neither the threads of a child nor the disk with it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
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

    test('of one person holds few threads, and fewer when others come', async () => {
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
        await until(() => refused.length >= 17, 'the refusal of most');
        assert.ok(Number(refused[0].headers['retry-after']) > 0);
        assert.match(refused[0].body.detail, /packing other downloads/);
        await until(() => started().length === 2, 'the beginning of two');
        assert.equal((await admin.get('/api/v1/boards/?all=true')).status, 200);
        const theirs = [ask(people[1], some), ask(people[2], more)];
        await until(() => fs.readdirSync(folder()).length === 4, 'the beginning of theirs: who had two loses one');
        ends.forEach((end) => end());
        const answers = await Promise.all([...all, ...theirs]);
        assert.deepEqual(answers.slice(-2).map((answer) => answer.status), [202, 202]);
        const made = answers.filter((answer) => answer.status === 202).length;
        assert.equal(made + refused.length, answers.length);
        assert.ok(refused.length >= 18, 'one had to leave');
        await until(() => failed().length === 1, 'the news of that');
        assert.match(failed()[0].error, /packing other downloads/);
        assert.equal(fs.readdirSync(folder()).length, made, 'nothing of it stays behind');
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
