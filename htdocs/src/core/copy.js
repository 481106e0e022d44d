// Copying, also on a plain http address in the own network, where browsers keep the clipboard from pages.
import { complain, say } from '../state/toasts.js';

const REFUSED = 'This browser doesn’t allow copying here. Select the text instead.';

/** Copies out of a field that is there for this moment only: on top, where the focus may go while a dialog or a picture is open. */
function copySelected(text) {
  const top = [...document.querySelectorAll('dialog[open], .pswp')].at(-1) || document.body;
  const before = document.activeElement;
  const field = Object.assign(document.createElement('textarea'), { className: 'sr', value: text, readOnly: true });
  // Who follows the focus is not to follow it there.
  field.addEventListener('focusin', (event) => event.stopPropagation());
  top.append(field);
  field.select();
  const done = document.execCommand('copy');
  before?.focus({ preventScroll: true });
  field.remove();
  return done;
}

/** Copies `text` and says `done`. */
export async function copyText(text, done) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copySelected(text)) {
      complain(new Error(REFUSED));
      return;
    }
  }
  say(done);
}
