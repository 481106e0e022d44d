"""Gives the text encoder a start: from the words of a caption it learns to tell what is in the scene, and roughly how the
first thing looks. Minutes spent here spare the UNet hours of learning to read."""
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import config
import nets
import tokenizer
from common import COLOURS, STYLES, path
from paint import KINDS, TIMES, WEATHERS
from scenes import Bank, caption, draw_plan
from shared_torch import DEVICE, Trained, prepare, save

BATCH, THUMB = 192, 12
RELATIONS = ("", "left", "above", "front", "count")


def build(vocabulary):
    return nets.TextEncoder({**config.TEXT, "vocab_size": len(vocabulary)})


def thumbnails(bank):
    """Small premultiplied pictures of all sprites, by their row."""
    step = bank.sprites.shape[1] / THUMB
    edges = [int(i * step) for i in range(THUMB + 1)]
    out = np.zeros((len(bank.sprites), THUMB, THUMB, 4), np.float32)
    for row, sprite in enumerate(bank.sprites):
        pixels = sprite.astype(np.float32) / 255
        pixels[..., :3] *= pixels[..., 3:]
        out[row] = np.add.reduceat(np.add.reduceat(pixels, edges[:-1], 0), edges[:-1], 1) / step ** 2
    return torch.from_numpy(out.reshape(len(out), -1))


def facts(bank, plan):
    """What can be told of a plan: one row of 0 and 1."""
    concepts = {thing[0] for thing in plan["objects"]}
    colours = {thing[1] for thing in plan["objects"]}
    row = [i in concepts for i in range(len(bank.concepts))] + [c in colours for c in COLOURS]
    for names, value in ((STYLES, plan["style"]), (KINDS, plan["kind"]), (TIMES, plan["time"]), (WEATHERS, plan["weather"]),
                         (RELATIONS, plan["relation"]), ((2, 3, 6), len(plan["objects"]) if plan["relation"] == "count" else 0)):
        row += [value == name for name in names]
    return row


def main():
    prepare(3)
    bank, words, rng = Bank(), tokenizer.load(), random.Random(4)
    thumbs = thumbnails(bank).to(DEVICE)
    count = len(facts(bank, draw_plan(rng, bank)))
    trained = Trained({"encoder": build(words.vocabulary), "head": nn.Linear(config.TEXT["hidden_size"], count + thumbs.shape[1])})
    encoder, head, last = trained.low["encoder"], trained.low["head"], config.TRAINING["text"]
    while trained.step_number < last:
        plans = [draw_plan(rng, bank) for _ in range(BATCH)]
        ids = torch.tensor([words.ids(caption(rng, bank, plan)) for plan in plans], device=DEVICE)
        true = torch.tensor([facts(bank, plan) for plan in plans], dtype=torch.float32, device=DEVICE)
        looks = torch.stack([thumbs[bank.where[(p["objects"][-1][0], STYLES.index(p["style"]), p["objects"][-1][1])]]
                             if p["objects"] else torch.zeros_like(thumbs[0]) for p in plans])
        hidden = encoder(ids)
        said, seen = head(hidden[torch.arange(BATCH), ids.argmax(1)]).float().split([count, thumbs.shape[1]], 1)
        told = F.binary_cross_entropy_with_logits(said, true, reduction="sum") / BATCH
        loss = told + 5 * F.l1_loss(seen, looks)
        step = trained.step_number
        trained.step(loss, 1e-3 * min(1, (step + 1) / 100, 0.02 + 3 * (last - step) / last))
        if step % 50 == 0:
            names = slice(0, len(bank.concepts))
            right = float(((said[:, names] > 0) == (true[:, names] > 0)).all(1).float().mean())
            print(f"{time.strftime('%H:%M:%S')} text step {step} loss {float(loss):.3f} facts {float(told):.3f} "
                  f"things right {right:.2f}", flush=True)
    save(path("checkpoints", "text.pt"), trained.masters["encoder"].state_dict())


if __name__ == "__main__":
    main()
