// How it stands with the mails: for administrators, below the list of people.
import { useEffect } from 'preact/hooks';
import { get, post } from '../core/api.js';
import { html } from '../core/html.js';
import { useRead } from '../core/read.js';
import { server } from '../core/session.js';
import { ago, count } from '../core/words.js';
import { Button, Failed } from '../parts/controls.js';
import { Address } from '../parts/names.js';
import { complain, say } from '../state/toasts.js';

const KINDS = { invitation: 'Invitation', reset: 'New password', email_change: 'New address', email_changed: 'Notice of a new address' };

/** What went wrong, from what the mail program says of it: [what it says, what that means]. The first that fits counts. */
const FAULTS = [
  [/RCPT.*\b5\d\d|recipient/i, 'The mail server takes nothing for this address. Check that it is right.'],
  [/RCPT|\b4\d\d\b/i, 'The mail server takes nothing right now.'],
  [/login denied|auth|\b53[045]\b/i, 'The mail server refuses the name and password that this server signs in with.'],
  [/MAIL failed/i, 'The mail server takes no mail from the address that this server writes with.'],
  [/SSL|TLS|certificate/i, 'There is no safe connection to the mail server.'],
  [/time/i, 'The mail server takes too long to answer.'],
  [/connect|resolve|host|route|refused/i, 'The mail server can’t be reached.'],
];
const whyNot = (error) => FAULTS.find(([pattern]) => pattern.test(error))?.[1] || 'It could not be delivered.';

const Entry = ({ mail, again }) => html`<li class="open-link" data-mail=${mail.mail_id}><div><p><strong><${Address}>${mail.to_address}<//></strong> <span class="tag">${mail.state === 'failed' ? 'Given up' : 'Waiting'}</span></p>
  <p class="note">${KINDS[mail.kind]}, ${ago(mail.created_at)}${mail.last_error && html`. ${whyNot(mail.last_error)}`}</p>
  ${mail.last_error && html`<p class="note small-print">${`The mail program said: ${mail.last_error}`}</p>`}</div>
  <${Button} kind="quiet" icon="send" onClick=${again}>${mail.state === 'failed' ? 'Send again' : 'Try now'}<span class="sr"> to ${mail.to_address}</span><//></li>`;

export function MailState({ changes }) {
  const { value: state, failed, read: load } = useRead(() => get('/mail'));
  useEffect(() => {
    if (server.value.mail_enabled) {
      load();
    }
  }, [changes]);
  const again = async (mail) => {
    try {
      await post(`/mail/${mail.mail_id}/send-again`);
      say(mail.state === 'failed' ? `A new mail to ${mail.to_address} is on its way; its link replaces the earlier one.` : 'It is tried right now.');
    } catch (error) {
      complain(error);
    }
    load();
  };
  if (!server.value.mail_enabled || (!state && !failed)) {
    return null;
  }
  return html`<section class="block"><h2>Mail</h2>
    ${failed && html`<${Failed} what="The state of the mails can’t be read right now" why=${failed} again=${load} />`}
    ${state && html`<p role="status">${count(state.waiting, 'mail')} waiting, ${state.sent} sent and ${state.failed} given up in the last 30 days.</p>
      ${state.mails.length > 0 && html`<ul class="mails" aria-label="Mails that did not arrive">${state.mails.map((mail) => html`<${Entry} key=${mail.mail_id} mail=${mail} again=${() => again(mail)} />`)}</ul>`}
      <div class="form-end"><${Button} kind="quiet" icon="again" onClick=${load}>Look again<//></div>`}
  </section>`;
}
