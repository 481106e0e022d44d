// A few rounds of tests/kill/rounds.mjs; make kill-test ROUNDS=100 runs many.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRounds } from './rounds.mjs';

test('jobs survive the killing of worker, dispatcher and httpd children', async () => {
    const { failed, ...happened } = await killRounds(6, 20);
    for (const [what, times] of Object.entries(happened)) {
        assert.ok(times > 0, `never: ${what}; jobs failed: ${failed}`);
    }
});
