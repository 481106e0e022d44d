"""Noise levels of Stable Diffusion 1.x, v-prediction, and a sampler to look at what has been learned."""
import torch

from config import SCHEDULER

STEPS = SCHEDULER["num_train_timesteps"]


def alphas(device):
    """Cumulated alphas of the 1000 training steps."""
    beta = torch.linspace(SCHEDULER["beta_start"] ** 0.5, SCHEDULER["beta_end"] ** 0.5, STEPS, device=device) ** 2
    return torch.cumprod(1 - beta, 0)


def noised(clean, noise, t, table):
    """(latents at step t, the velocity to predict there)."""
    a, s = (x[t][:, None, None, None] for x in (table.sqrt(), (1 - table).sqrt()))
    return a * clean + s * noise, a * noise - s * clean


@torch.no_grad()
def draw(predict, noise, cond, uncond, guidance, steps=20):
    """Deterministic (DDIM) sampling with guidance; predict(x, t, context) gives the velocity."""
    table = alphas(noise.device)
    times = (torch.arange(steps - 1, -1, -1, device=noise.device) * (STEPS // steps) + 1).tolist()
    x, context = noise, torch.cat([uncond, cond])
    for i, t in enumerate(times):
        a, s = table[t].sqrt(), (1 - table[t]).sqrt()
        step = torch.full((2 * len(x),), t, device=x.device)
        without, with_ = predict(torch.cat([x, x]), step, context).float().chunk(2)
        v = without + guidance * (with_ - without)
        clean, rest = a * x - s * v, s * x + a * v
        after = table[times[i + 1]] if i + 1 < len(times) else table[0]
        x = after.sqrt() * clean + (1 - after).sqrt() * rest
    return x
