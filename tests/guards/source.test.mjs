// Rules for the sources that no compiler checks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { files, read, withoutWords } from './lib.mjs';

const code = () => files(/\.(c|h|cu|cuh)$/);

test('no banned function is called', () => {
    const banned = /(?<![\w>.])(strcpy|strcat|sprintf|vsprintf|atoi|atol|atof|system|gets|strtok|popen|tmpnam|mktemp)\s*\(/;
    const found = code().flatMap((file) =>
        withoutWords(read(file)).split('\n').flatMap((line, i) => (banned.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
    );
    assert.deepEqual(found, []);
});

test('every header has an include guard and a first comment', () => {
    const found = files(/\.h$/).filter((file) => {
        const text = read(file);
        return !/^#ifndef (IMU_\w+_H)\n#define \1$/m.test(text) || !/^\/\*/.test(text);
    });
    assert.deepEqual(found, []);
});

test('include guards are unique', () => {
    const seen = new Map();
    for (const file of files(/\.h$/)) {
        const name = /^#ifndef (\w+)$/m.exec(read(file))?.[1];
        assert.ok(!seen.has(name), `${file} and ${seen.get(name)} share ${name}`);
        seen.set(name, file);
    }
});

test('no source file is longer than 800 lines', () => {
    const long = [...code(), ...files(/\.(mjs|js|css|sql)$/)]
        .map((file) => [file, read(file).split('\n').length])
        .filter(([file, lines]) => lines > 800 && !file.startsWith('sql/migrations/'));
    assert.deepEqual(long, []);
});

test('no statement of SQL stands outside sql/', () => {
    // The runner of the migrations keeps its own table before any prepared statement can exist.
    const found = files(/^(mod_invokemu|cli)\/.*\.[ch]$/).filter((file) => file !== 'mod_invokemu/store/migrate.c').flatMap((file) =>
        read(file).split('\n').flatMap((line, i) => (/"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE) /.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
    );
    assert.deepEqual(found, []);
});

test('each code in the log stands for one thing', () => {
    const seen = new Map();
    const found = code().flatMap((file) =>
        read(file).split('\n').flatMap((line, i) =>
            (line.match(/\bIMU\d{4}(?=: )/g) || []).flatMap((word) => {
                const before = seen.get(word);
                seen.set(word, `${file}:${i + 1}`);
                return before ? [`${word}: ${before} and ${file}:${i + 1}`] : [];
            }),
        ),
    );
    assert.ok(seen.size > 40, `only ${seen.size} codes found`);
    assert.deepEqual(found, []);
});

test('nothing unfinished and nothing switched off', () => {
    const marks = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'not impl' + 'emented'].map((word) => `\\b${word}\\b`).join('|'));
    const off = new RegExp(`\\b(test|describe|it)\\.(on${''}ly|sk${''}ip|to${''}do)\\(`);
    const found = files(/\.(c|h|cu|mjs|js|css|sql|sh|mk|in|conf|md|html)$/)
        .filter((file) => !/package-lock/.test(file))
        .flatMap((file) => read(file).split('\n').flatMap((line, i) => (marks.test(line) || off.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])));
    assert.deepEqual(found, []);
});

test('what people read has one word for each thing, and none of the workshop', () => {
    const banned = /\bdirective\b|\bdiffusers\b|\bdeactivat|account\b[^.]{0,20}\bswitched (off|on)|[^.] points<\/p>|\} points,/i;
    const found = files(/^(htdocs\/src\/.*\.js|mod_invokemu\/(api|auth)\/.*\.c|cli\/(?!import).*\.c)$/).flatMap((file) =>
        read(file).split('\n').flatMap((line, i) => (banned.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
    );
    assert.deepEqual(found, []);
});

test('lock files name no host', () => {
    const found = files(/package-lock\.json$/).filter((file) => /"resolved"/.test(read(file)));
    assert.deepEqual(found, []);
});

test('the dependencies between folders point one way', () => {
    const rules = [
        [/^wire\//, /"(mod_invokemu|worker|cli)\//, 'wire knows nobody'],
        [/^worker\//, /"(mod_invokemu|cli)\//, 'the worker knows nothing of the module'],
        [/^mod_invokemu\/(store|auth|util|policy|dispatch|events)/, /"mod_invokemu\/api\//, 'nobody includes api'],
        [/^mod_invokemu\/store\//, /"mod_invokemu\/(events|dispatch|routes)/, 'the store knows no transport'],
    ];
    const found = code().flatMap((file) =>
        rules
            .filter(([where]) => where.test(file))
            .flatMap(([, include, why]) =>
                read(file).split('\n').filter((line) => /^#include/.test(line) && include.test(line)).map((line) => `${file}: ${line} (${why})`),
            ),
    );
    assert.deepEqual(found, []);
});

test('every unit test in tests/unit is built and run', () => {
    const built = files(/\.mk$/).map(read).join('\n');
    const found = files(/^tests\/unit\/test_\w+\.c$/).filter((file) => !new RegExp(`\\b${file.match(/(test_\w+)\.c$/)[1]}\\b`).test(built));
    assert.deepEqual(found, []);
});

test('every fuzz target has a corpus', () => {
    const corpora = files(/^tests\/fuzz\/corpus\//);
    const found = files(/^tests\/fuzz\/fuzz_\w+\.c$/).filter((file) => {
        const name = file.match(/fuzz_(\w+)\.c$/)[1];
        return !corpora.some((entry) => entry.startsWith(`tests/fuzz/corpus/${name}/`));
    });
    assert.deepEqual(found, []);
});
