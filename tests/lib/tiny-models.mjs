// Models of every family that the worker runs, made on the spot: a few kilobytes of chance numbers in the layout of
// diffusers. They draw noise; what matters is that every tensor is where a real model has it.
import fs from 'node:fs';
import path from 'node:path';
import { REPO } from './paths.mjs';

/** Numbers around zero, the same for the same seed. */
function chance(seed) {
    let state = seed >>> 0;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 31 - 1;
    };
}

/** Collects tensors, then writes them as a safetensors file. */
export class Tensors {
    constructor(seed = 1) {
        this.next = chance(seed);
        this.list = [];
    }
    /** A tensor of chance numbers within ±size. */
    add(name, shape, size = 0.1) {
        const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => this.next() * size);
        this.list.push({ name, shape, values });
    }
    linear(name, from, to, { bias = true, conv = 0 } = {}) {
        const shape = conv ? [to, from, conv, conv] : [to, from];
        this.add(`${name}.weight`, shape, 1 / Math.sqrt(from * Math.max(conv, 1) ** 2));
        if (bias) {
            this.add(`${name}.bias`, [to]);
        }
    }
    norm(name, width) {
        this.list.push({ name: `${name}.weight`, shape: [width], values: new Float32Array(width).fill(1) });
        this.add(`${name}.bias`, [width]);
    }
    write(file) {
        const header = {};
        let at = 0;
        for (const { name, shape, values } of this.list) {
            header[name] = { dtype: 'F32', shape, data_offsets: [at, (at += values.byteLength)] };
        }
        const text = Buffer.from(JSON.stringify(header));
        const size = Buffer.alloc(8);
        size.writeBigUInt64LE(BigInt(text.length));
        const data = this.list.map(({ values }) => Buffer.from(values.buffer));
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, Buffer.concat([size, text, ...data]));
    }
}

function resnet(t, name, from, to, time) {
    t.norm(`${name}.norm1`, from);
    t.linear(`${name}.conv1`, from, to, { conv: 3 });
    if (time) {
        t.linear(`${name}.time_emb_proj`, time, to);
    }
    t.norm(`${name}.norm2`, to);
    t.linear(`${name}.conv2`, to, to, { conv: 3 });
    if (from !== to) {
        t.linear(`${name}.conv_shortcut`, from, to, { conv: 1 });
    }
}

function transformer(t, name, width, context, conv) {
    t.norm(`${name}.norm`, width);
    t.linear(`${name}.proj_in`, width, width, { conv });
    const block = `${name}.transformer_blocks.0`;
    for (const [attention, other] of [['attn1', width], ['attn2', context]]) {
        t.linear(`${block}.${attention}.to_q`, width, width, { bias: false });
        t.linear(`${block}.${attention}.to_k`, other, width, { bias: false });
        t.linear(`${block}.${attention}.to_v`, other, width, { bias: false });
        t.linear(`${block}.${attention}.to_out.0`, width, width);
    }
    [1, 2, 3].forEach((i) => t.norm(`${block}.norm${i}`, width));
    t.linear(`${block}.ff.net.0.proj`, width, 8 * width);
    t.linear(`${block}.ff.net.2`, 4 * width, width);
    t.linear(`${name}.proj_out`, width, width, { conv });
}

/** The way down of a UNet and its middle: two levels, of which the second attends; one layer each. */
function wayDown(t, { context, added = 0, channels = 4, linear, widths: [a, b] }) {
    const time = 4 * a;
    const conv = linear ? 0 : 1;
    t.linear('time_embedding.linear_1', a, time);
    t.linear('time_embedding.linear_2', time, time);
    if (added) {
        t.linear('add_embedding.linear_1', added, time);
        t.linear('add_embedding.linear_2', time, time);
    }
    t.linear('conv_in', channels, a, { conv: 3 });
    resnet(t, 'down_blocks.0.resnets.0', a, a, time);
    t.linear('down_blocks.0.downsamplers.0.conv', a, a, { conv: 3 });
    resnet(t, 'down_blocks.1.resnets.0', a, b, time);
    transformer(t, 'down_blocks.1.attentions.0', b, context, conv);
    resnet(t, 'mid_block.resnets.0', b, b, time);
    transformer(t, 'mid_block.attentions.0', b, context, conv);
    resnet(t, 'mid_block.resnets.1', b, b, time);
}

function unet(folder, options) {
    const { context, added = 0, channels = 4, linear, widths: [a, b], groups = 4 } = options;
    const t = new Tensors(11);
    const time = 4 * a;
    const conv = linear ? 0 : 1;
    wayDown(t, options);
    for (const [i, from] of [[0, 2 * b], [1, b + a]]) {
        resnet(t, `up_blocks.0.resnets.${i}`, from, b, time);
        transformer(t, `up_blocks.0.attentions.${i}`, b, context, conv);
    }
    t.linear('up_blocks.0.upsamplers.0.conv', b, b, { conv: 3 });
    resnet(t, 'up_blocks.1.resnets.0', b + a, a, time);
    resnet(t, 'up_blocks.1.resnets.1', 2 * a, a, time);
    t.norm('conv_norm_out', a);
    t.linear('conv_out', a, 4, { conv: 3 });
    t.write(path.join(folder, 'unet/diffusion_pytorch_model.safetensors'));
    return {
        in_channels: channels, out_channels: 4, sample_size: 8, block_out_channels: [a, b], layers_per_block: 1, norm_num_groups: groups,
        attention_head_dim: 2, cross_attention_dim: context, use_linear_projection: linear, transformer_layers_per_block: 1,
        down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D'], up_block_types: ['CrossAttnUpBlock2D', 'UpBlock2D'],
        ...(added ? { addition_embed_type: 'text_time', addition_time_embed_dim: 4, projection_class_embeddings_input_dim: added } : {}),
    };
}

/** Four levels, so that a cell of latents is 8 pixels wide; no attention. */
function vae(folder) {
    const t = new Tensors(12);
    const width = 4;
    for (const [half, from, to] of [['encoder', 3, 8], ['decoder', 4, 3]]) {
        t.linear(`${half}.conv_in`, from, width, { conv: 3 });
        resnet(t, `${half}.mid_block.resnets.0`, width, width);
        resnet(t, `${half}.mid_block.resnets.1`, width, width);
        for (let level = 0; level < 4; level++) {
            const blocks = half === 'encoder' ? [`${half}.down_blocks.${level}`, 'downsamplers', 1] : [`${half}.up_blocks.${level}`, 'upsamplers', 2];
            for (let i = 0; i < blocks[2]; i++) {
                resnet(t, `${blocks[0]}.resnets.${i}`, width, width);
            }
            if (level < 3) {
                t.linear(`${blocks[0]}.${blocks[1]}.0.conv`, width, width, { conv: 3 });
            }
        }
        t.norm(`${half}.conv_norm_out`, width);
        t.linear(`${half}.conv_out`, width, to, { conv: 3 });
    }
    t.linear('quant_conv', 8, 8, { conv: 1 });
    t.linear('post_quant_conv', 4, 4, { conv: 1 });
    t.write(path.join(folder, 'vae/diffusion_pytorch_model.safetensors'));
    return {
        block_out_channels: [width, width, width, width], layers_per_block: 1, norm_num_groups: 2, latent_channels: 4,
        scaling_factor: 0.13025, force_upcast: true, mid_block_add_attention: false,
        down_block_types: Array(4).fill('DownEncoderBlock2D'), up_block_types: Array(4).fill('UpDecoderBlock2D'),
    };
}

function textEncoder(folder, part, width, { projection = width, projects, act }) {
    const t = new Tensors(13 + width);
    t.add('text_model.embeddings.token_embedding.weight', [1000, width]);
    t.add('text_model.embeddings.position_embedding.weight', [77, width]);
    for (let i = 0; i < 2; i++) {
        const layer = `text_model.encoder.layers.${i}`;
        ['q', 'k', 'v', 'out'].forEach((one) => t.linear(`${layer}.self_attn.${one}_proj`, width, width));
        t.linear(`${layer}.mlp.fc1`, width, 2 * width);
        t.linear(`${layer}.mlp.fc2`, 2 * width, width);
        t.norm(`${layer}.layer_norm1`, width);
        t.norm(`${layer}.layer_norm2`, width);
    }
    t.norm('text_model.final_layer_norm', width);
    if (projects) {
        t.linear('text_projection', width, projection, { bias: false });
    }
    t.write(path.join(folder, part, 'model.safetensors'));
    return {
        vocab_size: 1000, hidden_size: width, intermediate_size: 2 * width, projection_dim: projection, num_hidden_layers: 2,
        num_attention_heads: 2, max_position_embeddings: 77, hidden_act: act,
    };
}

const PIPELINES = {
    'sd-1': 'StableDiffusionPipeline',
    'sd-2': 'StableDiffusionPipeline',
    inpaint: 'StableDiffusionInpaintPipeline',
    sdxl: 'StableDiffusionXLPipeline',
    'sdxl-refiner': 'StableDiffusionXLImg2ImgPipeline',
};

/**
 * Writes a model folder.
 * @param {string} folder
 * @param {'sd-1'|'sd-2'|'inpaint'|'sdxl'|'sdxl-refiner'} kind
 * @param {object} [size] widths of the UNet's levels, groups of its norms, and how wide XL's pooled text is
 */
export function writeModel(folder, kind, { widths = [8, 16], groups, pooled = 12 } = {}) {
    const put = (name, value) => {
        fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
        fs.writeFileSync(path.join(folder, name), JSON.stringify(value));
    };
    const large = kind.startsWith('sdxl');
    const encoders = [];
    if (kind !== 'sdxl-refiner') {
        encoders.push(['text_encoder', 'tokenizer', 8, { act: kind === 'sd-2' ? 'gelu' : 'quick_gelu' }]);
    }
    if (large) {
        encoders.push(['text_encoder_2', 'tokenizer_2', 12, { projects: true, projection: pooled, act: 'gelu' }]);
    }
    for (const [part, tokenizer, width, options] of encoders) {
        put(`${part}/config.json`, textEncoder(folder, part, width, options));
        fs.cpSync(path.join(REPO, 'tests/fixtures/diffusion/tiny-sd15/tokenizer'), path.join(folder, tokenizer), { recursive: true });
    }
    const context = encoders.reduce((sum, [, , width]) => sum + width, 0);
    const numbers = kind === 'sdxl-refiner' ? 5 : 6;
    put('unet/config.json', unet(folder, {
        context, added: large ? pooled + 4 * numbers : 0, channels: kind === 'inpaint' ? 9 : 4, linear: large || kind === 'sd-2', widths, groups,
    }));
    put('vae/config.json', vae(folder));
    put('scheduler/scheduler_config.json', kind === 'sd-2' ? { prediction_type: 'v_prediction' } : {});
    put('model_index.json', { _class_name: PIPELINES[kind] });
}

/** What a file for XL with the first programs' names can say of itself: norms of 32 groups, 1280 numbers of pooled text. */
export const LARGE_ENOUGH = { widths: [32, 64], groups: 32, pooled: 1280 };

const OLD_NAMES = [
    ['time_embedding.linear_1', 'time_embed.0'], ['time_embedding.linear_2', 'time_embed.2'], ['add_embedding.linear_1', 'label_emb.0.0'],
    ['add_embedding.linear_2', 'label_emb.0.2'], ['conv_in', 'input_blocks.0.0'], ['down_blocks.0.resnets.0', 'input_blocks.1.0'],
    ['down_blocks.0.downsamplers.0.conv', 'input_blocks.2.0.op'], ['down_blocks.1.resnets.0', 'input_blocks.3.0'],
    ['down_blocks.1.attentions.0', 'input_blocks.3.1'], ['mid_block.resnets.0', 'middle_block.0'], ['mid_block.attentions.0', 'middle_block.1'],
    ['mid_block.resnets.1', 'middle_block.2'], ['norm1', 'in_layers.0'], ['conv1', 'in_layers.2'], ['time_emb_proj', 'emb_layers.1'],
    ['norm2', 'out_layers.0'], ['conv2', 'out_layers.3'], ['conv_shortcut', 'skip_connection'],
];

/** A ControlNet for a model of XL that was written with LARGE_ENOUGH, as one file. */
export function writeLargeControl(file) {
    const t = new Tensors(17);
    const { widths, pooled } = LARGE_ENOUGH;
    wayDown(t, { context: 8 + 12, added: pooled + 4 * 6, linear: true, widths });
    for (const one of t.list) {
        const inAttention = one.name.includes('attentions');
        one.name = OLD_NAMES.reduce((name, [ours, old]) => (inAttention && !ours.includes('_block') ? name : name.replace(ours, old)), one.name);
    }
    const stages = [16, 16, 32, 32, 96, 96, 256];
    [3, ...stages].slice(0, stages.length).forEach((from, i) => t.linear(`input_hint_block.${2 * i}`, from, stages[i], { conv: 3 }));
    t.linear('input_hint_block.14', stages.at(-1), widths[0], { conv: 3 });
    [widths[0], widths[0], widths[0], widths[1]].forEach((width, i) => t.linear(`zero_convs.${i}.0`, width, width, { conv: 1 }));
    t.linear('middle_block_out.0', widths[1], widths[1], { conv: 1 });
    t.list.forEach((one) => {
        one.name = `control_model.${one.name}`;
    });
    t.write(file);
}

/** A LoRA that changes one product in the UNet's middle and one in each text encoder of XL, by PEFT's names. */
export function writeLargeLora(file, from = 16, to = from) {
    const t = new Tensors(5);
    const add = (layer, wide, out) => {
        t.add(`${layer}.lora_A.weight`, [2, wide], 1);
        t.add(`${layer}.lora_B.weight`, [out, 2], 1);
    };
    add('unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q', from, to);
    add('text_encoder.text_model.encoder.layers.0.mlp.fc1', 8, 16);
    add('text_encoder_2.text_model.encoder.layers.0.mlp.fc1', 12, 24);
    t.write(file);
}

/** A T2I adapter for levels of these widths, as a folder: of XL ('full_adapter_xl'), or 'full_adapter', 'light_adapter'. */
export function writeT2i(folder, type, channels) {
    const t = new Tensors(23);
    const light = type === 'light_adapter';
    const scale = type === 'full_adapter_xl' ? 16 : 8;
    const outs = light ? [...channels, channels.at(-1)] : channels;
    if (!light) {
        t.linear('adapter.conv_in', 3 * scale ** 2, channels[0], { conv: 3 });
    }
    outs.forEach((out, i) => {
        const from = i ? outs[i - 1] : light ? 3 * scale ** 2 : out;
        const inner = light ? out / 4 : out;
        if (light || from !== out) {
            t.linear(`adapter.body.${i}.in_conv`, from, inner, { conv: 1 });
        }
        t.linear(`adapter.body.${i}.resnets.0.block1`, inner, inner, { conv: 3 });
        t.linear(`adapter.body.${i}.resnets.0.block2`, inner, inner, { conv: light ? 3 : 1 });
        if (light) {
            t.linear(`adapter.body.${i}.out_conv`, inner, out, { conv: 1 });
        }
    });
    t.write(path.join(folder, 'diffusion_pytorch_model.safetensors'));
    const config = { _class_name: 'T2IAdapter', adapter_type: type, channels, downscale_factor: scale, in_channels: 3, num_res_blocks: 1 };
    fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
}

/** CLIP's encoder of pictures, as a folder. */
export function writeVision(folder, { width = 16, projection = 12 } = {}) {
    const t = new Tensors(31);
    t.add('vision_model.embeddings.class_embedding', [width], 1);
    t.add('vision_model.embeddings.position_embedding.weight', [17, width], 1);
    t.add('vision_model.embeddings.patch_embedding.weight', [width, 3, 8, 8], 0.2);
    for (const norm of ['pre_layrnorm', 'post_layernorm', 'encoder.layers.0.layer_norm1', 'encoder.layers.0.layer_norm2', 'encoder.layers.1.layer_norm1', 'encoder.layers.1.layer_norm2']) {
        t.norm(`vision_model.${norm}`, width);
    }
    for (const i of [0, 1]) {
        ['q', 'k', 'v', 'out'].forEach((part) => t.linear(`vision_model.encoder.layers.${i}.self_attn.${part}_proj`, width, width));
        t.linear(`vision_model.encoder.layers.${i}.mlp.fc1`, width, 2 * width);
        t.linear(`vision_model.encoder.layers.${i}.mlp.fc2`, 2 * width, width);
    }
    t.linear('visual_projection', width, projection, { bias: false });
    t.write(path.join(folder, 'model.safetensors'));
    const config = {
        architectures: ['CLIPVisionModelWithProjection'], model_type: 'clip_vision_model', hidden_size: width, intermediate_size: 2 * width,
        num_hidden_layers: 2, num_attention_heads: 2, hidden_act: 'gelu', image_size: 32, patch_size: 8, projection_dim: projection,
    };
    fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
}

/** An IP adapter for an encoder's numbers (`from`) and a UNet with so many attentions on a context of that width. */
export function writeIp(file, { plus = false, from = plus ? 16 : 12, context = 32, widths = Array(16).fill(32) } = {}) {
    const t = new Tensors(37);
    if (plus) {
        t.add('image_proj.latents', [1, 4, 8], 1);
        t.linear('image_proj.proj_in', from, 8);
        t.linear('image_proj.proj_out', 8, context);
        t.norm('image_proj.norm_out', context);
        ['0.norm1', '0.norm2', '1.0'].forEach((norm) => t.norm(`image_proj.layers.0.${norm}`, 8));
        for (const [part, a, b] of [['0.to_q', 8, 64], ['0.to_kv', 8, 128], ['0.to_out', 64, 8], ['1.1', 8, 32], ['1.3', 32, 8]]) {
            t.linear(`image_proj.layers.0.${part}`, a, b, { bias: false });
        }
    } else {
        t.linear('image_proj.proj', from, 4 * context);
        t.norm('image_proj.norm', context);
    }
    widths.forEach((width, i) => ['k', 'v'].forEach((part) => t.linear(`ip_adapter.${2 * i + 1}.to_${part}_ip`, context, width, { bias: false })));
    t.write(file);
}
