// A ring that fills with the work done; without a number it turns.
import { html } from '../core/html.js';

const AROUND = 2 * Math.PI * 20;

export function Ring({ percent, label }) {
  const known = percent !== null;
  return html`<div class=${known ? 'ring' : 'ring turning'} role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
      aria-valuenow=${known ? percent : undefined}>
    <svg viewBox="0 0 48 48" aria-hidden="true"><circle class="ring-track" cx="24" cy="24" r="20" />
      <circle class="ring-part" cx="24" cy="24" r="20" stroke-dasharray=${AROUND} stroke-dashoffset=${AROUND * (1 - (known ? percent : 22) / 100)} /></svg>
    ${known && html`<span aria-hidden="true">${percent}<small>%</small></span>`}
  </div>`;
}
