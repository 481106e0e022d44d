// Boards: the list, and every change to one. Changes show at once and take themselves back when refused.
import { computed, signal } from '@preact/signals';
import { del, get, patch, post } from '../core/api.js';
import { freshReader } from '../core/fresh.js';
import { on } from '../core/live.js';
import { onReturn } from '../core/return.js';
import { isAdmin, myId, onLeave, solo } from '../core/session.js';
import { apart, brief, count, plain } from '../core/words.js';
import { complain, say, sayWithUndo } from './toasts.js';

export const VISIBILITY = [
  ['private', 'Private', 'Only you, and the people you choose below, if any.'],
  ['shared', 'Everyone here can see', 'Others can look at the pictures, and change nothing.'],
  ['public', 'Everyone here can add', 'Others can add pictures here, and delete any of them.'],
];
/** What a person whom a board is shared with may do. */
export const RIGHTS = [
  ['read', 'can look'],
  ['write', 'can add'],
  ['admin', 'can rename and share'],
];
/** Who sees a board, from where this person stands: who may read with how many people it is shared is told. */
export function visibilityWords(board) {
  if (board.board_visibility === 'private' && !isOwn(board) && board.permission) {
    return 'Shared with you';
  }
  if (board.board_visibility === 'private' && board.share_count) {
    return `Shared with ${count(board.share_count, 'person', 'people')}`;
  }
  return VISIBILITY.find(([key]) => key === board.board_visibility)?.[1] || 'Private';
}
/** The name of a board's owner; administrators may get an address where there is no name. */
export const ownerName = (board) => apart(plain(board.owner_name) || board.owner_username || 'Somebody without a name');
/** What stands below a board's name: whose it is, unless it is one's own, and how much is on it. */
export function boardLine(board) {
  const n = count(board.image_count + (board.asset_count || 0), 'picture');
  return isOwn(board) ? n : `${ownerName(board)} · ${n}`;
}

/** The icon for who sees a board: a person where some were chosen by name. */
export const visibilityIcon = (board) =>
  ({ shared: 'eye', public: 'people' })[board.board_visibility] || (board.share_count || (board.permission && !isOwn(board)) ? 'person' : 'lock');

export const boards = signal([]);
/** 'idle', 'loading', 'ready' or {failed}. */
export const boardsState = signal('idle');

export const isOwn = (board) => solo.value || board.user_id === myId.value;
/** What the owner has granted this person by name comes with each board. */
const granted = (board, ...rights) => rights.includes(board.permission);
export const canDelete = (board) => isOwn(board) || isAdmin.value;
export const canManage = (board) => canDelete(board) || granted(board, 'admin');
export const canAdd = (board) => canManage(board) || board.board_visibility === 'public' || granted(board, 'write');
/**
 * Whether a picture with this record may be starred and deleted. One without a board, or on a board that this person
 * couldn't see when the record was read, is their own; while the boards are still on their way nothing is known about it.
 */
export const canChange = (record) => {
  if (!record?.board_id) {
    return true;
  }
  const board = boardById(record.board_id);
  return board ? canAdd(board) : !['idle', 'loading'].includes(boardsState.value);
};
export const boardById = (id) => boards.value.find((board) => board.board_id === id);

/** What stands for a board where there is none: one's own pictures that lie on no board, and, for administrators, everyone's. */
export const UNSORTED = 'none';
export const ALL_UNSORTED = 'everyone';
/** The id of a real board, null for what only stands for one. */
export const realBoard = (id) => (id === UNSORTED || id === ALL_UNSORTED ? null : id);
/** What such a thing is called. */
export const unsortedName = (id) => (id === ALL_UNSORTED ? 'Everyone’s unsorted' : 'Unsorted');

/** Which group of boardGroups a board is in. */
const groupOf = (board) => (isOwn(board) ? 0 : board.permission ? 1 : 2);

/** Own boards, those shared with this person by name, and the rest: open ones, for administrators all. The newest first in each. */
export const boardGroups = computed(() => {
  const [mine, named, rest] = [0, 1, 2].map((group) => boards.value.filter((board) => groupOf(board) === group));
  const restWords = isAdmin.value ? 'Other people’s boards' : 'Open to everyone here';
  return [
    { words: 'My boards', list: mine },
    { words: 'Shared with me', list: named },
    { words: restWords, list: rest },
  ];
});
/** All of them in that order. */
export const sortedBoards = computed(() => boardGroups.value.flatMap(({ list }) => list));

/** Boards that are gone from the screen while their deletion can still be taken back. */
const removing = new Set();

const list = freshReader(
  () => get('/boards/', { all: true, order_by: 'created_at', direction: 'DESC' }),
  (answer) => {
    boards.value = answer.filter((board) => !removing.has(board.board_id));
    boardsState.value = 'ready';
  },
  (error) => {
    if (boardsState.value !== 'ready') {
      boardsState.value = { failed: error.message };
    }
  },
);

let reading = null;

export function loadBoards() {
  if (boardsState.value !== 'ready') {
    boardsState.value = 'loading';
  }
  reading = list.read();
  return reading;
}

/** Runs `act`, which changes boards on the server. What is read meanwhile is read once more. */
async function changing(act) {
  list.changed();
  try {
    return await act();
  } finally {
    list.changed();
  }
}

/** Loads once; pages call it when they need boards. Resolves when the list is there, or can't be had. */
export const needBoards = () => (boardsState.value === 'idle' ? loadBoards() : reading);

export async function createBoard(name) {
  const board = await changing(() => post('/boards/', undefined, { query: { board_name: name } }));
  boards.value = [board, ...boards.value.filter((other) => other.board_id !== board.board_id)];
  return board;
}

const replace = (id, board) => {
  boards.value = boards.value.map((other) => (other.board_id === id ? board : other));
};

export async function changeBoard(board, changes) {
  const before = Object.fromEntries(Object.keys(changes).map((key) => [key, board[key]]));
  const show = (part) => replace(board.board_id, { ...boardById(board.board_id), ...part });
  show(changes);
  try {
    show(await changing(() => patch(`/boards/${board.board_id}`, changes)));
  } catch (error) {
    show(before);
    complain(error);
  }
}

/** Takes the board away at once; the server hears of it when the time for undo is over. */
export function deleteBoard(board, withPictures, done) {
  const id = board.board_id;
  const order = boards.value.map((other) => other.board_id);
  const others = () => boards.value.filter((other) => other.board_id !== id);
  const place = (other) => order.indexOf(other.board_id);
  removing.add(id);
  boards.value = others();
  const back = () => {
    removing.delete(id);
    boards.value = [...others(), board].sort((a, b) => place(a) - place(b));
    done();
  };
  const act = async (keepalive) => {
    try {
      await changing(() => del(`/boards/${id}`, { query: { include_images: withPictures }, keepalive }));
      removing.delete(id);
      done();
    } catch (error) {
      back();
      complain(error);
    }
  };
  sayWithUndo(`Board “${brief(board.board_name)}” deleted.`, act, back);
}

/** With how many people a board is shared by name, as just read. */
export function noteShares(boardId, n) {
  const board = boardById(boardId);
  if (board && board.share_count !== n) {
    replace(boardId, { ...board, share_count: n });
  }
}

/** Adds to or takes from the counts shown; the next load brings the true ones. */
export function countUp(boardId, n) {
  const board = boardById(boardId);
  if (board) {
    replace(boardId, { ...board, image_count: Math.max(0, board.image_count + n) });
  }
}

/** Says who sees the board from now on. */
export const tellShared = (board) => say(`${brief(board.board_name)}: ${visibilityWords(board).toLowerCase()}.`);

/** What others share shows itself when one comes back to the page, and after a gap in the line. */
function refresh() {
  if (boardsState.value !== 'idle' && document.visibilityState === 'visible') {
    loadBoards();
  }
}

let timer = 0;
/** Not everybody at once, and once for several. */
function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, 200 + Math.random() * 400);
}

export function startBoards() {
  on('boards_changed', refreshSoon);
  onReturn(refresh);
  on('reconnected', refresh);
  onLeave(() => {
    clearTimeout(timer);
    boards.value = [];
    boardsState.value = 'idle';
    removing.clear();
  });
}
