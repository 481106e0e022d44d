"""A second opinion on what steers a UNet by pictures, T2I and IP adapters, in PyTorch and float64: written from the papers.

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

from reference import Net, save, unet

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


# ---- CLIP's encoder of pictures ----

VISION = {
    "architectures": ["CLIPVisionModelWithProjection"], "model_type": "clip_vision_model", "hidden_size": 24, "intermediate_size": 40,
    "num_hidden_layers": 3, "num_attention_heads": 2, "hidden_act": "gelu", "image_size": 28, "patch_size": 7, "projection_dim": 20,
}
V = "vision_model."


def make_vision():
    w, width = Weights(), VISION["hidden_size"]
    patches = (VISION["image_size"] // VISION["patch_size"]) ** 2
    w[V + "embeddings.class_embedding"] = half(width)
    w[V + "embeddings.position_embedding.weight"] = half(patches + 1, width, size=0.3)
    w.conv(V + "embeddings.patch_embedding", width, 3, VISION["patch_size"], bias=False)
    w.norm(V + "pre_layrnorm", width)
    w.norm(V + "post_layernorm", width)
    for i in range(VISION["num_hidden_layers"]):
        name = f"{V}encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            w.linear(f"{name}.self_attn.{part}", width, width)
        w.norm(name + ".layer_norm1", width)
        w.norm(name + ".layer_norm2", width)
        w.linear(name + ".mlp.fc1", VISION["intermediate_size"], width)
        w.linear(name + ".mlp.fc2", width, VISION["intermediate_size"])
    w.linear("visual_projection", VISION["projection_dim"], width, bias=False)
    return w


def attend(q, k, v, heads):
    cut = lambda x: x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)
    scores = torch.softmax(cut(q) @ cut(k).transpose(-1, -2) / (q.shape[-1] // heads) ** 0.5, -1)
    return (scores @ cut(v)).transpose(1, 2).reshape(q.shape)


def vision(w, pixels):
    """What goes into the last layer, and the projected vector of the first token."""
    net, width, heads = Net(w), VISION["hidden_size"], VISION["num_attention_heads"]
    x = F.conv2d(pixels, w[V + "embeddings.patch_embedding.weight"], stride=VISION["patch_size"]).flatten(2).transpose(1, 2)
    x = torch.cat([w[V + "embeddings.class_embedding"].expand(x.shape[0], 1, width), x], 1) + w[V + "embeddings.position_embedding.weight"]
    x = net.layer_norm(V + "pre_layrnorm", x)
    for i in range(VISION["num_hidden_layers"]):
        name, before = f"{V}encoder.layers.{i}", x
        y = net.layer_norm(name + ".layer_norm1", x)
        q, k, v = (net.linear(f"{name}.self_attn.{p}_proj", y) for p in "qkv")
        x = x + net.linear(name + ".self_attn.out_proj", attend(q, k, v, heads))
        x = x + net.linear(name + ".mlp.fc2", F.gelu(net.linear(name + ".mlp.fc1", net.layer_norm(name + ".layer_norm2", x))))
    return before, net.linear("visual_projection", net.layer_norm(V + "post_layernorm", x[:, 0]))


# ---- IP adapters ----

P, DIM, INNER, QUERIES, DEPTH = "image_proj.", 16, 128, 3, 2
MEAN, DEVIATION = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])


def crossings(config):
    """(name of the block, width) of each attention on the context: down, up, middle."""
    widths, depths, top = config["block_out_channels"], config["transformer_layers_per_block"], len(config["block_out_channels"]) - 1
    down = [(f"down_blocks.{i}.attentions.0", i) for i in range(1, top + 1)]
    up = [(f"up_blocks.{i}.attentions.{k}", top - i) for i in range(top) for k in range(2)]
    places = down + up + [("mid_block.attentions.0", top)]
    return [(f"{name}.transformer_blocks.{d}.attn2", widths[level]) for name, level in places for d in range(depths[level])]


def make_ip(kind):
    w, hidden = Weights(), VISION["hidden_size"]
    if kind == "linear":
        w.linear(P + "proj", QUERIES * CONTEXT, VISION["projection_dim"])
        w.norm(P + "norm", CONTEXT)
    elif kind == "mlp":
        w.linear(P + "proj.0", hidden, hidden)
        w.linear(P + "proj.2", CONTEXT, hidden)
        w.norm(P + "proj.3", CONTEXT)
    else:
        w[P + "latents"] = half(1, QUERIES, DIM)
        w.linear(P + "proj_in", DIM, hidden)
        w.linear(P + "proj_out", CONTEXT, DIM)
        w.norm(P + "norm_out", CONTEXT)
        for i in range(DEPTH):
            name = f"{P}layers.{i}"
            w.norm(name + ".0.norm1", DIM)
            w.norm(name + ".0.norm2", DIM)
            w.linear(name + ".0.to_q", INNER, DIM, bias=False)
            w.linear(name + ".0.to_kv", 2 * INNER, DIM, bias=False)
            w.linear(name + ".0.to_out", DIM, INNER, bias=False)
            w.norm(name + ".1.0", DIM)
            w.linear(name + ".1.1", 4 * DIM, DIM, bias=False)
            w.linear(name + ".1.3", DIM, 4 * DIM, bias=False)
    for i, (_, width) in enumerate(crossings(UNET)):
        w.linear(f"ip_adapter.{2 * i + 1}.to_k_ip", width, CONTEXT, bias=False)
        w.linear(f"ip_adapter.{2 * i + 1}.to_v_ip", width, CONTEXT, bias=False)
    return w


def tokens_of(w, kind, hidden, vector):
    net = Net(w)
    if kind == "linear":
        return net.layer_norm(P + "norm", net.linear(P + "proj", vector).view(-1, QUERIES, CONTEXT))
    if kind == "mlp":
        return net.layer_norm(P + "proj.3", net.linear(P + "proj.2", F.gelu(net.linear(P + "proj.0", hidden))))
    x, hidden = w[P + "latents"].expand(hidden.shape[0], -1, -1), net.linear(P + "proj_in", hidden)
    for i in range(DEPTH):
        name = f"{P}layers.{i}"
        own = net.layer_norm(name + ".0.norm2", x)
        k, v = net.linear(name + ".0.to_kv", torch.cat([net.layer_norm(name + ".0.norm1", hidden), own], 1)).chunk(2, -1)
        x = x + net.linear(name + ".0.to_out", attend(net.linear(name + ".0.to_q", own), k, v, INNER // 64))
        x = x + net.linear(name + ".1.3", F.gelu(net.linear(name + ".1.1", net.layer_norm(name + ".1.0", x))))
    return net.layer_norm(P + "norm_out", net.linear(P + "proj_out", x))


class Looking(Net):
    """A network whose attentions on the context look at pictures too: [(weights, tokens, weight, blocks)].
    `mask`: [1, 1, h, w] of the latents, where they do."""

    def __init__(self, weights, adapters, mask=None):
        super().__init__(weights, "", UNET["norm_num_groups"])
        self.adapters = adapters
        self.masks = {}
        while mask is not None:
            self.masks[mask.shape[-2] * mask.shape[-1]] = mask.view(1, -1, 1)
            mask = F.max_pool2d(mask, 2, 2, ceil_mode=True) if mask.shape[-1] > 2 else None
        self.numbers = {name: i for i, (name, _) in enumerate(crossings(UNET))}

    def attention(self, name, x, context, heads):
        if not name.endswith(".attn2"):
            return super().attention(name, x, context, heads)
        q, k, v = (self.linear(f"{name}.to_{what}", of) for what, of in (("q", x), ("k", context), ("v", context)))
        mixed, i = attend(q, k, v, heads), 2 * self.numbers[name] + 1
        for w, tokens, weight, blocks in self.adapters:
            if any(block in name for block in blocks):
                own = Net(w)
                found = attend(q, own.linear(f"ip_adapter.{i}.to_k_ip", tokens), own.linear(f"ip_adapter.{i}.to_v_ip", tokens), heads)
                mixed = mixed + weight * found * self.masks.get(q.shape[1], 1)
        return self.linear(name + ".to_out.0", mixed)


def add_ips(fixtures, weights, inputs, out):
    torch.manual_seed(22)
    w = make_vision()
    w.write(fixtures + "/tiny-vision", VISION, "model.safetensors")
    edge = VISION["image_size"]
    rgb = torch.randint(0, 256, (2, edge, edge, 3))
    out["ip/rgb"] = rgb
    pixels = (rgb.permute(0, 3, 1, 2).double() / 255 - torch.tensor(MEAN, dtype=torch.float64).view(3, 1, 1)) / torch.tensor(DEVIATION, dtype=torch.float64).view(3, 1, 1)
    hidden, vector = vision(w, pixels)
    nothing, _ = vision(w, torch.zeros_like(pixels[:1]))
    out["ip/hidden"], out["ip/vector"] = hidden[:1], vector[:1]
    made = {}
    for kind in ("linear", "mlp", "resampler"):
        ip = make_ip(kind)
        os.makedirs(f"{fixtures}/tiny-ip", exist_ok=True)
        save(f"{fixtures}/tiny-ip/{kind}.safetensors", ip, np.float16)
        seen = tokens_of(ip, kind, hidden, vector).reshape(1, -1, CONTEXT)
        unseen = tokens_of(ip, kind, nothing, torch.zeros_like(vector[:1])).repeat(1, 2, 1)
        out[f"ip/{kind}/tokens"] = torch.cat([unseen, seen])
        made[kind] = ip, seen
        out[f"ip/{kind}/out"] = unet(weights, UNET, *inputs, net=Looking(weights, [(ip, seen, 0.7, ["block"])]))
    mask = (torch.rand(1, 1, *inputs[0].shape[-2:], dtype=torch.float64) > 0.8).double()
    out["ip/mask"] = mask
    out["ip/masked/out"] = unet(weights, UNET, *inputs, net=Looking(weights, [(*made["linear"], 0.7, ["block"])], mask))
    several = [(*made["linear"], 0.5, ["up_blocks.0", "mid_block"]), (*made["resampler"], -0.8, ["down_blocks.1.attentions.0"])]
    out["ip/several/out"] = unet(weights, UNET, *inputs, net=Looking(weights, several))


def main(fixtures):
    torch.manual_seed(20)
    weights = make_unet()
    weights.write(fixtures + "/tiny-adapted/unet", UNET)
    inputs = torch.randn(1, 4, 14, 10).double(), 401.0, torch.randn(1, TOKENS, CONTEXT).double()
    out = {"latents": inputs[0], "t": torch.tensor([inputs[1]]), "cond": inputs[2], "plain": unet(weights, UNET, *inputs)}
    add_t2is(fixtures, weights, inputs, out)
    add_ips(fixtures, weights, inputs, out)
    os.makedirs(fixtures + "/golden/adapted", exist_ok=True)
    save(fixtures + "/golden/adapted/adapters.safetensors", out)


main(*sys.argv[1:])
