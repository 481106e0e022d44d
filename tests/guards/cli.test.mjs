// The command line's own tables against its manual, its completion and the administrator's guide.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { execFileSync } from 'node:child_process';
import { BUILD, REPO } from '../lib/paths.mjs';
import { read } from './lib.mjs';

const commands = () => {
    const found = [...read('cli/main.c').matchAll(/^ {4}\{"(\w+)", (?:"(\w+)"|NULL),/gm)].map(([, group, verb]) => [group, verb].filter(Boolean));
    assert.ok(found.length > 20, `${found.length} commands were read`);
    return found;
};
const options = () => {
    const found = [...read('cli/options.c').matchAll(/^ {4}\{"([a-z-]+)", (?:offsetof|required_argument|no_argument)/gm)].map(([, name]) => `--${name}`);
    assert.ok(found.length > 25, `${found.length} options were read`);
    return found;
};
const manual = () => read('cli/invokemu.1').replaceAll('\\-', '-').replace(/\\f./g, '').replace(/["']/g, '');

/** What bash offers behind these words, the last of which is being typed. */
const offered = (...words) => {
    const script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _invokemu; printf "%s\\n" "${COMPREPLY[@]}"';
    return execFileSync('bash', ['-c', script, 'bash', path.join(REPO, 'cli/invokemu.bash'), 'invokemu', ...words], { encoding: 'utf8' }).split('\n').filter(Boolean);
};

test('the manual has every command and every option', () => {
    const page = manual();
    assert.deepEqual(commands().filter((words) => !page.includes(words.join(' '))), []);
    assert.deepEqual(options().filter((option) => !page.includes(option)), []);
});

test('help keeps what is typed apart from what is said about it', () => {
    const help = execFileSync(path.join(BUILD, 'bin/invokemu'), ['help'], { encoding: 'utf8' });
    const bare = commands().filter((words) => !new RegExp(`^  invokemu ${words.join(' ')}(:| [[A-Z])`, 'm').test(help));
    assert.deepEqual(bare, []);
});

test('completion offers every command and every option', () => {
    const groups = offered('');
    for (const [group, verb] of commands()) {
        assert.ok(groups.includes(group), group);
        assert.ok(!verb || offered(group, '').includes(verb), `${group} ${verb}`);
    }
    const every = new Set(commands().flatMap((words) => offered(...words, '--')));
    // Only upstream's tools take a password from the arguments, and a group's flags are not all offered twice.
    assert.deepEqual(options().filter((option) => !every.has(option) && option !== '--password'), []);
    assert.deepEqual([...every].filter((option) => !options().includes(option)), []);
    assert.deepEqual(offered('queue', 'list', '--status', 'c'), ['completed', 'canceled']);
});
