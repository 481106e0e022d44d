// What happens between the first look at a page's lists and the opening of its line of events is on the page all the same.
import { test } from 'node:test';
import { useBrowser } from '../lib/browser.mjs';
import { testModels } from '../lib/models.mjs';
import { makePng } from '../lib/png.mjs';
import { enqueue } from '../lib/queue.mjs';
import { useServer } from '../lib/server.mjs';
import { ADMIN, setupAdmin, upload } from '../lib/users.mjs';

const server = useServer({ multiuser: true, media: true, hook: true, models: testModels() });
const browser = useBrowser(server);
let admin;
let person;

/** Opens a page whose line stays shut until `meanwhile` has run; `shown` waits for the page as it is before that. */
async function beforeTheLine(path, shown, meanwhile) {
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await person.page.route('**/ws/**', (route) => held.then(() => route.continue()));
    await person.open(path);
    await shown();
    await meanwhile();
    release();
    await person.live();
    await person.page.unroute('**/ws/**');
}

test('a person at a browser', async () => {
    admin = await setupAdmin(server);
    person = await browser.person({ reducedMotion: 'reduce' });
    await person.signIn(ADMIN.email, ADMIN.password);
    await person.page.waitForURL('**/create');
    await person.live();
});

test('a first job from elsewhere is in the feed, and counted', async () => {
    await beforeTheLine(
        '/create',
        () => person.sees('Your pictures will appear here'),
        () => enqueue(admin),
    );
    await person.page.locator('.tile[data-status="pending"]').waitFor();
    await person.page.locator('.rail .badge[title^="1 of yours"]').waitFor();
});

test('pictures and boards from elsewhere are in the gallery', async () => {
    await beforeTheLine(
        '/gallery',
        () => person.sees('Nothing here yet'),
        async () => {
            await upload(admin, { png: makePng(64, 64) });
            await admin.post('/api/v1/boards/?board_name=Harbour');
        },
    );
    await person.page.locator('.thumb-open').waitFor();
    await person.sees('Harbour');
});
