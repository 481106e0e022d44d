// What administrators do to accounts: each thing is a dialog of its own.
import { useEffect, useState } from 'preact/hooks';
import { api, del, get, patch, post } from '../core/api.js';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { passwordFault } from '../core/password.js';
import { useRead } from '../core/read.js';
import { server } from '../core/session.js';
import { apart, count, plain } from '../core/words.js';
import { Button, Check, Choice, Failed, Field, TextField } from '../parts/controls.js';
import { DeviceList } from '../parts/device-list.js';
import { Dialog } from '../parts/dialog.js';
import { Form } from '../parts/form.js';
import { LinkMade } from '../parts/link-made.js';
import { asRead, typable } from '../parts/names.js';
import { NewPasswordField } from '../parts/new-password.js';
import { readPeople } from '../state/people.js';
import { say } from '../state/toasts.js';

export const nameOf = (person) => apart(plain(person.display_name) || person.email);
/** Moved in without an account: somebody who had been deleted where the data comes from. */
export const isGone = (person) => person.invited && person.email.endsWith('@deleted.invalid');
const users = '/auth/users';
const PASS_ON = 'Copy it and pass it on yourself; it isn’t shown again.';
const ADMIN_HINT = 'May add and remove people and see everybody’s boards.';

function checkPassword(password) {
  const fault = passwordFault(password, server.value);
  if (fault) {
    throw new Error(fault);
  }
}

function checkEmail(email) {
  if (!/.@./.test(email)) {
    throw new Error('Enter the email address this person will sign in with.');
  }
}

const passOn = (mailed, email) => (mailed ? `It is being mailed to ${email}; you can also pass it on yourself.` : 'Send them this link; the server sends no mail itself.');

export function InvitePerson({ onClose, done }) {
  const [name, setName] = useDraft('invite-name', '');
  const [email, setEmail] = useDraft('invite-email', '');
  const [admin, setAdmin] = useDraft('invite-admin', false);
  const [link, setLink] = useDraft('invite-link', '');
  const [mailed, setMailed] = useDraft('invite-mailed', false);
  const act = async () => {
    checkEmail(email);
    const person = { email: email.trim(), display_name: name.trim() || null, is_admin: admin };
    const made = await post('/users', { ...person, send_invitation: true });
    setMailed(made.mailed);
    setLink(made.invitation_link);
    done();
    return true;
  };
  if (link) {
    return html`<${LinkMade} title=${`Invitation for ${apart(name.trim() || email.trim())}`} link=${link} onClose=${onClose}>${passOn(mailed, email.trim())} It leads to choosing a password, works once and for seven days.<//>`;
  }
  return html`<${Form} title="Invite a person" button="Make the link" act=${act} onClose=${onClose}>
    <p>You get a link to send. Whoever opens it chooses the password for this address.</p>
    <${TextField} label="Name" value=${name} onText=${setName} maxlength="100" autocomplete="off" autofocus />
    <${TextField} label="Email address" type="email" value=${email} onText=${setEmail} autocomplete="off" autocapitalize="off" required />
    <${Check} label="Administrator" hint=${ADMIN_HINT} checked=${admin} onCheck=${setAdmin} />
  <//>`;
}

export function AddPerson({ onClose, done }) {
  const [name, setName] = useDraft('add-name', '');
  const [email, setEmail] = useDraft('add-email', '');
  const [password, setPassword] = useState('');
  const [admin, setAdmin] = useDraft('add-admin', false);
  const [own, setOwn] = useDraft('add-own', true);
  const act = async () => {
    checkEmail(email);
    checkPassword(password);
    const person = { email: email.trim(), display_name: name.trim() || null, is_admin: admin };
    await (own ? post('/users', { ...person, initial_password: password }) : post(users, { ...person, password }));
    say(`${apart(name.trim() || email.trim())} can sign in now.`);
    done();
  };
  return html`<${Form} title="Add a person" button="Add" act=${act} onClose=${onClose}>
    <${TextField} label="Name" value=${name} onText=${setName} maxlength="100" autocomplete="off" autofocus />
    <${TextField} label="Email address" type="email" value=${email} onText=${setEmail} autocomplete="off" autocapitalize="off" required />
    <${NewPasswordField} label="First password" autocomplete="off" advice=${PASS_ON} value=${password} onText=${setPassword} />
    <${Check} label="They choose their own password when they first sign in" checked=${own} onCheck=${setOwn} />
    <${Check} label="Administrator" hint=${ADMIN_HINT} checked=${admin} onCheck=${setAdmin} />
  <//>`;
}

function ResetLink({ person, onClose, done }) {
  const [link, setLink] = useDraft(`reset-link:${person.user_id}`, '');
  const [mailed, setMailed] = useDraft(`reset-mailed:${person.user_id}`, false);
  const name = nameOf(person);
  const kind = person.invited ? 'New invitation' : 'Reset link';
  const act = async () => {
    const made = await post(`/users/${person.user_id}/reset-password`);
    setMailed(made.mailed);
    setLink(made.reset_link);
    done();
    return true;
  };
  if (link) {
    return html`<${LinkMade} title=${`${kind} for ${name}`} link=${link} onClose=${onClose}>${passOn(mailed, person.email)} It works once and for a day.<//>`;
  }
  return html`<${Form} title=${`${kind} for ${name}`} button="Make the link" act=${act} onClose=${onClose}>
    <p>${
      person.invited
        ? 'By this link they choose their password. It replaces the earlier invitation.'
        : 'By this link they choose a new password without your knowing it. The old one works until then. A new link replaces an earlier one.'
    }</p><//>`;
}

function EditPerson({ person, onClose, done }) {
  const [name, setName] = useDraft(`edit-name:${person.user_id}`, person.display_name || '');
  const [email, setEmail] = useDraft(`edit-email:${person.user_id}`, person.email);
  const [admin, setAdmin] = useDraft(`edit-admin:${person.user_id}`, person.is_admin);
  const gone = isGone(person);
  const act = async () => {
    const display_name = name.trim() || null;
    if (!gone) {
      checkEmail(email);
    }
    await patch(`${users}/${person.user_id}`, gone ? { display_name } : { email: email.trim(), display_name, is_admin: admin });
    say('Saved.');
    done();
  };
  return html`<${Form} title=${`Edit ${nameOf(person)}`} button="Save" act=${act} onClose=${onClose}>
    <${TextField} label="Name" value=${name} onText=${setName} maxlength="100" autocomplete="off" autofocus />
    ${
      !gone &&
      html`<${TextField} label="Email address" type="email" value=${email} onText=${setEmail} autocomplete="off" autocapitalize="off" hint="They sign in with it. Open links end." required />
      <${Check} label="Administrator" hint=${ADMIN_HINT} checked=${admin} onCheck=${setAdmin} />`
    }
  <//>`;
}

function ResetPassword({ person, onClose, done }) {
  const [password, setPassword] = useState('');
  const act = async () => {
    checkPassword(password);
    await patch(`${users}/${person.user_id}`, { password, must_change_password: true });
    say(`${nameOf(person)} was signed out everywhere and signs in with the new password.`);
    done();
  };
  return html`<${Form} title=${`New password for ${nameOf(person)}`} button="Set password" act=${act} onClose=${onClose}>
    <p>This signs them out on every device. Tell them the new password yourself; at their next sign-in they choose one of their own.</p>
    <${NewPasswordField} label="New password" autocomplete="off" advice=${PASS_ON} value=${password} onText=${setPassword} /><//>`;
}

/** A list of accounts to choose one of. `without` is left out. */
export function PickPerson({ label, hint, without, value, onPick }) {
  const { value: list, failed, read } = useRead(async () => (await readPeople({ state_filter: 'active' }, 0, Infinity)).users.filter((one) => one.user_id !== without));
  useEffect(() => {
    read();
  }, []);
  return html`<${Field} label=${label} hint=${hint} error=${failed}>
    ${(props) => html`<select class="input" value=${value} onChange=${(e) => onPick(e.target.value)} ...${props}>
      <option value="">Choose a person</option>
      ${list?.map((one) => html`<option key=${one.user_id} value=${one.user_id}>${nameOf(one)}${nameOf(one) !== one.email ? ` (${one.email})` : ''}</option>`)}</select>`}
  <//>`;
}

const FATES = [
  ['delete', 'Delete it all'],
  ['hand', 'Give it to somebody'],
];

/** What is typed before an account goes for good: the name where it can be typed from sight, else the address; '' when neither can. */
const toType = (person) => [person.display_name, person.email].find(typable) || '';

function DeletePerson({ person, onClose, done }) {
  const [typed, setTyped] = useDraft(`delete-typed:${person.user_id}`, '');
  const [fate, setFate] = useDraft(`delete-fate:${person.user_id}`, 'delete');
  const [heir, setHeir] = useDraft(`delete-heir:${person.user_id}`, '');
  const [sure, setSure] = useDraft(`delete-sure:${person.user_id}`, false);
  const name = nameOf(person);
  const wanted = toType(person);
  const act = async () => {
    if (fate === 'hand' && !heir) {
      throw new Error('Choose who gets the boards and pictures.');
    }
    const query = fate === 'hand' ? { delete_data: false, transfer_to: heir } : { delete_data: true };
    await api('DELETE', `/users/${person.user_id}`, { query });
    say(`${name} was deleted.`);
    done();
  };
  return html`<${Form} title=${`Delete ${name}`} button="Delete for good" danger ready=${wanted ? asRead(typed) === asRead(wanted) : sure} act=${act} onClose=${onClose}>
    ${(!person.invited || isGone(person)) && html`<${Choice} label="Boards, pictures and workflows" value=${fate} options=${FATES} onPick=${setFate} />`}
    ${fate === 'hand' && html`<${PickPerson} label="Who gets them" without=${person.user_id} value=${heir} onPick=${setHeir} />`}
    <p>${fate === 'hand' ? 'The account goes; what it owned belongs to the person you choose, with the shares of its boards.' : 'The account, all its boards and all its pictures go.'} This can’t be undone.</p>
    ${wanted
      ? html`<${TextField} label=${`To go on, type: ${apart(wanted)}`} value=${typed} onText=${setTyped} autocomplete="off" autocapitalize="off" spellcheck=${false} autofocus />`
      : html`<${Check} label="Yes, delete this account" checked=${sure} onCheck=${setSure} />`}<//>`;
}

function Devices({ person, onClose }) {
  const path = `/users/${person.user_id}/sessions`;
  const { value: list, failed, read: load } = useRead(async () => (await get(path)).sessions);
  useEffect(() => {
    load();
  }, []);
  const [wrong, setWrong] = useState('');
  const act = async (what, done) => {
    try {
      await del(what);
      setWrong('');
      say(done);
    } catch (error) {
      setWrong(error.message);
    }
    load();
  };
  const name = nameOf(person);
  return html`<${Dialog} title=${`Where ${name} is signed in`} onClose=${onClose}>
    <div role="alert">${wrong && html`<p class="message bad">${wrong}</p>`}</div>
    ${failed && html`<${Failed} what="This list can’t be read right now" why=${failed} again=${load} />`}
    ${!list && !failed && html`<div class="session skeleton" aria-hidden="true"></div><p class="sr" role="status">Reading the list</p>`}
    ${list && html`<p role="status">${list.length ? count(list.length, 'device') : 'Nowhere at the moment.'}</p>
      <${DeviceList} list=${list} end=${(session) => act(`${path}/${encodeURIComponent(session.session_id)}`, 'That device was signed out.')} />`}
    <div class="form-end">${list?.length > 1 && html`<${Button} icon="out" onClick=${() => act(path, `${name} was signed out everywhere.`)}>Sign out everywhere<//>`}
      <${Button} kind="main" onClick=${onClose}>Done<//></div><//>`;
}

export const DIALOGS = { edit: EditPerson, link: ResetLink, password: ResetPassword, devices: Devices, delete: DeletePerson };
