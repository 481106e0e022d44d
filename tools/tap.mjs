// Counts test results in TAP: that of cmocka, and the nested kind of node --test.

/** @returns {{passed: number, failed: number, skipped: number}} */
export function countTap(text) {
    const summary = nodeSummary(text);
    if (summary) {
        return summary;
    }
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const line of text.split('\n')) {
        const match = /^(not )?ok\b(.*)$/.exec(line);
        if (match) {
            const skipped = /#\s*skip/i.test(match[2]);
            count[skipped ? 'skipped' : match[1] ? 'failed' : 'passed'] += 1;
        }
    }
    return count;
}

/** The closing lines of node --test: "# pass 3", "# fail 0" and so on; null when they are not there. */
function nodeSummary(text) {
    const value = (name) => {
        const all = [...text.matchAll(new RegExp(`^# ${name} (\\d+)$`, 'gm'))];
        return all.length ? Number(all.at(-1)[1]) : null;
    };
    const passed = value('pass');
    const failed = value('fail');
    if (passed === null || failed === null) {
        return null;
    }
    // A cancelled test did not run to its end: that is a failure. "todo" tests do not exist here, so they fail as well.
    return { passed, failed: failed + (value('cancelled') || 0) + (value('todo') || 0), skipped: value('skipped') || 0 };
}
