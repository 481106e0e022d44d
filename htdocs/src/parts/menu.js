// A button that opens a short list of actions.
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { Button } from './controls.js';
import { Icon } from './icons.js';

const STEP = { ArrowDown: 1, ArrowUp: -1 };

const EDGE = 8;

/** Where a list has room: below its button, else above, and no higher than the room there is. The bar of a phone covers what is under it. */
function fit(list) {
  const button = list.parentElement.getBoundingClientRect();
  const bar = document.querySelector('.rail')?.getBoundingClientRect();
  const floor = bar && bar.top > EDGE ? bar.top : innerHeight;
  const above = button.top - EDGE;
  const below = floor - button.bottom - EDGE;
  const up = list.scrollHeight > below && above > below;
  list.classList.toggle('up', up);
  list.style.maxHeight = `${Math.max(up ? above : below, 120)}px`;
}

/** entries: {words, icon?, act, danger?}[]; empty places (false, null) are left out. */
export function Menu({ label, icon = 'more', bare = true, kind = 'quiet', entries }) {
  const [open, setOpen] = useState(false);
  const root = useRef();
  const list = useRef();
  const id = useId();
  const items = () => [...list.current.querySelectorAll('[role=menuitem]')];
  const shut = () => {
    setOpen(false);
    root.current?.querySelector('.button')?.focus();
  };
  // With the list, so that no key that is pressed at once goes past it.
  useLayoutEffect(() => {
    if (open) {
      fit(list.current);
      items()[0]?.focus();
    }
  }, [open]);
  useEffect(() => {
    if (!open) {
      return undefined;
    }
    const outside = (event) => root.current?.contains(event.target) || setOpen(false);
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  const keys = (event) => {
    if (event.key === 'Escape' || event.key === 'Tab') {
      event.stopPropagation();
      shut();
    } else if (STEP[event.key]) {
      const all = items();
      all[(all.indexOf(document.activeElement) + STEP[event.key] + all.length) % all.length].focus();
    } else {
      return;
    }
    event.preventDefault();
  };
  return html`<div class="menu" ref=${root}>
    <${Button} kind=${kind} icon=${icon} bare=${bare} aria-haspopup="menu" aria-expanded=${String(open)}
      aria-controls=${open ? id : undefined} onClick=${() => setOpen(!open)}>${label}<//>
    ${open &&
    html`<div class="menu-list" role="menu" id=${id} aria-label=${label} ref=${list} onKeyDown=${keys}>
      ${entries.filter(Boolean).map(
        (entry) => html`<button type="button" role="menuitem" tabindex="-1" class=${entry.danger ? 'danger' : ''}
          onClick=${() => {
            shut();
            entry.act();
          }}>${entry.icon && html`<${Icon} name=${entry.icon} />`}<span>${entry.words}</span></button>`,
      )}
    </div>`}
  </div>`;
}
