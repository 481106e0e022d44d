// Links that are open: invitations and resets that nobody has used yet. Below the list of people.
import { useEffect, useState } from 'preact/hooks';
import { del, get } from '../core/api.js';
import { html } from '../core/html.js';
import { useRead } from '../core/read.js';
import { ago, fullTime } from '../core/words.js';
import { Button, Failed } from '../parts/controls.js';
import { Form } from '../parts/form.js';
import { Address } from '../parts/names.js';
import { complain, say } from '../state/toasts.js';
import { nameOf } from './people-dialogs.js';

const WORDS = { invitation: 'Invitation', reset: 'New password' };

const Link = ({ link, end }) => html`<li class="open-link" data-link=${link.invitation_id}><div><p><strong><${Address}>${nameOf(link)}<//></strong>
    <span class="tag">${WORDS[link.purpose]}</span>${link.expired && html`<span class="tag">Expired</span>`}</p>
  <p class="note"><${Address}>${link.email}<//><span class="dot">Made ${ago(link.created_at)}</span><span class="dot">${link.expired ? 'It works no more' : `Works until ${fullTime(link.expires_at)}`}</span></p></div>
  <${Button} kind="quiet" icon="close" onClick=${end}>End<span class="sr"> the link for ${nameOf(link)}</span><//></li>`;

/** Before an account goes with the invitation to it. */
const EndInvitation = ({ link, act, onClose }) => html`<${Form} title=${`End the invitation for ${nameOf(link)}`} button="End it" danger act=${act} onClose=${onClose}>
  <p>The link works no more, and the account of <${Address}>${link.email}<//>, which nobody has used, goes with it. They can be invited again.</p><//>`;

export function OpenLinks({ changes, done }) {
  const { value: list, failed, read: load } = useRead(async () => (await get('/invitations')).invitations, []);
  const [asked, setAsked] = useState(null);
  useEffect(() => {
    load();
  }, [changes]);
  const end = async (link) => {
    try {
      const { account_deleted: gone } = await del(`/invitations/${encodeURIComponent(link.invitation_id)}`);
      say(gone ? `The invitation for ${nameOf(link)} was ended, and the account is gone.` : 'The link was ended. The account stays as it is.');
    } finally {
      await load();
      done();
    }
  };
  if (failed) {
    return html`<${Failed} what="The open links can’t be read right now" why=${failed} again=${load} />`;
  }
  return html`${
    list.length > 0 &&
    html`<section class="block"><h2>Open links</h2><p class="note">Whoever has one of them can choose the password of that account. Ending an invitation takes its account away too.</p>
      <ul>${list.map((link) => html`<${Link} key=${link.invitation_id} link=${link} end=${() => (link.purpose === 'invitation' ? setAsked(link) : end(link).catch(complain))} />`)}</ul></section>`
  }
  ${asked && html`<${EndInvitation} link=${asked} act=${() => end(asked)} onClose=${() => setAsked(null)} />`}`;
}
