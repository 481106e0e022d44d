// The session graph of "text to picture" for Stable Diffusion, node for node as InvokeAI's own client posts it.
// Prompt and seeds are not in the nodes: they come as batch data, one item for each picture.

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
export const MAX_SEED = 4294967295;

const suffix = () => Array.from(crypto.getRandomValues(new Uint8Array(10)), (n) => LETTERS[n % 62]).join('');
export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
const nodeId = (name) => `${name}:${suffix()}`;

/** `first`, or a chance seed when it is null, and the ones after it. */
export function seedsFrom(first, count) {
  const start = first ?? randomSeed();
  return Array.from({ length: count }, (_, i) => (start + i) % (MAX_SEED + 1));
}

const hidden = { is_intermediate: true, use_cache: true };
const isLarge = (model) => model.base === 'sdxl';

/** What reads the prompts: XL has two text encoders, and nodes of its own. */
function readers(id, wish) {
  if (isLarge(wish.model)) {
    const size = {
      original_width: wish.width,
      original_height: wish.height,
      target_width: wish.width,
      target_height: wish.height,
    };
    return [
      { id: id.loader, type: 'sdxl_model_loader', model: wish.model, ...hidden },
      { id: id.positive, type: 'sdxl_compel_prompt', ...size, ...hidden },
      { id: id.negative, type: 'sdxl_compel_prompt', prompt: wish.negative, style: wish.negative, ...size, ...hidden },
    ];
  }
  return [
    { id: id.loader, type: 'main_model_loader', model: wish.model, ...hidden },
    { id: id.skip, type: 'clip_skip', skipped_layers: 0, ...hidden },
    { id: id.positive, type: 'compel', ...hidden },
    { id: id.negative, type: 'compel', prompt: wish.negative, ...hidden },
  ];
}

function nodesFor(id, wish, boardId) {
  const { key, hash, name, base, type } = wish.model;
  const sampling = { cfg_scale: wish.guidance, cfg_rescale_multiplier: 0, scheduler: wish.scheduler, steps: wish.steps };
  const size = { width: wish.width, height: wish.height };
  const list = [
    { id: id.seed, type: 'integer', ...hidden },
    { id: id.prompt, type: 'string', ...hidden },
    ...readers(id, wish),
    { id: id.positives, type: 'collect', ...hidden },
    { id: id.negatives, type: 'collect', ...hidden },
    { id: id.noise, type: 'noise', use_cpu: true, ...size, ...hidden },
    { id: id.denoise, type: 'denoise_latents', ...sampling, denoising_start: 0, denoising_end: 1, ...hidden },
    {
      id: id.metadata,
      type: 'core_metadata',
      ...hidden,
      ...sampling,
      ...size,
      negative_prompt: wish.negative,
      model: { key, hash, name, base, type },
      rand_device: 'cpu',
      clip_skip: 0,
      seamless_x: false,
      seamless_y: false,
      generation_mode: isLarge(wish.model) ? 'sdxl_txt2img' : 'txt2img',
      ref_images: [],
    },
    {
      id: id.output,
      type: 'l2i',
      fp32: true,
      is_intermediate: false,
      use_cache: false,
      ...(boardId ? { board: { board_id: boardId } } : {}),
    },
  ];
  return Object.fromEntries(list.map((node) => [node.id, node]));
}

function edgesFor(id, large) {
  const edge = (from, out, to, into) => ({
    source: { node_id: id[from], field: out },
    destination: { node_id: id[to], field: into },
  });
  const reading = large
    ? [
        edge('loader', 'clip', 'positive', 'clip'),
        edge('loader', 'clip', 'negative', 'clip'),
        edge('loader', 'clip2', 'positive', 'clip2'),
        edge('loader', 'clip2', 'negative', 'clip2'),
        edge('prompt', 'value', 'positive', 'style'),
      ]
    : [
        edge('loader', 'clip', 'skip', 'clip'),
        edge('skip', 'clip', 'positive', 'clip'),
        edge('skip', 'clip', 'negative', 'clip'),
      ];
  return [
    ...reading,
    edge('loader', 'unet', 'denoise', 'unet'),
    edge('prompt', 'value', 'positive', 'prompt'),
    edge('positive', 'conditioning', 'positives', 'item'),
    edge('positives', 'collection', 'denoise', 'positive_conditioning'),
    edge('negative', 'conditioning', 'negatives', 'item'),
    edge('negatives', 'collection', 'denoise', 'negative_conditioning'),
    edge('seed', 'value', 'noise', 'seed'),
    edge('noise', 'noise', 'denoise', 'noise'),
    edge('denoise', 'latents', 'output', 'latents'),
    edge('seed', 'value', 'metadata', 'seed'),
    edge('prompt', 'value', 'metadata', 'positive_prompt'),
    edge('loader', 'vae', 'output', 'vae'),
    edge('metadata', 'metadata', 'output', 'metadata'),
  ];
}

/**
 * @param {object} wish prompt, negative, model (the whole record), width, height, steps, guidance, scheduler
 * @param {number[]} seeds one picture each
 * @param {?string} boardId where the pictures go
 * @returns {object} the body of POST queue/default/enqueue_batch
 */
export function textToPicture(wish, seeds, boardId) {
  const large = isLarge(wish.model);
  const id = {
    seed: nodeId('seed'),
    prompt: nodeId('positive_prompt'),
    loader: nodeId(large ? 'sdxl_model_loader' : 'sd1_model_loader'),
    skip: nodeId('clip_skip'),
    positive: nodeId('pos_cond'),
    positives: nodeId('pos_cond_collect'),
    negative: nodeId('neg_cond'),
    negatives: nodeId('neg_cond_collect'),
    noise: nodeId('noise'),
    denoise: nodeId('denoise_latents'),
    metadata: nodeId('core_metadata'),
    output: nodeId('canvas_output'),
  };
  return {
    prepend: false,
    batch: {
      graph: { id: `${large ? 'sdxl' : 'sd1'}_graph:${suffix()}`, nodes: nodesFor(id, wish, boardId), edges: edgesFor(id, large) },
      runs: 1,
      data: [
        [{ node_path: id.seed, field_name: 'value', items: seeds }],
        [{ node_path: id.prompt, field_name: 'value', items: [wish.prompt] }],
      ],
      origin: 'generate',
      destination: 'generate',
    },
  };
}

/** The node whose output arrives at a field of a node, through one that collects too. */
function before(graph, id, field) {
  const edge = (graph.edges || []).find(({ destination: to }) => to.node_id === id && to.field === field);
  const node = edge && graph.nodes[edge.source.node_id];
  return node?.type === 'collect' ? before(graph, node.id, 'item') : node;
}

/** What a script's graph says where our own client's nodes are missing: read at the node that denoises. */
function wishOfScript(item) {
  const graph = { nodes: {}, ...item.session?.graph };
  const denoise = Object.values(graph.nodes).find((node) => node.type === 'denoise_latents');
  if (!denoise) {
    return {};
  }
  const value = (node, field) => {
    const asked = (item.field_values || []).find((f) => f.node_path === node?.id && f.field_name === field);
    const from = node && before(graph, node.id, field);
    return asked?.value ?? (from ? value(from, 'value') : node?.[field]);
  };
  const text = value(before(graph, denoise.id, 'positive_conditioning'), 'prompt');
  const noise = before(graph, denoise.id, 'noise');
  return {
    prompt: typeof text === 'string' ? text : '',
    seed: value(noise, 'seed'),
    width: value(noise, 'width'),
    height: value(noise, 'height'),
    steps: denoise.steps,
    guidance: denoise.cfg_scale,
    scheduler: denoise.scheduler,
  };
}

/** Reads back from a queue item what was asked for. Missing parts stay undefined. */
export function wishOf(item) {
  const nodes = Object.values(item.session?.graph?.nodes || {});
  const script = wishOfScript(item);
  const meta = nodes.find((node) => node.type === 'core_metadata') || {};
  const loader = nodes.find((node) => /^(main|sdxl)_model_loader$/.test(node.type));
  const values = Object.fromEntries((item.field_values || []).map((f) => [f.node_path.split(':')[0], f.value]));
  const promptNode = nodes.find((node) => node.id.startsWith('positive_prompt:'));
  const seedNode = nodes.find((node) => node.id.startsWith('seed:'));
  return {
    prompt: values.positive_prompt ?? promptNode?.value ?? meta.positive_prompt ?? script.prompt ?? '',
    seed: values.seed ?? seedNode?.value ?? script.seed,
    negative: meta.negative_prompt || '',
    width: meta.width ?? script.width,
    height: meta.height ?? script.height,
    steps: meta.steps ?? script.steps,
    guidance: meta.cfg_scale ?? script.guidance,
    scheduler: meta.scheduler ?? script.scheduler,
    modelKey: meta.model?.key,
    modelName: meta.model?.name || loader?.model?.name,
    boardId: nodes.find((node) => node.id.startsWith('canvas_output:'))?.board?.board_id || null,
  };
}

/** Whether a node of this name makes the picture that a client like ours asked for. */
const isOutput = (id) => /^(canvas_output|l2i):/.test(id);

/** Name of the picture that an event `invocation_complete` brings to keep, or null. */
export function pictureOfEvent(event) {
  const name = event.result?.image?.image_name;
  return name && (isOutput(String(event.invocation_source_id)) || event.invocation?.is_intermediate === false) ? name : null;
}

/** Name of the finished picture of a queue item, or null: our own client's output, else the last that a script's graph keeps. */
export function pictureOf(item) {
  const { source_prepared_mapping: prepared, results, graph } = item.session || {};
  let kept = null;
  for (const [source, ids] of Object.entries(prepared || {})) {
    const name = ids.map((id) => results?.[id]?.image?.image_name).find(Boolean);
    if (name && isOutput(source)) {
      return name;
    }
    if (name && graph?.nodes?.[source]?.is_intermediate === false) {
      kept = name;
    }
  }
  return kept;
}

/** What InvokeAI's metadata of a picture says, in the shape of a wish. */
export function wishOfMetadata(meta) {
  return {
    prompt: meta.positive_prompt || '',
    negative: meta.negative_prompt || '',
    seed: meta.seed,
    width: meta.width,
    height: meta.height,
    steps: meta.steps,
    guidance: meta.cfg_scale,
    scheduler: meta.scheduler,
    modelKey: meta.model?.key,
    modelName: meta.model?.name,
  };
}
