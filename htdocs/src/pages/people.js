// People: who has an account here. For administrators.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, get, patch, post } from '../core/api.js';
import { copyText } from '../core/copy.js';
import { html } from '../core/html.js';
import { passwordFault } from '../core/password.js';
import { myId, server } from '../core/session.js';
import { ago, asRead } from '../core/words.js';
import { Button, Check, Failed, TextField } from '../parts/controls.js';
import { Dialog } from '../parts/dialog.js';
import { Form } from '../parts/form.js';
import { Icon } from '../parts/icons.js';
import { Menu } from '../parts/menu.js';
import { NewPasswordField } from '../parts/new-password.js';
import { say } from '../state/toasts.js';
import { MailState } from './mail-state.js';

const nameOf = (person) => person.display_name || person.email;
const users = '/auth/users';
const PASS_ON = 'Copy it and pass it on yourself; it isn’t shown again.';
const ADMIN_HINT = 'May add and remove people and see everybody’s boards.';

function checkPassword(password) {
  const fault = passwordFault(password, server.value.strict_password_checking);
  if (fault) {
    throw new Error(fault);
  }
}

function checkEmail(email) {
  if (!/.@./.test(email)) {
    throw new Error('Enter the email address this person will sign in with.');
  }
}

/** A link that was just made. It is shown this once; the server keeps no copy that could be read. */
function LinkMade({ title, link, onClose, children }) {
  const field = useRef();
  const copy = () => copyText(link, 'Link copied.', field.current.querySelector('input'));
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p role="status">${children}</p>
    <div ref=${field}><${TextField} label="Link" value=${link} readonly onText=${() => {}} onFocus=${(e) => e.target.select()} /></div>
    <div class="form-end"><${Button} onClick=${onClose}>Done<//><${Button} kind="main" icon="copy" autofocus onClick=${copy}>Copy<//></div>
  <//>`;
}

const passOn = (mailed, email) => (mailed ? `It is being mailed to ${email}; you can also pass it on yourself.` : 'Send them this link; the server sends no mail itself.');

function InvitePerson({ onClose, done }) {
  const [name, setName] = useState('');
  const [email, setEmail] = useState('');
  const [admin, setAdmin] = useState(false);
  const [link, setLink] = useState('');
  const [mailed, setMailed] = useState(false);
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
    return html`<${LinkMade} title=${`Invitation for ${name.trim() || email.trim()}`} link=${link} onClose=${onClose}>${passOn(mailed, email.trim())}
      It leads to choosing a password, works once and for seven days.<//>`;
  }
  return html`<${Form} title="Invite a person" button="Make the link" act=${act} onClose=${onClose}>
    <p>You get a link to send. Whoever opens it chooses the password for this address.</p>
    <${TextField} label="Email address" type="email" value=${email} onText=${setEmail} autocomplete="off" autocapitalize="off" required autofocus />
    <${TextField} label="Name" value=${name} onText=${setName} maxlength="100" autocomplete="off" />
    <${Check} label="Administrator" hint=${ADMIN_HINT} checked=${admin} onCheck=${setAdmin} />
  <//>`;
}

function ResetLink({ person, onClose }) {
  const [link, setLink] = useState('');
  const [mailed, setMailed] = useState(false);
  const name = nameOf(person);
  const act = async () => {
    const made = await post(`/users/${person.user_id}/reset-password`);
    setMailed(made.mailed);
    setLink(made.reset_link);
    return true;
  };
  if (link) {
    return html`<${LinkMade} title=${`Reset link for ${name}`} link=${link} onClose=${onClose}>${passOn(mailed, person.email)}
      It works once and for a day.<//>`;
  }
  return html`<${Form} title=${`Reset link for ${name}`} button="Make the link" act=${act} onClose=${onClose}>
    <p>By this link they choose a new password without your knowing it. The old one works until then. A new link replaces an earlier one.</p><//>`;
}

function AddPerson({ onClose, done }) {
  const [name, setName] = useState('');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [admin, setAdmin] = useState(false);
  const [own, setOwn] = useState(true);
  const act = async () => {
    checkEmail(email);
    checkPassword(password);
    const person = { email: email.trim(), display_name: name.trim() || null, is_admin: admin };
    await (own ? post('/users', { ...person, initial_password: password }) : post(users, { ...person, password }));
    say(`${name.trim() || email.trim()} can sign in now.`);
    done();
  };
  return html`<${Form} title="Add a person" button="Add" act=${act} onClose=${onClose}>
    <${TextField} label="Name" value=${name} onText=${setName} maxlength="100" autocomplete="off" autofocus />
    <${TextField} label="Email address" type="email" value=${email} onText=${setEmail} autocomplete="off" autocapitalize="off" required />
    <${NewPasswordField} label="First password" autocomplete="off" advice=${PASS_ON} value=${password} onText=${setPassword} />
    <${Check} label="Ask for an own password at the first sign-in" checked=${own} onCheck=${setOwn} />
    <${Check} label="Administrator" hint=${ADMIN_HINT} checked=${admin} onCheck=${setAdmin} />
  <//>`;
}

function EditPerson({ person, onClose, done }) {
  const [name, setName] = useState(person.display_name || '');
  const [email, setEmail] = useState(person.email);
  const [admin, setAdmin] = useState(person.is_admin);
  const act = async () => {
    checkEmail(email);
    await patch(`${users}/${person.user_id}`, { email: email.trim(), display_name: name.trim() || null, is_admin: admin });
    say('Saved.');
    done();
  };
  return html`<${Form} title=${`Edit ${nameOf(person)}`} button="Save" act=${act} onClose=${onClose}>
    <${TextField} label="Name" value=${name} onText=${setName} maxlength="100" autocomplete="off" autofocus />
    <${TextField} label="Email address" type="email" value=${email} onText=${setEmail} autocomplete="off" autocapitalize="off" hint="They sign in with it. Open links end." required />
    <${Check} label="Administrator" hint=${ADMIN_HINT} checked=${admin} onCheck=${setAdmin} />
  <//>`;
}

function ResetPassword({ person, onClose, done }) {
  const [password, setPassword] = useState('');
  const act = async () => {
    checkPassword(password);
    await patch(`${users}/${person.user_id}`, { password });
    say(`${nameOf(person)} was signed out everywhere and signs in with the new password.`);
    done();
  };
  return html`<${Form} title=${`New password for ${nameOf(person)}`} button="Set password" act=${act} onClose=${onClose}>
    <p>This signs them out on every device. Tell them the new password yourself.</p>
    <${NewPasswordField} label="New password" autocomplete="off" advice=${PASS_ON} value=${password} onText=${setPassword} /><//>`;
}

function DeletePerson({ person, onClose, done }) {
  const [typed, setTyped] = useState('');
  const name = nameOf(person);
  const act = async () => {
    await api('DELETE', `${users}/${person.user_id}`);
    say(`${name} was deleted.`);
    done();
  };
  return html`<${Form} title=${`Delete ${name}`} button="Delete for good" danger ready=${asRead(typed) === asRead(name)} act=${act} onClose=${onClose}>
    <p>The account, all its boards and all its pictures go with it. This can’t be undone.</p>
    <${TextField} label=${`To go on, type: ${name}`} value=${typed} onText=${setTyped} autocomplete="off" autocapitalize="off" spellcheck=${false} autofocus /><//>`;
}

const DIALOGS = { edit: EditPerson, link: ResetLink, password: ResetPassword, delete: DeletePerson };

function Person({ person, open, done }) {
  const me = person.user_id === myId.value;
  const toggle = async () => {
    try {
      await patch(`${users}/${person.user_id}`, { is_active: !person.is_active });
      say(person.is_active ? `${nameOf(person)} can’t sign in any more. Boards and pictures stay.` : `${nameOf(person)} can sign in again.`);
      done();
    } catch (error) {
      say(error.message, 'bad');
    }
  };
  const last = person.last_login_at ? `Last here ${ago(person.last_login_at)}` : 'Never signed in';
  return html`<li class=${person.is_active ? 'person' : 'person off'} data-user=${person.user_id}>
    <span class="face" aria-hidden="true">${nameOf(person).trim()[0]?.toUpperCase()}</span>
    <div class="person-words"><p><strong>${nameOf(person)}</strong>${me && html`<span class="tag">You</span>`}${person.is_admin && html`<span class="tag">Administrator</span>`}
      ${!person.is_active && html`<span class="tag">Switched off</span>`}</p>
      <p class="note">${person.email}<span class="dot">${last}</span></p></div>
    <${Menu} label=${`More for ${nameOf(person)}`} entries=${[
      { words: 'Edit', icon: 'edit', act: () => open('edit', person) },
      !me && { words: 'Reset link', icon: 'send', act: () => open('link', person) },
      !me && { words: 'Set a new password', icon: 'lock', act: () => open('password', person) },
      !me && { words: person.is_active ? 'Switch off' : 'Switch on', icon: person.is_active ? 'pause' : 'play', act: toggle },
      !me && { words: 'Delete', icon: 'trash', danger: true, act: () => open('delete', person) },
    ]} /></li>`;
}

export function People() {
  const [list, setList] = useState(null);
  const [failed, setFailed] = useState('');
  const [dialog, setDialog] = useState(null);
  const load = async () => {
    try {
      setList(await get(users));
      setFailed('');
    } catch (error) {
      setFailed(error.message);
    }
  };
  useEffect(() => {
    load();
  }, []);
  const close = () => setDialog(null);
  const Open = dialog && DIALOGS[dialog.kind];
  return html`<div class="page narrow">
    <header class="page-head"><h1>People</h1><p class="lead">Everyone with an account on this server.</p>
      <div class="page-acts both"><${Button} icon="send" onClick=${() => setDialog({ kind: 'invite' })}>Invite<//>
        <${Button} kind="main" icon="plus" onClick=${() => setDialog({ kind: 'add' })}>Add a person<//></div></header>
    ${failed && html`<${Failed} what="The list can’t be read right now" why=${failed} again=${load} />`}
    ${!list && !failed && html`<ul class="people" aria-hidden="true">${[1, 2].map((n) => html`<li class="person skeleton" key=${n}></li>`)}</ul><p class="sr" role="status">Reading the list</p>`}
    ${list && html`<ul class="people">${list.map((person) => html`<${Person} key=${person.user_id} person=${person} done=${load} open=${(kind, who) => setDialog({ kind, who })} />`)}</ul>`}
    ${list?.length === 1 && html`<p class="hint-line"><${Icon} name="people" />It’s only you so far. Add your family, your class or your studio: each gets boards and pictures of their own.</p>`}
    <${MailState} />
    ${dialog?.kind === 'invite' && html`<${InvitePerson} onClose=${close} done=${load} />`}
    ${dialog?.kind === 'add' && html`<${AddPerson} onClose=${close} done=${load} />`}
    ${Open && html`<${Open} person=${dialog.who} onClose=${close} done=${load} />`}
  </div>`;
}
