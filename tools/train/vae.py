"""Trains the autoencoder on crops of scenes. usage: vae.py [decoder|keep]

Does nothing when it has all its steps, and takes the weights of vae.safetensors beside this program where there are none yet:
delete that file to begin with nothing. "decoder" goes on with the decoder alone, for as many steps again: latents that were
computed before stay valid. "keep" writes vae.safetensors."""
import copy
import os
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import config
import nets
from common import HERE, path, read_safetensors, save_safetensors
from scenes import Bank, draw_plan
from shared_torch import Clock, DEVICE, Trained, place, prepare, save

KEPT = os.path.join(HERE, "vae.safetensors")
# Edge of the crops, and how many: large ones too, because norms look at the whole of what they see.
CROPS = ((64, 8), (64, 8), (128, 2))


def crops(rng, bank):
    """Crops of random scenes at 128 and 256 pixels, -1..1; one scene gives four small ones."""
    out, (crop, count) = [], rng.choice(CROPS)
    while len(out) < count:
        edge = rng.choice((128, 256))
        picture = bank.paint(draw_plan(rng, bank), edge)
        for _ in range(4 if crop < 128 else 1):
            x, y = rng.randint(0, edge - crop), rng.randint(0, edge - crop)
            out.append(picture[y:y + crop, x:x + crop])
    return torch.from_numpy(np.stack(out[:count])).permute(0, 3, 1, 2).float() / 127.5 - 1


def slopes(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def likeness(made, true):
    """Absolute difference of values, and of slopes at two scales, which keeps edges sharp."""
    loss = F.l1_loss(made, true) + 0.5 * F.mse_loss(made, true)
    for scale in (1, 2):
        a, b = (x if scale == 1 else F.avg_pool2d(x, scale) for x in (made, true))
        loss = loss + 0.5 * sum(F.l1_loss(m, t) for m, t in zip(slopes(a), slopes(b)))
    return loss


def sample(mean, logvar):
    return mean + torch.randn_like(mean) * (0.5 * logvar).exp()


def turned(rng, z, true):
    """Now and then a latent is mirrored or shrunk and must decode to the picture that was: a smoother latent space, in
    which networks learn faster, and which knows no difference between sizes."""
    if rng.random() < 0.3:
        z, true = z.flip(-1), true.flip(-1)
    if rng.random() < 0.2:
        z, true = F.avg_pool2d(z, 2), F.avg_pool2d(true, 2)
    return z, true


def colours(readout, mean, true):
    """How far a linear look at the latents is from the mean colours of their places: without this the network spends hours on
    greys before it finds out about colours."""
    return F.l1_loss(readout(mean).float(), F.avg_pool2d(true, 8))


def roughened(rng, z):
    """A diffusion network is never quite right: the decoder learns to take that."""
    return z + torch.randn_like(z) * z.detach().std() * rng.choice((0, 0, 0.05, 0.1))


def loss_of(rng, networks, picture, decoder_only):
    vae = networks["vae"]
    (low,) = place(picture)
    with torch.set_grad_enabled(not decoder_only):
        mean, logvar = (x.float() for x in vae.encode(low))
    logvar = logvar.clamp(-12, 4)
    z, true = roughened(rng, sample(mean, logvar)), picture.to(DEVICE)
    told = 0 if decoder_only else colours(networks["readout"], place(mean)[0], true)
    if not decoder_only:
        z, true = turned(rng, z, true)
    made = vae.decode(place(z)[0]).float()
    likely = likeness(made, true)
    prior = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
    return likely + (0 if decoder_only else told + 3e-4 * prior), likely, prior


def look(vae, bank, file):
    """Pictures above what comes back of them."""
    rng = random.Random(9)
    with torch.no_grad():
        picture = torch.from_numpy(np.stack([bank.paint(draw_plan(rng, bank), 128) for _ in range(8)])).permute(0, 3, 1, 2)
        back = vae.decode(vae.encode(place(picture.float() / 127.5 - 1)[0])[0]).float().cpu()
    rows = torch.cat([picture.float(), (back.clamp(-1, 1) + 1) * 127.5]).round().byte()
    sheet = rows.unflatten(0, (2, 8)).permute(0, 3, 1, 4, 2).reshape(2 * 128, 8 * 128, 3)
    Image.fromarray(sheet.numpy()).save(file)


def rate_at(step, last):
    """Rises, stays, and falls over the last third."""
    return 1e-3 * min(1, (step + 1) / 200, 0.02 + 3 * (last - step) / last)


def finish(trained, bank, file):
    save(file, trained.state())
    look(copy.deepcopy(trained.average["vae"]).to(torch.bfloat16), bank, path("samples", "vae.png"))


def build():
    return {"vae": nets.Vae(config.VAE), "readout": torch.nn.Conv2d(config.VAE["latent_channels"], 3, 1)}


def take_over(trained, file):
    """Weights of an earlier training, at its end."""
    weights = {"vae." + name: torch.from_numpy(value) for name, value in read_safetensors(file).items()}
    for networks in (trained.masters, trained.average):
        networks.load_state_dict(weights, strict=False)
    trained.step_number = config.TRAINING["vae"]
    trained.refresh()


def keep(file, kept):
    average = torch.load(file, map_location="cpu")["average"]
    save_safetensors(kept, {name.removeprefix("vae."): value.half().numpy() for name, value in average.items() if name.startswith("vae.")})


def main(decoder_only):
    prepare(1)
    bank, file = Bank(), path("checkpoints", "vae.pt")
    trained = Trained(build(), 0.995, 0.0)
    if os.path.exists(file):
        trained.load(torch.load(file, map_location=DEVICE))
    elif os.path.exists(KEPT):
        take_over(trained, KEPT)
    rng = random.Random(1000 + trained.step_number)
    last = config.TRAINING["vae"] * (2 if decoder_only else 1)
    clock, shown = Clock(300), time.monotonic()
    sums = np.zeros(3)
    while trained.step_number < last and not clock.ended:
        losses = loss_of(rng, trained.low, crops(rng, bank), decoder_only)
        trained.step(losses[0], rate_at(trained.step_number, last))
        sums += [1, float(losses[1]), float(losses[2])]
        if time.monotonic() - shown > 60:
            print(f"{time.strftime('%H:%M:%S')} vae step {trained.step_number} likeness {sums[1] / sums[0]:.4f} "
                  f"prior {sums[2] / sums[0]:.3f} {sums[0] / (time.monotonic() - shown):.2f} steps/s", flush=True)
            sums, shown = np.zeros(3), time.monotonic()
        if clock.due():
            finish(trained, bank, file)
    finish(trained, bank, file)
    sys.exit(trained.step_number < last)


if __name__ == "__main__":
    if "keep" in sys.argv[1:]:
        keep(path("checkpoints", "vae.pt"), KEPT)
    else:
        main("decoder" in sys.argv[1:])
