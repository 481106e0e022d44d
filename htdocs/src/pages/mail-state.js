// How it stands with the mails: for administrators, below the list of people.
import { useEffect, useState } from 'preact/hooks';
import { get } from '../core/api.js';
import { html } from '../core/html.js';
import { server } from '../core/session.js';
import { ago } from '../core/words.js';
import { Button, Failed } from '../parts/controls.js';

const KINDS = { invitation: 'Invitation', reset: 'New password', email_change: 'New address' };
const mails = (n) => (n === 1 ? '1 mail' : `${n} mails`);

const Entry = ({ mail }) => html`<li><p><strong>${mail.to_address}</strong> <span class="tag">${mail.state === 'failed' ? 'Given up' : 'Waiting'}</span></p>
  <p class="note">${KINDS[mail.kind]}, ${ago(mail.created_at)}${mail.last_error && html`: ${mail.last_error}`}</p></li>`;

export function MailState() {
  const [state, setState] = useState(null);
  const [failed, setFailed] = useState('');
  const load = async () => {
    try {
      setState(await get('/mail'));
      setFailed('');
    } catch (error) {
      setFailed(error.message);
    }
  };
  useEffect(() => {
    if (server.value.mail_enabled) {
      load();
    }
  }, []);
  if (!server.value.mail_enabled || (!state && !failed)) {
    return null;
  }
  return html`<section class="block"><h2>Mail</h2>
    ${failed && html`<${Failed} what="The state of the mails can’t be read right now" why=${failed} again=${load} />`}
    ${state && html`<p role="status">${mails(state.waiting)} waiting, ${state.sent} sent and ${state.failed} given up in the last 30 days.</p>
      ${state.mails.length > 0 && html`<ul class="mails" aria-label="Mails that did not arrive">${state.mails.map((mail) => html`<${Entry} key=${mail.mail_id} mail=${mail} />`)}</ul>`}
      <div class="form-end"><${Button} kind="quiet" icon="again" onClick=${load}>Look again<//></div>`}
  </section>`;
}
