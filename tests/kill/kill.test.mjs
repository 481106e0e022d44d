// A few rounds of tests/kill/rounds.mjs; make kill-test ROUNDS=100 runs many.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRounds } from './rounds.mjs';

test('jobs survive the killing of worker, dispatcher and httpd children', async () => {
    const counts = await killRounds(6, 20);
    assert.ok(counts.completed > 0, 'no job was completed at all');
    assert.ok(counts.worker && counts.dispatcher && counts.child, `not every part was killed: ${JSON.stringify(counts)}`);
});
