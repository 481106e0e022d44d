// The gallery: names first, pictures as they come into view, and everything that can be done with them.
import { signal } from '@preact/signals';
import { api, get, post } from '../core/api.js';
import { on } from '../core/live.js';
import { onLeave } from '../core/session.js';
import { count } from '../core/words.js';
import { boardById, canChange, countUp, loadBoards } from './boards.js';
import { pictureGone } from './jobs.js';
import { complain, say, sayWithUndo } from './toasts.js';

const CHUNK = 60;

/** What is shown: board is a board id or 'none'; search is free text. */
export const view = signal({ board: 'none', search: '' });
export const names = signal([]);
/** 'idle', 'loading', 'ready' or {failed}. */
export const namesState = signal('idle');
export const selection = signal(new Set());
/** Running uploads: {id, name, failed?}. */
export const uploads = signal([]);

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

const keep = (dto) => {
  picture(dto.image_name).value = dto;
};

async function readWanted() {
  const list = [...wanted].slice(0, CHUNK);
  list.forEach((name) => wanted.delete(name));
  if (wanted.size) {
    timer = setTimeout(readWanted, 30);
  }
  try {
    const found = await post('/images/images_by_names', { image_names: list });
    found.forEach(keep);
    const there = new Set(found.map((dto) => dto.image_name));
    pictureGone(list.filter((name) => !there.has(name)));
  } catch {
    // The tiles stay as they are; scrolling asks again.
  }
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

let generation = 0;
const removing = new Set();

export async function loadNames({ quiet = false } = {}) {
  const mine = ++generation;
  if (!quiet) {
    namesState.value = 'loading';
    names.value = [];
  }
  const { board, search } = view.value;
  try {
    const answer = await get('/images/names', {
      board_id: board,
      is_intermediate: false,
      order_dir: 'DESC',
      starred_first: false,
      search_term: search || undefined,
    });
    if (mine === generation) {
      names.value = answer.image_names.filter((name) => !removing.has(name));
      namesState.value = 'ready';
    }
  } catch (error) {
    if (mine === generation) {
      namesState.value = { failed: error.message };
    }
  }
}

export function show(next) {
  const same = namesState.value === 'ready' && next.board === view.value.board && next.search === view.value.search;
  if (!same) {
    selection.value = new Set();
  }
  view.value = next;
  loadNames({ quiet: same });
}

/** Says so when some of these are only to look at; the server would refuse the change. */
function onlyToLookAt(list) {
  // A record that has not been read yet is judged by the board it is shown on.
  const locked = !list.every((name) => canChange(picture(name).value || { board_id: view.value.board }));
  if (locked) {
    say('This board belongs to someone else. You can look at its pictures, and change nothing.', 'bad');
  }
  return locked;
}

export async function star(list, starred) {
  if (onlyToLookAt(list)) {
    return;
  }
  const before = list.map((name) => picture(name).value);
  list.forEach((name) => picture(name).value && keep({ ...picture(name).value, starred }));
  try {
    await post(starred ? '/images/star' : '/images/unstar', { image_names: list });
  } catch (error) {
    before.forEach((dto) => dto && keep(dto));
    complain(error);
  }
}

function takeOut(list) {
  const before = names.value;
  const out = new Set(list);
  names.value = before.filter((name) => !out.has(name));
  selection.value = new Set([...selection.value].filter((name) => !out.has(name)));
  return () => {
    const now = new Set(names.value);
    const restored = before.filter((name) => now.has(name) || out.has(name));
    names.value = [...names.value.filter((name) => !before.includes(name)), ...restored];
  };
}

/** Moves pictures to a board, or off every board with 'none'. */
export async function move(list, boardId) {
  const from = view.value.board;
  if (boardId === from || !list.length || onlyToLookAt(list)) {
    return;
  }
  const putBack = takeOut(list);
  countUp(boardId, list.length);
  countUp(from, -list.length);
  try {
    const body = { image_names: list };
    await (boardId === 'none'
      ? post('/board_images/batch/delete', body)
      : post('/board_images/batch', { ...body, board_id: boardId }));
    list.forEach((name) => picture(name).value && keep({ ...picture(name).value, board_id: boardId === 'none' ? null : boardId }));
    say(`${count(list.length, 'picture')} moved to ${boardId === 'none' ? 'Unsorted' : `“${boardById(boardId)?.board_name}”`}.`);
  } catch (error) {
    putBack();
    countUp(boardId, -list.length);
    countUp(from, list.length);
    complain(error);
  }
}

/** Takes pictures away at once; the server hears of it when the time for undo is over. */
export function remove(list) {
  if (onlyToLookAt(list)) {
    return;
  }
  const boardId = view.value.board;
  const putBack = takeOut(list);
  list.forEach((name) => removing.add(name));
  pictureGone(list);
  countUp(boardId, -list.length);
  const back = () => {
    list.forEach((name) => removing.delete(name));
    putBack();
    pictureGone(list, true);
    countUp(boardId, list.length);
  };
  const act = async (keepalive) => {
    try {
      const answer = await post('/images/delete', { image_names: list }, { keepalive });
      list.forEach((name) => removing.delete(name));
      if (answer.deleted_images.length < list.length) {
        say('Some of these pictures belong to someone else and stay.', 'bad');
        loadNames({ quiet: true });
      }
    } catch (error) {
      back();
      complain(error);
    }
  };
  sayWithUndo(list.length === 1 ? 'Picture deleted.' : `${count(list.length, 'picture')} deleted.`, act, back);
}

let uploadId = 0;

async function uploadOne(file, board) {
  const id = ++uploadId;
  uploads.value = [...uploads.value, { id, name: file.name }];
  const form = new FormData();
  form.append('file', file);
  const query = { image_category: 'user', is_intermediate: false, board_id: board === 'none' ? undefined : board };
  try {
    const dto = await api('POST', '/images/upload', { form, query });
    keep(dto);
    if (view.value.board === board) {
      names.value = [dto.image_name, ...names.value];
    }
    countUp(board, 1);
    return true;
  } catch (error) {
    say(`${file.name}: ${error.message}`, 'bad');
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
  if (!picture(name).value) {
    keep(await get(`/images/i/${encodeURIComponent(name)}`));
  }
  return picture(name).value;
}

let refreshTimer = 0;
function refreshSoon() {
  if (namesState.value === 'ready') {
    clearTimeout(refreshTimer);
    refreshTimer = setTimeout(() => {
      loadNames({ quiet: true });
      loadBoards();
    }, 400);
  }
}

export function startPictures() {
  on('invocation_complete', (event) => event.result?.image && refreshSoon());
  on('reconnected', refreshSoon);
  onLeave(() => {
    known.clear();
    wanted.clear();
    removing.clear();
    names.value = [];
    namesState.value = 'idle';
    selection.value = new Set();
    view.value = { board: 'none', search: '' };
  });
}
