// Dialogs and sheets on the browser's own <dialog>: it keeps the focus inside, closes on Escape; afterwards it
// goes back to what opened the dialog.
import { useEffect, useId, useRef } from 'preact/hooks';
import { html } from '../core/html.js';
import { goBackTo, wayBack } from '../core/focus.js';
import { Button } from './controls.js';

/** kind: 'box' in the middle (a sheet on phones), 'side' for panels that slide in. */
export function Dialog({ title, onClose, kind = 'box', children, foot }) {
  const ref = useRef();
  const gone = useRef(false);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    const way = wayBack();
    dialog.showModal();
    return () => {
      gone.current = true;
      dialog.close();
      goBackTo(way);
    };
  }, []);
  const outside = (event) => event.target === ref.current && onClose();
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  // A second Escape closes a dialog without asking; then onClose has yet to hear of it.
  return html`<dialog ref=${ref} class=${`dialog ${kind}`} aria-labelledby=${id} onCancel=${cancel}
    onClose=${() => gone.current || onClose()} onPointerDown=${outside}>
    <div class="dialog-in">
      <${Grip} onClose=${onClose} />
      <header class="dialog-head"><h2 id=${id}>${title}</h2>
        <${Button} kind="quiet" icon="close" bare onClick=${onClose}>Close<//></header>
      <div class="dialog-body">${children}</div>
      ${foot && html`<footer class="dialog-foot">${foot}</footer>`}
    </div>
  </dialog>`;
}

/** The bar at the top of a sheet: a pull downwards closes it. */
function Grip({ onClose }) {
  const from = useRef(null);
  const down = (e) => {
    from.current = e.clientY;
    e.target.setPointerCapture(e.pointerId);
  };
  const up = (e) => {
    if (from.current !== null && e.clientY - from.current > 40) {
      onClose();
    }
    from.current = null;
  };
  return html`<div class="grip" aria-hidden="true" onPointerDown=${down} onPointerUp=${up}></div>`;
}
