// Copying, also on a plain http address in the own network, where browsers keep the clipboard from pages.
import { complain, say } from '../state/toasts.js';

const REFUSED = 'This browser doesn’t allow copying here. Select the text instead.';

/** Copies `text` and says `done`. `field` is an input that shows it, for browsers that copy only what is selected. */
export async function copyText(text, done, field) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    field?.select();
    if (!field || !document.execCommand('copy')) {
      complain(new Error(REFUSED));
      return;
    }
  }
  say(done);
}
