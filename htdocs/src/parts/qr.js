// A link as a QR code, for opening it on a phone. The program that draws it is fetched when it is first wanted.
import { encode } from 'uqr';
import { html } from '../core/html.js';

/** Modules that stay free around the code, so that readers find it. */
const QUIET = 4;

/** One path for all dark modules: a run of them in a row is one rectangle. */
function path(data) {
  const parts = [];
  data.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) {
      if (row[x]) {
        const from = x;
        while (row[x + 1]) {
          x += 1;
        }
        parts.push(`M${from + QUIET} ${y + QUIET}h${x - from + 1}v1h-${x - from + 1}z`);
      }
    }
  });
  return parts.join('');
}

export function Qr({ text, label }) {
  const { data, size } = encode(text, { ecc: 'L', border: 0 });
  const side = size + 2 * QUIET;
  return html`<svg class="qr" viewBox=${`0 0 ${side} ${side}`} role="img" aria-label=${label} shape-rendering="crispEdges">
    <rect class="qr-paper" width=${side} height=${side} /><path class="qr-ink" d=${path(data)} /></svg>`;
}
