"""Trains a LoRA of one style, pixel art, on the averaged model and writes it. usage: lora.py FILE [SAMPLES]

The scenes are those of the training, shrunk to one pixel per latent cell with a few tones a channel; captions stay as they are, so the style
comes with the LoRA alone. Names and layout are kohya's. Also draws the sixteen samples without and with it."""
import os
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import tokenizer
import train
from common import path, save_safetensors
from diffusion import alphas, noised
from latents import load_vae, plan_of
from scenes import Bank, caption
from shared_torch import DEVICE, Trained, place, prepare

EDGE, BATCH, SCENES, RANK, RATE, TONES = 256, 16, 1600, 4, 1e-3, 5
FIRST = 1_000_000  # scenes that the model itself has not seen


class Pair(nn.Module):
    """What is added to a layer: through a few numbers, and back to its width; nothing at first."""

    def __init__(self, layer):
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            self.lora_down = nn.Conv2d(layer.in_channels, RANK, layer.kernel_size, layer.stride, layer.padding, bias=False)
            self.lora_up = nn.Conv2d(RANK, layer.out_channels, 1, bias=False)
        else:
            self.lora_down = nn.Linear(layer.in_features, RANK, bias=False)
            self.lora_up = nn.Linear(RANK, layer.out_features, bias=False)
        nn.init.zeros_(self.lora_up.weight)

    def forward(self, x):
        return self.lora_up(self.lora_down(x))


def pairs_of(unet):
    """A pair for each layer of the blocks, by kohya's names."""
    return nn.ModuleDict({"lora_unet_" + name.replace(".", "_"): Pair(layer) for name, layer in unet.named_modules()
                          if isinstance(layer, (nn.Conv2d, nn.Linear)) and "block" in name})


def attach(unet, pairs):
    for name, layer in unet.named_modules():
        key = "lora_unet_" + name.replace(".", "_")
        if key in pairs:
            layer.register_forward_hook(lambda _layer, given, out, pair=pairs[key]: out + pair(given[0]))


def styled(picture):
    """(EDGE, EDGE, 3) uint8 as pixel art."""
    small = Image.fromarray(picture).resize((EDGE // 8, EDGE // 8), Image.BOX)
    tones = np.rint(np.asarray(small) / 255 * (TONES - 1)) * 255 / (TONES - 1)
    return tones.astype(np.uint8).repeat(8, 0).repeat(8, 1)


def scenes_of(bank, vae):
    """Plans, and the latents of their pictures in the style."""
    plans, rows = [plan_of(bank, EDGE, FIRST + k) for k in range(SCENES)], []
    with torch.no_grad():
        for i in range(0, SCENES, 32):
            pictures = np.stack([styled(bank.paint(plan, EDGE)) for plan in plans[i:i + 32]])
            rows.append(vae.encode(place(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1)[0])[0].float())
    return plans, torch.cat(rows)


def write(file, pairs):
    tensors = {}
    for key, pair in pairs.items():
        for name, value in pair.state_dict().items():
            tensors[f"{key}.{name}"] = value.cpu().to(torch.float16).numpy()
        tensors[f"{key}.alpha"] = np.array(RANK, np.float16)
    save_safetensors(file, tensors)
    print(f"{os.path.getsize(file) / 1e6:.2f} MB in {file}")


class Style:
    """The model as it is, the pairs that learn, and the scenes they learn from."""

    def __init__(self):
        self.words, self.bank, self.vae, self.table = tokenizer.load(), Bank(), load_vae(), alphas(DEVICE)
        networks, about = train.learned(self.words)
        self.networks, self.scale = networks.requires_grad_(False), about["scale"]
        self.trained = Trained({"lora": pairs_of(self.networks["unet"])}, 0.99, 0.0)
        attach(self.networks["unet"], self.trained.low["lora"])
        self.plans, self.rows = scenes_of(self.bank, self.vae)
        self.rng = random.Random(9)

    def look(self, name):
        train.look(self.networks, self.vae, self.words, EDGE, self.scale, path("samples", name))

    def learn(self, rate):
        picked = [self.rng.randrange(SCENES) for _ in range(BATCH)]
        texts = ["" if self.rng.random() < train.DROP else caption(self.rng, self.bank, self.plans[k]) for k in picked]
        t = train.some_times(BATCH).to(DEVICE)
        clean = self.rows[picked] * self.scale
        x, velocity = noised(clean, torch.randn_like(clean), t, self.table)
        context = self.networks["text"](torch.tensor([self.words.ids(text) for text in texts], device=DEVICE))
        loss = F.mse_loss(self.networks["unet"](place(x)[0], t, context).float(), velocity)
        self.trained.step(loss, rate)
        return float(loss)

    def take_average(self):
        with torch.no_grad():
            for low, average in zip(self.trained.low.parameters(), self.trained.average.parameters()):
                low.copy_(average)


def main(file, samples):
    prepare(9)
    style = Style()
    style.look("lora-without.png")
    steps, losses, started = samples // BATCH, [], time.monotonic()
    for step in range(steps):
        losses.append(style.learn(RATE * min(1, (step + 1) / 50, max(2 - 2 * step / steps, 0.02))))
        if len(losses) == 50:
            print(f"{(step + 1) * BATCH} samples, loss {sum(losses) / 50:.4f}, {(step + 1) * BATCH / (time.monotonic() - started):.1f}/s", flush=True)
            losses = []
    style.take_average()
    style.look("lora-with.png")
    write(file, style.trained.average["lora"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 12000)
