// What grows with use is found by an index: no statement that people or the running queue wait for reads a whole table of pictures, jobs,
// sessions or audit entries.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { REPO } from '../lib/paths.mjs';

const GROWS = ['images', 'board_images', 'image_documents', 'session_queue', 'user_sessions', 'audit_log'];

/** Statements that look at everything by what they are, and where they run. */
const WHOLE = {
    audit_account_once: 'the command line, when it is asked what a deleted account did',
    audit_purge: 'the dispatcher, now and then',
    run_prune: 'the dispatcher, now and then',
    images_all_count: 'everybody’s pictures, for administrators',
    images_all_list: 'the same',
    images_all_names: 'the same',
};
/** The doctor looks at everything. */
const NOT_OF = ['doctor.sql'];

const folder = (name) => path.join(REPO, 'sql', name);
const filesOf = (name) => fs.readdirSync(folder(name)).sort().map((file) => [file, fs.readFileSync(path.join(folder(name), file), 'utf8')]);

/** The statements of a file by name, with the parts that they use put in (tools/embed-sql.awk). */
function statementsOf(text) {
    const parts = {};
    const statements = {};
    let into = null;
    for (const line of text.split('\n')) {
        const [, what, name] = /^-- :(part|name|use) (\w+)$/.exec(line) || [];
        if (what === 'use') {
            into.text += parts[name].text;
        } else if (what) {
            into = { text: '' };
            (what === 'part' ? parts : statements)[name] = into;
        } else if (into && !line.startsWith('--')) {
            into.text += `${line}\n`;
        }
    }
    return Object.entries(statements).map(([name, { text: sql }]) => [name, sql.replace(/%(lld|[sd])/g, '?').replaceAll('%%', '%')]);
}

const statements = filesOf('queries').filter(([file]) => !NOT_OF.includes(file)).flatMap(([, text]) => statementsOf(text));

/** What SQLite would do for each statement, by name. */
function plans() {
    const input = [...filesOf('migrations').map(([, sql]) => sql), ...statements.map(([name, sql]) => `.print :${name}\nEXPLAIN QUERY PLAN ${sql}`)];
    const out = execFileSync('sqlite3', ['-bail', ':memory:'], { input: input.join('\n'), encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
    return Object.fromEntries(`\n${out}`.split('\n:').slice(1).map((text) => [text.split('\n')[0], text]));
}

/** Tables of GROWS that a plan reads from one end to the other; names in a plan are those that the statement gives them. */
function wholeTables(sql, plan) {
    const scanned = [...plan.matchAll(/\bSCAN (\w+)(?! VIRTUAL)(?: USING (?:COVERING )?INDEX (\w+))?/g)];
    return scanned.filter(([, , index]) => !PARTIAL.has(index)).map(([, name]) => {
        const [, table] = new RegExp(`\\b(?:FROM|JOIN|UPDATE|INTO)\\s+(\\w+)(?:\\s+AS)?\\s+${name}\\b`).exec(sql) || [null, name];
        return table;
    }).filter((table) => GROWS.includes(table));
}

const PARTIAL = new Set(filesOf('migrations').flatMap(([, sql]) => [...sql.matchAll(/CREATE INDEX (\w+) ON [^;]*? WHERE /g)].map(([, name]) => name)));

test('no statement reads the whole of what grows', () => {
    const plan = plans();
    assert.ok(statements.length > 200, `${statements.length} statements`);
    const found = statements.filter(([name, sql]) => wholeTables(sql, plan[name] ?? assert.fail(`${name} has no plan`)).length).map(([name]) => name);
    assert.deepEqual(found.sort(), Object.keys(WHOLE).sort());
});
