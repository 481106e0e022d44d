"""Trains the judge of the built-in model on rendered scenes, and writes it to judge.safetensors in the training's folder. It sees every
combination, and nothing that the model has drawn. usage: train_judge.py [STEPS]

The judge looks at 96 x 96 pixels and says which things, kind of background, style and time of day it sees. Its norms are
folded into the convolutions, so that judge.mjs needs nothing but products and sums."""
import os
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "train"))
from common import STYLES, concepts, path, save_safetensors  # noqa: E402
from paint import KINDS, TIMES  # noqa: E402
from scenes import Bank, draw_plan  # noqa: E402
from shared_torch import Clock, DEVICE, Trained, place, prepare, save  # noqa: E402

EDGE, BATCH, STEPS, PROOF = 96, 64, 6000, 1024
LAYERS = ((3, 24, 2), (24, 48, 2), (48, 96, 2), (96, 96, 1), (96, 192, 2), (192, 192, 1))
HEADS = (len(concepts()), len(KINDS), len(STYLES), len(TIMES))


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(i, o, 3, s, 1, bias=False) for i, o, s in LAYERS])
        self.norms = nn.ModuleList([nn.BatchNorm2d(o) for _, o, _ in LAYERS])
        self.head = nn.Linear(2 * LAYERS[-1][1], sum(HEADS))

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x)))
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)).float().split(HEADS, 1)


def spoiled(rng, picture):
    """A little blur and noise, so that the judge doesn't mind how clean a picture is."""
    edge = rng.choice((EDGE, EDGE, 64, 48))
    if edge < EDGE:
        picture = F.interpolate(F.interpolate(picture, size=edge, mode="area"), size=EDGE, mode="bilinear", align_corners=False)
    return picture + torch.randn_like(picture) * rng.choice((0.0, 0.03, 0.08))


def examples(rng, bank, count):
    plans = [draw_plan(rng, bank, everything=True) for _ in range(count)]
    picture = torch.from_numpy(np.stack([bank.paint(plan, EDGE) for plan in plans])).permute(0, 3, 1, 2).float() / 127.5 - 1
    things = torch.zeros(count, HEADS[0])
    for row, plan in zip(things, plans):
        row[[thing[0] for thing in plan["objects"]]] = 1
    others = [[KINDS.index(p["kind"]) for p in plans], [STYLES.index(p["style"]) if p["objects"] else -1 for p in plans],
              [TIMES.index(p["time"]) if p["time"] else -1 for p in plans]]
    return picture, things.to(DEVICE), [torch.tensor(o, device=DEVICE) for o in others]


def loss_of(said, things, others):
    loss = F.binary_cross_entropy_with_logits(said[0], things, reduction="sum") / len(things)
    return loss + sum(F.cross_entropy(s, o, ignore_index=-1) for s, o in zip(said[1:], others))


def shares_right(said, things, others):
    """Parts of the answers that are right: single things, both of two, then the other questions."""
    count = things.sum(1)
    top = said[0].topk(2, 1).indices
    single = things.gather(1, top[:, :1])[count == 1].mean()
    both = things.gather(1, top).sum(1)[count == 2].eq(2).float().mean()
    rest = [(s.argmax(1) == o)[o >= 0].float().mean() for s, o in zip(said[1:], others)]
    return [round(float(x), 4) for x in (single, both, *rest)]


def folded(judge):
    """Convolutions with their norms folded in, as float16 arrays."""
    out = {"head.weight": judge.head.weight, "head.bias": judge.head.bias}
    for i, (conv, norm) in enumerate(zip(judge.convs, judge.norms)):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        out[f"conv{i}.weight"] = conv.weight * scale[:, None, None, None]
        out[f"conv{i}.bias"] = norm.bias - norm.running_mean * scale
    return {name: value.detach().cpu().to(torch.float16).numpy() for name, value in out.items()}


def main(steps):
    prepare(6)
    bank, file, clock = Bank(), path("checkpoints", "judge.pt"), Clock(420)
    trained = Trained({"judge": Judge()})
    if os.path.exists(file):
        state = torch.load(file, map_location=DEVICE)
        trained.load(state)
        trained.low.load_state_dict(state["low"])
    low, rng = trained.low["judge"], random.Random(60 + trained.step_number)
    while trained.step_number < steps and not clock.ended:
        picture, things, others = examples(rng, bank, BATCH)
        low.train()
        loss = loss_of(low(place(spoiled(rng, picture))[0]), things, others)
        trained.step(loss, 2e-3 * min(1, (trained.step_number + 1) / 200, 0.01 + 1.5 * (steps - trained.step_number) / steps))
        if trained.step_number % 100 == 0:
            print(f"{time.strftime('%H:%M:%S')} judge step {trained.step_number} loss {float(loss):.3f}", flush=True)
        if clock.due():
            save(file, {**trained.state(), "low": low.state_dict()})
    save(file, {**trained.state(), "low": low.state_dict()})
    low.eval()
    with torch.no_grad():
        picture, things, others = examples(random.Random(61), bank, PROOF)
        said = [torch.cat(rows) for rows in zip(*(low(place(part)[0]) for part in picture.split(64)))]
    print("right on true renders: one thing, both of two, background, style, time:", shares_right(said, things, others), flush=True)
    for norm, master in zip(low.norms, trained.masters["judge"].norms):
        master.load_state_dict(norm.state_dict())
    if trained.step_number < steps:
        sys.exit(1)
    save_safetensors(path("judge.safetensors"), folded(trained.masters["judge"]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STEPS)
