"""A second opinion on the UNet and the VAE, in PyTorch and float64, for ways to run it that the golden tensors don't cover.

    reference.py FIXTURES OUT.safetensors

Reads FIXTURES/tiny-sd15 and golden/sd15/unet.safetensors, prints how far the plain call is from the golden one, and
writes what the other ways give, with their inputs: golden/sd15/ways.safetensors. Needs python3-torch; no part of the
build or the tests.
"""
import json
import math
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64}


def load(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, about in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + n for n in about["data_offsets"])
            values = np.frombuffer(data[begin:end], TYPES[about["dtype"]]).reshape(about["shape"])
            out[name] = torch.from_numpy(values.astype(np.float64))
    return out


def save(path, tensors, kind=np.float32):
    header, at, data = {}, 0, []
    for name, tensor in tensors.items():
        values = np.ascontiguousarray(tensor.numpy().astype(kind))
        header[name] = {"dtype": "F16" if kind == np.float16 else "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
        data.append(values.tobytes())
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + b"".join(data))


class Net:
    """Layers by name. `axes`: where convolutions see the opposite edge, "x", "y" or both. `groups`: of norms."""

    def __init__(self, weights, axes="", groups=32):
        self.w = weights
        self.axes = axes
        self.groups = groups

    def conv(self, name, x, stride=1):
        weight = self.w[name + ".weight"]
        pad = weight.shape[-1] // 2
        if pad:
            x = F.pad(x, (pad, pad, 0, 0), mode="circular" if "x" in self.axes else "constant")
            x = F.pad(x, (0, 0, pad, pad), mode="circular" if "y" in self.axes else "constant")
        return F.conv2d(x, weight, self.w[name + ".bias"], stride)

    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"].flatten(1), self.w.get(name + ".bias"))

    def group_norm(self, name, x, eps):
        return F.group_norm(x, self.groups, self.w[name + ".weight"], self.w[name + ".bias"], eps)

    def layer_norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], 1e-5)

    def resnet(self, name, x, time=None, eps=1e-5):
        h = self.conv(name + ".conv1", F.silu(self.group_norm(name + ".norm1", x, eps)))
        if time is not None:
            h = h + self.linear(name + ".time_emb_proj", F.silu(time))[:, :, None, None]
        h = self.conv(name + ".conv2", F.silu(self.group_norm(name + ".norm2", h, eps)))
        return h + (self.conv(name + ".conv_shortcut", x) if name + ".conv_shortcut.weight" in self.w else x)

    def attention(self, name, x, context, heads):
        q, k, v = (
            self.linear(f"{name}.to_{what}", of).view(of.shape[0], of.shape[1], heads, -1).transpose(1, 2)
            for what, of in (("q", x), ("k", context), ("v", context))
        )
        scores = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1)
        return self.linear(name + ".to_out.0", (scores @ v).transpose(1, 2).reshape(x.shape))

    def transformer(self, name, x, context, heads):
        n, channels, height, width = x.shape
        y = self.group_norm(name + ".norm", x, 1e-6).permute(0, 2, 3, 1).reshape(n, height * width, channels)
        y = self.linear(name + ".proj_in", y)
        depth = 0
        while name + f".transformer_blocks.{depth}.norm1.weight" in self.w:
            block = name + f".transformer_blocks.{depth}"
            z = self.layer_norm(block + ".norm1", y)
            y = y + self.attention(block + ".attn1", z, z, heads)
            y = y + self.attention(block + ".attn2", self.layer_norm(block + ".norm2", y), context, heads)
            value, gate = self.linear(block + ".ff.net.0.proj", self.layer_norm(block + ".norm3", y)).chunk(2, -1)
            y = y + self.linear(block + ".ff.net.2", value * F.gelu(gate))
            depth += 1
        return x + self.linear(name + ".proj_out", y).view(n, height, width, channels).permute(0, 3, 1, 2)


def time_embedding(net, config, t):
    half = config["block_out_channels"][0] // 2
    angles = t * torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half)
    x = torch.cat([angles.cos(), angles.sin()])[None]
    return net.linear("time_embedding.linear_2", F.silu(net.linear("time_embedding.linear_1", x)))


def run_down(net, config, x, time, context, features=()):
    """`features`: of T2I adapters, for the ends of the levels and the middle."""
    heads, skips, features = config["attention_head_dim"], [x], list(features)
    for i, kind in enumerate(config["down_block_types"]):
        attends = kind.startswith("Cross")
        for k in range(config["layers_per_block"]):
            x = net.resnet(f"down_blocks.{i}.resnets.{k}", x, time)
            if attends:
                x = net.transformer(f"down_blocks.{i}.attentions.{k}", x, context, heads)
                if features and k + 1 == config["layers_per_block"]:
                    x = x + features.pop(0)
            skips.append(x)
        if i + 1 < len(config["down_block_types"]):
            x = net.conv(f"down_blocks.{i}.downsamplers.0.conv", x, stride=2)
            skips.append(x)
        if features and not attends:
            x = skips[-1] = x + features.pop(0)
    x = net.resnet("mid_block.resnets.0", x, time)
    x = net.transformer("mid_block.attentions.0", x, context, heads)
    x = net.resnet("mid_block.resnets.1", x, time)
    return (x + features[0] if features and features[0].shape == x.shape else x), skips


def scale_low(x, factor):
    """What lies in the middle of the shifted spectrum, rows and columns -1 and 0."""
    spectrum = torch.fft.fftshift(torch.fft.fftn(x, dim=(-2, -1)), dim=(-2, -1))
    row, column = x.shape[-2] // 2, x.shape[-1] // 2
    mask = torch.ones_like(x)
    mask[..., max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1] = factor
    return torch.fft.ifftn(torch.fft.ifftshift(spectrum * mask, dim=(-2, -1)), dim=(-2, -1)).real


def unet(weights, config, x, t, context, axes="", freeu=None, control=None, features=(), net=None):
    """`freeu`: [(backbone, skip)] of two levels. `control`: what is added to the skips, and to the middle."""
    net = net or Net(weights, axes, config["norm_num_groups"])
    time = time_embedding(net, config, t)
    x, skips = run_down(net, config, net.conv("conv_in", x), time, context, features)
    if control:
        skips = [a + b for a, b in zip(skips, control[0])]
        x = x + control[1]
    for i, kind in enumerate(config["up_block_types"]):
        for k in range(config["layers_per_block"] + 1):
            skip = skips.pop()
            if freeu and i < 2:
                half = x.shape[1] // 2
                x = torch.cat([x[:, :half] * freeu[i][0], x[:, half:]], 1)
                skip = scale_low(skip, freeu[i][1])
            x = net.resnet(f"up_blocks.{i}.resnets.{k}", torch.cat([x, skip], 1), time)
            if kind.startswith("Cross"):
                x = net.transformer(f"up_blocks.{i}.attentions.{k}", x, context, config["attention_head_dim"])
        if skips:
            x = F.interpolate(x, size=skips[-1].shape[-2:], mode="nearest")
            x = net.conv(f"up_blocks.{i}.upsamplers.0.conv", x)
    return net.conv("conv_out", F.silu(net.group_norm("conv_norm_out", x, 1e-5)))


def vae_middle(net, name, x):
    x = net.resnet(name + ".resnets.0", x, eps=1e-6)
    n, channels, height, width = x.shape
    y = net.group_norm(name + ".attentions.0.group_norm", x, 1e-6).permute(0, 2, 3, 1).reshape(n, -1, channels)
    y = net.attention(name + ".attentions.0", y, y, 1).view(n, height, width, channels).permute(0, 3, 1, 2)
    return net.resnet(name + ".resnets.1", x + y, eps=1e-6)


def vae_decode(weights, levels, z, axes=""):
    net = Net(weights, axes)
    x = vae_middle(net, "decoder.mid_block", net.conv("decoder.conv_in", net.conv("post_quant_conv", z)))
    for i in range(levels):
        for k in range(3):
            x = net.resnet(f"decoder.up_blocks.{i}.resnets.{k}", x, eps=1e-6)
        if i + 1 < levels:
            x = net.conv(f"decoder.up_blocks.{i}.upsamplers.0.conv", F.interpolate(x, scale_factor=2, mode="nearest"))
    return net.conv("decoder.conv_out", F.silu(net.group_norm("decoder.conv_norm_out", x, 1e-6)))


def vae_encode(weights, levels, x):
    net = Net(weights)
    x = net.conv("encoder.conv_in", x)
    for i in range(levels):
        for k in range(2):
            x = net.resnet(f"encoder.down_blocks.{i}.resnets.{k}", x, eps=1e-6)
        if i + 1 < levels:
            name = f"encoder.down_blocks.{i}.downsamplers.0.conv"
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), weights[name + ".weight"], weights[name + ".bias"], 2)
    x = vae_middle(net, "encoder.mid_block", x)
    return net.conv("quant_conv", net.conv("encoder.conv_out", F.silu(net.group_norm("encoder.conv_norm_out", x, 1e-6))))


def in_tiles(run, x, edge, result_edge):
    """Tiles that overlap by a quarter; each value is a weighed mean of those that hold it: first down, then across."""
    step, extent = edge * 3 // 4, result_edge // 4
    kept = result_edge - extent
    rows = [[run(x[..., i : i + edge, j : j + edge]) for j in range(0, x.shape[-1], step)] for i in range(0, x.shape[-2], step)]
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            if i:
                n = min(extent, tile.shape[-2], rows[i - 1][j].shape[-2])
                share = (torch.arange(n) / n).view(n, 1)
                tile[..., :n, :] = rows[i - 1][j][..., -n:, :] * (1 - share) + tile[..., :n, :] * share
            if j:
                n = min(extent, tile.shape[-1], row[j - 1].shape[-1])
                share = torch.arange(n) / n
                tile[..., :n] = row[j - 1][..., -n:] * (1 - share) + tile[..., :n] * share
    return torch.cat([torch.cat([tile[..., :kept, :kept] for tile in row], -1) for row in rows], -2)


def add_vae(fixtures, ways):
    folder = fixtures + "/tiny-sd15/vae/"
    weights = load(folder + "diffusion_pytorch_model.fp16.safetensors")
    config = json.load(open(folder + "config.json"))
    levels, scale = len(config["block_out_channels"]), config["scaling_factor"]
    golden = load(fixtures + "/golden/sd15/vae.safetensors")
    mine = vae_decode(weights, levels, golden["decode_img/latents"] / scale)
    print("decode", float((mine - golden["decode_img/image"]).abs().max()))
    mine = vae_encode(weights, levels, golden["encode_square/image"])[:, :4]
    print("encode", float((mine - golden["encode_square/mean"]).abs().max()))
    torch.manual_seed(5)
    z = torch.randn(1, 4, 11, 17, dtype=torch.float32).double()
    picture = torch.rand(1, 3, 72, 128, dtype=torch.float32).double() * 2 - 1
    decode = lambda axes="": lambda x: vae_decode(weights, levels, x / scale, axes)
    for name, image in (("tiles", in_tiles(decode(), z, 8, 64)), ("seamless_x", decode("x")(z))):
        ways[f"decode_{name}/latents"] = z
        ways[f"decode_{name}/image"] = image
    moments = in_tiles(lambda x: vae_encode(weights, levels, x), picture, 64, 8)
    ways["encode_tiles/image"] = picture
    ways["encode_tiles/mean"] = moments[:, :4]
    ways["encode_tiles/logvar"] = moments[:, 4:].clamp(-30, 20)
    ways["encode_tiles/latents"] = moments[:, :4] * scale


HINT = (8, 8, 16, 16)


def make_control(fixtures, weights, config):
    """A tiny ControlNet: the way down of the UNet, and chance numbers for the rest."""
    torch.manual_seed(7)
    half = lambda *shape, size: (torch.randn(*shape) * size).half().double()
    w = {name: value for name, value in weights.items() if name.startswith(("conv_in", "time_embedding", "down_blocks", "mid_block"))}

    def conv(name, out, channels, kernel):
        w[name + ".weight"] = half(out, channels, kernel, kernel, size=1 / (kernel * channels**0.5))
        w[name + ".bias"] = half(out, size=0.1)

    width = config["block_out_channels"][0]
    conv("controlnet_cond_embedding.conv_in", HINT[0], 3, 3)
    for i in range(6):
        conv(f"controlnet_cond_embedding.blocks.{i}", HINT[(i + 1) // 2], HINT[i // 2], 3)
    conv("controlnet_cond_embedding.conv_out", width, HINT[3], 3)
    for i in range(12):
        conv(f"controlnet_down_blocks.{i}", width, width, 1)
    conv("controlnet_mid_block", width, width, 1)
    folder = fixtures + "/tiny-control"
    os.makedirs(folder, exist_ok=True)
    save(folder + "/diffusion_pytorch_model.safetensors", w, np.float16)
    kept = ("block_out_channels", "down_block_types", "layers_per_block", "attention_head_dim", "cross_attention_dim", "in_channels", "norm_num_groups")
    about = {"_class_name": "ControlNetModel", "conditioning_embedding_out_channels": HINT, **{key: config[key] for key in kept}}
    open(folder + "/config.json", "w").write(json.dumps(about, indent=2) + "\n")
    return w


def control(w, config, x, t, context, picture, scale, soft):
    """What a ControlNet says: additions to the skips, and to the middle."""
    net = Net(w)
    h = F.silu(net.conv("controlnet_cond_embedding.conv_in", picture))
    for i in range(6):
        h = F.silu(net.conv(f"controlnet_cond_embedding.blocks.{i}", h, stride=1 + i % 2))
    h = net.conv("controlnet_cond_embedding.conv_out", h)
    middle, skips = run_down(net, config, net.conv("conv_in", x) + h, time_embedding(net, config, t), context)
    said = [net.conv(f"controlnet_down_blocks.{i}", skip) for i, skip in enumerate(skips)] + [net.conv("controlnet_mid_block", middle)]
    shares = torch.logspace(-1, 0, len(said), dtype=torch.float64) if soft else torch.ones(len(said))
    said = [value * share * scale for value, share in zip(said, shares)]
    return said[:-1], said[-1]


def add_control(fixtures, weights, config, inputs, ways):
    w = make_control(fixtures, weights, config)
    picture = torch.rand(1, 3, *(8 * n for n in inputs[0].shape[-2:]), dtype=torch.float32).double()
    ways["control/picture"] = picture
    for name, scale, soft in (("control", 0.8, False), ("control_soft", 1.5, True)):
        ways[name] = unet(weights, config, *inputs, control=control(w, config, *inputs, picture, scale, soft))


def main(fixtures, out):
    weights = load(fixtures + "/tiny-sd15/unet/diffusion_pytorch_model.fp16.safetensors")
    config = json.load(open(fixtures + "/tiny-sd15/unet/config.json"))
    golden = load(fixtures + "/golden/sd15/unet.safetensors")
    inputs = golden["latents"], float(golden["t"].flatten()[0]), golden["cond"]
    plain = unet(weights, config, *inputs)
    print("plain", float((plain - golden["stage_out"]).abs().max() / golden["stage_out"].abs().max()))
    ways = {"latents": golden["latents"], "t": golden["t"], "cond": golden["cond"]}
    for axes in ("x", "y", "xy"):
        ways["seamless_" + axes] = unet(weights, config, *inputs, axes=axes)
    ways["freeu"] = unet(weights, config, *inputs, freeu=[(1.2, 0.9), (1.4, 0.2)])
    add_vae(fixtures, ways)
    add_control(fixtures, weights, config, inputs, ways)
    save(out, ways)


if __name__ == "__main__":
    main(*sys.argv[1:])
