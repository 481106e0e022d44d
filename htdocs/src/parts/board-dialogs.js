// Naming, sharing and deleting boards, and moving pictures to one.
import { useState } from 'preact/hooks';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { navigate } from '../core/router.js';
import { solo } from '../core/session.js';
import { UNSORTED, boardById, boardLine, boards, canAdd, canDelete, changeBoard, createBoard, deleteBoard, realBoard, sortedBoards, tellShared, unsortedName, VISIBILITY } from '../state/boards.js';
import { loadNames, move, view } from '../state/pictures.js';
import { brief, count } from '../core/words.js';
import { Button, TextField } from './controls.js';
import { Dialog } from './dialog.js';
import { Icon } from './icons.js';
import { Menu } from './menu.js';
import { NamedPeople } from './named-people.js';

const NAME_MAX = 300;

/** Asks for the name of a new board, or a new name for `board`. */
export function NameDialog({ board, onClose, onDone }) {
  const [name, setName] = useDraft(`board-name:${board?.board_id || 'new'}`, board?.board_name || '');
  const [error, setError] = useState('');
  const save = async (e) => {
    e.preventDefault();
    const clean = name.trim();
    if (!clean) {
      setError('Give the board a name.');
      return;
    }
    try {
      if (board) {
        onClose();
        await changeBoard(board, { board_name: clean });
      } else {
        const made = await createBoard(clean);
        onClose();
        onDone?.(made);
      }
    } catch (failure) {
      setError(failure.message);
    }
  };
  return html`<${Dialog} title=${board ? 'Rename board' : 'New board'} onClose=${onClose}>
    <form onSubmit=${save}><${TextField} label="Name" value=${name} onText=${setName} error=${error} maxlength=${NAME_MAX} autofocus required placeholder="Holiday, School, Ideas…" />
      <div class="form-end"><${Button} kind="main" type="submit">${board ? 'Rename' : 'Create board'}<//></div></form>
  <//>`;
}

function VisibilityDialog({ board, onClose }) {
  const pick = async (key) => {
    onClose();
    await changeBoard(board, { board_visibility: key });
    const now = boardById(board.board_id);
    if (now?.board_visibility === key) {
      tellShared(now);
    }
  };
  return html`<${Dialog} title=${`Who can see “${brief(board.board_name)}”`} onClose=${onClose}>
    <ul class="options">${VISIBILITY.map(
      ([key, words, hint]) => html`<li key=${key}><button type="button" aria-pressed=${String(board.board_visibility === key)} onClick=${() => pick(key)}>
        <${Icon} name=${{ private: 'lock', shared: 'eye', public: 'people' }[key]} /><span><strong>${words}</strong><span>${hint}</span></span>
        ${board.board_visibility === key && html`<${Icon} name="check" />`}</button></li>`,
    )}</ul>
    <${NamedPeople} board=${board} />
  <//>`;
}

function DeleteDialog({ board, onClose }) {
  const go = (withPictures) => {
    onClose();
    navigate('/gallery');
    deleteBoard(board, withPictures, () => !realBoard(view.value.board) && loadNames({ quiet: true }));
  };
  const n = board.image_count + (board.asset_count || 0);
  return html`<${Dialog} title=${`Delete “${brief(board.board_name)}”`} onClose=${onClose}>
    <p>${n ? `What should happen to ${count(n, 'picture')} on it?` : 'The board is empty.'} You can undo this for a few seconds.</p>
    <div class="stack">
      <${Button} icon="board" onClick=${() => go(false)}>${n ? 'Delete the board, keep the pictures' : 'Delete the board'}<//>
      ${n > 0 && html`<${Button} kind="danger" icon="trash" onClick=${() => go(true)}>Delete the board and its pictures<//>`}
    </div>
  <//>`;
}

const DIALOGS = { name: NameDialog, see: VisibilityDialog, delete: DeleteDialog };

export function BoardMenu({ board }) {
  const [open, setOpen] = useDraft(`board:${board.board_id}`, null);
  const Open = open && DIALOGS[open];
  return html`<${Menu} label="This board" entries=${[
      { words: 'Rename', icon: 'edit', act: () => setOpen('name') },
      !solo.value && { words: 'Who can see it', icon: 'eye', act: () => setOpen('see') },
      canDelete(board) && { words: 'Delete', icon: 'trash', danger: true, act: () => setOpen('delete') },
    ]} />
    ${Open && html`<${Open} board=${board} onClose=${() => setOpen(null)} />`}`;
}

/** Picks the board that `list` moves to. */
export function MoveDialog({ list, onClose }) {
  const [adding, setAdding] = useState(false);
  const from = view.value.board;
  const go = (id) => {
    onClose();
    move(list, id);
  };
  if (adding) {
    return html`<${NameDialog} onClose=${() => setAdding(false)} onDone=${(board) => go(board.board_id)} />`;
  }
  const targets = sortedBoards.value.filter((board) => board.board_id !== from && canAdd(board));
  return html`<${Dialog} title=${`Move ${count(list.length, 'picture')}`} onClose=${onClose}>
    <ul class="options">
      ${realBoard(from) && html`<li><button type="button" onClick=${() => go(UNSORTED)}><${Icon} name="gallery" /><span><strong>${unsortedName(UNSORTED)}</strong><span>On no board</span></span></button></li>`}
      ${targets.map(
        (board) => html`<li key=${board.board_id}><button type="button" onClick=${() => go(board.board_id)}><${Icon} name="board" />
          <span><strong>${board.board_name}</strong><span>${boardLine(board)}</span></span></button></li>`,
      )}
      <li><button type="button" onClick=${() => setAdding(true)}><${Icon} name="plus" /><span><strong>New board</strong></span></button></li>
    </ul>
    ${!boards.value.length && html`<p class="note">Boards keep pictures together. Make the first one.</p>`}
  <//>`;
}
