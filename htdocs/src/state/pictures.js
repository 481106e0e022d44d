// The gallery: names first, pictures as they come into view, and everything that can be done with them.
import { effect, signal } from '@preact/signals';
import { api, get, patiently, post } from '../core/api.js';
import { freshReader } from '../core/fresh.js';
import { on } from '../core/live.js';
import { onReturn } from '../core/return.js';
import { route } from '../core/router.js';
import { myId, onLeave } from '../core/session.js';
import { recallJson, remember, rememberJson } from '../core/storage.js';
import { apart, brief, count } from '../core/words.js';
import { UNSORTED, boardById, boards, boardsState, canChange, countUp, loadBoards, needBoards, realBoard, unsortedName } from './boards.js';
import { pictureGone } from './jobs.js';
import { complain, say, sayWithUndo } from './toasts.js';

const CHUNK = 60;

const NOTHING = { board: UNSORTED, search: '', starred: false };

/** What is shown: board is the id of a board, UNSORTED or ALL_UNSORTED; search is free text; starred leaves out all others. */
export const view = signal(NOTHING);
export const names = signal([]);
/** 'idle', 'loading', 'ready' or {failed}. */
export const namesState = signal('idle');
export const selection = signal(new Set());
/** Running uploads: {id, name, failed?}. */
export const uploads = signal([]);

/** The first of the pictures whose deletion was just taken back. */
export const cameBack = signal(null);

const known = new Map();
const wanted = new Set();
let timer = 0;

/** Signal of a picture's record; null until it has been read. */
export function picture(name) {
  if (!known.has(name)) {
    known.set(name, signal(null));
  }
  return known.get(name);
}

/** Pictures that this person was shown and that the server has for them no more: deleted, or shared no more. */
export const gone = signal(new Set());

function noteGone(list) {
  list.forEach((name) => (picture(name).value = null));
  gone.value = new Set([...gone.value, ...list]);
}

const keep = (dto) => {
  picture(dto.image_name).value = dto;
  if (gone.value.has(dto.image_name)) {
    gone.value = new Set([...gone.value].filter((name) => name !== dto.image_name));
  }
};

/** How often each picture was changed here: a record that was asked for before a change may tell of the time before it. */
const touched = new Map();
const touch = (list) => list.forEach((name) => touched.set(name, (touched.get(name) || 0) + 1));

/** How often boards were lost from sight, and which was lost when last. */
let losses = 0;
const lostAt = new Map();
/** Whether a record tells of the time before its board was lost: it was asked for when that had happened only so often. */
const isPast = (dto, before) => lostAt.get(dto.board_id) > before;

/**
 * Reads the records of a list of pictures, anew if need be. A record that was changed here meanwhile is read once more, and so is
 * one whose board was lost from sight.
 */
export async function readRecords(list) {
  const before = list.map((name) => touched.get(name));
  const lost = losses;
  const found = await post('/images/images_by_names', { image_names: list });
  const past = new Set(found.filter((dto) => isPast(dto, lost)).map((dto) => dto.image_name));
  const stale = list.filter((name, i) => touched.get(name) !== before[i] || past.has(name));
  found.forEach((dto) => stale.includes(dto.image_name) || keep(dto));
  const there = new Set(found.map((dto) => dto.image_name));
  const missing = list.filter((name) => !there.has(name));
  pictureGone(missing);
  if (missing.length) {
    noteGone(missing);
  }
  if (stale.length) {
    await readRecords(stale);
  }
}

function readWanted() {
  const list = [...wanted].slice(0, CHUNK);
  list.forEach((name) => wanted.delete(name));
  if (wanted.size) {
    timer = setTimeout(readWanted, 30);
  }
  // When it fails, the tiles stay as they are; scrolling asks again.
  readRecords(list).catch(() => {});
}

/** Asks for records of pictures that came into view; near calls travel together. */
export function want(list) {
  const fresh = list.filter((name) => !picture(name).value);
  if (fresh.length) {
    fresh.forEach((name) => wanted.add(name));
    clearTimeout(timer);
    timer = setTimeout(readWanted, 30);
  }
}

/** How often records were forgotten: whoever shows pictures then wants those on display again. */
export const forgotten = signal(0);

let seen = new Set();
/** Of a board that is seen no more, nothing is known about whose its pictures are. */
function forgetUnseen() {
  const now = new Set(boards.value.map((board) => board.board_id));
  const lost = new Set([...seen].filter((board) => !now.has(board)));
  seen = now;
  if (!lost.size) {
    return;
  }
  losses += 1;
  lost.forEach((board) => lostAt.set(board, losses));
  known.forEach((record) => {
    if (lost.has(record.peek()?.board_id)) {
      record.value = null;
    }
  });
  // Not when they went because this person left.
  queueMicrotask(() => boardsState.peek() === 'ready' && (forgotten.value += 1));
}

const removing = new Set();

const reader = freshReader(
  async () => {
    const { board, search, starred } = view.value;
    const answer = await get('/images/names', {
      board_id: realBoard(board) || 'none',
      mine: board === UNSORTED || undefined,
      is_intermediate: false,
      order_dir: 'DESC',
      starred_first: starred,
      search_term: search || undefined,
    });
    return starred ? answer.image_names.slice(0, answer.starred_count) : answer.image_names;
  },
  (list) => {
    names.value = list.filter((name) => !removing.has(name));
    if (selection.value.size) {
      const there = new Set(list);
      selection.value = new Set([...selection.value].filter((name) => there.has(name)));
    }
    namesState.value = 'ready';
  },
  (error) => {
    if (namesState.value !== 'ready') {
      namesState.value = { failed: error.message };
    }
  },
);

export function loadNames({ quiet = false } = {}) {
  if (!quiet) {
    namesState.value = 'loading';
    names.value = [];
  }
  return reader.read();
}

/** Runs `act`, which changes these pictures on the server. What is read meanwhile is read once more. */
async function changing(list, act) {
  reader.changed();
  touch(list);
  try {
    return await act();
  } finally {
    reader.changed();
    touch(list);
  }
}

export function show(next) {
  const same = namesState.value === 'ready' && Object.keys(NOTHING).every((key) => next[key] === view.value[key]);
  if (!same) {
    selection.value = new Set();
  }
  view.value = next;
  loadNames({ quiet: same });
}

/** The board of a picture, null for none. Before its record has been read: the board that it is shown on. */
function boardOf(name) {
  const record = picture(name).value;
  const shownOn = names.value.includes(name) ? realBoard(view.value.board) : null;
  return record ? record.board_id || null : shownOn;
}

/** Says so when some of these are only to look at; the server would refuse the change. */
async function onlyToLookAt(list) {
  if (boardsState.value !== 'ready') {
    await needBoards();
  }
  const locked = !list.every((name) => canChange({ board_id: boardOf(name) }));
  if (locked) {
    say('This board belongs to someone else. You can look at its pictures, and change nothing.', 'bad');
  }
  return locked;
}

export async function star(list, starred) {
  if (await onlyToLookAt(list)) {
    return;
  }
  const mark = (flag) => list.forEach((name) => picture(name).value && keep({ ...picture(name).value, starred: flag(name) }));
  const before = new Map(list.map((name) => [name, picture(name).value?.starred]));
  mark(() => starred);
  try {
    await changing(list, () => post(starred ? '/images/star' : '/images/unstar', { image_names: list }));
    if (view.value.starred) {
      loadNames({ quiet: true });
    }
  } catch (error) {
    mark((name) => before.get(name) ?? !starred);
    complain(error);
  }
}

/** Stars these, or unstars them when all of them are starred. What is not known about them yet is asked for first. */
export async function toggleStar(list) {
  try {
    const unknown = list.filter((name) => !picture(name).value);
    if (unknown.length) {
      await readRecords(unknown);
    }
    await star(list, !list.every((name) => picture(name).value?.starred));
  } catch (error) {
    complain(error);
  }
}

function takeOut(list) {
  const before = names.value;
  const shown = view.value;
  const out = new Set(list);
  names.value = before.filter((name) => !out.has(name));
  selection.value = new Set([...selection.value].filter((name) => !out.has(name)));
  return () => {
    if (view.value !== shown) {
      loadNames({ quiet: true });
      return;
    }
    const now = new Set(names.value);
    const restored = before.filter((name) => now.has(name) || out.has(name));
    names.value = [...names.value.filter((name) => !before.includes(name)), ...restored];
  };
}

/** Moves pictures to a board, or off every board with UNSORTED. */
export async function move(list, boardId) {
  const from = view.value.board;
  if (boardId === from || !list.length || (await onlyToLookAt(list))) {
    return;
  }
  const putBack = takeOut(list);
  countUp(boardId, list.length);
  countUp(from, -list.length);
  try {
    const body = { image_names: list };
    await changing(list, () =>
      boardId === UNSORTED ? post('/board_images/batch/delete', body) : post('/board_images/batch', { ...body, board_id: boardId }),
    );
    list.forEach((name) => picture(name).value && keep({ ...picture(name).value, board_id: realBoard(boardId) }));
    say(`${count(list.length, 'picture')} moved to ${boardId === UNSORTED ? unsortedName(boardId) : `“${brief(boardById(boardId)?.board_name ?? '')}”`}.`);
  } catch (error) {
    putBack();
    countUp(boardId, -list.length);
    countUp(from, list.length);
    complain(error);
  }
}

/** What a page that closes may still send, all requests together: browsers cap that at 64 KiB. */
const LAST_BYTES = 60000;
/** As many pictures as one request deletes; the server takes twice as many. */
const MOST = 5000;
let lastBytes = 0;

/** Of a list that is to be deleted while the page closes: what can still be sent. The rest is left for the next time this person is here. */
function beforeClosing(list) {
  const fits = list.findIndex((name) => (lastBytes += name.length + 3) > LAST_BYTES);
  const now = fits < 0 ? list : list.slice(0, fits);
  if (now.length < list.length) {
    const key = `deleted:${myId.value}`;
    rememberJson(key, [...recallJson(key, []), ...list.slice(now.length)]);
  }
  return now;
}

/** @returns {Promise<number>} how many of them were deleted */
async function deleteOnServer(list, keepalive) {
  let done = 0;
  for (let i = 0; i < list.length; i += MOST) {
    const answer = await post('/images/delete', { image_names: list.slice(i, i + MOST) }, { keepalive });
    done += answer.deleted_images.length;
  }
  return done;
}

/** Deletes what was too much to be sent when the page was left. */
async function finishRemoving() {
  lastBytes = 0;
  const key = `deleted:${myId.value}`;
  const list = myId.value ? recallJson(key, []) : [];
  if (!list.length) {
    return;
  }
  remember(key, null);
  list.forEach((name) => removing.add(name));
  try {
    await changing(list, () => deleteOnServer(list));
  } catch {
    rememberJson(key, list);
  }
  list.forEach((name) => removing.delete(name));
}

/**
 * Takes pictures away at once; the server hears of it when the time for undo is over.
 * @returns {Promise<boolean>} whether they are gone from the screen
 */
export async function remove(list) {
  if (await onlyToLookAt(list)) {
    return false;
  }
  const from = list.map(boardOf);
  const putBack = takeOut(list);
  list.forEach((name) => removing.add(name));
  pictureGone(list);
  from.forEach((boardId) => countUp(boardId, -1));
  const back = () => {
    list.forEach((name) => removing.delete(name));
    putBack();
    pictureGone(list, true);
    from.forEach((boardId) => countUp(boardId, 1));
  };
  const act = async (pageCloses) => {
    const now = pageCloses ? beforeClosing(list) : list;
    try {
      const done = await changing(list, () => deleteOnServer(now, pageCloses));
      list.forEach((name) => removing.delete(name));
      if (done < now.length) {
        say('Some of these pictures belong to someone else and stay.', 'bad');
        loadNames({ quiet: true });
      }
    } catch (error) {
      back();
      complain(error);
    }
  };
  sayWithUndo(list.length === 1 ? 'Picture deleted.' : `${count(list.length, 'picture')} deleted.`, act, () => {
    back();
    cameBack.value = list[0];
  });
  return true;
}

let uploadId = 0;

async function uploadOne(file, board) {
  const id = ++uploadId;
  uploads.value = [...uploads.value, { id, name: file.name }];
  const form = new FormData();
  form.append('file', file);
  const query = { image_category: 'user', is_intermediate: false, board_id: realBoard(board) || undefined };
  try {
    const dto = await changing([], () => patiently(() => api('POST', '/images/upload', { form, query })));
    keep(dto);
    if (view.value.board === board && !view.value.search && !view.value.starred) {
      names.value = [dto.image_name, ...names.value.filter((name) => name !== dto.image_name)];
    }
    countUp(board, 1);
    return true;
  } catch (error) {
    say(`${apart(file.name)}: ${error.message}`, 'bad');
    return false;
  } finally {
    uploads.value = uploads.value.filter((upload) => upload.id !== id);
  }
}

/** Sends pictures one after another, so that a slow line shows progress and not a standstill. */
export async function upload(files, board) {
  const pictures = [...files].filter((file) => /^image\/(png|jpeg|webp)$/.test(file.type));
  if (pictures.length < files.length) {
    say('Only PNG, JPEG and WebP pictures can be added.', 'bad');
  }
  let done = 0;
  for (const file of pictures) {
    done += Number(await uploadOne(file, board));
  }
  if (done) {
    say(`${count(done, 'picture')} added.`);
  }
}

/** Metadata of a picture: an object, or null when the picture carries none. */
export const metadataOf = (name) => get(`/images/i/${encodeURIComponent(name)}/metadata`);

export async function readPicture(name) {
  while (!picture(name).value) {
    const before = losses;
    const dto = await get(`/images/i/${encodeURIComponent(name)}`);
    if (!isPast(dto, before)) {
      keep(dto);
    }
  }
  return picture(name).value;
}

let lookTimer = 0;
/** What changed in another tab, or by others, shows itself when one comes back to the gallery. Once for several reasons. */
function lookAgain() {
  clearTimeout(lookTimer);
  lookTimer = setTimeout(() => {
    if (namesState.value === 'ready' && route.value.path === '/gallery' && document.visibilityState === 'visible') {
      loadNames({ quiet: true });
    }
  }, 300);
}

let refreshTimer = 0;
function refreshSoon() {
  if (namesState.value !== 'idle') {
    clearTimeout(refreshTimer);
    refreshTimer = setTimeout(() => {
      loadNames({ quiet: true });
      loadBoards();
    }, 400);
  }
}

export function startPictures() {
  on('invocation_complete', (event) => event.result?.image && refreshSoon());
  // The first time too: what happened between the first look and the opening of the line was not heard of.
  ['connected', 'reconnected'].forEach((event) => on(event, refreshSoon));
  on('boards_changed', lookAgain);
  onReturn(lookAgain);
  // Also when the browser kept the page and shows it again.
  addEventListener('pageshow', (event) => event.persisted && finishRemoving());
  effect(() => {
    finishRemoving();
  });
  boards.subscribe(forgetUnseen);
  onLeave(() => {
    clearTimeout(lookTimer);
    known.clear();
    gone.value = new Set();
    wanted.clear();
    removing.clear();
    touched.clear();
    lostAt.clear();
    uploads.value = [];
    names.value = [];
    namesState.value = 'idle';
    selection.value = new Set();
    view.value = NOTHING;
  });
}
