// Models: what there is to make pictures with. Everybody looks and chooses; administrators describe, remove and bring back.
import { useEffect, useState } from 'preact/hooks';
import { api, del, get, patch } from '../core/api.js';
import { useDraft } from '../core/draft.js';
import { html } from '../core/html.js';
import { navigate } from '../core/router.js';
import { user } from '../core/session.js';
import { apart, count } from '../core/words.js';
import { Blank, Button, Failed, Field, TextField } from '../parts/controls.js';
import { Form } from '../parts/form.js';
import { Icon } from '../parts/icons.js';
import { Menu } from '../parts/menu.js';
import { complain, say, sayWithUndo } from '../state/toasts.js';
import { chooseModel, defaultsOf, forgetModel, loadModels, modelFolder, models, modelsState, otherModels, refreshModels, unusable } from '../state/wish.js';

const ROOT = '/api/v2/models';
const one = (model) => `${ROOT}/i/${encodeURIComponent(model.key)}`;
const scan = () => get(`${ROOT}/scan_folder`);
const install = (path) => api('POST', `${ROOT}/install`, { query: { source: path }, json: {} });
const parted = (names) => names.map((name) => `“${apart(name)}”`).join(', ');

/** "43 MB on disk"; nothing where nobody knows. */
function onDisk(bytes) {
  const large = bytes >= 1e9;
  const number = Math.max(0.1, bytes / (large ? 1e9 : 1e6)).toLocaleString(undefined, { maximumFractionDigits: bytes < 1e7 || large ? 1 : 0 });
  return bytes > 0 && `${number} ${large ? 'GB' : 'MB'} on disk`;
}

function EditModel({ model, onClose }) {
  const [name, setName] = useDraft(`model-name:${model.key}`, model.name);
  const [about, setAbout] = useDraft(`model-about:${model.key}`, model.description || '');
  const act = async () => {
    await patch(one(model), { name: name.trim(), description: about.trim() || null });
    say('Saved.');
    refreshModels();
  };
  return html`<${Form} title=${`Edit ${apart(model.name)}`} button="Save" ready=${Boolean(name.trim())} act=${act} onClose=${onClose}>
    <${TextField} label="Name" value=${name} onText=${setName} maxlength="120" autocomplete="off" autofocus />
    <${Field} label="Description">${(props) => html`<textarea class="input" rows="4" maxlength="2000" value=${about}
      onInput=${(e) => setAbout(e.target.value)} ...${props}></textarea>`}<//>
  <//>`;
}

async function bringBack(path, name) {
  try {
    await install(path);
    say(`“${apart(name)}” is back on the list.`);
  } catch (error) {
    complain(error);
  }
  return refreshModels();
}

/** What was pressed goes away; the focus must not go with it. */
const toTop = () => document.querySelector('.page h1')?.focus();

/** Off the list at once, so that every open page knows; the files stay, and Undo brings it back. */
async function remove(model) {
  try {
    await del(one(model));
    sayWithUndo(`“${apart(model.name)}” is off the list; its files stay`, () => {}, () => bringBack(model.path, model.name));
  } catch (error) {
    complain(error);
  }
  await refreshModels();
  toTop();
}

function use(model) {
  chooseModel(model.key);
  navigate('/create');
}

/** What stands of every model: its picture, its name, whether it can be used; `facts` and `ready` are words of its kind. */
function Card({ model, level, facts, ready, children }) {
  return html`<li class=${model.problem ? 'model off' : 'model'} data-model=${model.key}>
    <div class="model-cover">${model.cover_image ? html`<img src=${model.cover_image} alt="" loading="lazy" />` : html`<${Icon} name="model" />`}</div>
    <div class="model-words">
      <${level}><bdi>${model.name}</bdi>${model.sample && html`<span class="tag">Sample</span>`}<//>
      ${model.description && html`<p>${model.description}</p>`}
      <p class="note">${facts.filter(Boolean).map((fact, i) => html`<span class=${i ? 'dot' : undefined}>${fact}</span>`)}</p>
      <p class=${model.problem ? 'model-state bad' : 'model-state'}><${Icon} name=${model.problem ? 'warn' : 'check'} /><span>${model.problem ? `Can’t be used just now. ${model.problem}` : ready}</span></p>
    </div>
    <div class="model-acts">${children}</div></li>`;
}

const More = ({ model, edit }) => html`<${Menu} label=${`More for ${model.name}`} entries=${[
  { words: 'Edit', icon: 'edit', act: () => edit(model) },
  model.missing
    ? { words: 'Take off the list', icon: 'trash', danger: true, act: () => forgetModel(model) }
    : { words: 'Remove', icon: 'trash', danger: true, act: () => remove(model) },
]} />`;

function Model({ model, may, edit }) {
  const own = defaultsOf(model);
  const start = `starts with ${own.width} × ${own.height} pixels, ${count(own.steps, 'step')}, guidance ${own.guidance}`;
  return html`<${Card} model=${model} level="h2" facts=${[onDisk(model.file_size), start]} ready="Ready to use">
    ${!model.problem && html`<${Button} onClick=${() => use(model)} aria-label=${`Use ${model.name}`}>Use<//>`}
    ${may && html`<${More} model=${model} edit=${edit} />`}<//>`;
}

/** What else a model may be, in the order of the page: [type, words, what it is for]. */
const KINDS = [
  ['main', 'Models of other families', 'The pages make no pictures with them.'],
  ['lora', 'LoRAs', 'Each adds a style or a subject to a model.'],
  ['controlnet', 'ControlNets', 'They keep a picture to the outlines, depths or poses of another.'],
  ['t2i_adapter', 'T2I adapters', 'They keep a picture to the outlines, depths or poses of another.'],
  ['ip_adapter', 'IP adapters', 'They let a picture take after another.'],
  ['embedding', 'Textual inversions', 'Words of their own for a style or a subject.'],
  ['vae', 'VAEs', 'They turn what a model has worked out into colours.'],
  ['spandrel_image_to_image', 'Upscalers', 'They make pictures larger.'],
];
const REST = ['Other parts', 'What models are put together from, and kinds that this server doesn’t know.'];
const FAMILIES = { 'sd-1': 'for Stable Diffusion 1', 'sd-2': 'for Stable Diffusion 2', sdxl: 'for Stable Diffusion XL', 'sd-3': 'for Stable Diffusion 3', flux: 'for FLUX', any: '' };

/** What can't be chosen on Create: scripts and workflows name it, and whoever looks after the server finds it here. */
function Others({ edit }) {
  const known = KINDS.map(([type]) => type);
  const groups = [...KINDS, [null, ...REST]].map(([type, words, about]) => ({ words, about, list: otherModels.value.filter((m) => (type ? m.type === type : !known.includes(m.type))) }));
  return groups.filter(({ list }) => list.length).map(
    ({ words, about, list }) => html`<section key=${words}><h2>${words}</h2><p class="note">${about}</p><ul class="models">${list.map(
      (model) => html`<${Card} key=${model.key} model=${model} level="h3" facts=${[onDisk(model.file_size), FAMILIES[model.base] ?? `for ${model.base}`]}
        ready="Ready, for workflows and programs"><${More} model=${model} edit=${edit} /><//>`,
    )}</ul></section>`,
  );
}

/** Registers what has appeared or was mended, and says what came of it. */
async function lookForNew() {
  const fresh = (await scan()).filter((found) => !found.is_installed && !found.removed && !found.problem);
  const names = [];
  for (const found of fresh) {
    names.push((await install(found.path)).config_out.name);
  }
  say(names.length ? `New on the list: ${parted(names)}.` : 'Nothing new in the model folder.');
}

const NoFolder = () => html`<section><h2>Adding a model</h2><p class="note">This server has no folder for models yet. The administrator guide says, under Models, how
  to give it one (InvokeMUModels).</p></section>`;

/** What lies in the model folder and is not on the list. */
function Folder({ found, again }) {
  const removed = found.filter((one) => one.removed);
  const torn = found.filter((one) => !one.removed && !one.is_installed && one.problem);
  const back = async (one) => {
    await bringBack(one.path, one.name);
    await again();
    toTop();
  };
  return html`${torn.map((one) => html`<p class="hint-line" key=${one.path}><${Icon} name="warn" /><span>The folder “${apart(one.name)}” holds a model that can’t be used. ${one.problem}</span></p>`)}
    ${removed.length > 0 &&
    html`<section><h2>Removed</h2><p class="note">Off everybody’s list; their files are still there.</p>
      <ul class="removed">${removed.map(
        (one) => html`<li key=${one.path}><span>${one.name}</span><${Button} icon="again" onClick=${() => back(one)} aria-label=${`Bring back ${one.name}`}>Bring back<//></li>`,
      )}</ul></section>`}
    <section><h2>Adding a model</h2>
      <p class="note">Copy it into the folder for models on the server, then press “Look for new models”; nothing has to be restarted. What works: Stable
        Diffusion 1, 2 and XL, as the whole folder they come in or as one file, and LoRAs, which add a style or a subject; all of them as files that end in
        .safetensors. The administrator guide says, under Models, where that folder is.</p></section>`;
}

function List({ may, edit }) {
  const all = [...models.value, ...unusable.value];
  const state = modelsState.value;
  if (state.failed) {
    return html`<${Failed} what="The list can’t be read right now" why=${state.failed} again=${loadModels} />`;
  }
  if (state !== 'ready') {
    return html`<ul class="models" aria-hidden="true">${[1, 2].map((n) => html`<li class="model skeleton" key=${n}></li>`)}</ul><p class="sr" role="status">Reading the list</p>`;
  }
  if (!all.length) {
    return html`<${Blank} icon="model" title="There is no model here yet">${may ? 'Without one, no pictures can be made. How to add one stands below.' : 'Without one, no pictures can be made. Ask the person who looks after this server.'}<//>`;
  }
  return html`<ul class="models">${all.map((model) => html`<${Model} key=${model.key} model=${model} may=${may} edit=${edit} />`)}</ul>`;
}

export function Models() {
  const may = Boolean(user.value?.is_admin);
  const [found, setFound] = useState([]);
  const [trouble, setTrouble] = useState('');
  const [looking, setLooking] = useState(false);
  const [edited, setEdited] = useDraft('model', null);
  const read = () =>
    scan().then(
      (list) => (setFound(list), setTrouble('')),
      (error) => setTrouble(error.message),
    );
  useEffect(() => {
    refreshModels();
  }, []);
  // Whenever the list was read anew, here or because somebody else changed it.
  useEffect(() => {
    if (may && modelFolder.value && modelsState.value === 'ready') {
      read();
    }
  }, [may, models.value, unusable.value, modelsState.value, modelFolder.value]);
  const look = async () => {
    setLooking(true);
    try {
      await lookForNew();
    } catch (error) {
      complain(error);
    }
    await refreshModels();
    setLooking(false);
  };
  return html`<div class="page narrow">
    <header class="page-head"><h1 tabindex="-1">Models</h1><p class="lead">What pictures can be made with here.</p>
      ${may && modelFolder.value && html`<div class="page-acts both"><${Button} kind="main" icon="search" busy=${looking} aria-disabled=${looking ? 'true' : undefined} onClick=${() => looking || look()}>Look for new models<//></div>`}</header>
    <${List} may=${may} edit=${setEdited} />
    ${may && trouble && html`<p class="message bad" role="alert">${trouble}</p>`}
    ${may && modelsState.value === 'ready' && html`<${Others} edit=${setEdited} />`}
    ${may ? html`<${modelFolder.value || modelsState.value !== 'ready' ? Folder : NoFolder} found=${found} again=${read} />` : html`<p class="hint-line"><${Icon} name="lock" /><span>Only administrators change models.</span></p>`}
    ${edited && html`<${EditModel} model=${edited} onClose=${() => setEdited(null)} />`}
  </div>`;
}
