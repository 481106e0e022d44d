// A dialog that asks for something and does it.
import { useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { Button } from './controls.js';
import { Dialog } from './dialog.js';

/** Runs `act`, shows what went wrong; closes when it went well, unless `act` answers true. */
export function Form({ title, button, danger, ready = true, act, onClose, children }) {
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    if (!ready || busy) {
      return;
    }
    setBusy(true);
    try {
      if (!(await act())) {
        onClose();
      }
    } catch (failure) {
      setError(failure.message);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}><form onSubmit=${submit} novalidate>
    <div role="alert">${error && html`<p class="message bad">${error}</p>`}</div>${children}
    <div class="form-end"><${Button} kind=${danger ? 'danger' : 'main'} type="submit" busy=${busy} aria-disabled=${ready ? undefined : 'true'}>${button}<//></div>
  </form><//>`;
}
