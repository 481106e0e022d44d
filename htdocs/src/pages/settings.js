// The settings of the next picture: a few plain ones, the rest one fold away. Each knows its default.
import { html } from '../core/html.js';
import { MAX_SEED, randomSeed } from '../core/graph.js';
import { apart } from '../core/words.js';
import { Button, Field, Slider } from '../parts/controls.js';
import { choose, chooseModel, defaults, forgetModel, model, models, resetAll, SAMPLING, settings, shapeNow, SHAPES, SIDE, sizeOf, unusable } from '../state/wish.js';

function Model() {
  const list = models.value;
  return html`<${Field} label="Model" hint=${model.value?.description || undefined}>
    ${(props) => html`<select class="input" value=${model.value?.key || ''} disabled=${list.length < 1} ...${props}
      onChange=${(e) => chooseModel(e.target.value)}>
      ${!list.length && html`<option value="">None</option>`}
      ${list.map((m) => html`<option key=${m.key} value=${m.key}>${m.name}</option>`)}
      ${unusable.value.map((m) => html`<option key=${m.key} value=${m.key} disabled>${apart(m.name)} (can’t be used)</option>`)}</select>`}
  <//>
  ${unusable.value.map((m) => html`<p class="note" key=${m.key}>“${apart(m.name)}” can’t be used just now. ${m.problem}
    ${m.missing && html` <button type="button" class="link" onClick=${() => forgetModel(m)}>Take off the list</button>`}</p>`)}`;
}

function Side({ label, name }) {
  return html`<${Field} label=${label}>${(props) => html`<input class="input" type="number" min=${SIDE.min} max=${SIDE.max} step=${SIDE.step}
    value=${settings.value[name]} ...${props} onChange=${(e) => {
      const n = Math.round(Number(e.target.value) / SIDE.step) * SIDE.step;
      choose({ [name]: Number.isFinite(n) && n ? Math.min(SIDE.max, Math.max(SIDE.min, n)) : undefined });
      e.target.value = settings.peek()[name];
    }} />`}<//>`;
}

/** The numbers lie under "More control"; this leads there. */
function ownSize(event) {
  const fold = event.target.closest('.settings').querySelector('.fold');
  fold.open = true;
  fold.querySelector('input').focus();
}

function Shape() {
  const now = shapeNow.value;
  return html`<fieldset class="choice shapes" onDblClick=${() => choose({ width: undefined, height: undefined })}>
    <legend>Shape</legend>
    <div class="shape-row">${SHAPES.map(
      (shape) => html`<label class=${`shape ${shape[0]}`} key=${shape[0]}>
        <input type="radio" name="shape" checked=${now === shape[0]} onChange=${() => choose(sizeOf(shape))} />
        <span><i aria-hidden="true"></i>${shape[1]}</span></label>`,
    )}<label class="shape own"><input type="radio" name="shape" checked=${!now} onChange=${ownSize} /><span><i aria-hidden="true"></i>Your own</span></label></div>
    <p class="note">${settings.value.width} × ${settings.value.height} pixels</p>
  </fieldset>`;
}

function Seed() {
  const { seed } = settings.value;
  const side = seed === null ? null : html`<button type="button" class="link" onClick=${() => choose({ seed: undefined })}>Back to chance</button>`;
  return html`<${Field} label="Seed" side=${side} hint="The same seed and settings make the same picture again.">
    ${(props) => html`<div class="input-row">
      <input class="input" inputmode="numeric" placeholder="By chance" value=${seed ?? ''} ...${props} onChange=${(e) => {
        const n = e.target.value.trim() === '' ? NaN : Number(e.target.value);
        choose({ seed: Number.isInteger(n) && n >= 0 && n <= MAX_SEED ? n : undefined });
        e.target.value = settings.peek().seed ?? '';
      }} />
      <button type="button" class="input-side" onClick=${() => choose({ seed: randomSeed() })}>Pick one</button></div>`}
  <//>`;
}

export function Settings() {
  const now = settings.value;
  const standard = defaults.value;
  return html`<div class="settings">
    <${Model} /><${Shape} />
    <details class="fold"><summary>More control</summary><div class="fold-in">
      <div class="pair"><${Side} label="Width" name="width" /><${Side} label="Height" name="height" /></div>
      <${Slider} label="Steps" hint="More steps take longer and may add detail." value=${now.steps} standard=${standard.steps} min=${1} max=${60}
        onNumber=${(n) => choose({ steps: Math.round(n) })} reset=${() => choose({ steps: undefined })} />
      <${Slider} label="Guidance" hint="How closely the picture keeps to your words." value=${now.guidance} standard=${standard.guidance} min=${1} max=${20} step=${0.5}
        onNumber=${(n) => choose({ guidance: n })} reset=${() => choose({ guidance: undefined })} />
      <${Field} label="Sampling method" hint=${SAMPLING.find(([key]) => key === now.scheduler)?.[2]}>
        ${(props) => html`<select class="input" value=${now.scheduler} ...${props} onChange=${(e) => choose({ scheduler: e.target.value })}>
          ${SAMPLING.some(([key]) => key === now.scheduler) ? null : html`<option value=${now.scheduler}>${now.scheduler}</option>`}
          ${SAMPLING.map(([key, name]) => html`<option key=${key} value=${key}>${name}</option>`)}</select>`}<//>
      <${Seed} />
    </div></details>
    <${Button} kind="quiet" icon="again" onClick=${resetAll}>Back to the defaults<//>
  </div>`;
}
