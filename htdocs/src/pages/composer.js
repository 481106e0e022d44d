// The composer: what to see, how many, and where the pictures go.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { brief, count } from '../core/words.js';
import { Button, Stepper } from '../parts/controls.js';
import { Icon } from '../parts/icons.js';
import { UNSORTED, boardById, boardsState, canAdd, isOwn, ownerName, sortedBoards, unsortedName } from '../state/boards.js';
import { createPictures } from '../state/jobs.js';
import { choose, currentWish, MAX_COUNT, model, modelsState, modelsThere, negative, noModel, prompt, roomIn, settings } from '../state/wish.js';

const touch = matchMedia('(hover: none)');
/** From here on the room that is left is told. */
const NEARLY_FULL = 1000;

/** Grows with its text up to the limit that the style sheet sets. */
function useGrowth(text) {
  const ref = useRef();
  useLayoutEffect(() => {
    const area = ref.current;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight}px`;
  }, [text]);
  return ref;
}

function BoardPick() {
  const { boardId } = settings.value;
  const mine = sortedBoards.value.filter(canAdd);
  const current = boardId && boardById(boardId);
  const unknown = boardId && !current && boardsState.value !== 'ready';
  return html`<label class="board-pick"><${Icon} name="board" /><span class="sr">New pictures go to</span>
    <select value=${current || unknown ? boardId : ''} onChange=${(e) => choose({ boardId: e.target.value || undefined })}>
      <option value="">${unsortedName(UNSORTED)}</option>
      ${unknown && html`<option value=${boardId}>Your board</option>`}
      ${mine.map((board) => html`<option key=${board.board_id} value=${board.board_id}>${brief(board.board_name)}${isOwn(board) ? '' : ` · ${ownerName(board)}`}</option>`)}
    </select><${Icon} name="down" /></label>`;
}

function why() {
  if (modelsState.value.failed) {
    return 'The list of models can’t be read. Load the page again.';
  }
  if (modelsState.value === 'ready' && !model.value) {
    return noModel.value;
  }
  return '';
}

/** How much more fits into a text, when that is little; what is too long says by how much. */
function Room({ what, text }) {
  const room = roomIn(text);
  if (room >= NEARLY_FULL) {
    return null;
  }
  if (room < 0) {
    return html`<p class="note bad" role="status">${`${what} is too long by about ${count(-room, 'letter')}. Shorten it to go on; nothing is cut off.`}</p>`;
  }
  // Read aloud at a few marks, not at each letter.
  const mark = [100, 500].find((n) => room < n) || NEARLY_FULL;
  return html`<p class="note"><span aria-hidden="true">${`Room for about ${count(room, 'more letter')}`}</span>
    <span class="sr" role="status">${`${what}: room for fewer than ${mark} more letters`}</span></p>`;
}

/** What should not be in the picture: out of the way until asked for, or until it says something. */
function LeaveOut({ onKeyDown, back }) {
  const [asked, setAsked] = useState(false);
  const field = useRef();
  useEffect(() => {
    if (asked) {
      field.current.focus();
    }
  }, [asked]);
  if (!asked && !negative.value) {
    return prompt.value.trim() && html`<p class="leave-out"><button type="button" class="link" onClick=${() => setAsked(true)}>Leave something out</button></p>`;
  }
  const clear = () => {
    negative.value = '';
    setAsked(false);
    back();
  };
  return html`<div class="leave-out"><label for="leave-out">Leave out</label>
    <input id="leave-out" ref=${field} value=${negative.value} placeholder="what you don’t want to see" autocomplete="off"
      onInput=${(e) => (setAsked(true), (negative.value = e.target.value))} onKeyDown=${onKeyDown} />
    <${Button} kind="quiet" icon="close" bare onClick=${clear}>Leave nothing out<//></div>`;
}

export function Composer({ toggleSettings, panelOpen }) {
  const area = useGrowth(prompt.value);
  const problem = why();
  const [early, setEarly] = useState(false);
  const [sent, setSent] = useState(false);
  const fits = roomIn(prompt.value) >= 0 && roomIn(negative.value) >= 0;
  const ready = !problem && prompt.value.trim() && fits;
  const send = async () => {
    if (!ready || early) {
      area.current.focus();
      return;
    }
    // Pressed before the models have arrived: what was meant is done as soon as they have.
    setEarly(true);
    await modelsThere();
    setEarly(false);
    if (!model.value) {
      return;
    }
    const wish = currentWish();
    // A board that is gone takes nothing any more.
    const gone = boardsState.value === 'ready' && !boardById(wish.boardId);
    createPictures({ ...wish, boardId: gone ? null : wish.boardId });
    area.current.scrollTop = 0;
    setSent(!touch.matches);
    if (touch.matches) {
      document.activeElement?.blur();
    }
  };
  const keys = (event) => {
    const plain = !event.shiftKey && !event.isComposing;
    if (event.key === 'Enter' && plain && (!touch.matches || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  };
  // A press on a button leaves the text its focus: on a phone the keyboard stays, and nothing moves under the finger.
  const hold = (event) => event.target.closest('button') && event.preventDefault();
  const many = settings.value.count;
  return html`<form class=${sent ? 'composer sent' : 'composer'} onSubmit=${(e) => (e.preventDefault(), send())}>
    <div class="composer-box" onMouseDown=${hold}>
      <label class="sr" for="prompt">What do you want to see?</label>
      <textarea id="prompt" data-search ref=${area} rows="1" placeholder="What do you want to see?"
        value=${prompt.value} onInput=${(e) => (setSent(false), (prompt.value = e.target.value))} onClick=${() => setSent(false)} onKeyDown=${keys} enterkeyhint=${touch.matches ? 'enter' : 'send'}></textarea>
      <${LeaveOut} onKeyDown=${keys} back=${() => area.current.focus()} />
      <div class="composer-row">
        <${Stepper} label="How many" less="One picture fewer" more="One picture more" value=${many} min=${1} max=${MAX_COUNT} onNumber=${(n) => choose({ count: n })}
          words=${(n) => html`${n}<span class="words"> ${n === 1 ? 'picture' : 'pictures'}</span>`} />
        <${BoardPick} />
        <${Button} kind="quiet" icon="tune" class=${panelOpen ? 'settings-toggle docked' : 'settings-toggle'} onClick=${toggleSettings}>Settings<//>
        <${Button} kind="main" icon="send" type="submit" class="create-button" busy=${early} aria-disabled=${ready ? undefined : 'true'}>Create<//>
      </div>
    </div>
    <${Room} what="The prompt" text=${prompt.value} /><${Room} what="“Leave out”" text=${negative.value} />
    ${problem && html`<p class="note bad" role="status">${problem}</p>`}
  </form>`;
}
