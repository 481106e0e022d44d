// Profile: name, password, where one is signed in, and how the pages look.
import { useEffect, useState } from 'preact/hooks';
import { del, get } from '../core/api.js';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { passwordFault } from '../core/password.js';
import { useRead } from '../core/read.js';
import { changeEmail, changeName, changePassword, isAdmin, server, signOut, solo, user } from '../core/session.js';
import { fullTime, toDate } from '../core/words.js';
import { Button, Failed, PasswordField, TextField } from '../parts/controls.js';
import { DeviceList } from '../parts/device-list.js';
import { NewPasswordField } from '../parts/new-password.js';
import { ThemeChoice } from '../parts/shell.js';
import { complain, say } from '../state/toasts.js';

function Name() {
  const [name, setName] = useDraft('profile-name', user.value.display_name || '');
  const [error, setError] = useState('');
  const save = async (event) => {
    event.preventDefault();
    if (!name.trim()) {
      setError('Enter a name.');
      return;
    }
    try {
      await changeName(name.trim());
      setError('');
      say('Your name was saved.');
    } catch (failure) {
      setError(failure.message);
    }
  };
  return html`<section class="block"><h2>You</h2><form onSubmit=${save} novalidate>
    <${TextField} label="Name" value=${name} onText=${setName} error=${error} autocomplete="name" maxlength="100" hint="Others see this name, for example on boards that you share." />
    <div class="form-end"><${Button} type="submit">Save name<//></div></form>
    <dl class="facts-line">${toDate(user.value.created_at) > 0 && html`<div><dt>Account since</dt><dd>${fullTime(user.value.created_at)}</dd></div>`}
      ${user.value.last_login_at && html`<div><dt>Last signed in</dt><dd>${fullTime(user.value.last_login_at)}</dd></div>`}
      <div><dt>Role</dt><dd>${user.value.is_admin ? 'Administrator' : 'Person'}</dd></div></dl></section>`;
}

/** Who may change an address that can't be proved by mail. */
const howToChange = () => (isAdmin.value ? html`You can change it on the page <a href="/people">People</a>.` : 'An administrator can change it.');

function Email() {
  const [email, setEmail] = useDraft('profile-email', '');
  const [password, setPassword] = useState('');
  const [state, setState] = useState({ busy: false, error: '', sent: '' });
  const save = async (event) => {
    event.preventDefault();
    if (!/.@./.test(email) || !password) {
      setState({ busy: false, error: 'Enter the new address and your current password.', sent: '' });
      return;
    }
    setState({ busy: true, error: '', sent: '' });
    try {
      await changeEmail(email.trim(), password);
      setState({ busy: false, error: '', sent: email.trim() });
      setEmail('');
      setPassword('');
    } catch (failure) {
      setState({ busy: false, error: failure.message, sent: '' });
    }
  };
  return html`<section class="block"><h2>Email address</h2>
    <${TextField} label="You sign in with" value=${user.value.email} readonly hint=${server.value.mail_enabled ? '' : howToChange()} />
    ${server.value.mail_enabled && html`<form onSubmit=${save} novalidate>
      <div role="alert">${state.error && html`<p class="message bad">${state.error}</p>`}</div>
      <div role="status">${state.sent && html`<p class="message">A link was mailed to ${state.sent}. The address counts when you open it; the link works for a day.</p>`}</div>
      <${TextField} label="New email address" type="email" autocomplete="email" autocapitalize="off" value=${email} onText=${setEmail} />
      <${PasswordField} label="Your current password" autocomplete="current-password" value=${password} onText=${setPassword} />
      <div class="form-end"><${Button} type="submit" busy=${state.busy}>Change address<//></div></form>`}</section>`;
}

function Password({ done }) {
  const [old, setOld] = useState('');
  const [next, setNext] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const save = async (event) => {
    event.preventDefault();
    const fault = old ? passwordFault(next, server.value) : 'Enter your current password.';
    if (fault) {
      setError(fault);
      return;
    }
    setBusy(true);
    try {
      await changePassword(old, next);
      setOld('');
      setNext('');
      setError('');
      say('Your password was changed. Other devices were signed out.');
      done();
    } catch (failure) {
      setError(failure.message);
    }
    setBusy(false);
  };
  return html`<section class="block"><h2>Password</h2><form onSubmit=${save} novalidate>
    <div role="alert">${error && html`<p class="message bad">${error}</p>`}</div>
    <${PasswordField} label="Current password" autocomplete="current-password" value=${old} onText=${setOld} />
    <${NewPasswordField} label="New password" value=${next} onText=${setNext} />
    <div class="form-end"><${Button} type="submit" busy=${busy}>Change password<//></div></form></section>`;
}

function Sessions({ list, failed, load }) {
  const act = (path, done) =>
    del(path)
      .then(() => say(done), complain)
      .then(load);
  const end = (session) => act(`/auth/sessions/${encodeURIComponent(session.session_id)}`, 'That device was signed out.');
  const endOthers = () => act('/auth/sessions', 'Every other device was signed out.');
  return html`<section class="block"><h2>Where you are signed in</h2>
    ${failed && html`<${Failed} what="This list can’t be read right now" why=${failed} again=${load} />`}
    ${!failed && !list && html`<div class="session skeleton" aria-hidden="true"></div>`}
    ${list && html`<${DeviceList} list=${list} end=${end} />${list.length > 1 && html`<div class="form-end"><${Button} kind="quiet" icon="out" onClick=${endOthers}>Sign out everywhere else<//></div>`}`}
  </section>`;
}

export function Profile() {
  const hereFirst = (a, b) => Number(b.current) - Number(a.current);
  const { value: list, failed, read: load } = useRead(async () => [...(await get('/auth/sessions')).sessions].sort(hereFirst));
  useEffect(() => {
    if (!solo.value) {
      load();
    }
  }, []);
  return html`<div class="page narrow">
    <header class="page-head"><h1>${solo.value ? 'Settings' : 'Your profile'}</h1>
      ${!solo.value && html`<div class="page-acts"><${Button} icon="out" onClick=${signOut}>Sign out<//></div>`}</header>
    ${!solo.value && html`<${Name} /><${Email} /><${Password} done=${load} /><${Sessions} list=${list} failed=${failed} load=${load} />`}
    <section class="block"><h2>Look</h2><${ThemeChoice} /></section>
  </div>`;
}
