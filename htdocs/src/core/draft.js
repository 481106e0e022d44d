// What somebody is typing: when their session ends by itself it stays in memory, and is there again when they, and nobody else,
// have signed in again. Never for passwords.
import { effect } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { myId, onLeave, user } from './session.js';

const drafts = new Map();
let owner = null;
// Before a page of the next person is drawn.
effect(() => {
  if (myId.value && myId.value !== owner) {
    owner = myId.value;
    drafts.clear();
  }
});
onLeave(({ ended }) => ended || drafts.clear());

/**
 * useState for what is typed, and for the dialog that it is typed into. What leaves the screen while its person is here is forgotten
 * as ever.
 * @param {string} key names the field among all of the program
 * @param {any} first its value where nothing was left
 * @returns {[any, (next: any) => void]}
 */
export function useDraft(key, first) {
  const [value, setValue] = useState(() => (drafts.has(key) ? drafts.get(key) : first));
  useEffect(() => () => user.peek() && drafts.delete(key), [key]);
  const set = (next) => {
    drafts.set(key, next);
    setValue(next);
  };
  return [value, set];
}
