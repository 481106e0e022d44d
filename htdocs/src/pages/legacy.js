// What was made here before there were accounts: how much it is, and who gets it.
import { useEffect, useState } from 'preact/hooks';
import { get, post } from '../core/api.js';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { amount } from '../core/words.js';
import { Button } from '../parts/controls.js';
import { Form } from '../parts/form.js';
import { complain, say } from '../state/toasts.js';
import { PickPerson } from './people-dialogs.js';

function GiveLegacy({ data, onClose, done }) {
  const [heir, setHeir] = useDraft('legacy-heir', '');
  const act = async () => {
    if (!heir) {
      throw new Error('Choose who gets them.');
    }
    await post('/legacy-data', { user_id: heir });
    say(`${amount(data)} handed over.`);
    done();
  };
  return html`<${Form} title="From before there were accounts" button="Hand over" act=${act} onClose=${onClose}>
    <p>${amount(data)}. They will belong to the person you choose, as if that person had made them.</p>
    <${PickPerson} label="Who gets them" hint="Yourself, or somebody else who has an account already." value=${heir} onPick=${setHeir} /><//>`;
}

export function LegacyNews() {
  const [data, setData] = useState(null);
  const [open, setOpen] = useDraft('legacy', false);
  const load = () => get('/legacy-data').then((answer) => setData(answer.legacy_data), complain);
  useEffect(() => {
    load();
  }, []);
  return html`${data && html`<div class="message legacy" role="status"><p>There is something here from before there were accounts: ${amount(data)}. It belongs to nobody yet, and only administrators see it.</p>
    <${Button} onClick=${() => setOpen(true)}>Choose who gets it<//></div>`}
    ${open && html`<${GiveLegacy} data=${data} onClose=${() => setOpen(false)} done=${load} />`}`;
}
