// The queue: how many wait, and a list of one's own jobs or of everybody's, with only what one may know of the jobs of others.
import { computed, effect, signal } from '@preact/signals';
import { get, post, put } from '../core/api.js';
import { freshReader } from '../core/fresh.js';
import { link, on } from '../core/live.js';
import { isAdmin, onLeave, solo, user } from '../core/session.js';
import { forgetEnded } from './jobs.js';
import { complain, say } from './toasts.js';

const QUEUE = '/queue/default';
const PAGE = 40;
/** Twice as many are the most that one request may name. */
const MOST = 500;

export const counts = signal(null);
export const paused = signal(false);
export const items = signal([]);
/** 'idle', 'loading', 'ready' or {failed}. */
export const itemsState = signal('idle');
export const moreItems = signal(false);
/** Whose jobs the list shows: 'mine' or 'all'. */
export const whose = signal('mine');
/** Id of a waiting job -> how many jobs come before it, as far as the server tells. */
export const places = signal({});

/** True when nothing has been there to render with for a while. */
export const idle = signal(false);
/** So long may a worker take to start anew, ms. */
const AWAY = 5000;
let away = null;

function noteWorkers(ready) {
  if (ready !== 0) {
    clearTimeout(away);
    away = null;
    idle.value = false;
  } else if (!away) {
    away = setTimeout(() => (idle.value = true), AWAY);
  }
}

/** {mine, all}: jobs waiting or running. */
export const busy = computed(() => {
  const now = counts.value;
  if (!now) {
    return { mine: 0, all: 0 };
  }
  const all = now.pending + now.in_progress;
  const mine = now.user_pending === null ? all : (now.user_pending || 0) + (now.user_in_progress || 0);
  return { mine, all };
});

const status = freshReader(
  () => get(`${QUEUE}/status`),
  (answer) => {
    counts.value = answer.queue;
    paused.value = !answer.processor.is_started;
    noteWorkers(answer.processor.workers);
  },
  // The badge keeps its last number; the banner already says that the server is away.
  () => {},
);
const loadCounts = status.read;

let limit = PAGE;
const seesAll = () => solo.value || isAdmin.value;

const list = freshReader(
  async () => {
    const ask = (mine) => get(`${QUEUE}/item_ids`, { order_dir: 'DESC', mine, places: true });
    const onlyMine = whose.value === 'mine' && !solo.value;
    // What others have done is not for everybody to see: there the list is of one's own.
    const [asked, own] = await Promise.all([ask(onlyMine), onlyMine || seesAll() ? null : ask(true)]);
    const before = asked.jobs_before;
    const turn = (id) => before[id] ?? Infinity;
    const waiting = [...asked.pending].sort((a, b) => (turn(a) === turn(b) ? a - b : turn(a) - turn(b)));
    const open = [...asked.in_progress, ...waiting];
    const there = new Set(open);
    const done = (own || asked).item_ids.filter((id) => !there.has(id));
    const page = [...open.slice(0, limit), ...done.slice(0, limit)];
    const found = page.length ? await post(`${QUEUE}/items_by_ids`, { item_ids: page }) : [];
    return { found, before, more: limit < MOST && open.length + done.length > page.length };
  },
  ({ found, before, more }) => {
    items.value = found;
    places.value = before;
    moreItems.value = more;
    itemsState.value = 'ready';
  },
  (error) => {
    if (itemsState.value !== 'ready') {
      itemsState.value = { failed: error.message };
    }
  },
);

export function loadItems() {
  if (itemsState.value !== 'ready') {
    itemsState.value = 'loading';
  }
  return list.read();
}

/** Shows one's own jobs, or everybody's. */
export function showWhose(next) {
  whose.value = next;
  limit = PAGE;
  items.value = [];
  moreItems.value = false;
  itemsState.value = 'loading';
  return list.read();
}

export function loadMoreItems() {
  limit = Math.min(MOST, limit + PAGE);
  return loadItems();
}

let timer = 0;
let stale = false;

async function refresh() {
  stale = false;
  if (user.value) {
    await Promise.allSettled([loadCounts(), watching && loadItems()]);
  }
  timer = 0;
  if (stale) {
    refreshSoon();
  }
}

/** Reads the numbers again, and the list where it is on screen: once for several events, one after another, also when events never pause. */
function refreshSoon() {
  stale = true;
  timer ||= setTimeout(refresh, 300);
}

let watching = false;
/** The queue page says when it is on screen. */
export function watchItems(on_) {
  watching = on_;
  if (on_) {
    loadItems();
    loadCounts();
  }
}

async function act(path, done) {
  try {
    await put(`${QUEUE}/${path}`);
    say(done);
  } catch (error) {
    complain(error);
  }
  refreshSoon();
}

export const stopAllWaiting = () => act('cancel_all_except_current', 'Waiting jobs were taken out of the queue.');
export const pause = () => act('processor/pause', 'The queue is paused. Running jobs still finish.');
export const resume = () => act('processor/resume', 'The queue goes on.');

/**
 * Removes finished jobs for good: one's own, or everybody's, which is for administrators.
 * @throws {ApiError}
 */
export async function tidyUp(everyones) {
  await put(`${QUEUE}/prune`, undefined, { query: { mine: !everyones && !solo.value } });
  forgetEnded();
  refreshSoon();
  say('Finished jobs were removed. Pictures stay in the gallery.');
}

export function startQueue() {
  ['batch_enqueued', 'queue_item_status_changed', 'queue_cleared', 'queue_pruned', 'queue_items_retried', 'queue_items_canceled', 'workers_changed'].forEach(
    (event) => on(event, refreshSoon),
  );
  // Counted once the line is open, so that nothing is missed between the two; or where it can't be opened.
  effect(() => {
    if (link.value !== 'off') {
      refreshSoon();
    }
  });
  onLeave(() => {
    clearTimeout(timer);
    timer = 0;
    stale = false;
    counts.value = null;
    noteWorkers(null);
    items.value = [];
    places.value = {};
    moreItems.value = false;
    whose.value = 'mine';
    itemsState.value = 'idle';
    limit = PAGE;
    watching = false;
  });
}
