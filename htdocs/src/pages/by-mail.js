// What a mail has a part in: asking for a link for a new password, and opening the link to a new address.
import { useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { confirmEmail, forgotPassword, server, user } from '../core/session.js';
import { Button, TextField } from '../parts/controls.js';
import { DeadLink, Frame, Looking, OneField, redeem, useLink, useSubmit, Wrong } from './enter.js';

const Back = () => html`<a class="button wide" href=${user.value ? '/create' : '/login'}>${user.value ? 'To the start' : 'To the sign-in page'}</a>`;

/** The answer says nothing of who has an account here, and neither does this page. */
export function Forgot() {
  const [email, setEmail] = useState('');
  const [asked, setAsked] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    if (!/.@./.test(email)) {
      throw new Error('Enter the email address you sign in with.');
    }
    await forgotPassword(email.trim());
    setAsked(email.trim());
  });
  if (!server.value.mail_enabled) {
    return html`<${Frame} title="Forgot your password?"><p class="message" role="status">This server sends no mail. An administrator can make a link for you.</p><${Back} /><//>`;
  }
  if (asked) {
    return html`<${Frame} title="Look into your mail">
      <p class="message" role="status">If ${asked} has an account here, a link for a new password is on its way there. It works once and for a day.</p>
      <p class="note">Nothing arrives? Look among the unwanted mails, or ask an administrator.</p><${Back} /><//>`;
  }
  return html`<${Frame} title="Forgot your password?" lead="Enter the address you sign in with. You get a link for choosing a new password.">
    <${OneField} onSubmit=${submit}>
      <${Wrong}>${error}<//>
      <${TextField} label="Email address" type="email" name="email" autocomplete="username" autocapitalize="off" value=${email} onText=${setEmail} required />
      <${Button} kind="main" type="submit" class="wide" busy=${busy}>${busy ? 'Asking…' : 'Send me a link'}<//>
    <//><p><a href="/login">Back to signing in</a></p>
  <//>`;
}

const TITLE = 'Your email address';

/** Where the link in the mail to a new address leads. It takes a press: mail programs open links by themselves. */
export function ConfirmEmail() {
  const { token, dead, setDead, email } = useLink('email');
  const [done, setDone] = useState('');
  const { busy, error, submit } = useSubmit(() => redeem(async () => setDone(await confirmEmail(token)), setDead));
  if (dead) {
    return html`<${DeadLink} why=${dead} />`;
  }
  if (done) {
    return html`<${Frame} title=${TITLE}><p class="message" role="status">From now on you sign in with ${done}.</p><${Back} /><//>`;
  }
  if (email === null) {
    return html`<${Looking} title=${TITLE} />`;
  }
  return html`<${Frame} title=${TITLE} lead=${`Somebody wants to sign in here with ${email || 'the address this mail came to'}. If that is you, say so.`}>
    <form onSubmit=${submit} novalidate><${Wrong}>${error}<//>
      <${Button} kind="main" type="submit" class="wide" busy=${busy}>${busy ? 'Saving…' : 'This is my address'}<//></form>
    <p class="note">This link works once.</p><//>`;
}
