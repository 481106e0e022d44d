// Directives, routes, migrations and packages: each table and what must go with it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { BUILD, HTTPD, MODULES } from '../lib/paths.mjs';
import { directives, files, read, routes } from './lib.mjs';

/** The lines of the reference configuration: name to {value, comment}. */
function reference() {
    const found = new Map();
    let comment = '';
    for (const line of read('conf/reference.conf').split('\n')) {
        const match = /^#(InvokeMU\w*)(?:\s+(.*))?$/.exec(line);
        if (match) {
            found.set(match[1], { value: match[2], comment });
        }
        comment = /^# /.test(line) ? line : match ? comment : '';
    }
    assert.ok(found.size >= 20, 'the reference configuration could not be read');
    return found;
}

test('each directive has a line with its default and a sentence in the reference, and no other has', () => {
    const documented = reference();
    const known = directives().map((d) => d.name);
    assert.deepEqual(known.filter((name) => !documented.has(name)), [], 'missing in conf/reference.conf');
    assert.deepEqual([...documented.keys()].filter((name) => !known.includes(name)), [], 'unknown in conf/reference.conf');
    for (const [name, { value, comment }] of documented) {
        assert.ok(value, `${name} states no default`);
        assert.ok(comment.length > 10, `${name} has no sentence`);
    }
});

test('each directive has a setter, a default and, per virtual host, a merge rule', () => {
    const source = read('mod_invokemu/config.c');
    const setters = read('mod_invokemu/directives.c');
    const header = read('mod_invokemu/config.h');
    const field = (name) => new RegExp(`\\b(\\w+);\\s*/\\*\\*<[^*]*\\b${name}\\b`).exec(header)?.[1];
    const body = (name) => new RegExp(`${name}\\([^)]*\\)\\s*\\{([\\s\\S]*?)\\n\\}`).exec(source)?.[1] || '';
    const server = /typedef struct imu_server_conf \{([\s\S]*?)\}/.exec(header)[1];
    for (const { name, setter } of directives()) {
        const member = field(name);
        assert.ok(member, `config.h tells no field for ${name}`);
        assert.match(setters, new RegExp(`static const char \\*${setter}\\(`), `${name}: no setter`);
        if (server.includes(`${name}\b`) || new RegExp(`\\b${name}\\b`).test(server)) {
            assert.match(body('imu_config_merge_server'), new RegExp(`PICK\\(${member},`), `${name}: no merge rule`);
        }
        const defaulted = new RegExp(`DEFAULT\\(\\w, ${member},|${member}->nelts == 0|PICK\\(${member},`).test(source);
        assert.ok(defaulted || member === 'models_dir', `${name}: no default`);
    }
});

test('each directive is among those that a start compares with the one before', () => {
    const source = read('mod_invokemu/config_report.c');
    const apart = ['InvokeMU']; // where the module answers at all
    assert.deepEqual(directives().map((d) => d.name).filter((name) => !apart.includes(name) && !source.includes(`("${name}"`)), []);
});

test('numbers in directives are checked for their range', () => {
    const source = read('mod_invokemu/directives.c');
    for (const { name, setter } of directives().filter((d) => /Hours|Idle|Max|Min|History|Days/.test(d.name))) {
        const body = new RegExp(`\\*${setter}\\([^)]*\\)\\s*\\{([\\s\\S]*?)\\n\\}`).exec(source)[1];
        assert.match(body, /set_instance_int\(|count_of\(|whole_number\(/, `${name} takes any number`);
    }
});

test('httpd accepts the defaults that the reference states', () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'imu-reference-'));
    try {
        // Not installed here, but built.
        const values = { InvokeMUClient: `"${BUILD}/htdocs"` };
        const lines = [...reference()].filter(([, { value }]) => value !== 'none').map(([name, { value }]) => `${name} ${values[name] || value}`);
        const load = ['mpm_event', 'authz_core', 'dbd'].map((m) => `LoadModule ${m}_module ${MODULES}/mod_${m}.so`);
        const conf = [
            ...[`ServerRoot "${root}"`, 'ServerName localhost', `PidFile ${root}/pid`, 'Listen 127.0.0.1:1', `ErrorLog ${root}/log`],
            ...load,
            `LoadModule invokemu_module ${BUILD}/mod_invokemu.so`,
            ...lines,
        ];
        fs.writeFileSync(path.join(root, 'httpd.conf'), `${conf.join('\n')}\n`);
        execFileSync(HTTPD, ['-f', path.join(root, 'httpd.conf'), '-t'], { stdio: 'pipe' });
    } finally {
        fs.rmSync(root, { recursive: true, force: true });
    }
});

test('the defaults of the reference are those of the program', () => {
    const source = read('mod_invokemu/config.c');
    const documented = reference();
    const defines = Object.fromEntries([...source.matchAll(/^#define (DEFAULT_\w+)\s+(.+)$/gm)].map(([, k, v]) => [k, v.trim()]));
    const pairs = {
        InvokeMURoot: 'DEFAULT_ROOT',
        InvokeMURunDir: 'DEFAULT_RUN_DIR',
        InvokeMUClient: 'DEFAULT_CLIENT',
        InvokeMUPasswordMinLength: 'DEFAULT_PASSWORD_LENGTH',
        InvokeMUSessionHours: 'DEFAULT_SESSION_HOURS',
        InvokeMURememberHours: 'DEFAULT_REMEMBER_HOURS',
        InvokeMUSessionIdle: 'DEFAULT_SESSION_IDLE',
        InvokeMUAuditDays: 'DEFAULT_AUDIT_DAYS',
        InvokeMUQueueHistory: 'DEFAULT_QUEUE_HISTORY',
        InvokeMUMaxSockets: 'DEFAULT_MAX_SOCKETS',
        InvokeMUMaxPersonSockets: 'DEFAULT_PERSON_SOCKETS',
        InvokeMUMinFree: 'DEFAULT_MIN_FREE',
        InvokeMUMailTemplates: 'DEFAULT_MAIL_TEMPLATES',
        InvokeMUCookieName: 'DEFAULT_COOKIE_NAME',
        InvokeMUCookieAttributes: 'DEFAULT_COOKIE_ATTRS',
        InvokeMUMaxBody: 'DEFAULT_MAX_BODY',
        InvokeMUMaxUpload: 'DEFAULT_MAX_UPLOAD',
        InvokeMUMaxPixels: 'DEFAULT_MAX_PIXELS',
    };
    for (const [name, define] of Object.entries(pairs)) {
        assert.ok(define in defines, `config.c has no ${define}`);
        const program = defines[define].replace(/^\((\d+) \* MIB\)$/, '$1M').replace(/^"(.*)"$/, '$1');
        assert.equal(documented.get(name).value.replace(/^"(.*)"$/, '$1'), program, name);
    }
});

test('every statement is given as many values as it takes, of the kinds it takes', () => {
    const kinds = { s: 's', d: 'b', lld: 'i', lf: 'd' };
    const statements = new Map(
        ['queries.c', 'import_reads.c'].flatMap((file) => [...fs.readFileSync(path.join(BUILD, 'gen', file), 'utf8').matchAll(/\{"(\w+)",\n((?: {4}".*"\n)+) {4}\},/g)].map(([, name, sql]) => [name, [...sql.matchAll(/%(s|d|lld|lf)/g)].map(([, k]) => kinds[k]).join('')])),
    );
    assert.ok(statements.size > 100, `${statements.size} statements were read`);
    let calls = 0;
    for (const file of files(/^(mod_invokemu|cli)\/.*\.c$/)) {
        for (const [, name, given] of read(file).matchAll(/imu_db_(?:select|exec)\([^";]*"(\w+)",\s*"([a-z]*)"/g)) {
            assert.equal(given, statements.get(name), `${file}: ${name}`);
            calls++;
        }
    }
    assert.ok(calls > 100, `${calls} calls were found`);
});

test('migrations are numbered without a gap', () => {
    const names = files(/^sql\/migrations\/.*\.sql$/).map((file) => path.basename(file)).sort();
    names.forEach((name, i) => assert.match(name, new RegExp(`^${String(i + 1).padStart(4, '0')}_[a-z0-9_]+\\.sql$`)));
});

test('the page takes prompts as long as the engine does', () => {
    const page = /PROMPT_BYTES = (\d+);/.exec(read('htdocs/src/state/wish.js'))[1];
    for (const file of ['worker/diffusion/prompt.c', 'worker/diffusion/tokenizer.c']) {
        const [, factor, shift] = /^#define MAX_PROMPT \(\(size_t\)(\d+) << (\d+)\)$/m.exec(read(file));
        assert.equal(Number(page), factor * 2 ** shift, file);
    }
});

test('no route stands twice in the table', () => {
    const seen = new Set();
    for (const { method, path: where } of routes()) {
        const key = `${method} ${where.replace(/\{\w+\}/g, '{}')}`;
        assert.ok(!seen.has(key), key);
        seen.add(key);
    }
});

test('each route is documented in docs/api.md, with who may call it', () => {
    const page = read('docs/api.md');
    const rows = new Map([...page.matchAll(/^\| (\w+) \| `([^`]+)` \| (\w+) \| (.+) \|$/gm)].map(([, m, p, who, what]) => [`${m} ${p}`, { who, what }]));
    const known = routes().map((r) => `${r.method} ${r.path}`);
    assert.deepEqual(known.filter((key) => !rows.has(key)), [], 'missing in docs/api.md');
    assert.deepEqual([...rows.keys()].filter((key) => !known.includes(key)), [], 'docs/api.md tells of routes that do not exist');
    for (const { method, path: where, access } of routes()) {
        const row = rows.get(`${method} ${where}`);
        assert.equal(row.who, access.toLowerCase(), `${method} ${where}`);
    }
});

test('the list of packages can be read, and every group has some', () => {
    const lines = read('tools/packages.txt').split('\n').filter((line) => line && !line.startsWith('#'));
    const groups = lines.map((line) => /^[a-z0-9][a-z0-9.+-]+ +# (run|test|lint): \S/.exec(line)?.[1] || `bad line: ${line}`);
    assert.deepEqual([...new Set(groups)].sort(), ['lint', 'run', 'test']);
});

test('the doctor looks for rows of each table that name what is gone', () => {
    const schema = files(/^sql\/migrations\/.*\.sql$/).sort().map(read).join('\n');
    const keys = `SELECT m.name AS 'table', k."from" AS 'column', k."table" AS parent, k."to" AS key FROM sqlite_master m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table'`;
    const references = JSON.parse(execFileSync('sqlite3', ['-bail', '-json', ':memory:'], { input: `${schema}\n${keys};`, encoding: 'utf8' }));
    assert.ok(references.length >= 20, 'the schema could not be read');
    const queries = read('sql/queries/doctor.sql');
    const asked = ({ table, column, parent, key }) => new RegExp(`NOT EXISTS \\(SELECT 1 FROM ${parent} p WHERE p\\.${key} = ${table}\\.${column}\\)`).test(queries);
    assert.deepEqual(references.filter((one) => !asked(one)).map((one) => `${one.table}.${one.column}`), []);
    const faults = read('cli/doctor.c');
    const counted = [...queries.matchAll(/-- :name doctor_(\w+)_count/g)].map(([, what]) => what);
    assert.deepEqual(counted.filter((what) => !new RegExp(`FAULT\\(${what},`).test(faults)), []);
});
