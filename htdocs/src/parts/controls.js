// Buttons, fields and the other plain controls.
import { useId, useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { Icon } from './icons.js';

/** kind: 'main', 'plain', 'quiet' or 'danger'. With `bare` only the icon shows and the words become its label. */
export function Button({ kind = 'plain', icon, bare, busy, children, class: extra = '', ...rest }) {
  const words = bare ? { 'aria-label': children, title: children } : {};
  return html`<button type="button" class=${`button ${kind} ${bare ? 'bare' : ''} ${extra}`} aria-busy=${busy ? 'true' : undefined}
    ...${words} ...${rest}>${icon && html`<${Icon} name=${icon} />`}${!bare && html`<span>${children}</span>`}</button>`;
}

/** A label above a control, with a hint or an error below. `children` is a function that gets the control's props. */
export function Field({ label, hint, error, side, children }) {
  const id = useId();
  const note = error || hint;
  const props = { id, 'aria-describedby': note ? `${id}-note` : undefined, 'aria-invalid': error ? 'true' : undefined };
  return html`<div class="field">
    <div class="field-top"><label for=${id}>${label}</label>${side}</div>
    ${children(props)}
    ${note && html`<p id=${`${id}-note`} class=${error ? 'note bad' : 'note'}>${note}</p>`}
  </div>`;
}

export function TextField({ label, hint, error, value, onText, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error}>
    ${(props) => html`<input class="input" value=${value} onInput=${(e) => onText(e.target.value)} ...${props} ...${rest} />`}
  <//>`;
}

/** A password with a button that shows it; whoever gives `seen` and `setSeen` may show it too. */
export function PasswordField({ label, hint, error, value, onText, seen: given, setSeen: give, ...rest }) {
  const own = useState(false);
  const [seen, setSeen] = give ? [given, give] : own;
  return html`<${Field} label=${label} hint=${hint} error=${error}>
    ${(props) => html`<div class="input-row">
      <input class="input" type=${seen ? 'text' : 'password'} value=${value} autocapitalize="off" spellcheck=${false}
        onInput=${(e) => onText(e.target.value)} ...${props} ...${rest} />
      <button type="button" class="input-side" aria-pressed=${String(seen)} onClick=${() => setSeen(!seen)}>
        ${seen ? 'Hide' : 'Show'}<span class="sr"> ${label.toLowerCase()}</span></button>
    </div>`}
  <//>`;
}

export function Check({ label, hint, checked, onCheck, ...rest }) {
  const id = useId();
  return html`<div class="check">
    <input type="checkbox" id=${id} checked=${checked} onChange=${(e) => onCheck(e.target.checked)}
      aria-describedby=${hint ? `${id}-note` : undefined} ...${rest} />
    <label for=${id}>${label}</label>
    ${hint && html`<p class="note" id=${`${id}-note`}>${hint}</p>`}
  </div>`;
}

/** One of a few: a row of choices. options: [value, words, icon?][] */
export function Choice({ label, hideLabel, value, options, onPick }) {
  const name = useId();
  return html`<fieldset class="choice">
    <legend class=${hideLabel ? 'sr' : ''}>${label}</legend>
    <div class="choice-row">${options.map(
      ([key, words, icon]) => html`<label class="choice-one" key=${key}>
        <input type="radio" name=${name} checked=${key === value} onChange=${() => onPick(key)} />
        <span>${icon && html`<${Icon} name=${icon} />`}${words}</span>
      </label>`,
    )}</div>
  </fieldset>`;
}

/** A range with its number; a double click on the label or the range goes back to the default. */
export function Slider({ label, hint, value, standard, onNumber, reset, min, max, step = 1 }) {
  const changed = value !== standard;
  const back = changed ? html`<button type="button" class="link" onClick=${reset}>Back to ${standard}</button>` : null;
  const take = (e) => {
    const n = Number(e.target.value);
    if (Number.isFinite(n)) {
      onNumber(Math.min(max, Math.max(min, n)));
    }
  };
  return html`<div onDblClick=${reset}><${Field} label=${label} hint=${hint} side=${back}>
    ${(props) => html`<div class="slider">
      <input type="range" value=${value} min=${min} max=${max} step=${step} onInput=${take} ...${props} />
      <input class="input number" type="number" aria-label=${`${label}, as a number`} value=${value} min=${min} max=${max}
        step=${step} onChange=${take} />
    </div>`}
  <//></div>`;
}

/** Less and more of something small; `less` and `more` say what the buttons do. */
export function Stepper({ label, value, min, max, onNumber, words, less, more }) {
  return html`<div class="stepper" role="group" aria-label=${label}>
    <button type="button" aria-label=${less} title=${less} aria-disabled=${value <= min ? 'true' : undefined} onClick=${() => value > min && onNumber(value - 1)}><${Icon} name="minus" /></button>
    <span aria-live="polite">${words(value)}</span>
    <button type="button" aria-label=${more} title=${more} aria-disabled=${value >= max ? 'true' : undefined} onClick=${() => value < max && onNumber(value + 1)}><${Icon} name="plus" /></button>
  </div>`;
}

/** Nothing here yet, or nothing could be had: one picture, one sentence, one thing to do. */
export function Blank({ icon, title, children, action }) {
  return html`<div class="blank"><${Icon} name=${icon} /><h2>${title}</h2><p>${children}</p>${action}</div>`;
}

export const Failed = ({ what, why, again }) =>
  html`<div role="alert"><${Blank} icon="warn" title=${what}
    action=${html`<${Button} icon="again" onClick=${again}>Try again<//>`}>${why}<//></div>`;
