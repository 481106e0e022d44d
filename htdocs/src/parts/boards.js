// The strip of boards in three groups: covers, names, owners, counts, and a place to drop pictures on.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { thumbnailUrl } from '../core/api.js';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { navigate } from '../core/router.js';
import { isAdmin } from '../core/session.js';
import {
  ALL_UNSORTED, UNSORTED, boardGroups, boardLine, boardsState, canAdd, isOwn, loadBoards, realBoard, unsortedName, visibilityIcon, visibilityWords,
} from '../state/boards.js';
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

/** sign: the icon of who sees it, and what it says. */
function Entry({ id, name, cover, line, sign, current, allowed }) {
  const [over, drop] = useDrop(id, allowed);
  return html`<li><a class=${over ? 'board over' : 'board'} href=${id === UNSORTED ? '/gallery' : `/gallery?board=${id}`}
    aria-current=${current === id ? 'page' : undefined} ...${drop}>
    <span class="board-cover">${cover ? html`<img src=${thumbnailUrl(cover)} alt="" loading="lazy" />` : html`<${Icon} name=${realBoard(id) ? 'board' : 'gallery'} />`}</span>
    <span class="board-words"><strong>${name}</strong><span>${sign && html`<${Icon} ...${sign} />`}<span>${line}</span></span></span></a></li>`;
}

/** One's own private boards need no sign. */
function signOf(board) {
  const name = visibilityIcon(board);
  return name === 'lock' && isOwn(board) ? null : { name, label: visibilityWords(board) };
}

const Board = ({ board, current }) => html`<${Entry} id=${board.board_id} name=${board.board_name} cover=${board.cover_image_name}
  line=${boardLine(board)} sign=${signOf(board)} current=${current} allowed=${canAdd(board)} />`;

const Unsorted = ({ id, current, allowed }) => html`<${Entry} id=${id} name=${unsortedName(id)} line="On no board" current=${current} allowed=${allowed} />`;

/** A list of boards; its name is shown where there is more than one group. */
function Group({ words, shown, children }) {
  const id = useId();
  return html`<section class="board-group"><h2 id=${id} class=${shown ? undefined : 'sr'}>${words}</h2><ul aria-labelledby=${id}>${children}</ul></section>`;
}

/** Where in the strip each key leads to from the entry that has the focus. */
const STEPS = { ArrowRight: (at) => at + 1, ArrowLeft: (at) => at - 1, Home: () => 0, End: (at, total) => total - 1 };

function walk(event) {
  const entries = [...event.currentTarget.querySelectorAll('.board:not(.skeleton)')];
  const at = entries.indexOf(event.target);
  const step = !event.ctrlKey && !event.metaKey && !event.altKey && STEPS[event.key];
  if (step && at >= 0) {
    event.preventDefault();
    entries[Math.min(entries.length - 1, Math.max(0, step(at, entries.length)))].focus();
  }
}

const bringIntoSight = (entry) => entry?.scrollIntoView({ block: 'nearest', inline: 'nearest' });

export function BoardStrip({ current }) {
  const [adding, setAdding] = useDraft('board:new', false);
  const state = boardsState.value;
  const strip = useRef();
  useEffect(() => bringIntoSight(strip.current.querySelector('[aria-current]')), [current, state]);
  const created = (board) => navigate(`/gallery?board=${board.board_id}`);
  const [mine, ...others] = boardGroups.value;
  const rest = others.at(-1);
  const theirs = others.filter((group) => group.list.length || (group === rest && isAdmin.value));
  const entries = (list) => list.map((board) => html`<${Board} key=${board.board_id} board=${board} current=${current} />`);
  return html`<nav class="boards" aria-label="Boards"><div class="board-groups" ref=${strip} onKeyDown=${walk} onFocusIn=${(e) => bringIntoSight(e.target.closest('.board'))}>
    <${Group} words=${mine.words} shown=${theirs.length > 0}>
      <${Unsorted} id=${UNSORTED} current=${current} allowed />
      ${entries(mine.list)}
      ${state === 'loading' && !mine.list.length && [1, 2, 3].map((n) => html`<li key=${n} class="board skeleton" aria-hidden="true"></li>`)}
      ${state.failed && html`<li><${Button} kind="quiet" icon="again" onClick=${loadBoards}>Boards can’t be read. Try again<//></li>`}
      <li><button type="button" class="board new" onClick=${() => setAdding(true)}><span class="board-cover"><${Icon} name="plus" /></span>
        <span class="board-words"><strong>New board</strong></span></button></li>
    <//>
    ${theirs.map(
      (group) => html`<${Group} key=${group.words} words=${group.words} shown>
        ${group === rest && isAdmin.value && html`<${Unsorted} id=${ALL_UNSORTED} current=${current} />`}${entries(group.list)}<//>`,
    )}
  </div>${adding && html`<${NameDialog} onClose=${() => setAdding(false)} onDone=${created} />`}</nav>`;
}

