// A password to choose: typed, or suggested, shown and copied.
import { useState } from 'preact/hooks';
import { copyText } from '../core/copy.js';
import { html } from '../core/html.js';
import { passwordHint, suggestPassword } from '../core/password.js';
import { server } from '../core/session.js';
import { Button, PasswordField } from './controls.js';
import { Strength } from './strength.js';

const KEEP = 'Keep it where you find it again, in a password manager for example.';

/** @param {string} [advice] what to do with a suggested one */
export function NewPasswordField({ value, onText, advice = KEEP, autocomplete = 'new-password', ...rest }) {
  const [seen, setSeen] = useState(false);
  const [suggested, setSuggested] = useState('');
  const suggest = () => {
    const one = suggestPassword();
    setSuggested(one);
    setSeen(true);
    onText(one);
  };
  const copy = () => copyText(value, 'Password copied.');
  return html`<div class="new-password">
    <${PasswordField} value=${value} onText=${onText} seen=${seen} setSeen=${setSeen} autocomplete=${autocomplete} hint=${passwordHint(server.value)} ...${rest} />
    ${value && html`<${Strength} password=${value} />`}
    <div class="field-acts"><${Button} kind="quiet" icon="again" onClick=${suggest}>${suggested ? 'Suggest another' : 'Suggest one'}<//>
      ${suggested && suggested === value && html`<${Button} kind="quiet" icon="copy" onClick=${copy}>Copy<//>`}</div>
    ${suggested && suggested === value && html`<p class="note" role="status">${advice}</p>`}
  </div>`;
}
