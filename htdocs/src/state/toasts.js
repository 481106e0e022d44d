// Short messages at the edge of the screen, and the undo that belongs to some of them.
import { signal } from '@preact/signals';

const STAY_MS = 5000;
const UNDO_MS = 7000;

/** Shown messages, oldest first: {id, text, tone, undo?}. */
export const toasts = signal([]);
/** What a screen reader should say next. */
export const spoken = signal('');

const waiting = new Map();
let lastId = 0;

export function dismiss(id) {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

/** @param {'plain' | 'bad'} tone */
export function say(text, tone = 'plain') {
  const id = ++lastId;
  toasts.value = [...toasts.value.slice(-2), { id, text, tone }];
  setTimeout(() => dismiss(id), STAY_MS);
}

export const complain = (error) => say(error.message || String(error), 'bad');

function finish(id, pageCloses = false) {
  const act = waiting.get(id);
  waiting.delete(id);
  dismiss(id);
  act?.(pageCloses);
}

/**
 * Shows a message with an undo. `act(pageCloses)` runs once the time for it is over, or when the page is left;
 * `back()` runs instead when the person takes it back.
 */
export function sayWithUndo(text, act, back) {
  const id = ++lastId;
  const undo = () => {
    waiting.delete(id);
    dismiss(id);
    back();
  };
  waiting.set(id, act);
  toasts.value = [...toasts.value.slice(-2), { id, text, tone: 'plain', undo }];
  setTimeout(() => finish(id), UNDO_MS);
}

/** Does at once what still could be taken back. */
export function settleAll(pageCloses = false) {
  [...waiting.keys()].forEach((id) => finish(id, pageCloses));
}

export function startToasts() {
  addEventListener('pagehide', () => settleAll(true));
}
