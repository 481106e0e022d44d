// Boards: the list, and every change to one. Changes show at once and take themselves back when refused.
import { computed, signal } from '@preact/signals';
import { del, get, patch, post } from '../core/api.js';
import { isAdmin, myId, onLeave, solo } from '../core/session.js';
import { complain, say, sayWithUndo } from './toasts.js';

export const VISIBILITY = [
  ['private', 'Only you', 'Nobody else here can see this board.'],
  ['shared', 'Everyone here can see', 'Others can look at the pictures, and change nothing.'],
  ['public', 'Everyone here can add', 'Others can add, move and delete pictures here.'],
];
export const visibilityWords = (board) => VISIBILITY.find(([key]) => key === board.board_visibility)?.[1] || 'Only you';

export const boards = signal([]);
/** 'idle', 'loading', 'ready' or {failed}. */
export const boardsState = signal('idle');

export const isOwn = (board) => solo.value || board.user_id === myId.value;
export const canManage = (board) => isOwn(board) || isAdmin.value;
export const canAdd = (board) => canManage(board) || board.board_visibility === 'public';
/** Whether a picture with this record may be starred, moved and deleted; one without a board is the reader's own. */
export const canChange = (record) => {
  const board = record?.board_id && boardById(record.board_id);
  return !board || canAdd(board);
};
export const boardById = (id) => boards.value.find((board) => board.board_id === id);

/** Own boards first, then those of others; the newest first in both. */
export const sortedBoards = computed(() => [...boards.value].sort((a, b) => Number(isOwn(b)) - Number(isOwn(a))));

export async function loadBoards() {
  if (boardsState.value !== 'ready') {
    boardsState.value = 'loading';
  }
  try {
    boards.value = await get('/boards/', { all: true, order_by: 'created_at', direction: 'DESC' });
    boardsState.value = 'ready';
  } catch (error) {
    boardsState.value = { failed: error.message };
  }
}

/** Loads once; pages call it when they need boards. */
export const needBoards = () => (boardsState.value === 'idle' ? loadBoards() : null);

export async function createBoard(name) {
  const board = await post('/boards/', undefined, { query: { board_name: name } });
  boards.value = [board, ...boards.value];
  return board;
}

const replace = (id, board) => {
  boards.value = boards.value.map((other) => (other.board_id === id ? board : other));
};

export async function changeBoard(board, changes) {
  replace(board.board_id, { ...board, ...changes });
  try {
    replace(board.board_id, { ...board, ...(await patch(`/boards/${board.board_id}`, changes)) });
  } catch (error) {
    replace(board.board_id, board);
    complain(error);
  }
}

/** Takes the board away at once; the server hears of it when the time for undo is over. */
export function deleteBoard(board, withPictures, done) {
  const before = boards.value;
  boards.value = before.filter((other) => other !== board);
  const back = () => {
    boards.value = [...boards.value, board].sort((a, b) => before.indexOf(a) - before.indexOf(b));
    done();
  };
  const act = async (keepalive) => {
    try {
      await del(`/boards/${board.board_id}`, { query: { include_images: withPictures }, keepalive });
      done();
    } catch (error) {
      back();
      complain(error);
    }
  };
  sayWithUndo(`Board “${board.board_name}” deleted.`, act, back);
}

/** Adds to or takes from the counts shown; the next load brings the true ones. */
export function countUp(boardId, n) {
  const board = boardById(boardId);
  if (board) {
    replace(boardId, { ...board, image_count: Math.max(0, board.image_count + n) });
  }
}

/** Says who sees the board from now on. */
export const tellShared = (board) => say(`${board.board_name}: ${visibilityWords(board).toLowerCase()}.`);

export function startBoards() {
  onLeave(() => {
    boards.value = [];
    boardsState.value = 'idle';
  });
}
