// The pages before one is in: first set-up, signing in, redeeming a link, and choosing an own password.
import { useEffect, useRef, useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { route } from '../core/router.js';
import { acceptInvitation, changePassword, checkLink, FORGOT_PAGE, myName, RESET_PAGE, server, setUp, signedOutReason, signIn, signOut, user, wasHere } from '../core/session.js';
import { passwordFault } from '../core/password.js';
import { amount, apart } from '../core/words.js';
import { Button, Check, Choice, PasswordField, TextField } from '../parts/controls.js';
import { NewPasswordField } from '../parts/new-password.js';

export function Frame({ title, lead, children }) {
  return html`<main class="enter" id="main"><div class="enter-in">
    <div class="enter-mark" aria-hidden="true"></div><h1>${title}</h1>${lead && html`<p class="lead">${lead}</p>`}${children}
  </div></main>`;
}

/** Runs `act` on submit; {busy, error} tell how it stands. */
export function useSubmit(act) {
  const [state, setState] = useState({ busy: false, error: '' });
  const submit = async (event) => {
    event.preventDefault();
    if (state.busy) {
      return;
    }
    setState({ busy: true, error: '' });
    try {
      await act();
      setState({ busy: false, error: '' });
    } catch (error) {
      setState({ busy: false, error: error.message });
    }
  };
  return { ...state, submit };
}

/** The form of a page that asks for one thing: the cursor is in it. */
export function OneField({ children, ...rest }) {
  const form = useRef();
  useEffect(() => form.current.querySelector('input:not([type=hidden])').focus(), []);
  return html`<form novalidate ref=${form} ...${rest}>${children}</form>`;
}

export const Wrong = ({ children }) => html`<div role="alert">${children && html`<p class="message bad">${children}</p>`}</div>`;

export function SignIn() {
  const [email, setEmail] = useState(wasHere);
  const [password, setPassword] = useState('');
  const [stay, setStay] = useState(true);
  const { busy, error, submit } = useSubmit(async () => {
    if (!email.trim() || !password) {
      throw new Error('Enter your email address and your password.');
    }
    try {
      await signIn(email.trim(), password, stay);
    } catch (failure) {
      throw failure.status === 401 ? new Error('That email address and password don’t go together. Check both and try again.') : failure;
    }
  });
  return html`<${Frame} title="Sign in">
    ${server.value.welcome && html`<p class="lead welcome">${server.value.welcome}</p>`}
    ${signedOutReason.value && !error && html`<p class="message" role="status">${signedOutReason.value}</p>`}
    <form onSubmit=${submit} novalidate>
      <${Wrong}>${error}<//>
      <${TextField} label="Email address" type="email" name="email" autocomplete="username" autocapitalize="off" value=${email} onText=${setEmail} required />
      <${PasswordField} label="Password" name="password" autocomplete="current-password" value=${password} onText=${setPassword} required />
      <${Check} label="Stay signed in on this device" checked=${stay} onCheck=${setStay} />
      <${Button} kind="main" type="submit" class="wide" busy=${busy}>${busy ? 'Signing in…' : 'Sign in'}<//>
    </form>
    ${server.value.mail_enabled && html`<p><a href=${FORGOT_PAGE}>Forgot your password?</a></p>`}
    <p class="note">${server.value.mail_enabled ? 'No account?' : 'No account, or the password is lost?'} An administrator of this server can help.</p>
  <//>`;
}

const HEIRS = [
  ['me', 'This account'],
  ['later', 'Somebody else, later'],
];

export function SetUp() {
  const [name, setName] = useState('');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    if (!/.@./.test(email)) {
      throw new Error('Enter the email address you want to sign in with.');
    }
    const fault = passwordFault(password, server.value);
    if (fault) {
      throw new Error(fault);
    }
    await setUp({ email: email.trim(), display_name: name.trim() || null, password, ...(legacy ? { legacy_data: heir } : {}) });
  });
  const legacy = server.value.legacy_data;
  const [heir, setHeir] = useState('me');
  return html`<${Frame} title="Welcome" lead="This server is new. Make the first account: it looks after the server and can add the others.">
    <form onSubmit=${submit} novalidate>
      <${Wrong}>${error}<//>
      <${TextField} label="Your name" autocomplete="name" value=${name} onText=${setName} maxlength="100" />
      <${TextField} label="Email address" type="email" autocomplete="username" autocapitalize="off" value=${email} onText=${setEmail} required
        hint=${server.value.mail_enabled ? 'For signing in, and for mails of this server.' : 'For signing in. It doesn’t leave this server.'} />
      <${NewPasswordField} label="Password" value=${password} onText=${setPassword} required />
      ${legacy && html`<${Choice} label=${`Already here: ${amount(legacy)}. Who gets them?`} value=${heir} options=${HEIRS} onPick=${setHeir} />
        <p class="note">${heir === 'me' ? 'They will be yours.' : 'They wait, and only administrators see them. Under People you give them to any account.'}</p>`}
      <${Button} kind="main" type="submit" class="wide" busy=${busy}>${busy ? 'Setting up…' : 'Set up'}<//>
    </form>
  <//>`;
}

/** What a server says of a link that works no more. */
const DEAD = [404, 410];
const INCOMPLETE = 'Part of the link is missing. Open it again from the message it came in, and copy all of it.';

export const DeadLink = ({ why }) => html`<${Frame} title="This link doesn’t work">
  <p class="message" role="alert">${why}</p>
  ${server.value.mail_enabled && !user.value && html`<p><a href=${FORGOT_PAGE}>Get a link for a new password by mail</a></p>`}<a class="button main wide" href=${user.value ? '/create' : '/login'}>${user.value ? 'To the start' : 'To the sign-in page'}</a>
<//>`;

/** Does what a link is for; one that works no more is said to be dead, anything else is an error of the form. */
export async function redeem(act, setDead) {
  try {
    await act();
  } catch (failure) {
    if (!DEAD.includes(failure.status)) {
      throw failure;
    }
    setDead(failure.message);
  }
}

/**
 * The link that led here, looked at when the page opens: before anybody thinks up a password. What else may go wrong there is told
 * when the form is sent.
 * @returns token; dead: why it doesn't work, or ''; email: whom it is for, '' when that is not known, null while it is asked for
 */
export function useLink(purpose) {
  const token = route.value.query.get('token');
  const [dead, setDead] = useState(token ? '' : INCOMPLETE);
  const [email, setEmail] = useState(null);
  useEffect(() => {
    if (token) {
      redeem(async () => setEmail(await checkLink(token, purpose)), setDead).catch(() => setEmail(''));
    }
  }, [token]);
  return { token, dead, setDead, email };
}

export const Looking = ({ title }) => html`<${Frame} title=${title}><p class="note" role="status">Looking at the link…</p><//>`;

/** Where the link of an invitation or of a reset leads. */
export function Invitation() {
  const { token, dead, setDead, email } = useLink('password');
  const [password, setPassword] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    const fault = passwordFault(password, server.value);
    if (fault) {
      throw new Error(fault);
    }
    await redeem(() => acceptInvitation(token, password), setDead);
  });
  if (dead) {
    return html`<${DeadLink} why=${dead} />`;
  }
  const title = route.value.path === RESET_PAGE ? 'Choose a new password' : 'Choose your password';
  if (email === null) {
    return html`<${Looking} title=${title} />`;
  }
  return html`<${Frame} title=${title} lead=${`With it and ${email || 'your email address'} you sign in here from now on.`}>
    ${user.value && html`<p class="message" role="status">${`${apart(myName.value)} is signed in here. Going on signs in the person this link was made for instead.`}</p>`}
    <${OneField} onSubmit=${submit}>
      <${Wrong}>${error}<//>
      ${email && html`<input type="hidden" name="username" autocomplete="username" value=${email} />`}
      <${NewPasswordField} label="Password" value=${password} onText=${setPassword} required />
      <${Button} kind="main" type="submit" class="wide" busy=${busy}>${busy ? 'Saving…' : 'Save and sign in'}<//>
    <//>
    <p class="note">This link works once.</p>
  <//>`;
}

/** Shown when an administrator chose the password: nothing else works until there is an own one. */
export function NewPassword() {
  const [old, setOld] = useState('');
  const [next, setNext] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    const fault = passwordFault(next, server.value);
    if (fault) {
      throw new Error(fault);
    }
    await changePassword(old, next);
  });
  return html`<${Frame} title="Choose your own password" lead=${`Hello ${apart(user.value.display_name || '')}. Someone else set your first password, so only you should know the next one.`}>
    <form onSubmit=${submit} novalidate>
      <${Wrong}>${error}<//>
      <input type="hidden" name="username" autocomplete="username" value=${user.value.email} />
      <${PasswordField} label="Password you were given" autocomplete="current-password" value=${old} onText=${setOld} required />
      <${NewPasswordField} label="New password" value=${next} onText=${setNext} required />
      <${Button} kind="main" type="submit" class="wide" busy=${busy}>${busy ? 'Saving…' : 'Save and go on'}<//>
    </form>
    <${Button} kind="quiet" class="wide" onClick=${signOut}>Sign out<//>
  <//>`;
}
