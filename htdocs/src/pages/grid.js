// The endless grid. Only the rows near the screen exist; all others are room.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { thumbnailUrl } from '../core/api.js';
import { html } from '../core/html.js';
import { labelOf, monthOf } from '../core/words.js';
import { Icon } from '../parts/icons.js';
import { openLightbox } from '../parts/lightbox.js';
import { cameBack, forgotten, names, picture, remove, selection, toggleStar, want } from '../state/pictures.js';

const GAP = 6;
const AHEAD = 3;
const HOLD_MS = 450;

let anchor = null;

function select(name, { range } = {}) {
  const next = new Set(selection.value);
  if (range && anchor !== null) {
    const [from, to] = [names.value.indexOf(anchor), names.value.indexOf(name)].sort((a, b) => a - b);
    names.value.slice(Math.max(0, from), to + 1).forEach((one) => next.add(one));
  } else if (!next.delete(name)) {
    next.add(name);
  }
  anchor = name;
  selection.value = next;
}

/** Width of the list, rows on screen and the size of a tile, measured anew when the window changes. */
function useMeasure() {
  const ref = useRef();
  const [box, setBox] = useState({ width: 0, top: 0, bottom: 0 });
  useLayoutEffect(() => {
    let frame = 0;
    const measure = () => {
      frame = 0;
      const rect = ref.current?.getBoundingClientRect();
      if (rect) {
        setBox({ width: rect.width, top: -rect.top, bottom: innerHeight - rect.top });
      }
    };
    const soon = () => {
      frame = frame || requestAnimationFrame(measure);
    };
    measure();
    const watcher = new ResizeObserver(soon);
    watcher.observe(ref.current);
    addEventListener('scroll', soon, { passive: true });
    addEventListener('resize', soon);
    return () => {
      cancelAnimationFrame(frame);
      watcher.disconnect();
      removeEventListener('scroll', soon);
      removeEventListener('resize', soon);
    };
  }, []);
  return [ref, box];
}

/** A long press selects on touch screens. */
function useHold(act) {
  const timer = useRef(0);
  const held = useRef(false);
  const stop = () => clearTimeout(timer.current);
  return {
    held,
    onPointerDown: (e) => {
      held.current = false;
      if (e.pointerType === 'touch') {
        timer.current = setTimeout(() => {
          held.current = true;
          navigator.vibrate?.(10);
          act();
        }, HOLD_MS);
      }
    },
    onPointerUp: stop,
    onPointerMove: (e) => Math.abs(e.movementX) + Math.abs(e.movementY) > 6 && stop(),
    onPointerCancel: stop,
  };
}

function Tile({ name, index, total, place, focused, onFocus, open }) {
  const record = picture(name).value;
  const chosen = selection.value.has(name);
  const choosing = selection.value.size > 0;
  const { held, ...hold } = useHold(() => select(name));
  const click = (e) => {
    if (held.current) {
      held.current = false;
    } else if (choosing || e.ctrlKey || e.metaKey || e.shiftKey) {
      select(name, { range: e.shiftKey });
    } else {
      open(name);
    }
  };
  const drag = (e) => {
    const list = chosen ? [...selection.value] : [name];
    e.dataTransfer.setData('application/x-pictures', JSON.stringify(list));
    e.dataTransfer.effectAllowed = 'move';
  };
  const words = labelOf(record);
  return html`<li class=${chosen ? 'thumb chosen' : 'thumb'} style=${place} aria-setsize=${total} aria-posinset=${index + 1}>
    <button type="button" class="thumb-open" data-picture=${name} tabindex=${focused ? 0 : -1} aria-label=${`${words}${chosen ? ', selected' : ''}`}
      draggable onDragStart=${drag} onClick=${click} onFocus=${() => onFocus(index)} onContextMenu=${(e) => held.current && e.preventDefault()} ...${hold}>
      <img src=${thumbnailUrl(name)} alt="" loading="lazy" decoding="async" draggable=${false} onLoad=${(e) => e.target.classList.add('sharp')} />
    </button>
    <button type="button" class="thumb-check" role="checkbox" aria-checked=${String(chosen)} tabindex="-1" aria-label=${`Select: ${words}`}
      onClick=${(e) => select(name, { range: e.shiftKey })}><${Icon} name="check" /></button>
    ${record?.starred && html`<span class="thumb-star"><${Icon} name="star" /></span>`}
  </li>`;
}

/** What each key does to the focused picture. Returns the index to go to, or null. */
function keyTarget(event, at, columns, total) {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (step) {
    return Math.min(total - 1, Math.max(0, at + step));
  }
  return { Home: 0, End: total - 1 }[event.key] ?? null;
}

export function Grid({ onLook }) {
  const [ref, box] = useMeasure();
  const [at, setAt] = useState(0);
  const moved = useRef(false);
  const list = names.value;
  const total = list.length;
  const columns = Math.max(3, Math.floor((box.width + GAP) / (box.width < 600 ? 120 : 168)));
  const side = box.width ? (box.width - GAP * (columns - 1)) / columns : 0;
  const row = side + GAP;
  const rows = Math.ceil(total / columns);
  const first = side ? Math.max(0, Math.floor(box.top / row) - AHEAD) : 0;
  const last = side ? Math.min(rows, Math.ceil(box.bottom / row) + AHEAD) : 0;
  const shown = list.slice(first * columns, last * columns);
  const focus = Math.min(at, total - 1);
  useEffect(() => {
    want(shown);
  }, [shown.join(), forgotten.value]);
  const tileAt = (index) => ref.current?.querySelector(`[data-picture="${CSS.escape(names.peek()[index] || '')}"]`);
  useEffect(() => {
    const tile = moved.current && tileAt(focus);
    if (tile) {
      moved.current = false;
      tile.focus({ preventScroll: true });
    }
  }, [list, focus, shown.join()]);
  const open = (name) =>
    openLightbox(list, name, (end) => {
      onLook(end);
      go(Math.max(0, names.peek().indexOf(end)));
    });
  const go = (index) => {
    const y = Math.floor(index / columns) * row;
    if (y < box.top + 60 || y + side > box.bottom - 80) {
      scrollBy({ top: y < box.top + 60 ? y - box.top - 80 : y + side - box.bottom + 120 });
    }
    // A tile that is not drawn yet gets the focus as soon as it is.
    moved.current = !tileAt(index);
    setAt(index);
    tileAt(index)?.focus({ preventScroll: true });
    onLook(names.peek()[index]);
  };
  // Whoever takes a deletion back goes on at what came back.
  const back = cameBack.value;
  useEffect(() => {
    if (back) {
      cameBack.value = null;
      if (names.peek().includes(back)) {
        go(names.peek().indexOf(back));
      }
    }
  }, [back]);
  const keys = (event) => {
    const name = list[focus];
    const to = keyTarget(event, focus, columns, total);
    const chosen = selection.value.size ? [...selection.value] : [name];
    if (to !== null) {
      go(to);
    } else if (event.key === ' ') {
      select(name, { range: event.shiftKey });
    } else if (event.key === 'Escape' && selection.value.size) {
      selection.value = new Set();
    } else if (event.key === 'Delete') {
      moved.current = true;
      remove(chosen).then((gone) => (moved.current = moved.current && gone));
    } else if (event.key.toLowerCase() === 's' && !event.ctrlKey && !event.metaKey) {
      toggleStar(chosen);
    } else {
      return;
    }
    event.preventDefault();
  };
  const month = picture(list[Math.max(0, Math.ceil(box.top / (row || 1)) * columns)] || '').value;
  return html`<p class="date-pill" aria-hidden="true">${month && box.top > row ? monthOf(month.created_at) : ''}</p>
    <ul class="grid" ref=${ref} data-own-focus aria-label=${`Pictures, newest first`} style=${{ height: `${Math.max(0, rows * row - GAP)}px` }} onKeyDown=${keys}>
      ${shown.map((name, i) => {
        const index = first * columns + i;
        const place = {
          width: `${side}px`,
          height: `${side}px`,
          transform: `translate(${(index % columns) * row}px, ${Math.floor(index / columns) * row}px)`,
        };
        return html`<${Tile} key=${name} name=${name} index=${index} total=${total} place=${place} focused=${index === focus}
          onFocus=${(n) => (setAt(n), onLook(name))} open=${open} />`;
      })}
    </ul>`;
}
