"""A second opinion on what steers a UNet by pictures, T2I adapters, in PyTorch and float64: written from the papers.

    adapters.py FIXTURES

Makes tiny adapters of chance numbers, a tiny UNet in the shape of XL's (FIXTURES/tiny-adapted), and what comes out with
that UNet: golden/adapted/adapters.safetensors. Needs python3-torch; no part of the build or the tests.
"""
import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

from reference import save, unet

CONTEXT, TOKENS = 16, 5
UNET = {
    "_class_name": "UNet2DConditionModel", "sample_size": 8, "in_channels": 4, "out_channels": 4, "block_out_channels": [8, 16, 16],
    "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 2, "cross_attention_dim": CONTEXT, "use_linear_projection": True,
    "transformer_layers_per_block": [1, 2, 1], "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}


def half(*shape, size=1.0):
    """Chance numbers that float16 holds exactly."""
    return (torch.randn(*shape) * size).half().double()


class Weights(dict):
    def linear(self, name, out, channels, bias=True):
        self[name + ".weight"] = half(out, channels, size=channels**-0.5)
        if bias:
            self[name + ".bias"] = half(out, size=0.1)

    def conv(self, name, out, channels, kernel, bias=True):
        self[name + ".weight"] = half(out, channels, kernel, kernel, size=1 / (kernel * channels**0.5))
        if bias:
            self[name + ".bias"] = half(out, size=0.1)

    def norm(self, name, width):
        self[name + ".weight"] = (1 + torch.randn(width) * 0.1).half().double()
        self[name + ".bias"] = half(width, size=0.1)

    def resnet(self, name, channels, out, time):
        self.norm(name + ".norm1", channels)
        self.conv(name + ".conv1", out, channels, 3)
        self.linear(name + ".time_emb_proj", out, time)
        self.norm(name + ".norm2", out)
        self.conv(name + ".conv2", out, out, 3)
        if channels != out:
            self.conv(name + ".conv_shortcut", out, channels, 1)

    def transformer(self, name, width, depth):
        self.norm(name + ".norm", width)
        self.linear(name + ".proj_in", width, width)
        for i in range(depth):
            block = name + f".transformer_blocks.{i}"
            for attention, context in ((".attn1", width), (".attn2", CONTEXT)):
                self.linear(block + attention + ".to_q", width, width, bias=False)
                self.linear(block + attention + ".to_k", width, context, bias=False)
                self.linear(block + attention + ".to_v", width, context, bias=False)
                self.linear(block + attention + ".to_out.0", width, width)
            for k in (1, 2, 3):
                self.norm(block + f".norm{k}", width)
            self.linear(block + ".ff.net.0.proj", 8 * width, width)
            self.linear(block + ".ff.net.2", width, 4 * width)
        self.linear(name + ".proj_out", width, width)

    def write(self, folder, config, file="diffusion_pytorch_model.safetensors"):
        os.makedirs(folder, exist_ok=True)
        save(f"{folder}/{file}", self, np.float16)
        open(folder + "/config.json", "w").write(json.dumps(config, indent=2) + "\n")


def make_unet():
    w, widths, depths = Weights(), UNET["block_out_channels"], UNET["transformer_layers_per_block"]
    time, top = 4 * widths[0], len(widths) - 1
    w.linear("time_embedding.linear_1", time, widths[0])
    w.linear("time_embedding.linear_2", time, time)
    w.conv("conv_in", widths[0], 4, 3)
    for i, width in enumerate(widths):
        w.resnet(f"down_blocks.{i}.resnets.0", widths[max(i - 1, 0)], width, time)
        if i:
            w.transformer(f"down_blocks.{i}.attentions.0", width, depths[i])
        if i < top:
            w.conv(f"down_blocks.{i}.downsamplers.0.conv", width, width, 3)
    w.resnet("mid_block.resnets.0", widths[top], widths[top], time)
    w.transformer("mid_block.attentions.0", widths[top], depths[top])
    w.resnet("mid_block.resnets.1", widths[top], widths[top], time)
    for i in range(top + 1):
        level = top - i
        width, below, skip = widths[level], widths[min(level + 1, top)], widths[max(level - 1, 0)]
        for k in range(2):
            w.resnet(f"up_blocks.{i}.resnets.{k}", (width if k else below) + (skip if k else width), width, time)
            if level:
                w.transformer(f"up_blocks.{i}.attentions.{k}", width, depths[level])
        if level:
            w.conv(f"up_blocks.{i}.upsamplers.0.conv", width, width, 3)
    w.norm("conv_norm_out", widths[0])
    w.conv("conv_out", 4, widths[0], 3)
    return w


# ---- T2I adapters ----

ADAPTERS = {
    "full": {"adapter_type": "full_adapter", "channels": [8, 12, 16], "num_res_blocks": 2, "downscale_factor": 8, "in_channels": 1},
    "xl": {"adapter_type": "full_adapter_xl", "channels": [8, 16, 16, 16], "num_res_blocks": 2, "downscale_factor": 16, "in_channels": 3},
    "light": {"adapter_type": "light_adapter", "channels": [8, 16], "num_res_blocks": 3, "downscale_factor": 8, "in_channels": 3},
}


def blocks_of(config):
    """(channels in, channels out, whether it halves) of each block."""
    kind, channels, first = config["adapter_type"], config["channels"], config["in_channels"] * config["downscale_factor"] ** 2
    if kind == "light_adapter":
        return [(a, b, i > 0) for i, (a, b) in enumerate(zip([first, *channels], [*channels, channels[-1]]))]
    halving = (2,) if kind == "full_adapter_xl" else range(1, len(channels))
    return [(channels[max(i - 1, 0)], width, i in halving) for i, width in enumerate(channels)]


def make_t2i(config):
    w, light = Weights(), config["adapter_type"] == "light_adapter"
    if not light:
        w.conv("adapter.conv_in", config["channels"][0], config["in_channels"] * config["downscale_factor"] ** 2, 3)
    for i, (channels, out, _) in enumerate(blocks_of(config)):
        name, inner = f"adapter.body.{i}", out // 4 if light else out
        if light or channels != out:
            w.conv(name + ".in_conv", inner, channels, 1)
        for k in range(config["num_res_blocks"]):
            w.conv(f"{name}.resnets.{k}.block1", inner, inner, 3)
            w.conv(f"{name}.resnets.{k}.block2", inner, inner, 3 if light else 1)
        if light:
            w.conv(name + ".out_conv", out, inner, 1)
    return w


def t2i(w, config, picture):
    conv = lambda name, x: F.conv2d(x, w[name + ".weight"], w[name + ".bias"], padding=w[name + ".weight"].shape[-1] // 2)
    x, features = F.pixel_unshuffle(picture[:, : config["in_channels"]], config["downscale_factor"]), []
    if "adapter.conv_in.weight" in w:
        x = conv("adapter.conv_in", x)
    for i, (_, _, halves) in enumerate(blocks_of(config)):
        name = f"adapter.body.{i}"
        x = F.avg_pool2d(x, 2, 2, ceil_mode=True) if halves else x
        x = conv(name + ".in_conv", x) if name + ".in_conv.weight" in w else x
        for k in range(config["num_res_blocks"]):
            x = x + conv(f"{name}.resnets.{k}.block2", F.relu(conv(f"{name}.resnets.{k}.block1", x)))
        x = conv(name + ".out_conv", x) if name + ".out_conv.weight" in w else x
        features.append(x)
    return features


def add_t2is(fixtures, weights, inputs, out):
    torch.manual_seed(21)
    picture = torch.rand(1, 3, 112, 80, dtype=torch.float32).double()
    out["t2i/picture"] = picture
    for name, config in ADAPTERS.items():
        w = make_t2i(config)
        w.write(f"{fixtures}/tiny-t2i-{name}", {"_class_name": "T2IAdapter", **config})
        features = t2i(w, config, picture)
        for i, feature in enumerate(features):
            out[f"t2i/{name}/{i}"] = feature
        if name == "xl":
            out["t2i/out"] = unet(weights, UNET, *inputs, features=[0.8 * f for f in features])


def main(fixtures):
    torch.manual_seed(20)
    weights = make_unet()
    weights.write(fixtures + "/tiny-adapted/unet", UNET)
    inputs = torch.randn(1, 4, 14, 10).double(), 401.0, torch.randn(1, TOKENS, CONTEXT).double()
    out = {"latents": inputs[0], "t": torch.tensor([inputs[1]]), "cond": inputs[2], "plain": unet(weights, UNET, *inputs)}
    add_t2is(fixtures, weights, inputs, out)
    os.makedirs(fixtures + "/golden/adapted", exist_ok=True)
    save(fixtures + "/golden/adapted/adapters.safetensors", out)


main(*sys.argv[1:])
