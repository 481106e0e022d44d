// The people whom the owner of a board has chosen: from those they know here already (administrators: from everybody), or by their
// address.
import { useEffect, useState } from 'preact/hooks';
import { del, get, post } from '../core/api.js';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { useRead } from '../core/read.js';
import { apart, brief, plain } from '../core/words.js';
import { noteShares, RIGHTS } from '../state/boards.js';
import { say } from '../state/toasts.js';
import { Button } from './controls.js';
import { Address, initial } from './names.js';
import { calledBy, PeoplePicker } from './people-picker.js';

const Rights = ({ value, onPick, label }) => html`<select class="input rights" aria-label=${label} value=${value} onChange=${(e) => onPick(e.target.value)}>
  ${RIGHTS.map(([key, words]) => html`<option key=${key} value=${key}>${words}</option>`)}</select>`;

function Named({ share, change, end }) {
  const name = apart(plain(share.display_name) || 'Somebody without a name');
  return html`<li class="named"><span class="face" aria-hidden="true">${initial(name)}</span>
    <div><strong><${Address}>${name}<//></strong><${Rights} value=${share.permission} label=${`What ${name} can do`} onPick=${change} /></div>
    <${Button} kind="quiet" icon="close" bare onClick=${end}>${`Stop sharing with ${name}`}<//></li>`;
}

export function NamedPeople({ board }) {
  const { value: list, failed, read } = useRead(async (path) => {
    const { shares } = await get(path);
    noteShares(board.board_id, shares.length);
    return shares;
  });
  /** What is shown while the server is told of a change. */
  const [shown, setShown] = useState(null);
  const draft = `share:${board.board_id}`;
  const [text, setText] = useDraft(`${draft}:text`, '');
  const [chosen, setChosen] = useDraft(`${draft}:chosen`, null);
  const [permission, setPermission] = useDraft(`${draft}:permission`, 'read');
  const [error, setError] = useState('');
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  const path = `/boards/${board.board_id}/share`;
  const load = () => read(`${path}s`);
  useEffect(() => {
    load();
  }, []);
  const seen = shown || list || [];
  /** Shows the change at once; what the server has is read again in any case. */
  const act = async (next, send) => {
    setShown(next);
    setWrong('');
    await send().catch((failure) => setWrong(failure.message));
    await load();
    setShown(null);
  };
  const change = (share, next) =>
    act(
      seen.map((one) => (one === share ? { ...one, permission: next } : one)),
      () => post(path, { user_ids: [share.user_id], permission: next }),
    );
  const end = (share) =>
    act(
      seen.filter((one) => one !== share),
      () => del(`${path}/${encodeURIComponent(share.user_id)}`),
    );
  const add = async (event) => {
    event.preventDefault();
    if (!chosen && !/.@./.test(text)) {
      setError('Choose somebody, or enter the whole email address that they sign in with.');
      return;
    }
    setBusy(true);
    try {
      await post(path, chosen ? { user_ids: [chosen.user_id], permission } : { email: text.trim(), permission });
      await load();
      say(`“${brief(board.board_name)}” is shared with ${apart(text.trim())}.`);
      setText('');
      setChosen(null);
      setError('');
    } catch (failure) {
      setError(failure.message);
    }
    setBusy(false);
  };
  return html`<section class="named-people"><h3>People you choose</h3>
    <div role="alert">${(wrong || failed) && html`<p class="message bad">${wrong || failed}</p>`}</div>
    ${failed && !list && html`<p><${Button} icon="again" onClick=${load}>Try again<//></p>`}
    <ul>${seen.map((share) => html`<${Named} key=${share.user_id} share=${share} change=${(next) => change(share, next)} end=${() => end(share)} />`)}</ul>
    <form onSubmit=${add} novalidate>
      <${PeoplePicker} path=${`/boards/${board.board_id}/people`} text=${text} error=${error} label="Name or email address"
        hint="The address is the one they sign in with here." onText=${(next) => (setText(next), setChosen(null))} onPick=${(one) => (setText(calledBy(one)), setChosen(one), setError(''))} />
      <div class="named-add"><${Rights} value=${permission} label="What they can do" onPick=${setPermission} />
        <${Button} type="submit" icon="plus" busy=${busy}>Share<//></div>
    </form></section>`;
}
