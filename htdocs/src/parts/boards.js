// The strip of boards: covers, names, counts, and a place to drop pictures on.
import { useState } from 'preact/hooks';
import { thumbnailUrl } from '../core/api.js';
import { html } from '../core/html.js';
import { navigate } from '../core/router.js';
import { count } from '../core/words.js';
import { boardsState, canAdd, isOwn, loadBoards, sortedBoards } from '../state/boards.js';
import { move } from '../state/pictures.js';
import { NameDialog } from './board-dialogs.js';
import { Button } from './controls.js';
import { Icon } from './icons.js';

const TYPE = 'application/x-pictures';

function useDrop(boardId, allowed) {
  const [over, setOver] = useState(false);
  const ours = (e) => allowed && e.dataTransfer.types.includes(TYPE);
  return [
    over,
    {
      onDragOver: (e) => ours(e) && (e.preventDefault(), setOver(true)),
      onDragLeave: () => setOver(false),
      onDrop: (e) => {
        setOver(false);
        if (ours(e)) {
          e.preventDefault();
          e.stopPropagation();
          move(JSON.parse(e.dataTransfer.getData(TYPE)), boardId);
        }
      },
    },
  ];
}

function Entry({ id, name, cover, line, icon, current, allowed }) {
  const [over, drop] = useDrop(id, allowed);
  return html`<li><a class=${over ? 'board over' : 'board'} href=${id === 'none' ? '/gallery' : `/gallery?board=${id}`}
    aria-current=${current === id ? 'page' : undefined} ...${drop}>
    <span class="board-cover">${cover ? html`<img src=${thumbnailUrl(cover)} alt="" loading="lazy" />` : html`<${Icon} name=${id === 'none' ? 'gallery' : 'board'} />`}</span>
    <span class="board-words"><strong>${name}</strong><span>${icon && html`<${Icon} name=${icon} />`}<span>${line}</span></span></span></a></li>`;
}

function lineOf(board) {
  const n = count(board.image_count + (board.asset_count || 0), 'picture');
  return isOwn(board) ? n : `${n} · ${board.owner_username || 'someone else'}`;
}

const iconOf = (board) => ({ shared: 'eye', public: 'people' })[board.board_visibility];

export function BoardStrip({ current }) {
  const [adding, setAdding] = useState(false);
  const state = boardsState.value;
  const created = (board) => navigate(`/gallery?board=${board.board_id}`);
  return html`<nav class="boards" aria-label="Boards"><ul>
    <${Entry} id="none" name="Unsorted" line="On no board" current=${current} allowed />
    ${sortedBoards.value.map(
      (board) => html`<${Entry} key=${board.board_id} id=${board.board_id} name=${board.board_name} cover=${board.cover_image_name}
        line=${lineOf(board)} icon=${iconOf(board)} current=${current} allowed=${canAdd(board)} />`,
    )}
    ${state === 'loading' && !sortedBoards.value.length && [1, 2, 3].map((n) => html`<li key=${n} class="board skeleton" aria-hidden="true"></li>`)}
    ${state.failed && html`<li><${Button} kind="quiet" icon="again" onClick=${loadBoards}>Boards can’t be read. Try again<//></li>`}
    <li><button type="button" class="board new" onClick=${() => setAdding(true)}><span class="board-cover"><${Icon} name="plus" /></span>
      <span class="board-words"><strong>New board</strong></span></button></li>
  </ul>${adding && html`<${NameDialog} onClose=${() => setAdding(false)} onDone=${created} />`}</nav>`;
}

