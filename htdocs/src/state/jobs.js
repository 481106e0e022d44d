// The person's own jobs: cards of the feed, each with one job per picture, kept up to date by live events.
import { signal } from '@preact/signals';
import { get, post, put } from '../core/api.js';
import { pictureOf, pictureOfEvent, seedsFrom, textToPicture, wishOf } from '../core/graph.js';
import { on } from '../core/live.js';
import { myId, onLeave, solo } from '../core/session.js';
import { toDate } from '../core/words.js';
import { choose, refreshModels } from './wish.js';
import { complain, say, spoken } from './toasts.js';

const QUEUE = '/queue/default';
const PAGE = 24;
/** Pages that one wish for older pictures reads at most, each longer than the last. */
const PAGES = 5;
const FINAL = new Set(['completed', 'failed', 'canceled']);

/** Cards, newest first: {key, wish, created, jobs: Signal<Job>[]}. */
export const cards = signal([]);
/** 'loading', 'ready' or {failed}. */
export const feedState = signal('idle');
export const moreJobs = signal(false);

let ids = [];
/** Ids that were asked for, whether or not a card came of them. */
const asked = new Set();
let sending = 0;
let headTimer = 0;
let tempKey = 0;
const byItem = new Map();
let early = [];

export const isFinal = (job) => FINAL.has(job.status);
export const jobOf = (itemId) => byItem.get(itemId);
const isMine = (thing) => solo.value || thing.user_id === myId.value;

/** Numbers of jobs that have been asked to be tried again. */
export const retried = signal(new Set());

export const rootOf = (item) => item.retried_from_item_id ?? item.item_id;

/** The last try of each job: first number -> last number. */
export const lastTries = (items) => items.reduce((last, item) => last.set(rootOf(item), Math.max(item.item_id, last.get(rootOf(item)) || 0)), new Map());

/** Jobs in the order of their places; a job that was tried again gives its place to the next try. */
function inPlaces(jobs) {
  const last = new Map();
  for (const { value } of jobs) {
    last.set(value.root, Math.max(value.id, last.get(value.root) || 0));
  }
  return jobs
    .filter(({ value }) => !['failed', 'canceled'].includes(value.status) || last.get(value.root) === value.id)
    .sort((a, b) => a.value.root - b.value.root || a.value.id - b.value.id);
}

/** A Job as cards and queue show it. */
export function toJob(item) {
  return {
    id: item.item_id,
    // The job that was tried first: every further try of it belongs in the same place.
    root: rootOf(item),
    status: item.status,
    wish: wishOf(item),
    picture: pictureOf(item),
    // Its results have been read: what has no picture by now gets none.
    settled: FINAL.has(item.status),
    error: item.error_message,
    // The key of the model that has to come before the job can run.
    awaits: item.held_for,
    created: item.created_at,
    started: item.started_at,
    completed: item.completed_at,
    percent: null,
    preview: null,
    message: '',
  };
}

const change = (job, changes) => {
  job.value = { ...job.value, ...changes };
};

function place(item) {
  const known = byItem.get(item.item_id);
  if (known) {
    const { percent, preview, message, picture } = known.value;
    // What is over stays over: the answer may be older than the event that said so.
    if (!isFinal(known.value) || FINAL.has(item.status)) {
      change(known, { ...toJob(item), percent, preview, message, picture: pictureOf(item) || picture, gone: known.value.gone });
    }
    return null;
  }
  const job = signal(toJob(item));
  byItem.set(item.item_id, job);
  return job;
}

function group(items) {
  const fresh = new Map();
  for (const item of items) {
    const job = place(item);
    if (!job) {
      continue;
    }
    const card = fresh.get(item.batch_id) || { key: item.batch_id, wish: job.value.wish, created: item.created_at, jobs: [] };
    card.jobs.unshift(job);
    fresh.set(item.batch_id, card);
  }
  const joined = cards.value.map((card) => {
    const more = fresh.get(card.key);
    fresh.delete(card.key);
    return more ? { ...card, jobs: inPlaces([...card.jobs, ...more.jobs]) } : card;
  });
  const added = [...fresh.values()].map((card) => ({ ...card, jobs: inPlaces(card.jobs) }));
  cards.value = [...joined, ...added].sort((a, b) => toDate(b.created) - toDate(a.created));
}

const fetchItems = (itemIds) => post(`${QUEUE}/items_by_ids`, { item_ids: itemIds });

const unread = () => ids.filter((id) => !asked.has(id));

async function read(page) {
  if (page.length) {
    group((await fetchItems(page)).filter((item) => item.session));
    page.forEach((id) => asked.add(id));
  }
  moreJobs.value = unread().length > 0;
}

const askIds = async () => (await get(`${QUEUE}/item_ids`, { order_dir: 'DESC', mine: !solo.value })).item_ids;

/** Reads the newest of the person's own jobs, however many others made since. */
export async function loadFeed() {
  if (feedState.value === 'idle' || feedState.value.failed) {
    feedState.value = 'loading';
  }
  try {
    ids = await askIds();
    await read(ids.slice(0, PAGE));
    feedState.value = 'ready';
  } catch (error) {
    feedState.value = { failed: error.message };
  }
}

/** After a gap in the line: what was missed, also by jobs too old for the first page. */
async function catchUp() {
  await loadFeed();
  const fresh = new Set(ids.slice(0, PAGE));
  for (const [id, job] of byItem) {
    if (!isFinal(job.value) && !fresh.has(id)) {
      refreshJob(id);
    }
  }
}

/** The line is open for the first time: whatever moved or came between reading the feed and now was not heard of. */
async function firstHeard() {
  if (sending || [...byItem.values()].some((job) => !isFinal(job.value))) {
    catchUp();
  } else if (feedState.value !== 'idle') {
    // When it fails, the next event finds its job unknown and reads the feed.
    const newest = await askIds().then((list) => list[0], () => ids[0]);
    if (newest !== ids[0]) {
      loadFeed();
    }
  }
}

let reading = false;
export async function loadMoreJobs() {
  if (reading) {
    return;
  }
  reading = true;
  const before = cards.value.length;
  try {
    // A page may hold nothing but more of a large batch: whoever asks for older pictures shall see some.
    for (let pages = 1; pages <= PAGES && unread().length && cards.value.length === before; pages += 1) {
      await read(unread().slice(0, PAGE * pages * pages));
    }
  } catch (error) {
    complain(error);
  }
  reading = false;
}

function optimisticCard(wish, seeds) {
  const created = new Date().toISOString();
  const jobs = seeds.map((seed) =>
    signal({ ...toJob({ status: 'pending', created_at: created }), wish: { ...wish, seed }, sending: true }),
  );
  return { key: `new-${++tempKey}`, wish: { ...wish, seed: seeds[0] }, created, jobs };
}

function adopt(card, answer) {
  const jobs = [...card.jobs];
  answer.item_ids.forEach((id, i) => {
    // Reading the feed may have met the new jobs before this answer came.
    if (byItem.has(id)) {
      jobs[i] = byItem.get(id);
    } else if (jobs[i]) {
      change(jobs[i], { id, root: id, sending: false });
      byItem.set(id, jobs[i]);
    }
  });
  const key = answer.batch.batch_id;
  const mine = { ...card, key, jobs, stays: card.key };
  cards.value = cards.value.filter((other) => other.key !== key).map((other) => (other.key === card.key ? mine : other));
}

function playEarly() {
  const events = early;
  early = [];
  events.forEach(([handler, event]) => handler(event));
}

/**
 * Asks for pictures. The card is there at once; it goes away again when the server refuses.
 * @returns {Promise<boolean>} whether the server took it
 */
export async function createPictures(wish) {
  const seeds = seedsFrom(wish.seed, wish.count);
  const card = optimisticCard(wish, seeds);
  cards.value = [card, ...cards.value];
  sending += 1;
  try {
    const answer = await post(`${QUEUE}/enqueue_batch`, textToPicture(wish, seeds, wish.boardId));
    adopt(card, answer);
    return true;
  } catch (error) {
    cards.value = cards.value.filter((other) => other !== card);
    if (error.status === 404 && wish.boardId) {
      choose({ boardId: undefined });
    }
    if (error.status === 409) {
      refreshModels(); // the model is not there any more
    }
    complain(error);
    return false;
  } finally {
    sending -= 1;
    playEarly();
  }
}

export async function cancelJob(id) {
  const job = byItem.get(id);
  const before = job?.value;
  if (job) {
    change(job, { status: 'canceled' });
  }
  try {
    await put(`${QUEUE}/i/${id}/cancel`);
  } catch (error) {
    if (job) {
      job.value = before;
    }
    complain(error);
  }
}

/** Cancels every waiting job of a card, in one request however many they are. */
export async function cancelCard(card) {
  const waiting = card.jobs.filter((job) => !isFinal(job.value) && !job.value.sending);
  const before = waiting.map((job) => job.value.status);
  waiting.forEach((job) => change(job, { status: 'canceled' }));
  try {
    await put(`${QUEUE}/cancel_by_batch_ids`, { batch_ids: [card.key] });
  } catch (error) {
    waiting.forEach((job, i) => job.value.status === 'canceled' && change(job, { status: before[i] }));
    complain(error);
  }
}

const markRetried = (list, yes) => {
  const rest = [...retried.value].filter((id) => !list.includes(id));
  retried.value = new Set(yes ? [...rest, ...list] : rest);
};

/** Tries jobs again, each once however often this is asked for. Their places in the feed go to the new jobs. */
export async function retryJobs(list) {
  const fresh = list.filter((id) => !retried.value.has(id));
  if (!fresh.length) {
    return;
  }
  markRetried(fresh, true);
  let refused = fresh;
  try {
    const taken = new Set((await put(`${QUEUE}/retry_items_by_id`, fresh)).retried_item_ids);
    refused = fresh.filter((id) => !taken.has(id));
    if (refused.length) {
      say('Not all of that can be tried again: it is gone, or too many jobs wait already.', 'bad');
    }
  } catch (error) {
    complain(error);
  }
  markRetried(refused, false);
  if (feedState.value === 'ready' && refused.length < fresh.length) {
    clearTimeout(headTimer);
    loadFeed();
  }
}

/** Takes jobs out of the feed for which `isGone(job)` holds. */
function forget(isGone) {
  for (const [id, job] of byItem) {
    if (isGone(job.value)) {
      byItem.delete(id);
    }
  }
  const left = cards.value.map((card) => ({ ...card, jobs: card.jobs.filter((job) => !isGone(job.value)) }));
  cards.value = left.filter((card) => card.jobs.length);
}

/** The server has no ended jobs of this person any more: the feed shows none. */
export const forgetEnded = () => forget(isFinal);

/** Jobs were removed from the queue, here or elsewhere: what the server has no more goes from the feed. */
async function dropRemoved(event) {
  if (feedState.value === 'idle' || (event.user_id && !isMine(event))) {
    return;
  }
  const before = new Set(byItem.keys());
  await loadFeed();
  if (feedState.value === 'ready') {
    const there = new Set(ids);
    forget((job) => before.has(job.id) && !there.has(job.id));
  }
}

/** A picture was deleted: its place in the feed says so. */
export function pictureGone(names, back = false) {
  for (const job of byItem.values()) {
    if (names.includes(job.value.picture)) {
      change(job, { gone: !back });
    }
  }
}

function refreshJob(id) {
  get(`${QUEUE}/i/${id}`).then(place, (error) => {
    if (error.status === 404) {
      change(byItem.get(id), { status: 'canceled' });
    }
  });
}

function refreshHead() {
  clearTimeout(headTimer);
  headTimer = setTimeout(loadFeed, 250);
}

/** Finds the job of an event; events that overtake the answer to our own request wait for it. */
function target(event, handler) {
  const job = byItem.get(event.item_id);
  if (!job && isMine(event)) {
    if (sending) {
      early.push([handler, event]);
    } else {
      refreshHead();
    }
  }
  return job;
}

function onProgress(event) {
  const job = target(event, onProgress);
  if (job && !isFinal(job.value)) {
    change(job, {
      status: 'in_progress',
      started: job.value.started || new Date().toISOString(),
      percent: event.percentage ?? job.value.percent,
      preview: event.image?.dataURL || job.value.preview,
      message: event.message || '',
    });
  }
}

function onComplete(event) {
  const job = target(event, onComplete);
  const name = pictureOfEvent(event);
  if (job && name) {
    change(job, { picture: name, percent: 1 });
  }
}

function onStatus(event) {
  const job = target(event, onStatus);
  if (!job || (isFinal(job.value) && event.status === 'in_progress')) {
    return;
  }
  const { status } = event;
  change(job, {
    status,
    started: event.started_at || job.value.started,
    completed: event.completed_at,
    error: event.error_message || job.value.error,
    ...(isFinal(event) ? { preview: status === 'completed' ? job.value.preview : null } : {}),
  });
  if (status === 'pending') {
    refreshJob(event.item_id); // it begins to wait for its model, or waits for it no more
  } else if (status === 'completed') {
    spoken.value = `Your picture is ready: ${job.value.wish.prompt.slice(0, 80)}`;
    if (!job.value.picture) {
      refreshJob(event.item_id);
    }
  } else if (status === 'failed') {
    spoken.value = 'A picture could not be made.';
  }
}

export function startJobs() {
  on('invocation_progress', onProgress);
  on('invocation_complete', onComplete);
  on('queue_item_status_changed', onStatus);
  on('batch_enqueued', (event) => {
    const known = sending || cards.value.some((card) => card.key === event.batch_id);
    if (isMine(event) && !known) {
      refreshHead();
    }
  });
  on('queue_items_retried', refreshHead);
  on('connected', firstHeard);
  on('reconnected', catchUp);
  ['queue_cleared', 'queue_pruned'].forEach((event) => on(event, dropRemoved));
  onLeave(() => {
    cards.value = [];
    feedState.value = 'idle';
    moreJobs.value = false;
    retried.value = new Set();
    byItem.clear();
    early = [];
    sending = 0;
    reading = false;
    ids = [];
    asked.clear();
  });
}
