// Gallery: boards along the top, pictures below, without end.
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { navigate, route } from '../core/router.js';
import { isAdmin, solo } from '../core/session.js';
import { recall, remember } from '../core/storage.js';
import { apart, brief, count } from '../core/words.js';
import { BoardStrip } from '../parts/boards.js';
import { BoardMenu, MoveDialog } from '../parts/board-dialogs.js';
import { Blank, Button, Failed } from '../parts/controls.js';
import { Details } from '../parts/details.js';
import { Icon } from '../parts/icons.js';
import { ALL_UNSORTED, UNSORTED, boardById, boards, boardsState, canAdd, canManage, isOwn, loadBoards, ownerName, realBoard, unsortedName, visibilityIcon, visibilityWords } from '../state/boards.js';
import { loadNames, names, namesState, picture, remove, selection, show, toggleStar, upload, uploads, view } from '../state/pictures.js';
import { Grid } from './grid.js';

const panelOpen = signal(recall('details-panel') === 'open');
/** The picture whose details the panel shows. */
const looked = signal(null);

function togglePanel() {
  panelOpen.value = !panelOpen.value;
  remember('details-panel', panelOpen.value ? 'open' : null);
}

function Search({ board }) {
  const [text, setText] = useDraft(`search:${board}`, view.peek().board === board ? view.peek().search : '');
  useEffect(() => {
    const timer = setTimeout(() => text.trim() !== view.peek().search && show({ ...view.peek(), search: text.trim() }), 300);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<label class="search"><${Icon} name="search" /><span class="sr">Search in prompts</span>
    <input type="search" data-search placeholder="Search" value=${text} onInput=${(e) => setText(e.target.value)} /></label>`;
}

function Upload({ board }) {
  const input = useRef();
  const take = (e) => {
    upload(e.target.files, board);
    e.target.value = '';
  };
  return html`<input type="file" class="sr" tabindex="-1" aria-label="Pictures to add" accept="image/png,image/jpeg,image/webp" multiple ref=${input} onChange=${take} />
    <${Button} icon="upload" onClick=${() => input.current.click()}>Add pictures<//>`;
}

function SelectionBar({ list, mayChange }) {
  const [moving, setMoving] = useState(false);
  const allStarred = list.every((name) => picture(name).value?.starred);
  const clear = () => (selection.value = new Set());
  return html`<div class="selection-bar" role="toolbar" aria-label="With the selected pictures">
    <${Button} kind="quiet" icon="close" bare onClick=${clear}>Select nothing<//>
    <p role="status">${count(list.length, 'picture')}<span class="words"> selected</span></p>
    ${mayChange
      ? html`<${Button} kind="quiet" icon="star" onClick=${() => toggleStar(list)}>${allStarred ? 'Unstar' : 'Star'}<//>
          <${Button} kind="quiet" icon="move" onClick=${() => setMoving(true)}>Move…<//>
          <${Button} kind="quiet" icon="trash" onClick=${() => remove(list)}>Delete<//>`
      : html`<p class="note">To look at only</p>`}
    ${moving && html`<${MoveDialog} list=${list} onClose=${() => setMoving(false)} />`}
  </div>`;
}

/** Leaves out everything that carries no star. */
const OnlyStarred = () => html`<${Button} kind="quiet" icon="star" class="only-starred" aria-pressed=${String(view.value.starred)}
  onClick=${() => show({ ...view.peek(), starred: !view.peek().starred })}>Starred<//>`;

function Empty({ board, search, starred, mayAdd }) {
  if (starred && !search) {
    return html`<${Blank} icon="star" title="No stars here yet">Give a star to the pictures you like best. They show up here.<//>`;
  }
  if (search) {
    return html`<${Blank} icon="search" title="Nothing found">No ${starred ? 'starred ' : ''}picture here has “${search}” in its prompt.<//>`;
  }
  if (!mayAdd) {
    return html`<${Blank} icon="gallery" title="Nothing here yet">Pictures that are added to this board show up here.<//>`;
  }
  const here = !realBoard(board) ? 'Pictures that lie on no board gather here.' : 'Pictures that you move or create onto this board show up here.';
  return html`<${Blank} icon="gallery" title="Nothing here yet" action=${html`<a class="button main" href="/create"><${Icon} name="create" /><span>Create a picture</span></a>`}>${here}<//>`;
}

function Pictures({ board, mayAdd }) {
  const { search, starred } = view.value;
  const state = namesState.value;
  if (state.failed) {
    return html`<${Failed} what="These pictures can’t be read right now" why=${state.failed} again=${() => loadNames()} />`;
  }
  if (state !== 'ready') {
    return html`<div class="grid-skeleton" aria-hidden="true">${Array.from({ length: 18 }, (_, i) => html`<i key=${i}></i>`)}</div>
      <p class="sr" role="status">Reading the pictures</p>`;
  }
  return names.value.length ? html`<${Grid} onLook=${(name) => (looked.value = name)} />` : html`<${Empty} board=${board} search=${search} starred=${starred} mayAdd=${mayAdd} />`;
}

/** Whose board this is, unless it is one's own, and who sees it. */
const seenBy = (board) => (isOwn(board) ? visibilityWords(board) : `${ownerName(board)} · ${visibilityWords(board)}`);

/** Files dropped anywhere on the page go to the board that is open. */
function useFileDrop(board, allowed) {
  const [over, setOver] = useState(false);
  const hasFiles = (e) => allowed && [...(e.dataTransfer?.types || [])].includes('Files');
  return {
    over,
    props: {
      onDragOver: (e) => hasFiles(e) && (e.preventDefault(), setOver(true)),
      onDragLeave: (e) => e.currentTarget.contains(e.relatedTarget) || setOver(false),
      onDrop: (e) => {
        if (hasFiles(e)) {
          e.preventDefault();
          upload(e.dataTransfer.files, board);
        }
        setOver(false);
      },
    },
  };
}

function Uploading() {
  const running = uploads.value;
  return running.length ? html`<p class="uploading" role="status">Adding ${apart(running[0].name)}…</p>` : null;
}

export function Gallery() {
  const id = route.value.query.get('board') || UNSORTED;
  const board = realBoard(id) && boardById(id);
  const mayAdd = id === UNSORTED || (board && canAdd(board));
  const mayChange = mayAdd || (id === ALL_UNSORTED && isAdmin.value);
  const drop = useFileDrop(id, mayAdd);
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    loadBoards().then(() => setAsked(true));
  }, []);
  useEffect(() => {
    looked.value = null;
    const now = view.peek();
    show(now.board === id ? now : { board: id, search: '', starred: now.starred });
  }, [id]);
  // Not by a list from before this page: the board may be newer.
  useEffect(() => {
    if (asked && boardsState.value === 'ready' && !board && !mayChange) {
      navigate('/gallery', { replace: true });
    }
  }, [asked, id, boardsState.value, boards.value]);
  const chosen = [...selection.value];
  const one = chosen.length === 1 ? chosen[0] : looked.value || names.value[0];
  const title = board ? board.board_name : unsortedName(id);
  return html`<div class=${panelOpen.value ? 'with-panel open' : 'with-panel'} ...${drop.props}>
    <div class=${drop.over ? 'gallery dropping' : 'gallery'}>
      <h1 class="sr">Gallery</h1>
      <${BoardStrip} current=${id} />
      <div class="gallery-head">
        ${chosen.length
          ? html`<${SelectionBar} list=${chosen} mayChange=${mayChange} />`
          : html`<div class="gallery-title"><h2 title=${title}>${title}</h2>
                ${board && !solo.value && html`<span class="seen-by"><${Icon} name=${visibilityIcon(board)} /><span>${seenBy(board)}</span></span>`}
                ${board && canManage(board) && html`<${BoardMenu} key=${board.board_id} board=${board} />`}</div>
              <div class="gallery-tools"><${Search} key=${id} board=${id} /><${OnlyStarred} />
                ${mayAdd && html`<${Upload} board=${id} />`}
                <${Button} kind="quiet" icon="info" class="panel-toggle" aria-expanded=${String(panelOpen.value)} onClick=${togglePanel}>Details<//></div>`}
      </div>
      <${Uploading} />
      <${Pictures} board=${id} mayAdd=${mayAdd} />
      ${drop.over && html`<p class="drop-words">Let go to add to ${brief(title)}</p>`}
    </div>
    ${panelOpen.value &&
    html`<aside class="panel" aria-label="Details of a picture"><header class="panel-head"><h2>Details</h2>
        <${Button} kind="quiet" icon="close" bare onClick=${togglePanel}>Close details<//></header>
      ${one && namesState.value === 'ready' ? html`<${Details} key=${one} name=${one} />` : html`<p class="note">Select a picture to read about it here.</p>`}</aside>`}
  </div>`;
}
