"""Draws the held-out prompts with the model as trained so far, and lets the judge look. usage: evaluate.py [EDGE] [COUNT]

The same figures as make check-model, but through torch, on checkpoints, and at either edge. Also writes a grid of the first 64
pictures to samples/."""
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import tokenizer
import train
from common import ROOT, path, read_json, read_safetensors
from diffusion import draw
from latents import load_vae
from shared_torch import DEVICE, place, prepare

BATCH, GUIDANCE = 16, 4.0


def judge(weights, picture, sizes):
    """What the judge says of pictures, -1..1: one row of scores per question."""
    x = shrunk(picture, 96)
    for i in range(sum(name.startswith("conv") for name in weights) // 2):
        w = weights[f"conv{i}.weight"]
        x = F.relu(F.conv2d(x, w, weights[f"conv{i}.bias"], 1 if w.shape[0] == w.shape[1] else 2, 1))
    return F.linear(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1), weights["head.weight"], weights["head.bias"]).split(sizes, 1)


def shrunk(picture, edge):
    """The mean over each target pixel's own part of the picture, fractions of pixels included."""
    size = picture.shape[-1]
    bounds = torch.arange(edge + 1) * size / edge
    cover = (torch.minimum(bounds[1:, None], torch.arange(1, size + 1)) - torch.maximum(bounds[:-1, None], torch.arange(size))).clamp(min=0)
    cover = cover / cover.sum(1, keepdim=True)
    return cover @ picture @ cover.T


def figures(said, prompts):
    """Shares of right answers by question, and how many pictures were asked."""
    hits = {"thing": [], "both things": [], "background": [], "style": [], "time": []}
    for i, p in enumerate(prompts):
        top = said[0][i].topk(2).indices.tolist()
        if len(p["things"]) == 1:
            hits["thing"].append(top[0] == p["things"][0])
        else:
            hits["both things"].append(sorted(top) == sorted(p["things"]))
        hits["background"].append(int(said[1][i].argmax()) == p["kind"])
        hits["style"].append(int(said[2][i].argmax()) == p["style"])
        if p["time"] >= 0:
            hits["time"].append(int(said[3][i].argmax()) == p["time"])
    return {name: f"{100 * sum(row) / len(row):.1f} % of {len(row)}" for name, row in hits.items() if row}


def pictures(prompts, edge):
    """The averaged model's pictures of the prompts, (n, 3, edge, edge), -1..1."""
    words, vae = tokenizer.load(), load_vae()
    networks, about = train.learned(words)
    made = []
    with torch.no_grad():
        for start in range(0, len(prompts), BATCH):
            part = prompts[start:start + BATCH]
            noise = torch.cat([torch.randn((1, 4, edge // 8, edge // 8), generator=torch.Generator().manual_seed(p["seed"])) for p in part])
            cond, uncond = (networks["text"](torch.tensor([words.ids(t) for t in texts], device=DEVICE))
                            for texts in ([p["prompt"] for p in part], [""] * len(part)))
            z = draw(lambda x, t, c: networks["unet"](place(x)[0], t, c), noise.to(DEVICE), cond, uncond, GUIDANCE)
            made.append(vae.decode(place(z / about["scale"])[0]).float().cpu().clamp(-1, 1))
    print(f"{len(prompts)} pictures of {edge} pixels after {about['samples']} samples")
    return torch.cat(made)


def main(edge, count):
    prepare(8)
    asked = read_json(os.path.join(ROOT, "tests", "model", "prompts.json"))
    prompts = asked["prompts"][:count]
    made = pictures(prompts, edge)
    shown = ((made[:64] + 1) * 127.5).round().byte()
    shown = torch.cat([shown, torch.zeros((-len(shown)) % 8, *shown.shape[1:], dtype=torch.uint8)])
    grid = shown.unflatten(0, (-1, 8)).permute(0, 3, 1, 4, 2)
    Image.fromarray(grid.reshape(grid.shape[0] * edge, 8 * edge, 3).numpy()).save(path("samples", f"held-out-{edge}.png"))
    shipped = os.path.join(ROOT, "tests", "model", "judge.safetensors")
    # the judge's folded weights (see tests/model/train_judge.py)
    file = shipped if os.path.exists(shipped) else path("judge.safetensors")
    weights = {name: torch.from_numpy(value) for name, value in read_safetensors(file).items()}
    sizes = [len(asked[name]) for name in ("things", "kinds", "styles", "times")]
    said = judge(weights, made, sizes)
    print("held-out prompts:", figures(said, prompts))
    print("prompts shuffled:", figures(said, prompts[7:] + prompts[:7]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 128, int(sys.argv[2]) if len(sys.argv) > 2 else 200)
