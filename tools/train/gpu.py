"""The whole training on a machine with a GPU, at 256 pixels from the start, by time. usage:

    gpu.py render COUNT     paints COUNT scenes with all processors, and words each sixteen times
    gpu.py vae SECONDS      the autoencoder; then the latents of all scenes
    gpu.py train SECONDS    text encoder and UNet, the learning rate falling to nothing at the end; goes on from a checkpoint
    gpu.py show             a grid of samples
    gpu.py split FOLDER     the checkpoint as files below 15 MB that fit through a narrow door;  gpu.py join FOLDER

It writes the same checkpoints as the steps on a processor, so train-eval and train-export work on them; moments are not kept.
Set TRAIN_BATCH and TRAIN_COMPILE=0 to try it on a small machine."""
import copy
import multiprocessing
import os
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import config
import nets
import tokenizer
import train
import vae as vae_step
from common import path, read_json, write_json
from diffusion import STEPS, alphas
from latents import load_vae, plan_of
from scenes import Bank, caption
from shared_torch import DEVICE, LOW, prepare, save

EDGE, WORDINGS = 256, 16
BATCH = int(os.environ.get("TRAIN_BATCH", "512"))


def paint_share(job):
    """Paints and words the scenes from `first` to `last` into the files."""
    first, last = job
    bank, words = Bank(), tokenizer.load()
    pictures, ids = np.load(path("data", "pictures.npy"), mmap_mode="r+"), np.load(path("data", "ids.npy"), mmap_mode="r+")
    for number in range(first, last):
        plan, rng = plan_of(bank, EDGE, number), random.Random(number)
        pictures[number] = bank.paint(plan, EDGE)
        ids[number] = [words.ids(caption(rng, bank, plan)) for _ in range(WORDINGS)]


def render(count):
    for name, shape, kind in (("pictures", (count, EDGE, EDGE, 3), np.uint8), ("ids", (count, WORDINGS, config.LENGTH), np.int16)):
        np.lib.format.open_memmap(path("data", name + ".npy"), "w+", kind, shape).flush()
    step = max(min(500, count // os.cpu_count()), 1)
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        pool.map(paint_share, [(i, min(i + step, count)) for i in range(0, count, step)], 1)
    print(f"{count} scenes")


def compiled(network):
    return torch.compile(network) if DEVICE.type == "cuda" and os.environ.get("TRAIN_COMPILE") != "0" else network


class Learner:
    """Networks, AdamW and a moving average; computes in bf16 by autocast."""

    def __init__(self, networks, average, decay):
        self.networks = torch.nn.ModuleDict(networks).to(DEVICE).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self.keep, self.number = average, 0
        heavy = [p for p in self.networks.parameters() if p.dim() > 1]
        light = [p for p in self.networks.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW([{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}],
                                           1e-3, betas=(0.9, 0.99), **({"fused": True} if DEVICE.type == "cuda" else {}))

    def step(self, loss, rate):
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.number += 1
        keep = min(self.keep, (1 + self.number) / (10 + self.number))
        with torch.no_grad():
            torch._foreach_mul_(list(self.average.parameters()), keep)
            torch._foreach_add_(list(self.average.parameters()), list(self.networks.parameters()), alpha=1 - keep)

    def state(self):
        weights = self.networks.state_dict()
        return {"masters": weights, "average": self.average.state_dict(), "step": self.number,
                "moments": [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.networks.parameters()]}

    def load(self, state):
        self.networks.load_state_dict(state["masters"])
        self.average.load_state_dict(state["average"])


class Reporter:
    """Says every few seconds how far it is."""

    def __init__(self, seconds, what):
        self.started = self.said = time.monotonic()
        self.seconds, self.what, self.steps, self.total = seconds, what, 0, 0.0

    def left(self):
        """1 at the start, 0 at the end."""
        return 1 - (time.monotonic() - self.started) / self.seconds

    def add(self, loss):
        self.steps += 1
        self.total = self.total + loss.detach()
        now = time.monotonic()
        if now - self.said > min(20, self.seconds / 5):
            print(f"{self.what} {now - self.started:.0f} s loss {float(self.total) / self.steps:.5f} "
                  f"{self.steps / (now - self.said):.1f} steps/s", flush=True)
            self.said, self.steps, self.total = now, 0, 0.0


def as_input(pixels):
    return pixels.to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_vae(seconds):
    pictures = torch.from_numpy(np.load(path("data", "pictures.npy"))).to(DEVICE)
    learner, rng, batch, crop = Learner(vae_step.build(), 0.998, 0.0), random.Random(1), max(BATCH // 4, 2), 128
    network, reporter = learner.networks["vae"], Reporter(seconds, "vae")
    encode, decode = compiled(network.encode), compiled(network.decode)
    while reporter.left() > 0:
        x, y = rng.randint(0, EDGE - crop), rng.randint(0, EDGE - crop)
        part = pictures[torch.randint(len(pictures), (batch,), device=DEVICE)]
        true = as_input(part[:, y:y + crop, x:x + crop]) if rng.random() < 0.6 else F.avg_pool2d(as_input(part), 2)
        with torch.autocast(DEVICE.type, LOW):
            mean, logvar = (m.float() for m in encode(true.contiguous(memory_format=torch.channels_last)))
            logvar = logvar.clamp(-12, 4)
            told = vae_step.colours(learner.networks["readout"], mean, true)
            z, aim = vae_step.turned(rng, vae_step.roughened(rng, vae_step.sample(mean, logvar)), true)
            made = decode(z)
        loss = vae_step.likeness(made.float(), aim)
        reporter.add(loss)
        prior = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
        learner.step(loss + told + 3e-4 * prior, 1e-3 * min(1, (learner.number + 1) / 200, 0.01 + 2 * max(reporter.left(), 0)))
    save(path("checkpoints", "vae.pt"), learner.state())
    vae_step.look(copy.deepcopy(learner.average["vae"]).to(LOW), Bank(), path("samples", "vae.png"))
    keep_latents(learner.average["vae"].to(LOW), pictures)


def keep_latents(network, pictures):
    with torch.no_grad():
        rows = torch.cat([network.encode(as_input(part).to(LOW))[0].half() for part in pictures.split(max(BATCH // 4, 2))])
    np.save(path("data", f"latents-{EDGE}.npy"), rows.cpu().numpy())
    about = {"done": len(rows), "std": float(rows.float().std())}
    for edge in (128, EDGE):  # the scale is that of the model, whatever the edge
        write_json(path("data", f"latents-{edge}.json"), about)
    print(about, flush=True)


def train_model(seconds):
    about = read_json(path("data", f"latents-{EDGE}.json"))
    rows = torch.from_numpy(np.load(path("data", f"latents-{EDGE}.npy"))).to(DEVICE)
    words = tokenizer.load()
    ids = torch.from_numpy(np.load(path("data", "ids.npy"))).to(DEVICE).long()
    empty, table, file = torch.tensor(words.ids(""), device=DEVICE), alphas(DEVICE), path("checkpoints", "model.pt")
    networks, done = train.build(words), {"samples": 0, "seconds": 0.0, "scale": 1 / about["std"]}
    if os.path.exists(path("checkpoints", "text.pt")):
        networks["text"].load_state_dict(torch.load(path("checkpoints", "text.pt"), map_location="cpu"))
    learner = Learner(networks, 0.9995, 0.01)
    if os.path.exists(file):
        state = torch.load(file, map_location=DEVICE)
        learner.load(state)
        done = state["about"]
    text, unet, reporter = compiled(learner.networks["text"]), compiled(learner.networks["unet"]), Reporter(seconds, "model")
    saved = time.monotonic()
    while reporter.left() > 0:
        chosen = torch.randint(len(rows), (BATCH,), device=DEVICE)
        clean = rows[chosen].float() * done["scale"]
        said = ids[chosen, torch.randint(WORDINGS, (BATCH,), device=DEVICE)]
        said = torch.where(torch.rand((BATCH, 1), device=DEVICE) < train.DROP, empty, said)
        t = train.some_times(BATCH).to(DEVICE)
        noise = torch.randn_like(clean)
        a, s = (v[t][:, None, None, None] for v in (table.sqrt(), (1 - table).sqrt()))
        with torch.autocast(DEVICE.type, LOW):
            made = unet((a * clean + s * noise).contiguous(memory_format=torch.channels_last), t, text(said))
        loss = F.mse_loss(made.float(), a * noise - s * clean)
        reporter.add(loss)
        learner.step(loss, 1e-3 * min(1, (learner.number + 1) / 500, 0.005 + 1.6 * max(reporter.left(), 0)))
        done["samples"] += BATCH
        if time.monotonic() - saved > 240:
            save(file, {**learner.state(), "about": done})
            saved = time.monotonic()
    done["seconds"] += seconds
    save(file, {**learner.state(), "about": done})
    print(f"{done['samples']} samples, {STEPS} noise levels", flush=True)


def show():
    words, state = tokenizer.load(), torch.load(path("checkpoints", "model.pt"), map_location="cpu")
    networks = torch.nn.ModuleDict(train.build(words))
    networks.load_state_dict(state["average"])
    networks = networks.to(DEVICE, LOW).to(memory_format=torch.channels_last)
    name = f"{state['about']['samples'] // 1000:06d}k-{EDGE}.png"
    train.look(networks, load_vae(), words, EDGE, state["about"]["scale"], path("samples", name))


def split(folder):
    """Averages alone, halves of precision, in pieces; the current weights are close to them at the end of a run."""
    os.makedirs(folder, exist_ok=True)
    model, vae = (torch.load(path("checkpoints", name), map_location="cpu") for name in ("model.pt", "vae.pt"))
    pieces, size, part = {}, 0, 0
    rows = [(("model", name), value) for name, value in model["average"].items()] + [(("vae", name), value) for name, value in vae["average"].items()]
    for key, value in [*rows, (("about", ""), model["about"])]:
        pieces[key] = value.half() if torch.is_tensor(value) else value
        size += value.numel() * 2 if torch.is_tensor(value) else 100
        if size > 13e6:
            torch.save(pieces, os.path.join(folder, f"part{part}.pt"))
            pieces, size, part = {}, 0, part + 1
    torch.save(pieces, os.path.join(folder, f"part{part}.pt"))


def join(folder):
    pieces = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith("part"):
            pieces.update(torch.load(os.path.join(folder, name), map_location="cpu"))
    for which in ("model", "vae"):
        weights = {name: value.float() for (owner, name), value in pieces.items() if owner == which}
        moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights.values()]
        state = {"masters": weights, "average": {n: w.clone() for n, w in weights.items()}, "moments": moments, "step": 10 ** 6}
        save(path("checkpoints", which + ".pt"), {**state, "about": pieces[("about", "")]} if which == "model" else state)


if __name__ == "__main__":
    prepare(9)
    if sys.argv[1] == "render":
        render(int(sys.argv[2]))
    elif sys.argv[1] in ("vae", "train"):
        {"vae": train_vae, "train": train_model}[sys.argv[1]](float(sys.argv[2]))
    elif sys.argv[1] == "show":
        show()
    else:
        {"split": split, "join": join}[sys.argv[1]](sys.argv[2])
