// Chromium for the browser tests: several people at once, each in a context of their own, and nothing may go wrong
// unseen. A refused script or style, an error in the console, an exception or a failed request fails the test.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PROGRAM = process.env.IMU_CHROMIUM || '/usr/bin/chromium';
const FLAGS = [
    '--no-sandbox',
    '--headless',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
];
const PATIENCE_MS = 60000; // for machines that have much else to do
/** IMU_SLOW=8: a processor eight times slower, and every answer late by chance, up to so many tenths of a second. Finds races. */
const SLOW = Number(process.env.IMU_SLOW || 0);

export const DESK = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** One person in front of one browser. */
export class Person {
    constructor(context, page, base) {
        Object.assign(this, { context, page, base, faults: [], allowed: [], calls: [] });
        page.setDefaultTimeout(PATIENCE_MS);
        page.on('console', (message) => {
            if (['error', 'warning'].includes(message.type())) {
                this.faults.push(`console: ${message.text()} (${message.location().url})`);
            }
        });
        page.on('pageerror', (error) => this.faults.push(`exception: ${error.stack}`));
        page.on('request', (request) => {
            const { pathname } = new URL(request.url());
            if (pathname.startsWith('/api/') && !/\/(full|thumbnail)$/.test(pathname)) {
                this.calls.push(`${request.method()} ${pathname}`);
            }
        });
    }

    /** Faults that match `pattern` are part of the test. */
    allow(pattern) {
        this.allowed.push(pattern);
    }

    /** Asserts that nothing went wrong so far. */
    checkFaults() {
        const bad = this.faults.filter((fault) => !this.allowed.some((pattern) => pattern.test(fault)));
        assert.deepEqual(bad, [], 'something went wrong in the browser');
    }

    open(where) {
        return this.page.goto(this.base + where);
    }

    button(name, options = {}) {
        return this.page.getByRole('button', { name, ...options });
    }

    field(label) {
        return this.page.getByLabel(label, { exact: true });
    }

    /** Waits until live events reach the page: what happens from now on is seen. */
    live() {
        return this.page.locator('html[data-live="on"]').waitFor();
    }

    /** Waits until the page says `text` nowhere. */
    lacks(text) {
        return this.page.getByText(text).first().waitFor({ state: 'detached' });
    }

    /** Waits until the page says `text` somewhere. */
    sees(text) {
        return this.page.getByText(text).first().waitFor();
    }

    async setUp({ display_name, email, password }) {
        await this.open('/');
        await this.field('Your name').fill(display_name);
        await this.field('Email address').fill(email);
        await this.field('Password').fill(password);
        await this.button('Set up').click();
        await this.page.waitForURL('**/create');
    }

    async signIn(email, password) {
        await this.open('/login');
        await this.field('Email address').fill(email);
        await this.field('Password').fill(password);
        await this.button('Sign in').click();
    }

    /** Everything that axe finds fault with on the page as it stands, once it stands: parts of it are loaded when it is opened. */
    async axe() {
        await this.page.locator('main h1').first().waitFor();
        await this.page.evaluate(AXE);
        const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
        return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
    }
}

async function slowDown(context, page) {
    const session = await context.newCDPSession(page);
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOW });
    await context.route(/\/(api|assets)\//, async (route) => {
        await pause(Math.random() * SLOW * 100);
        // The page may be gone by now.
        await route.fallback().catch(() => {});
    });
}

export const launchBrowser = (more = []) => chromium.launch({ executablePath: PROGRAM, args: [...FLAGS, ...more] });

/**
 * Chromium for the tests of the enclosing file. `person()` opens a browser of one more person; when the file is done,
 * every one of them must have been free of faults. `flags` go to Chromium.
 */
export function useBrowser(server, { flags } = {}) {
    const people = [];
    const browser = {
        async person({ viewport = DESK, ...options } = {}) {
            const context = await browser.chromium.newContext({ viewport, ...options });
            const page = await context.newPage();
            if (SLOW) {
                await slowDown(context, page);
            }
            const person = new Person(context, page, server.url);
            people.push(person);
            return person;
        },
    };
    before(async () => {
        browser.chromium = await launchBrowser(flags);
    });
    const close = () => browser.chromium?.close();
    server.guests.push(close);
    after(async () => {
        await close();
        people.forEach((person) => person.checkFaults());
    });
    return browser;
}
