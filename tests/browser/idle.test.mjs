// Nothing is there that could make pictures: the pages say so, and stop saying so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, addUser, PASSWORD, setupAdmin } from '../lib/users.mjs';

const server = useServer({ multiuser: true, worker: true, models: testModels() });
const browser = useBrowser(server);

test('without a worker people read why nothing happens, and administrators what to do', async () => {
    const admin = await setupAdmin(server);
    await addUser(admin, 'Grace');
    const [grace, boss] = [await browser.person(), await browser.person()];
    await grace.signIn('grace@example.com', PASSWORD);
    await boss.signIn(ADMIN.email, ADMIN.password);
    for (const who of [grace, boss]) {
        await who.page.waitForURL('**/create');
        await who.live();
    }
    const news = (who) => who.page.getByText('Nothing is being made just now');
    assert.equal(await news(grace).count(), 0);
    server.workers[0].kill('SIGTERM');
    await news(grace).waitFor();
    await grace.sees('whoever looks after the server can start it');
    await news(boss).waitFor();
    await boss.sees('Start it on the server');
    assert.deepEqual(await grace.axe(), []);
    await grace.open('/queue');
    await news(grace).waitFor();
    await server.startWorker(0);
    await news(grace).waitFor({ state: 'detached' });
    await news(boss).waitFor({ state: 'detached' });
});
