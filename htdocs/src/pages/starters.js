// What stands below the composer while a sample model, or one that was never trained, is selected: what it is, and prompts that it draws well.
import { useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { user } from '../core/session.js';
import { Button } from '../parts/controls.js';
import { model, prompt } from '../state/wish.js';

const SHOWN = 5;
const touch = matchMedia('(hover: none)');

const mixed = (list) =>
  list
    .map((text) => [Math.random(), text])
    .sort(([a], [b]) => a - b)
    .map(([, text]) => text);

/** A few by chance, those that were not shown just now first. */
const draw = (all, shown = []) => [...mixed(all.filter((text) => !shown.includes(text))), ...mixed(shown)].slice(0, SHOWN);

function Chips({ all }) {
  const [shown, setShown] = useState(() => draw(all));
  const now = prompt.value.trim();
  if (now && !all.includes(now)) {
    return null;
  }
  const take = (text) => {
    prompt.value = text;
    // On a phone, the keyboard would cover what is there to be chosen.
    if (!touch.matches) {
      document.querySelector('.composer textarea').focus();
    }
  };
  return html`<ul class="chips" aria-label="Prompts that this model draws well">
    ${shown.map((text) => html`<li key=${text}><button type="button" class="chip" aria-pressed=${String(text === now)} onClick=${() => take(text)}>${text}</button></li>`)}
    ${all.length > SHOWN && html`<li><${Button} kind="quiet" icon="again" onClick=${() => setShown(draw(all, shown))}>Other ideas<//></li>`}</ul>`;
}

const Small = ({ untrained }) => html`<p class="note">${
  untrained ? 'This model only draws patterns: it was never trained.' : 'This is a small sample model to try things out with: it knows far less than a full one.'
}${' '}
  ${user.value?.is_admin ? html`<a href="/models">Add a full model</a>` : 'For a full one, ask the person who looks after this server.'}</p>`;

export function Starters() {
  const chosen = model.value;
  const small = chosen?.sample || chosen?.untrained;
  if (!small && !chosen?.suggestions) {
    return null;
  }
  return html`<div class="starters">
    ${chosen.suggestions && html`<${Chips} key=${chosen.key} all=${chosen.suggestions} />`}
    ${small && html`<${Small} untrained=${chosen.untrained} />`}</div>`;
}
