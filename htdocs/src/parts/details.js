// What is known about a picture: its words, its settings, where it lies.
import { useEffect, useState } from 'preact/hooks';
import { copyText } from '../core/copy.js';
import { html } from '../core/html.js';
import { wishOfMetadata } from '../core/graph.js';
import { navigate } from '../core/router.js';
import { fullTime } from '../core/words.js';
import { UNSORTED, boardById, unsortedName } from '../state/boards.js';
import { metadataOf, picture, want } from '../state/pictures.js';
import { SAMPLING, takeOver } from '../state/wish.js';
import { Button } from './controls.js';

const rows = (wish) => [
  ['Model', wish.modelName],
  ['Steps', wish.steps],
  ['Guidance', wish.guidance],
  ['Sampling method', SAMPLING.find(([key]) => key === wish.scheduler)?.[1] || wish.scheduler],
  ['Seed', wish.seed],
];

/** @param {() => void} onUse runs when the person goes off to use the settings */
export function Details({ name, onUse }) {
  const [meta, setMeta] = useState(undefined);
  const [failed, setFailed] = useState('');
  const record = picture(name).value;
  useEffect(() => {
    let here = true;
    setMeta(undefined);
    setFailed('');
    want([name]);
    metadataOf(name).then(
      (found) => here && setMeta(found),
      (error) => here && setFailed(error.message),
    );
    return () => {
      here = false;
    };
  }, [name]);
  const wish = meta && wishOfMetadata(meta);
  const use = () => {
    takeOver(wish, { seed: true });
    onUse?.();
    navigate('/create');
  };
  const board = record?.board_id && boardById(record.board_id);
  const facts = [
    ...(wish ? rows(wish) : []),
    ['Size', record && `${record.width} × ${record.height}`],
    ['Made', record && fullTime(record.created_at)],
    ['Board', record && (board ? board.board_name : unsortedName(UNSORTED))],
    // Told to administrators only, where it is somebody else.
    ['Belongs to', record?.owner_name],
  ].filter(([, value]) => value !== undefined && value !== null && value !== '');
  return html`<div class="details">
    ${failed && html`<p class="message bad" role="alert">${failed}</p>`}
    ${meta === undefined && !failed && html`<p class="lines" role="status"><span class="sr">Reading the details</span></p>`}
    ${wish?.prompt && html`<h3>Prompt</h3><p class="details-prompt">${wish.prompt}</p>`}
    ${wish?.negative && html`<h3>Left out</h3><p class="details-prompt">${wish.negative}</p>`}
    ${wish?.prompt &&
    html`<div class="details-acts"><${Button} icon="use" onClick=${use}>Use these settings<//>
      <${Button} kind="quiet" icon="copy" onClick=${() => copyText(wish.prompt, 'Prompt copied.')}>Copy prompt<//></div>`}
    ${meta !== undefined && !wish?.prompt && html`<p class="note">This picture carries no prompt. It was added from outside.</p>`}
    <dl class="facts">${facts.map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
  </div>`;
}
