// People: who has an account here. For administrators.
import { useEffect, useState } from 'preact/hooks';
import { patch } from '../core/api.js';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { useFilter, useRead } from '../core/read.js';
import { myId } from '../core/session.js';
import { ago, count, toDate } from '../core/words.js';
import { Blank, Button, Failed } from '../parts/controls.js';
import { Icon } from '../parts/icons.js';
import { Menu } from '../parts/menu.js';
import { Address, initial } from '../parts/names.js';
import { readPeople } from '../state/people.js';
import { complain, say } from '../state/toasts.js';
import { LegacyNews } from './legacy.js';
import { OpenLinks } from './links.js';
import { MailState } from './mail-state.js';
import { AddPerson, DIALOGS, InvitePerson, isGone, nameOf } from './people-dialogs.js';

const PAGE = 50;
const ROLES = [
  ['all', 'All roles'],
  ['admin', 'Administrators'],
  ['user', 'Not administrators'],
];
const STATES = [
  ['all', 'All states'],
  ['active', 'Can sign in'],
  ['invited', 'Invited, not here yet'],
  ['suspended', 'Suspended'],
];
const NOTHING = { search: '', role_filter: 'all', state_filter: 'all' };

function lastSignIn(person) {
  if (person.last_login_at) {
    return `Last signed in ${ago(person.last_login_at)}`;
  }
  return person.invited ? 'Has not opened the invitation' : 'Never signed in';
}

/** What is known of an account besides its address. When an imported one was made nobody may know. */
const factsOf = (person) =>
  isGone(person)
    ? ['Was deleted before the data came here', 'Keeps what was left, and nobody can sign in']
    : [lastSignIn(person), toDate(person.created_at) > 0 && `Added ${ago(person.created_at)}`].filter(Boolean);

function Person({ person, open, done }) {
  const me = person.user_id === myId.value;
  const gone = isGone(person);
  const name = nameOf(person);
  const toggle = async () => {
    try {
      await patch(`/auth/users/${person.user_id}`, { is_active: !person.is_active });
      say(person.is_active ? `${name} is suspended and can’t sign in. Boards and pictures stay.` : `${name} can sign in again.`);
    } catch (error) {
      complain(error);
    }
    done();
  };
  return html`<li class=${person.is_active ? 'person' : 'person off'} data-user=${person.user_id}>
    <span class="face" aria-hidden="true">${initial(name)}</span>
    <div class="person-words"><p><strong><${Address}>${name}<//></strong>${me && html`<span class="tag">You</span>`}${person.is_admin && html`<span class="tag">Administrator</span>`}
      ${!gone && person.invited && html`<span class="tag">Invited</span>`}${!gone && !person.is_active && html`<span class="tag">Suspended</span>`}</p>
      <p class="note"><${Address}>${person.email}<//>${factsOf(person).map((fact) => html`<span class="dot">${fact}</span>`)}</p></div>
    <${Menu} label=${`More for ${name}`} entries=${[
      { words: 'Edit', icon: 'edit', act: () => open('edit', person) },
      !person.invited && { words: 'Devices', icon: 'laptop', act: () => open('devices', person) },
      !me && !gone && { words: person.invited ? 'New invitation' : 'Reset link', icon: 'send', act: () => open('link', person) },
      !me && !gone && { words: 'Set a new password', icon: 'lock', act: () => open('password', person) },
      !me && !gone && { words: person.is_active ? 'Suspend' : 'End the suspension', icon: person.is_active ? 'pause' : 'play', act: toggle },
      !me && { words: 'Delete', icon: 'trash', danger: true, act: () => open('delete', person) },
    ]} /></li>`;
}

const Filter = ({ label, value, options, onPick }) => html`<select class="input" aria-label=${label} value=${value} onChange=${(e) => onPick(e.target.value)}>
  ${options.map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}</select>`;

function Filters({ filter, change }) {
  return html`<div class="filters" role="search">
    <div class="filter-search"><${Icon} name="search" /><input class="input" type="search" data-search aria-label="Search in names and addresses" placeholder="Names and addresses"
      value=${filter.search} maxlength="100" onInput=${(e) => change({ search: e.target.value })} /></div>
    <${Filter} label="Role" value=${filter.role_filter} options=${ROLES} onPick=${(role_filter) => change({ role_filter })} />
    <${Filter} label="State" value=${filter.state_filter} options=${STATES} onPick=${(state_filter) => change({ state_filter })} />
  </div>`;
}

/** The accounts of a later page after those that are there already; who was made or deleted meanwhile may have moved the rest. */
const joined = (before, users) => [...before, ...users.filter(({ user_id: id }) => !before.some((one) => one.user_id === id))];

/** The accounts that a filter reaches, page by page; after a change all that were on screen are read again. */
function usePeople() {
  const { value: found, failed, read } = useRead(async (which, from, many) => {
    const asked = { ...which, search: which.search.trim() };
    if (!from) {
      return readPeople(asked, 0, many);
    }
    try {
      const { users, total } = await readPeople(asked, from, many);
      return { users: joined(found.users, users), total: users.length ? total : found.users.length };
    } catch (error) {
      // Who is there stays there.
      complain(error);
      return { ...found };
    }
  });
  const [filter, change] = useFilter('people', NOTHING, (which) => read(which, 0, PAGE));
  const load = () => read(filter, 0, Math.max(PAGE, found?.users.length || 0));
  useEffect(() => {
    load();
  }, []);
  const more = () => read(filter, found.users.length, PAGE);
  return { filter, found, failed, change, more, load };
}

function List({ people, open }) {
  const { filter, found, failed, change, more, load } = people;
  if (failed) {
    return html`<${Failed} what="The list can’t be read right now" why=${failed} again=${load} />`;
  }
  if (!found) {
    return html`<ul class="people" aria-hidden="true">${[1, 2].map((n) => html`<li class="person skeleton" key=${n}></li>`)}</ul><p class="sr" role="status">Reading the list</p>`;
  }
  const all = Object.keys(NOTHING).every((key) => filter[key] === NOTHING[key]);
  if (!found.users.length) {
    return html`<${Blank} icon="people" title="Nobody like that" action=${html`<${Button} onClick=${() => change(NOTHING)}>Show everybody<//>`}>No account fits what you look for.<//>`;
  }
  return html`<p class="note" role="status">${all ? count(found.total, 'account') : `${count(found.total, 'account')} found`}</p>
    <ul class="people">${found.users.map((person) => html`<${Person} key=${person.user_id} person=${person} done=${load} open=${open} />`)}</ul>
    ${found.users.length < found.total && html`<${Button} kind="quiet" icon="down" onClick=${more}>Show more people<//>`}
    ${all && found.total === 1 && html`<p class="hint-line"><${Icon} name="people" />It’s only you so far. Add your family, your class or your studio: each gets boards and pictures of their own.</p>`}`;
}

export function People() {
  const people = usePeople();
  const [dialog, setDialog] = useDraft('people-dialog', null);
  const [changes, setChanges] = useState(0);
  const close = () => setDialog(null);
  const open = (kind, who) => setDialog({ kind, who });
  const done = () => {
    people.load();
    setChanges(changes + 1);
  };
  const Open = dialog && DIALOGS[dialog.kind];
  return html`<div class="page wide">
    <header class="page-head"><h1>People</h1><p class="lead">Everyone with an account on this server.</p>
      <div class="page-acts both"><${Button} icon="send" onClick=${() => open('invite')}>Invite<//>
        <${Button} kind="main" icon="plus" onClick=${() => open('add')}>Add a person<//></div></header>
    <${LegacyNews} />
    <${Filters} filter=${people.filter} change=${people.change} />
    <${List} people=${people} open=${open} />
    <${OpenLinks} changes=${changes} done=${people.load} />
    <${MailState} changes=${changes} />
    <section class="block"><h2>What happened</h2><p class="note">Sign-ins and everything that was changed here, with who, when and from where.</p>
      <p class="block-act"><a class="button plain" href="/audit"><${Icon} name="list" /><span>Open the audit log</span></a></p></section>
    ${dialog?.kind === 'invite' && html`<${InvitePerson} onClose=${close} done=${done} />`}
    ${dialog?.kind === 'add' && html`<${AddPerson} onClose=${close} done=${done} />`}
    ${Open && html`<${Open} person=${dialog.who} onClose=${close} done=${done} />`}
  </div>`;
}
