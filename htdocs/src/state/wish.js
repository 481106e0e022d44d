// What the person is about to ask for: the prompt and every setting, with defaults from the model.
import { computed, effect, signal } from '@preact/signals';
import { del, get } from '../core/api.js';
import { freshReader } from '../core/fresh.js';
import { on } from '../core/live.js';
import { isAdmin, myId, onLeave, solo } from '../core/session.js';
import { forgetHere, forgetOthers, recallJson, remember, rememberJson } from '../core/storage.js';
import { apart } from '../core/words.js';
import { complain, sayWithUndo } from './toasts.js';

export const SAMPLING = [
  ['dpmpp_2m_k', 'DPM++ 2M Karras', 'good in few steps'],
  ['dpmpp_2m', 'DPM++ 2M', 'crisp'],
  ['dpmpp_2m_sde', 'DPM++ 2M SDE', 'livelier, adds noise at every step'],
  ['dpmpp_2m_sde_k', 'DPM++ 2M SDE Karras', 'livelier, finer details'],
  ['dpmpp_2s', 'DPM++ 2S', 'good in few steps'],
  ['dpmpp_2s_k', 'DPM++ 2S Karras', 'good in few steps, finer details'],
  ['dpmpp_3m', 'DPM++ 3M', 'smooth in many steps'],
  ['dpmpp_3m_k', 'DPM++ 3M Karras', 'smooth, finer details'],
  ['dpmpp_sde', 'DPM++ SDE', 'lively; twice the work in each step'],
  ['dpmpp_sde_k', 'DPM++ SDE Karras', 'lively, finer details; twice the work in each step'],
  ['euler', 'Euler', 'simple and steady'],
  ['euler_k', 'Euler Karras', 'steady, finer details'],
  ['euler_a', 'Euler ancestral', 'livelier, changes with every step'],
  ['unipc', 'UniPC', 'good in very few steps'],
  ['unipc_k', 'UniPC Karras', 'good in very few steps, finer details'],
  ['deis', 'DEIS', 'good in few steps'],
  ['deis_k', 'DEIS Karras', 'good in few steps, finer details'],
  ['heun', 'Heun', 'exact; twice the work in each step'],
  ['heun_k', 'Heun Karras', 'exact, finer details; twice the work in each step'],
  ['kdpm_2', 'KDPM 2', 'exact; twice the work in each step'],
  ['kdpm_2_k', 'KDPM 2 Karras', 'exact, finer details; twice the work in each step'],
  ['kdpm_2_a', 'KDPM 2 ancestral', 'livelier; twice the work in each step'],
  ['kdpm_2_a_k', 'KDPM 2 ancestral Karras', 'livelier, finer details; twice the work in each step'],
  ['lms', 'LMS', 'steady'],
  ['lms_k', 'LMS Karras', 'steady, finer details'],
  ['pndm', 'PNDM', 'what the first models came with'],
  ['ddim', 'DDIM', 'the classic'],
  ['ddpm', 'DDPM', 'the oldest; wants many steps'],
  ['lcm', 'LCM', 'for models made for 4 to 8 steps'],
  ['tcd', 'TCD', 'for models made for 4 to 8 steps, livelier'],
];
export const SHAPES = [
  ['square', 'Square', 1, 1],
  ['portrait', 'Portrait', 2, 3],
  ['landscape', 'Landscape', 3, 2],
  ['tall', 'Tall', 9, 16],
  ['wide', 'Wide', 16, 9],
];
export const SIDE = { min: 64, max: 1536, step: 8 };
export const MAX_COUNT = 8;
/** As much as the engine reads of a prompt: MAX_PROMPT of worker/diffusion/prompt.c. */
export const PROMPT_BYTES = 16384;

const NATIVE_SIDE = { 'sd-1': 512, 'sd-2': 768, sdxl: 1024 };
const USABLE = new Set(['sd-1', 'sd-2', 'sdxl']);
const KEPT = ['prompt', 'negative', 'modelKey', 'width', 'height', 'steps', 'guidance', 'scheduler', 'seed', 'count', 'boardId'];

/** 'loading', 'ready' or {failed: sentence}. */
export const modelsState = signal('loading');
export const models = signal([]);
/** Models that can't be used just now; only administrators hear of them: {name, problem, missing, …}. */
export const unusable = signal([]);
/** What else is on the list, for the page of models: parts of other kinds, and models of families that the pages don't make pictures with. */
export const otherModels = signal([]);
/** Whether the server has a folder to look for more models in; only administrators hear of it. */
export const modelFolder = signal(false);
/** What is to be said when there is nothing to make pictures with. */
export const noModel = computed(() => {
  if (unusable.value.length) {
    return 'No model can be used just now. Settings says why.';
  }
  const who = isAdmin.value || solo.value ? 'Add one on the page Models.' : 'Ask the person who looks after this server.';
  return `There is no model here that can be used just now. ${who}`;
});

export const prompt = signal('');
export const negative = signal('');
/** Everything below is null while the default counts. */
const chosen = signal({});

const encoder = new TextEncoder();
/** How much room a prompt leaves; below zero it is too long. Counted as the engine counts: "ä" takes more than "a". */
export const roomIn = (text) => PROMPT_BYTES - encoder.encode(text.trim()).length;

export const model = computed(() => models.value.find((m) => m.key === chosen.value.modelKey) || models.value[0] || null);

/** What a model starts with. */
export function defaultsOf(which) {
  const own = which?.default_settings || {};
  const side = NATIVE_SIDE[which?.base] || 512;
  return {
    width: own.width || side,
    height: own.height || side,
    steps: own.steps || 25,
    guidance: own.cfg_scale || 7.5,
    scheduler: SAMPLING.some(([key]) => key === own.scheduler) ? own.scheduler : 'dpmpp_2m_k',
    seed: null,
    count: 1,
    boardId: null,
  };
}

/** The defaults of the chosen model. */
export const defaults = computed(() => defaultsOf(model.value));
export const settings = computed(() => ({ ...defaults.value, ...chosen.value }));
export const isDefault = (name) => chosen.value[name] === undefined || chosen.value[name] === defaults.value[name];

/** Sets some settings; undefined goes back to the default. */
export function choose(changes) {
  const next = { ...chosen.value, ...changes };
  Object.keys(next).forEach((key) => next[key] === undefined && delete next[key]);
  chosen.value = next;
}

/** Another model starts with its own size and steps. */
export const chooseModel = (modelKey) => choose({ modelKey, width: undefined, height: undefined, steps: undefined });

export const resetAll = () => {
  chosen.value = chosen.value.modelKey ? { modelKey: chosen.value.modelKey } : {};
};

const clampSide = (n) => Math.min(SIDE.max, Math.max(SIDE.min, Math.round(n / SIDE.step) * SIDE.step));

/** Width and height of a shape that hold about as many points as the model's own size. */
export function sizeOf([, , w, h]) {
  const area = defaults.value.width * defaults.value.height;
  const unit = Math.sqrt(area / (w * h));
  return { width: clampSide(unit * w), height: clampSide(unit * h) };
}

export const shapeNow = computed(() => {
  const { width, height } = settings.value;
  return SHAPES.find((shape) => {
    const size = sizeOf(shape);
    return size.width === width && size.height === height;
  })?.[0];
});

/** Fills the composer from an earlier job; a seed is taken over only when asked for. */
export function takeOver(wish, { seed = false } = {}) {
  prompt.value = wish.prompt;
  negative.value = wish.negative || '';
  choose({
    // One that is not here (any more) falls back to the first; the list itself may still be on its way.
    ...(wish.modelKey ? { modelKey: wish.modelKey } : {}),
    width: wish.width,
    height: wish.height,
    steps: wish.steps,
    guidance: wish.guidance,
    scheduler: wish.scheduler,
    seed: seed ? wish.seed : undefined,
  });
}

/** The whole wish as the graph needs it. */
export const currentWish = () => ({
  ...settings.value,
  model: model.value,
  modelKey: model.value?.key,
  modelName: model.value?.name,
  prompt: prompt.value.trim(),
  negative: negative.value.trim(),
});

const list = freshReader(
  () => get('/api/v2/models/'),
  (answer) => {
    const known = answer.models.filter((m) => m.type === 'main' && USABLE.has(m.base));
    otherModels.value = answer.models.filter((m) => !known.includes(m));
    modelFolder.value = Boolean(answer.model_folder);
    models.value = known.filter((m) => !m.problem);
    unusable.value = known.filter((m) => m.problem);
    modelsState.value = 'ready';
  },
  (error) => {
    // Read anew in between, an old list is better than none.
    if (modelsState.value !== 'ready') {
      modelsState.value = { failed: error.message };
    }
  },
);

let reading = null;

export function loadModels() {
  modelsState.value = 'loading';
  reading = list.read();
  return reading;
}

/** Reads the list again, under the eyes of who looks at it. */
export const refreshModels = () => (modelsState.value === 'ready' ? list.read() : loadModels());

/** Takes a model whose folder is gone off the list, after a while in which that can be taken back. */
export function forgetModel(model) {
  [unusable, otherModels].forEach((kind) => (kind.value = kind.value.filter((m) => m.key !== model.key)));
  const act = async (pageCloses) => {
    try {
      await del(`/api/v2/models/i/${encodeURIComponent(model.key)}`, { keepalive: pageCloses });
    } catch (error) {
      complain(error);
    }
    refreshModels();
  };
  sayWithUndo(`“${apart(model.name)}” is off the list`, act, refreshModels);
}

/** Resolves when the models are known, or can't be had. */
export const modelsThere = () => (modelsState.value === 'loading' ? reading || loadModels() : null);

/**
 * Remembers the composer on this device, for this person only, until they sign out or somebody else signs in here. A session that ends by
 * itself takes nothing away. Each tab keeps its own; a new one starts with what was written last.
 */
export function startWish() {
  // Whoever signed out in another tab has done so in this one.
  forgetHere('wish:');
  let owner = null;
  effect(() => {
    if (myId.value && owner !== myId.value) {
      owner = myId.value;
      forgetOthers('wish:', `wish:${owner}`);
      const kept = recallJson(`wish:${owner}`, null, true) || recallJson(`wish:${owner}`, {});
      prompt.value = kept.prompt || '';
      negative.value = kept.negative || '';
      chosen.value = Object.fromEntries(Object.entries(kept).filter(([k]) => KEPT.includes(k) && !k.match(/prompt|negative/)));
    }
  });
  effect(() => {
    const now = { ...chosen.value, prompt: prompt.value, negative: negative.value };
    if (owner && owner === myId.peek()) {
      [true, false].forEach((here) => rememberJson(`wish:${owner}`, now, here));
    }
  });
  ['reconnected', 'models_changed'].forEach((event) => on(event, refreshModels));
  onLeave(({ ended }) => {
    reading = null;
    if (owner && !ended) {
      [true, false].forEach((here) => remember(`wish:${owner}`, null, here));
    }
    owner = null;
    prompt.value = '';
    negative.value = '';
    chosen.value = {};
    models.value = [];
    unusable.value = [];
    otherModels.value = [];
    modelsState.value = 'loading';
  });
}
