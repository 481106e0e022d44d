// A link that was just made, to copy, or to scan with a phone. It is shown this once; the server keeps no copy that could be read.
import { useState } from 'preact/hooks';
import { copyText } from '../core/copy.js';
import { html } from '../core/html.js';
import { onlyHere } from '../core/link.js';
import { complain } from '../state/toasts.js';
import { Button, TextField } from './controls.js';
import { Dialog } from './dialog.js';
import { Icon } from './icons.js';

const LATE = new Error('The code could not be drawn. Copy the link instead.');

/** What a link is worth that others can't open, and what to do. */
function Unreachable({ link }) {
  const { hostname, protocol, port } = new URL(link);
  const example = `${protocol}//192.168.1.20${port && `:${port}`}`;
  return html`<p class="hint-line"><${Icon} name="warn" /><span><strong>Only this computer can open the link</strong>, for “${hostname}” means just itself. For anybody else, open this server by the address
    that they reach it at, such as ${example}, and make the link there. Or the same address is set for all links: InvokeMUPublicURL in the server’s configuration.</span></p>`;
}

export function LinkMade({ title, link, onClose, children }) {
  const [Code, setCode] = useState(null);
  const copy = () => copyText(link, 'Link copied.');
  const show = () =>
    import('./qr.js').then(
      ({ Qr }) => setCode(() => Qr),
      () => complain(LATE),
    );
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p role="status">${children}</p>
    ${onlyHere(link) && html`<${Unreachable} link=${link} />`}
    <${TextField} label="Link" value=${link} readonly onText=${() => {}} onFocus=${(e) => e.target.select()} />
    ${Code ? html`<div class="qr-place" role="status"><${Code} text=${link} label="The link as a QR code" /><p class="note">Point the camera of a phone at it.</p></div>` : html`<div class="field-acts"><${Button} kind="quiet" icon="qr" onClick=${show}>Show as QR code<//></div>`}
    <div class="form-end"><${Button} onClick=${onClose}>Done<//><${Button} kind="main" icon="copy" autofocus onClick=${copy}>Copy<//></div>
  <//>`;
}
