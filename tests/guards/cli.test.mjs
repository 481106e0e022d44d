// The command line's own tables against its manual, its completion and the administrator's guide.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { execFileSync } from 'node:child_process';
import { BUILD, REPO } from '../lib/paths.mjs';
import { read } from './lib.mjs';

const commands = () => {
    const found = [...read('cli/commands.c').matchAll(/^ {4}\{"(\w+)", (?:"(\w+)"|NULL),/gm)].map(([, group, verb]) => [group, verb].filter(Boolean));
    assert.ok(found.length > 20, `${found.length} commands were read`);
    return found;
};
const options = () => {
    const found = [...read('cli/options.c').matchAll(/^ {4}\[CLI_OPT_\w+\] = \{"([a-z-]+)", /gm)].map(([, name]) => `--${name}`);
    assert.ok(found.length > 30, `${found.length} options were read`);
    return found;
};
const printed = (...args) => execFileSync(path.join(BUILD, 'bin/invokemu'), args, { encoding: 'utf8' });
const EVERYWHERE = ['--root', '--database', '--json'];
/** What a command takes, as the program says, which writes its help from the one table. */
const takes = (words) => {
    const line = printed('help').split('\n').find((l) => l === `  invokemu ${words.join(' ')}` || l.startsWith(`  invokemu ${words.join(' ')} `));
    assert.ok(line, words.join(' '));
    return (line.match(/--[a-z-]+/g) || []).sort();
};
const manual = () => read('cli/invokemu.1').replaceAll('\\-', '-').replace(/\\f./g, '').replace(/["']/g, '');
/** What the manual says about a command: from the line that names it to the next. */
const entry = (words) => {
    const name = new RegExp(`^\\.B[IR]? (?:.*, +)?${words.join(' ')}\\b`);
    const part = manual().split(/^\.TP\n/m).find((text) => name.test(text.split('\n')[0].replace(/ ,/g, ',')));
    assert.ok(part, `${words.join(' ')} has no entry in the manual`);
    return part.split(/^\.SH/m)[0];
};

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

test('the manual sets no sentence in a line of two fonts, which runs its words together', () => {
    assert.deepEqual(read('cli/invokemu.1').split('\n').filter((line) => /^\.[BIR]{2} .* \. ?\w/.test(line)), []);
});

test('help keeps what is typed apart from what is said about it', () => {
    const bare = commands().filter((words) => !new RegExp(`^  invokemu ${words.join(' ')}( [[A-Z].*)?\n {6}\\S`, 'm').test(printed('help')));
    assert.deepEqual(bare, []);
    for (const words of commands()) {
        const alone = printed(...words, '--help');
        assert.ok(printed('help').startsWith('invokemu') && printed('help').includes(alone.split('\n\n')[0]), words.join(' '));
    }
});

test('the manual says under each command what it takes', () => {
    // Of accounts, --email instead of the argument is said once, for all.
    const shared = { 'users mod': ['--email'], 'users del': ['--email'], invite: ['--email'], reset: ['--email'], 'sessions list': ['--email'], 'sessions end': ['--email'] };
    for (const words of commands()) {
        const name = words.join(' ');
        const said = entry(words).match(/--[a-z-]+/g) || [];
        const missing = takes(words).filter((option) => !said.includes(option) && !(shared[name] || []).includes(option));
        assert.deepEqual(missing, [], name);
        // Another command's, where its entry tells of that one.
        const others = { legacy: ['--admin'], migrate: [] }[name] || [];
        assert.deepEqual(said.filter((option) => ![...takes(words), ...others].includes(option)), [], name);
    }
});

test('each option belongs to a command', () => {
    const used = new Set([...EVERYWHERE, ...commands().flatMap(takes)]);
    assert.deepEqual(options().filter((option) => !used.has(option)), ['--password'], 'which is for upstream’s names');
});

test('completion offers every command and every option', () => {
    const groups = offered('');
    for (const [group, verb] of commands()) {
        assert.ok(groups.includes(group), group);
        assert.ok(!verb || offered(group, '').includes(verb), `${group} ${verb}`);
    }
    for (const words of commands()) {
        assert.deepEqual(offered(...words, '--').sort(), [...takes(words), ...EVERYWHERE, '--help'].sort(), words.join(' '));
    }
    assert.deepEqual(offered('queue', 'list', '--status', 'c'), ['completed', 'canceled']);
});
