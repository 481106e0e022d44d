"""Paints scenes and keeps their latents. usage: latents.py EDGE [UNTIL]

latents-EDGE.npy has room for all scenes of the plan; this run fills it up to row UNTIL, from where the last one stopped. Scene
number i of an edge is always the same (see plan_of), so that captions can be worded anew each time it is seen."""
import os
import random
import sys
import time

import numpy as np
import torch

import config
import nets
from common import path, read_json, write_json
from scenes import Bank, draw_plan
from shared_torch import Clock, DEVICE, place, prepare

BATCH = 32


def plan_of(bank, edge, number):
    return draw_plan(random.Random(f"{edge}/{number}"), bank)


def load_vae(low=True):
    """The averaged autoencoder as trained so far."""
    vae = nets.Vae(config.VAE)
    average = torch.load(path("checkpoints", "vae.pt"), map_location="cpu")["average"]
    vae.load_state_dict({name.removeprefix("vae."): value for name, value in average.items() if name.startswith("vae.")})
    vae = vae.to(DEVICE).requires_grad_(False)
    return vae.to(torch.bfloat16).to(memory_format=torch.channels_last) if low else vae


def open_rows(edge, count):
    """(rows, how many are done): the file in the size asked for, with what it already held."""
    file, state = path("data", f"latents-{edge}.npy"), path("data", f"latents-{edge}.json")
    shape = (count, 4, edge // 8, edge // 8)
    try:
        done, old = read_json(state)["done"], np.load(file, mmap_mode="r+")
    except FileNotFoundError:
        done, old = 0, np.zeros((0, *shape[1:]), np.float16)
    if len(old) >= count:
        return old, done
    # a new file: whoever has the old one open keeps it
    rows = np.lib.format.open_memmap(file + ".part", "w+", np.float16, shape)
    rows[:done] = old[:done]
    os.replace(file + ".part", file)
    return rows, done


def main(edge, until):
    prepare(2)
    clock = Clock(1e9)
    bank, vae = Bank(), load_vae()
    rows, done = open_rows(edge, config.TRAINING["scenes"][edge])
    count = min(until, len(rows))
    started, first = time.monotonic(), done
    while done < count and not clock.ended:
        many = min(BATCH, count - done)
        pictures = np.stack([bank.paint(plan_of(bank, edge, done + k), edge) for k in range(many)])
        with torch.no_grad():
            mean = vae.encode(place(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1)[0])[0]
        rows[done:done + many] = mean.float().cpu().numpy().astype(np.float16)
        done += many
        if done % (BATCH * 32) == 0 or done == count or clock.ended:
            rows.flush()
            std = float(rows[:done:max(done // 4000, 1)].astype(np.float32).std())
            write_json(path("data", f"latents-{edge}.json"), {"done": done, "std": std})
            print(f"{time.strftime('%H:%M:%S')} {done} of {count}, deviation {std:.4f}, "
                  f"{(done - first) / (time.monotonic() - started):.0f}/s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else config.TRAINING["scenes"][int(sys.argv[1])])
