// Where somebody is signed in, one line a device.
import { html } from '../core/html.js';
import { ago, device } from '../core/words.js';
import { Button } from './controls.js';
import { Icon } from './icons.js';

/** @param {(session: object) => void} end signs a device out */
export const DeviceList = ({ list, end }) =>
  html`<ul class="sessions">${list.map(
    (session) => html`<li class="session" key=${session.session_id}><${Icon} name="laptop" />
    <div><p><strong>${device(session.user_agent)}</strong>${session.current && html`<span class="tag">This one</span>`}</p>
      <p class="note">Last used ${ago(session.last_activity_at)}${session.ip_address && html`<span class="dot">${session.ip_address}</span>`}</p></div>
    ${!session.current && html`<${Button} kind="quiet" icon="out" onClick=${() => end(session)}>Sign out<span class="sr"> of ${device(session.user_agent)}</span><//>`}</li>`,
  )}</ul>`;
