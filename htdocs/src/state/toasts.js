// Short messages at the edge of the screen, and the undo that belongs to some of them.
import { signal } from '@preact/signals';
import { onLeave, onParting } from '../core/session.js';

const STAY_MS = 5000;
const UNDO_MS = 7000;

/** Shown messages, oldest first: {id, text, tone, undo?}. */
export const toasts = signal([]);
/** What a screen reader should say next. */
export const spoken = signal('');

const waiting = new Map();
let lastId = 0;

const hide = (id) => {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
};

/** The last two of those that only say something; one with an undo stays until its time is over. */
function withRoom(list) {
  const lasting = list.filter((toast) => !toast.undo).slice(-2);
  return list.filter((toast) => toast.undo || lasting.includes(toast));
}

/**
 * Says something once, however many things go the same way at a time.
 * @param {'plain' | 'bad'} tone
 */
export function say(text, tone = 'plain') {
  const id = ++lastId;
  const others = toasts.value.filter((toast) => toast.undo || toast.text !== text || toast.tone !== tone);
  toasts.value = [...withRoom(others), { id, text, tone }];
  setTimeout(() => hide(id), STAY_MS);
}

export const complain = (error) => say(error.message || String(error), 'bad');

function finish(id, pageCloses = false) {
  const act = waiting.get(id);
  waiting.delete(id);
  hide(id);
  return act?.(pageCloses);
}

/** Takes a message away; what it could have taken back happens now. */
export const dismiss = (id) => finish(id);

/**
 * Shows a message with an undo. `act(pageCloses)` runs once the time for it is over, or when the page is left;
 * `back()` runs instead when the person takes it back.
 */
export function sayWithUndo(text, act, back) {
  const id = ++lastId;
  const undo = () => {
    waiting.delete(id);
    hide(id);
    back();
  };
  waiting.set(id, act);
  toasts.value = [...withRoom(toasts.value), { id, text, tone: 'plain', undo }];
  setTimeout(() => finish(id), UNDO_MS);
}

/** Does at once what still could be taken back. Resolves when it is done; null when there is nothing. */
export function settleAll(pageCloses = false) {
  return waiting.size ? Promise.allSettled([...waiting.keys()].map((id) => finish(id, pageCloses))) : null;
}

export function startToasts() {
  addEventListener('pagehide', () => settleAll(true));
  onParting(() => settleAll());
  // Undone by nobody, done for nobody: the next person must not delete in the name of the last.
  onLeave(() => {
    waiting.clear();
    toasts.value = [];
  });
}
