"""The three networks of a Stable Diffusion 1.x model, built from diffusers' config values and with its tensor names.

Only what the worker's loader reads is here: no dropout, no cross-attention masks, one activation."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from kernels import gated, group_norm, layer_norm


class Resnet(nn.Module):
    def __init__(self, inward, outward, time, groups, eps):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inward, eps)
        self.conv1 = nn.Conv2d(inward, outward, 3, padding=1)
        if time:
            self.time_emb_proj = nn.Linear(time, outward)
        self.norm2 = nn.GroupNorm(groups, outward, eps)
        self.conv2 = nn.Conv2d(outward, outward, 3, padding=1)
        if inward != outward:
            self.conv_shortcut = nn.Conv2d(inward, outward, 1)

    def forward(self, x, time=None):
        h = self.conv1(group_norm(self.norm1, x))
        h = self.conv2(group_norm(self.norm2, h, self.time_emb_proj(time) if time is not None else None))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x, context):
        q, k, v = (f(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for f, y in ((self.to_q, x), (self.to_k, context), (self.to_v, context)))
        mixed = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v
        return self.to_out[0](mixed.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x):
        return gated(self.proj(x))


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.ModuleList([Gated(width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class Block(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1 = Attention(width, width, heads)
        self.attn2 = Attention(width, context, heads)
        self.ff = FeedForward(width)

    def forward(self, x, context):
        y = layer_norm(self.norm1, x)
        x = x + self.attn1(y, y)
        x = x + self.attn2(layer_norm(self.norm2, x), context)
        return x + self.ff(layer_norm(self.norm3, x))


class Transformer(nn.Module):
    def __init__(self, width, context, heads, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, 1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([Block(width, context, heads)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x, context):
        height, width = x.shape[2:]
        y = self.proj_in(group_norm(self.norm, x, silu=False)).permute(0, 2, 3, 1).flatten(1, 2)
        y = self.transformer_blocks[0](y, context)
        return x + self.proj_out(y.unflatten(1, (height, width)).permute(0, 3, 1, 2))


class Resample(nn.Module):
    def __init__(self, width, stride):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride, padding=1)


class Level(nn.Module):
    """One resolution of the UNet, on the way down or up."""

    def __init__(self, pairs, time, attention, stride, groups):
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(i, o, time, groups, 1e-5) for i, o in pairs])
        if attention:
            self.attentions = nn.ModuleList([Transformer(o, *attention, groups) for _, o in pairs])
        if stride:
            setattr(self, "downsamplers" if stride == 2 else "upsamplers", nn.ModuleList([Resample(pairs[-1][1], stride)]))

    def step(self, i, x, time, context):
        x = self.resnets[i](x, time)
        return self.attentions[i](x, context) if hasattr(self, "attentions") else x


class Middle(nn.Module):
    def __init__(self, width, time, attention, groups, eps):
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(width, width, time, groups, eps) for _ in range(2)])
        if attention:
            self.attentions = nn.ModuleList([Transformer(width, *attention, groups)])


class TimeEmbedding(nn.Module):
    def __init__(self, frequencies):
        super().__init__()
        self.linear_1 = nn.Linear(frequencies, 4 * frequencies)
        self.linear_2 = nn.Linear(4 * frequencies, 4 * frequencies)


def sinusoid(t, width):
    angle = t.float()[:, None] * torch.exp(-math.log(10000) / (width // 2) * torch.arange(width // 2, device=t.device))
    return torch.cat([angle.cos(), angle.sin()], 1)


class UNet(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths, layers, groups = config["block_out_channels"], config["layers_per_block"], config["norm_num_groups"]
        heads, context, time = config["attention_head_dim"], config["cross_attention_dim"], 4 * widths[0]
        attends = [kind.startswith("Cross") for kind in config["down_block_types"]]
        self.layers = layers
        self.time_embedding = TimeEmbedding(widths[0])
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.down_blocks, self.up_blocks, skips = nn.ModuleList(), nn.ModuleList(), [widths[0]]
        for i, width in enumerate(widths):
            before = widths[max(i - 1, 0)]
            pairs = [(before if k == 0 else width, width) for k in range(layers)]
            last = i + 1 == len(widths)
            self.down_blocks.append(Level(pairs, time, attends[i] and (context, heads[i]), 0 if last else 2, groups))
            skips += [width] * (layers + (not last))
        self.mid_block = Middle(widths[-1], time, (context, heads[-1]), groups, 1e-5)
        x = widths[-1]
        for i in reversed(range(len(widths))):
            pairs = []
            for _ in range(layers + 1):
                pairs.append((x + skips.pop(), widths[i]))
                x = widths[i]
            self.up_blocks.append(Level(pairs, time, attends[i] and (context, heads[i]), 1 if i else 0, groups))
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], 1e-5)
        self.conv_out = nn.Conv2d(widths[0], config["out_channels"], 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, x, t, context, seen=None):
        """The predicted velocity; the list `seen`, if given, takes the features at half the latents' size on the way up."""
        embedding = self.time_embedding
        time = sinusoid(t, embedding.linear_1.in_features).to(x.dtype)
        time = F.silu(embedding.linear_2(F.silu(embedding.linear_1(time))))
        x = self.conv_in(x)
        skips = [x]
        for level in self.down_blocks:
            for i in range(self.layers):
                x = level.step(i, x, time, context)
                skips.append(x)
            if hasattr(level, "downsamplers"):
                x = level.downsamplers[0].conv(x)
                skips.append(x)
        middle = self.mid_block
        x = middle.resnets[1](middle.attentions[0](middle.resnets[0](x, time), context), time)
        for level in self.up_blocks:
            for i in range(self.layers + 1):
                x = level.step(i, torch.cat([x, skips.pop()], 1), time, context)
            if seen is not None and len(skips) == self.layers + 1:
                seen.append(x)
            if hasattr(level, "upsamplers"):
                x = level.upsamplers[0].conv(F.interpolate(x, size=skips[-1].shape[2:]))
        return self.conv_out(group_norm(self.conv_norm_out, x))


class VaeHalf(nn.Module):
    def __init__(self, widths, layers, groups, stride, inward, outward):
        super().__init__()
        self.conv_in = nn.Conv2d(inward, widths[0], 3, padding=1)
        blocks, x = nn.ModuleList(), widths[0]
        for i, width in enumerate(widths):
            pairs = [(x if k == 0 else width, width) for k in range(layers)]
            blocks.append(Level(pairs, 0, None, stride if i + 1 < len(widths) else 0, groups))
            x = width
        setattr(self, "down_blocks" if stride == 2 else "up_blocks", blocks)
        self.mid_block = Middle(widths[-1] if stride == 2 else widths[0], 0, None, groups, 1e-6)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], 1e-6)
        self.conv_out = nn.Conv2d(widths[-1], outward, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.GroupNorm):
                module.eps = 1e-6

    def middle(self, x):
        return self.mid_block.resnets[1](self.mid_block.resnets[0](x))

    def end(self, x):
        return self.conv_out(group_norm(self.conv_norm_out, x))


class Vae(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths, layers, groups, z = (config[k] for k in ("block_out_channels", "layers_per_block", "norm_num_groups", "latent_channels"))
        self.encoder = VaeHalf(widths, layers, groups, 2, 3, 2 * z)
        self.decoder = VaeHalf(widths[::-1], layers + 1, groups, 1, z, 3)
        self.quant_conv = nn.Conv2d(2 * z, 2 * z, 1)
        self.post_quant_conv = nn.Conv2d(z, z, 1)

    def encode(self, x):
        """Mean and log variance."""
        half = self.encoder
        x = half.conv_in(x)
        for level in half.down_blocks:
            for resnet in level.resnets:
                x = resnet(x)
            if hasattr(level, "downsamplers"):
                # diffusers pads below and to the right only: the convolution's own padding must stay away
                conv = level.downsamplers[0].conv
                x = F.conv2d(F.pad(x, (0, 1, 0, 1)), conv.weight, conv.bias, 2)
        return self.quant_conv(half.end(half.middle(x))).chunk(2, 1)

    def decode(self, z):
        half = self.decoder
        x = half.middle(half.conv_in(self.post_quant_conv(z)))
        for level in half.up_blocks:
            for resnet in level.resnets:
                x = resnet(x)
            if hasattr(level, "upsamplers"):
                x = level.upsamplers[0].conv(F.interpolate(x, scale_factor=2.0))
        return half.end(x)


class TextLayer(nn.Module):
    def __init__(self, width, inner, heads):
        super().__init__()
        self.heads = heads
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = nn.ModuleDict({name: nn.Linear(width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj")})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})

    def forward(self, x, mask):
        y = layer_norm(self.layer_norm1, x)
        q, k, v = (self.self_attn[name](y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for name in ("q_proj", "k_proj", "v_proj"))
        y = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + mask, -1) @ v
        x = x + self.self_attn["out_proj"](y.transpose(1, 2).flatten(2))
        y = self.mlp["fc1"](layer_norm(self.layer_norm2, x))
        return x + self.mlp["fc2"](y * torch.sigmoid(1.702 * y))


class TextEncoder(nn.Module):
    """CLIP's text transformer; what it gives is the last layer's output under the final norm."""

    def __init__(self, config):
        super().__init__()
        width, length = config["hidden_size"], config["max_position_embeddings"]
        layers = [TextLayer(width, config["intermediate_size"], config["num_attention_heads"])
                  for _ in range(config["num_hidden_layers"])]
        self.text_model = nn.ModuleDict({
            "embeddings": nn.ModuleDict({"token_embedding": nn.Embedding(config["vocab_size"], width),
                                         "position_embedding": nn.Embedding(length, width)}),
            "encoder": nn.ModuleDict({"layers": nn.ModuleList(layers)}), "final_layer_norm": nn.LayerNorm(width)})
        for table in self.text_model["embeddings"].values():
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids):
        model, length = self.text_model, ids.shape[1]
        places = torch.arange(length, device=ids.device)
        x = model["embeddings"]["token_embedding"](ids) + model["embeddings"]["position_embedding"](places)
        mask = torch.full((length, length), -1e4, dtype=x.dtype, device=x.device).triu(1)
        for layer in model["encoder"]["layers"]:
            x = layer(x, mask)
        return layer_norm(model["final_layer_norm"], x)
