"""Trains text encoder and UNet together on kept latents.

usage: train.py EDGE [UNTIL]

Goes on from checkpoints/model.pt where there is one. EDGE (128 or 256) says which latents; the run ends after UNTIL samples in
all, or those of config.py. SIGTERM saves and ends."""
import copy
import json
import math
import os
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import config
import guide
import nets
import text
import tokenizer
from common import path, read_json
from diffusion import STEPS, alphas, draw, noised
from latents import load_vae, plan_of
from scenes import Bank, caption
from shared_torch import Clock, DEVICE, LOW, Trained, place, prepare, save

BATCH = {128: 128, 256: 48}
RATE, WARM_UP, DROP, AVERAGE, GUIDANCE = 3e-4, 400, 0.1, 0.998, float(os.environ.get("GUIDE", "0.05"))
SAVE_EVERY, LOOK_EVERY = 420, 1500
LOOK_AT = ("a red fox in the snow at night", "a cat on the beach", "a green car in the city, flat style", "a glossy strawberry",
           "two balloons in the sky", "a penguin in the desert at sunset", "a rocket in space", "an octopus underwater",
           "a castle in the mountains", "a pizza on a blue background", "a dog to the left of a house", "a purple umbrella in the rain",
           "a lion in the forest", "a sailboat on the sea at sunset", "an owl above a tree at night", "three tulips in a meadow")


class Rows:
    """Latents of one edge, scaled, with their plans; the first 512 are kept for judging."""

    KEPT = 512

    def __init__(self, bank, edge, scale):
        self.edge, self.scale, self.bank = edge, scale, bank
        self.values, self.count = None, 0
        self.recount()
        self.plans, self.maps = {}, {}

    def recount(self):
        """More latents may have come meanwhile."""
        self.values = np.load(path("data", f"latents-{self.edge}.npy"), mmap_mode="r")
        self.count = read_json(path("data", f"latents-{self.edge}.json"))["done"]

    def take(self, rng, words, numbers):
        clean = torch.from_numpy(self.values[numbers].astype(np.float32)) * self.scale
        for n in numbers:
            if n not in self.plans:
                self.plans[n] = plan_of(self.bank, self.edge, n)
                self.maps[n] = guide.map_of(self.bank, self.plans[n], self.edge // 16)
        ids = [words.ids("" if rng.random() < DROP else caption(rng, self.bank, self.plans[n])) for n in numbers]
        return clean, ids, np.stack([self.maps[n] for n in numbers])


def batches(rng, rows, words, size):
    """For ever: every row once, in a new order, and again."""
    while True:
        rows.recount()
        order = list(range(Rows.KEPT, rows.count))
        rng.shuffle(order)
        for i in range(0, len(order) - size + 1, size):
            yield rows.take(rng, words, sorted(order[i:i + size]))


def loss_of(networks, table, clean, ids, noise, t, maps=None):
    """Mean square error of the velocity; with maps, also how badly the network tells what is where."""
    clean, noise, t = clean.to(DEVICE), noise.to(DEVICE), t.to(DEVICE)
    x, velocity = noised(clean, noise, t, table)
    context = networks["text"](torch.tensor(ids, device=DEVICE))
    seen = []
    made = networks["unet"](place(x)[0], t, context, seen)
    loss = F.mse_loss(made.float(), velocity)
    return loss, loss if maps is None else loss + GUIDANCE * guide.loss_of(networks["guide"], seen[0], maps)


def some_times(count):
    """Training steps spread evenly over their range, each at random within its share."""
    return ((torch.arange(count) + torch.rand(count)) / count * STEPS).long().clamp(0, STEPS - 1)


def judged(networks, table, rows, words):
    """The loss on the kept rows, with the same noise and wording every time."""
    generator, rng, total = torch.Generator().manual_seed(7), random.Random(7), 0.0
    with torch.no_grad():
        for i in range(0, Rows.KEPT, 64):
            clean, ids, _maps = rows.take(rng, words, list(range(i, i + 64)))
            noise = torch.randn(clean.shape, generator=generator)
            t = (torch.arange(64) * STEPS // 64 + 7).clamp(0, STEPS - 1)
            total += float(loss_of(networks, table, clean, ids, noise, t)[0]) * 64
    return total / Rows.KEPT


def look(networks, vae, words, edge, scale, file):
    """Sixteen pictures of fixed prompts and seeds, in a grid."""
    generator = torch.Generator().manual_seed(11)
    noise = torch.randn((len(LOOK_AT), 4, edge // 8, edge // 8), generator=generator).to(DEVICE)
    with torch.no_grad():
        cond, uncond = (networks["text"](torch.tensor([words.ids(p) for p in prompts], device=DEVICE))
                        for prompts in (LOOK_AT, [""] * len(LOOK_AT)))
        z = draw(lambda x, t, c: networks["unet"](place(x)[0], t, c), noise, cond, uncond, 4.0)
        picture = vae.decode(place(z / scale)[0]).float().cpu()
    grid = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().unflatten(0, (4, 4)).permute(0, 3, 1, 4, 2)
    Image.fromarray(grid.reshape(4 * edge, 4 * edge, 3).numpy()).save(file)


def ends():
    """Samples seen in all when each edge is done."""
    samples = config.TRAINING["samples"]
    return {128: samples[128], 256: samples[128] + samples[256]}


def build(words):
    return {"text": text.build(words.vocabulary), "unet": nets.UNet(config.UNET), "guide": guide.build()}


def learned(words):
    """(networks of the averaged checkpoint, to compute with; what is told of it)."""
    state = torch.load(path("checkpoints", "model.pt"), map_location="cpu")
    networks = torch.nn.ModuleDict(build(words))
    networks.load_state_dict(state["average"])
    return networks.to(DEVICE, LOW).to(memory_format=torch.channels_last), state["about"]


def averaged(trained):
    return copy.deepcopy(trained.average).to(LOW).to(memory_format=torch.channels_last)


class Run:
    """A training under way: what it learns with, its checkpoint, its curve."""

    def __init__(self, edge):
        self.edge, self.file = edge, path("checkpoints", "model.pt")
        self.bank, self.words = Bank(), tokenizer.load()
        self.scale = 1 / read_json(path("data", "latents-128.json"))["std"]
        self.rows = Rows(self.bank, edge, self.scale)
        self.table, self.vae = alphas(DEVICE), load_vae()
        networks = build(self.words)
        if os.path.exists(path("checkpoints", "text.pt")):
            networks["text"].load_state_dict(torch.load(path("checkpoints", "text.pt"), map_location="cpu"))
        self.trained = Trained(networks, AVERAGE, by_muon="unet")
        self.about = {"samples": 0, "seconds": 0.0, "scale": self.scale}
        if os.path.exists(self.file):
            state = torch.load(self.file, map_location=DEVICE)
            self.trained.load(state)
            self.about = state["about"]
            self.scale = self.rows.scale = self.about["scale"]

    def save(self):
        save(self.file, {**self.trained.state(), "about": self.about})

    def note(self, **values):
        line = {"time": time.strftime("%m-%d %H:%M:%S"), "step": self.trained.step_number, "edge": self.edge, **self.about, **values}
        print(json.dumps(line), flush=True)
        with open(path("curve.jsonl"), "a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def rate(self):
        """Rises at first, and falls over the last samples of the whole training."""
        left = (max(ends().values()) - self.about["samples"]) / config.TRAINING["cool"]
        return RATE * min(1, (self.trained.step_number + 1) / WARM_UP, max(left, 0.01))

    def show(self):
        networks = averaged(self.trained)
        self.note(judged=round(judged(networks, self.table, self.rows, self.words), 5))
        name = f"{self.about['samples'] // 1000:06d}k-{self.edge}.png"
        look(networks, self.vae, self.words, self.edge, self.scale, path("samples", name))

    def go(self, clock, until):
        rng = random.Random(self.trained.step_number)
        torch.manual_seed(self.trained.step_number)
        last = time.monotonic()
        looked, sums = last, [0, 0.0]
        for clean, ids, maps in batches(rng, self.rows, self.words, BATCH[self.edge]):
            if clock.ended or self.about["samples"] >= until:
                break
            rate = self.rate()
            loss, guided = loss_of(self.trained.low, self.table, clean, ids, torch.randn(clean.shape), some_times(len(clean)), maps)
            if not math.isfinite(float(loss)):
                raise FloatingPointError("the loss is no number any more: go on from the last checkpoint with a lower rate")
            self.trained.step(guided, rate)
            self.about["samples"] += len(clean)
            sums = [sums[0] + 1, sums[1] + float(loss)]
            now = time.monotonic()
            if sums[0] >= 100:
                self.about["seconds"] = round(self.about["seconds"] + now - last, 1)
                self.note(loss=round(sums[1] / sums[0], 5), rate=round(rate, 6), per_second=round(sums[0] * len(clean) / (now - last), 1))
                last, sums = now, [0, 0.0]
            if clock.due():
                self.save()
            if now - looked > LOOK_EVERY:
                self.show()
                looked = time.monotonic()
        self.save()
        if not clock.ended:
            self.show()


def main(edge, until):
    prepare(5)
    clock = Clock(SAVE_EVERY)
    Run(edge).go(clock, until)
    sys.exit(clock.ended)


if __name__ == "__main__":
    the_edge = int(sys.argv[1])
    main(the_edge, int(sys.argv[2]) if len(sys.argv) > 2 else ends()[the_edge])
