// The audit log: who did what, when and from where. For administrators; nobody can change it.
import { useEffect } from 'preact/hooks';
import { get } from '../core/api.js';
import { html } from '../core/html.js';
import { useFilter, useRead } from '../core/read.js';
import { amount, apart, brief, count, shortTime } from '../core/words.js';
import { Blank, Button, Failed, TextField } from '../parts/controls.js';
import { Icon } from '../parts/icons.js';
import { Address } from '../parts/names.js';
import { RIGHTS, VISIBILITY } from '../state/boards.js';

const PAGE = 100;
const NOTHING = { action: '', result: '', search: '', since: '', until: '' };
const ACTIONS = {
  sign_in: 'Signed in',
  sign_out: 'Signed out',
  sessions_ended: 'Signed out devices',
  password_changed: 'Changed a password',
  link_redeemed: 'Opened a link',
  reset_asked: 'Forgot a password',
  email_change_asked: 'Asked for a new address',
  set_up: 'Set up the server',
  account_created: 'Made an account',
  account_changed: 'Changed an account',
  email_changed: 'Changed an address',
  role_changed: 'Changed a role',
  account_suspended: 'Suspended an account',
  account_restored: 'Ended a suspension',
  account_deleted: 'Deleted an account',
  invited: 'Invited',
  reset_link_made: 'Made a reset link',
  link_ended: 'Ended a link',
  mail_sent_again: 'Sent a mail again',
  legacy_data_assigned: 'Gave away what was here before',
  board_shared: 'Shared a board',
  board_unshared: 'Stopped sharing a board',
  board_visibility_changed: 'Changed who sees a board',
  board_changed: 'Changed somebody’s board',
  board_deleted: 'Deleted somebody’s board',
  pictures_changed: 'Changed somebody’s pictures',
  pictures_deleted: 'Deleted somebody’s pictures',
  workflow_changed: 'Changed somebody’s workflow',
  workflow_deleted: 'Deleted somebody’s workflow',
  preset_changed: 'Changed somebody’s style preset',
  preset_deleted: 'Deleted somebody’s style preset',
  workflow_visibility_changed: 'Changed who sees a workflow',
  preset_visibility_changed: 'Changed who sees a style preset',
  model_changed: 'Changed a model',
  model_deleted: 'Removed a model',
  model_installed: 'Added a model',
  tokenizer_kept: 'Added a tokenizer',
  queue_paused: 'Paused the queue',
  queue_resumed: 'Let the queue go on',
  queue_cleared: 'Emptied the queue',
  jobs_canceled: 'Stopped somebody’s jobs',
  jobs_deleted: 'Deleted somebody’s jobs',
  jobs_retried: 'Ran somebody’s jobs again',
  not_allowed: 'Tried what is for others',
  settings_changed: 'Changed the configuration',
  root_admin_applied: 'Reset by the configuration',
  backup_made: 'Made a backup',
  backup_restored: 'Restored a backup',
  data_mended: 'Mended data',
  data_imported: 'Imported data',
};
/** What was refused has not been done. */
const TRIED = {
  sign_in: 'Tried to sign in',
  password_changed: 'Tried to change a password',
  link_redeemed: 'Tried a link',
  email_changed: 'Tried to change an address',
  account_changed: 'Tried to change an account',
  role_changed: 'Tried to change a role',
  account_suspended: 'Tried to suspend an account',
  account_deleted: 'Tried to delete an account',
};
const RESULTS = [
  ['', 'Any result'],
  ['ok', 'Done'],
  ['refused', 'Refused'],
];

const wordsOf = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value));

/** What the parts of an entry's detail say, by themselves or after what was done; a part that is not here is among the details alone. */
const SAYS = {
  owners: (owners) => `of ${owners.map(apart).join(', ')}`,
  people: (people) => `with ${people.map(apart).join(', ')}`,
  permission: (key) => RIGHTS.find(([one]) => one === key)?.[1],
  board_visibility: (key) => VISIBILITY.find(([one]) => one === key)?.[1],
  from: (address) => `before: ${address}`,
  to: (address) => `to ${address}`,
  transferred_to_email: (address) => `everything handed to ${address}`,
  board_name: (name) => `now called ${brief(name)}`,
  new_name: (name) => `now called ${brief(name)}`,
  is_public: (open) => (open ? 'now for everybody' : 'now for its owner alone'),
  must_change_password: (must) => (must ? 'a new password at the next sign-in' : 'no new password at the next sign-in'),
  path: (path, { method }) => `${method} ${path}`,
  settings: (settings) => Object.entries(settings).map(([name, { from, to }]) => `${name} ${wordsOf(from)} → ${wordsOf(to)}`).join(', '),
  reason: (words) => words,
  made_at: (time) => `of ${shortTime(time)}`,
  findings: (n) => count(n, 'thing'),
};
const ROLE = {
  account_created: (admin) => admin && 'as an administrator',
  role_changed: (admin) => (admin ? 'now an administrator' : 'no administrator any more'),
};
const said = (action, detail) => [
  ROLE[action]?.(detail.is_admin),
  ...Object.entries(SAYS).filter(([key]) => detail[key] !== undefined).map(([key, words]) => words(detail[key], detail)),
  amount(detail),
].filter(Boolean);

/** What it was about, by the name it had then; entries of long ago may have none. */
function nameOf({ target_name: name, target_type: type, target_id: id, user_id: who }) {
  if (id && id === who) {
    return '';
  }
  return name ? brief(name) : { account: id && 'An account', board: 'A board', model: 'A model' }[type] || '';
}

/** Numbers that programs know a thing by, and whatever else the entry holds. */
function Details({ entry }) {
  const facts = [['entry', entry.entry_id], [entry.target_type, entry.target_id], ['who', entry.user_id], ...Object.entries(entry.detail || {})].filter(([, value]) => value !== null && value !== undefined);
  return html`<details class="audit-more"><summary>Details</summary><dl>${facts.map(
    ([key, value]) => html`<div key=${key}><dt>${key.replaceAll('_', ' ')}</dt><dd>${wordsOf(value)}</dd></div>`,
  )}</dl></details>`;
}

function Entry({ entry }) {
  const name = nameOf(entry);
  const more = said(entry.action, entry.detail || {}).join(', ');
  return html`<tr class=${entry.result === 'ok' ? '' : 'refused'} data-entry=${entry.entry_id}>
    <td><time dateTime=${`${entry.created_at.replace(' ', 'T')}Z`}>${shortTime(entry.created_at)}</time></td>
    <td>${entry.result === 'ok' ? ACTIONS[entry.action] || entry.action : `${TRIED[entry.action] || ACTIONS[entry.action] || entry.action}, refused`}</td>
    <td><${Address}>${entry.user_email || 'Nobody signed in'}<//>${entry.address && html` <span class="audit-detail">${entry.address}</span>`}</td>
    <td>${name && html`<span title=${entry.target_name}><${Address}>${name}<//></span>`}${name && more && ', '}${more && html`<span class="audit-detail"><${Address}>${more}<//></span>`}
      <${Details} entry=${entry} /></td></tr>`;
}

const Select = ({ label, value, options, onPick }) => html`<select class="input" aria-label=${label} value=${value} onChange=${(e) => onPick(e.target.value)}>
  ${options.map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}</select>`;

const KINDS = [['', 'Everything'], ...Object.entries(ACTIONS)];

function Filters({ filter, change }) {
  return html`<div class="filters" role="search">
    <div class="filter-search"><${Icon} name="search" /><input class="input" type="search" data-search aria-label="Search in who, what and from where" placeholder="Who, what, from where"
      value=${filter.search} maxlength="100" onInput=${(e) => change({ search: e.target.value })} /></div>
    <${Select} label="What" value=${filter.action} options=${KINDS} onPick=${(action) => change({ action })} />
    <${Select} label="Result" value=${filter.result} options=${RESULTS} onPick=${(result) => change({ result })} />
    <div class="audit-dates"><${TextField} label="From" type="date" value=${filter.since} onText=${(since) => change({ since })} />
      <${TextField} label="To" type="date" value=${filter.until} onText=${(until) => change({ until })} /></div>
  </div>`;
}

/** A day begins and ends where the reader is; the log is kept in UTC. */
const inUtc = (day, time) => (day ? new Date(`${day}T${time}`).toISOString().slice(0, 19) : '');

function set({ since, until, ...rest }) {
  const all = { ...rest, since: inUtc(since, '00:00:00'), until: inUtc(until, '23:59:59') };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value.trim()));
}
const file = (filter, format) => `/api/v1/audit?${new URLSearchParams({ ...set(filter), format })}`;

/** Entries that a filter reaches, page by page. */
function useEntries() {
  const { value, failed, read } = useRead(async (which, before) => {
    const { entries, next } = await get('/audit', { ...set(which), limit: PAGE, before });
    return { list: before ? [...value.list, ...entries] : entries, next };
  });
  const [filter, change] = useFilter('audit', NOTHING, read);
  useEffect(() => {
    read(filter);
  }, []);
  return { filter, change, list: value?.list, failed, again: () => read(filter), more: value?.next && (() => read(filter, value.next)) };
}

function List({ entries }) {
  const { list, failed, again, more, change } = entries;
  if (failed) {
    return html`<${Failed} what="The audit log can’t be read right now" why=${failed} again=${again} />`;
  }
  if (!list) {
    return html`<div class="job skeleton" aria-hidden="true"></div><p class="sr" role="status">Reading the audit log</p>`;
  }
  if (!list.length) {
    return html`<${Blank} icon="list" title="No such entry" action=${html`<${Button} onClick=${() => change(NOTHING)}>Show everything<//>`}>Nothing in the audit log fits what you look for.<//>`;
  }
  return html`<p class="sr" role="status">${count(list.length, 'entry', 'entries')}</p>
    <table class="audit"><thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">Who, from where</th><th scope="col">About</th></tr></thead>
      <tbody>${list.map((entry) => html`<${Entry} key=${entry.entry_id} entry=${entry} />`)}</tbody></table>
    ${more && html`<${Button} kind="quiet" icon="down" onClick=${more}>Show earlier ones<//>`}`;
}

export function Audit() {
  const entries = useEntries();
  const { filter } = entries;
  return html`<div class="page"><p class="back"><a href="/people">Back to People</a></p>
    <header class="page-head"><h1>Audit log</h1><p class="lead">What happened to accounts, boards, models, the queue and the configuration. Nobody can change it here.</p>
      <div class="page-acts both"><a class="button plain" href=${file(filter, 'csv')} download="audit.csv"><${Icon} name="download" /><span>Table (CSV)</span></a>
        <a class="button plain" href=${file(filter, 'jsonl')} download="audit.jsonl"><${Icon} name="download" /><span>JSON lines</span></a></div></header>
    <${Filters} filter=${filter} change=${entries.change} />
    <${List} entries=${entries} /></div>`;
}
