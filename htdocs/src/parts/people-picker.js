// A field that finds people while one types; an address of somebody who is not found may stand in it too.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { get } from '../core/api.js';
import { html } from '../core/html.js';
import { count, plain } from '../core/words.js';
import { Field } from './controls.js';
import { Address, initial } from './names.js';

const NOBODY = { found: [], failed: false };
const NO_SEARCH = 'Nobody can be looked up right now. The whole email address works, too.';
/** As long as somebody may pause in typing before the server is asked, ms. */
const PAUSE = 200;

/** People that fit what was typed: {found, failed}; found is [] until there is an answer. */
function useFound(path, text, open) {
  const [answer, setAnswer] = useState(NOBODY);
  useEffect(() => {
    if (!open) {
      return undefined;
    }
    let here = true;
    const timer = setTimeout(
      () =>
        get(path, { search: text.trim() }).then(
          (body) => here && setAnswer({ found: body?.people || [], failed: !body?.people }),
          // Without suggestions the address is still a way.
          () => here && setAnswer({ found: [], failed: true }),
        ),
      PAUSE,
    );
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, [path, text, open]);
  return open ? answer : { ...answer, found: [] };
}

/** What somebody who can be chosen is called; an address is told to administrators only. */
export const calledBy = (one) => plain(one.display_name) || one.email || 'Somebody without a name';

const Option = ({ one, id, chosen, pick }) => html`<div role="option" id=${id} aria-selected=${String(chosen)} onPointerDown=${(e) => e.preventDefault()} onClick=${pick}>
  <span class="face" aria-hidden="true">${initial(calledBy(one))}</span><span><${Address}>${calledBy(one)}<//>${one.email && one.email !== calledBy(one) && html` <span class="note"><${Address}>${one.email}<//></span>`}</span></div>`;

export function PeoplePicker({ label, hint, error, path, text, onText, onPick }) {
  const id = useId();
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const list = useRef();
  const { found, failed } = useFound(path, text, open);
  const shown = found.length > 0;
  const close = () => {
    setOpen(false);
    setAt(-1);
  };
  // What is being pressed must not move away before it is let go.
  const leave = () => (document.querySelector(':active') ? addEventListener('pointerup', () => setTimeout(close), { once: true }) : close());
  const pick = (one) => {
    onPick(one);
    close();
  };
  const keys = (event) => {
    if (['ArrowDown', 'ArrowUp'].includes(event.key)) {
      const step = event.key === 'ArrowDown' ? 1 : -1;
      setOpen(true);
      setAt(shown ? (at + step + found.length + (at < 0 && step < 0 ? 1 : 0)) % found.length : -1);
    } else if (event.key === 'Enter' && shown && at >= 0) {
      pick(found[at]);
    } else if (event.key === 'Escape' && shown) {
      event.stopPropagation();
      close();
    } else {
      return;
    }
    event.preventDefault();
  };
  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: 'nearest' });
  }, [at]);
  return html`<div class="picker"><${Field} label=${label} hint=${hint} error=${error || (failed && NO_SEARCH)}>
    ${(props) => html`<input class="input" role="combobox" aria-autocomplete="list" aria-expanded=${String(shown)} aria-controls=${shown ? `${id}-list` : undefined}
        aria-activedescendant=${shown && at >= 0 ? `${id}-${at}` : undefined} autocomplete="off" autocapitalize="off" spellcheck=${false} value=${text} maxlength="320"
        onInput=${(e) => (onText(e.target.value), setOpen(true), setAt(-1))} onKeyDown=${keys} onFocus=${() => setOpen(true)} onBlur=${leave} ...${props} />`}
  <//>
    <p class="sr" role="status">${shown ? `${count(found.length, 'person', 'people')} to choose from` : ''}</p>
    ${shown && html`<div class="picker-list" role="listbox" id=${`${id}-list`} aria-label="People" ref=${list}>
      ${found.map((one, i) => html`<${Option} key=${one.user_id} one=${one} id=${`${id}-${i}`} chosen=${i === at} pick=${() => pick(one)} />`)}</div>`}
  </div>`;
}
