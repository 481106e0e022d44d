// How hard a password is to guess, as far as can be told without a word list. The server has the last word, and has the list.
import { html } from '../core/html.js';
import { passwordBits, passwordFault } from '../core/password.js';
import { server } from '../core/session.js';

/** Bits from which on each step begins. */
const STEPS = [0, 36, 54, 72];
const WORDS = ['Easy to guess', 'Could be stronger', 'Good', 'Very good'];

export function Strength({ password }) {
  const fault = passwordFault(password, server.value);
  const bits = passwordBits(password);
  const step = fault ? 0 : STEPS.findLastIndex((from) => Math.max(0, bits) >= from);
  const words = fault || WORDS[step];
  return html`<div class=${`strength s${step + 1}`}>
    <div class="strength-bars" role="meter" aria-label="Strength of the password" aria-valuemin="0" aria-valuemax="4" aria-valuenow=${step + 1} aria-valuetext=${WORDS[step]}>
      ${STEPS.map((from, i) => html`<i key=${from} class=${i <= step ? 'on' : ''}></i>`)}</div>
    <p class="note">${words}</p></div>`;
}
