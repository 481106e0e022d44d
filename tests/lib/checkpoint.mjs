// Writes the small test model as a checkpoint of one file, with the names of the first programs for latent diffusion.
import fs from 'node:fs';
import path from 'node:path';
import { REPO } from './paths.mjs';

const RESNET = { norm1: 'in_layers.0', conv1: 'in_layers.2', time_emb_proj: 'emb_layers.1', norm2: 'out_layers.0', conv2: 'out_layers.3', conv_shortcut: 'skip_connection' };
const OUTSIDE = {
    'time_embedding.linear_1': 'time_embed.0', 'time_embedding.linear_2': 'time_embed.2', conv_in: 'input_blocks.0.0', conv_norm_out: 'out.0', conv_out: 'out.2',
};
const LAYERS = 2;
const LEVELS = 4;
/** Levels, from the coarse end, whose blocks attend on the way up. */
const ATTENDS = [false, true, true, true];

function layer(block, first, kind, index, rest) {
    const [name, ...tail] = rest.split('.');
    return `${block}.${first + Number(index)}.${kind === 'resnets' ? `0.${RESNET[name]}.${tail.join('.')}` : `1.${rest}`}`;
}

function unetName(name) {
    for (const [ours, old] of Object.entries(OUTSIDE)) {
        if (name.startsWith(`${ours}.`)) {
            return old + name.slice(ours.length);
        }
    }
    const [, side, block, kind, index, rest] = name.match(/^(down|up|mid)_blocks?\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)$/);
    const each = LAYERS + 1;
    if (side === 'mid') {
        return layer('middle_block', 0, kind, 0, rest).replace('block.0.0.', `block.${2 * index}.`).replace('block.0.1.', 'block.1.');
    }
    if (kind === 'downsamplers') {
        return `input_blocks.${(Number(block) + 1) * each}.0.op.${rest.replace('conv.', '')}`;
    }
    if (kind === 'upsamplers') {
        return `output_blocks.${Number(block) * each + LAYERS}.${ATTENDS[block] ? 2 : 1}.${rest}`;
    }
    return side === 'down' ? layer('input_blocks', block * each + 1, kind, index, rest) : layer('output_blocks', block * each, kind, index, rest);
}

function vaeName(name) {
    return name
        .replace(/(down|up)_blocks\.(\d)\.resnets\.(\d)/, (_, side, level, i) => `${side}.${side === 'up' ? LEVELS - 1 - level : level}.block.${i}`)
        .replace(/(down|up)_blocks\.(\d)\.\w+samplers\.0\.conv/, (_, side, level) => `${side}.${side === 'up' ? LEVELS - 1 - level : level}.${side}sample.conv`)
        .replace(/mid_block\.resnets\.(\d)/, (_, i) => `mid.block_${Number(i) + 1}`)
        .replace('mid_block.attentions.0.group_norm', 'mid.attn_1.norm')
        .replace('mid_block.attentions.0.to_out.0', 'mid.attn_1.proj_out')
        .replace(/mid_block\.attentions\.0\.to_([qkv])/, 'mid.attn_1.$1')
        .replace('conv_norm_out', 'norm_out')
        .replace('conv_shortcut', 'nin_shortcut');
}

/** Header and data of a safetensors file. */
function read(file) {
    const bytes = fs.readFileSync(file);
    const size = Number(bytes.readBigUInt64LE(0));
    return [JSON.parse(bytes.toString('utf8', 8, 8 + size)), bytes.subarray(8 + size)];
}

const UNET = ['unet/diffusion_pytorch_model.fp16.safetensors', (name) => `model.diffusion_model.${unetName(name)}`];
const VAE = 'vae/diffusion_pytorch_model.fp16.safetensors';
const TEXT = ['text_encoder/model.fp16.safetensors', (name) => `cond_stage_model.transformer.${name}`];

/** The small test model as one file. */
export function writeCheckpoint(to) {
    writeParts(to, [UNET, [VAE, (name) => `first_stage_model.${vaeName(name)}`], TEXT]);
}

/** Its VAE alone. */
export function writeVae(to) {
    writeParts(to, [[VAE, vaeName]]);
}

function controlName(name) {
    const [, kind, number, tail] = name.match(/^controlnet_(?:cond_embedding\.)?(conv_in|conv_out|blocks|down_blocks|mid_block)\.(?:(\d+)\.)?(weight|bias)$/) ?? [];
    const place = {
        conv_in: 'input_hint_block.0', conv_out: 'input_hint_block.14', blocks: `input_hint_block.${2 * number + 2}`,
        down_blocks: `zero_convs.${number}.0`, mid_block: 'middle_block_out.0',
    };
    return `control_model.${kind ? `${place[kind]}.${tail}` : unetName(name)}`;
}

/** The tiny ControlNet as one file. */
export function writeControl(to, stray) {
    writeParts(to, [['../tiny-control/diffusion_pytorch_model.safetensors', controlName]], stray);
}

/** @param {string} [stray] name of a tensor that has no place there */
function writeParts(to, parts, stray) {
    const from = path.join(REPO, 'tests/fixtures/diffusion/tiny-sd15');
    const header = {};
    const data = [];
    let at = 0;
    for (const [file, rename] of parts) {
        const [tensors, bytes] = read(path.join(from, file));
        for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(tensors)) {
            if (name !== '__metadata__') {
                const [begin, end] = range;
                // Attention of the VAE is made of 1 x 1 convolutions there.
                const wide = /mid_block\.attentions\.0\.to_.*weight/.test(name) && file.startsWith('vae') ? [...shape, 1, 1] : shape;
                header[rename(name)] = { dtype, shape: wide, data_offsets: [at, (at += end - begin)] };
                data.push(bytes.subarray(begin, end));
            }
        }
    }
    if (stray) {
        header[stray] = { dtype: 'F32', shape: [1], data_offsets: [at, at + 4] };
        data.push(Buffer.alloc(4));
    }
    const text = Buffer.from(JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    fs.writeFileSync(to, Buffer.concat([size, text, ...data]));
}
