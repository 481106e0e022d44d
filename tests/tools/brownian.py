"""The noise that torchsde gives DPM++ SDE, for tests/unit/test_brownian.c.

    brownian.py FILE

Writes float32 values: of each case, for each call that draws noise, those at eight places of the latents. Needs torch,
numpy and torchsde; no part of the build or the tests.
"""
import sys

import numpy
import torch
import torchsde

TRAINED = 1000
# seed, height, width, steps, Karras' sigmas, denoising_start
CASES = [
    (0, 8, 8, 5, False, 0),
    (7, 8, 8, 5, True, 0),
    (4294967295, 8, 8, 20, False, 0.4),
    (123456789012, 8, 8, 20, True, 0.4),
    (1, 64, 64, 5, False, 0.4),
    (2, 64, 64, 5, True, 0.4),
    (2147483648, 64, 64, 20, False, 0),
    (3735928559, 64, 64, 20, True, 0),
    (5, 3, 5, 5, False, 0),
    (5, 1, 2, 2, False, 0),
]


def levels(steps, karras):
    """The sigmas of the steps in float32, highest first, and how many timesteps lie above each."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TRAINED, dtype=torch.float32) ** 2
    kept = torch.cumprod(1 - betas, dim=0).numpy()
    trained = ((1 - kept) / kept) ** 0.5
    times = numpy.linspace(0, TRAINED - 1, steps)[::-1]
    sigmas = numpy.interp(times, numpy.arange(TRAINED), trained)
    if karras:
        high, low = sigmas[0] ** (1 / 7), sigmas[-1] ** (1 / 7)
        sigmas = (high + numpy.linspace(0, 1, steps) * (low - high)) ** 7
        times = numpy.interp(numpy.log(sigmas), numpy.log(trained), numpy.arange(TRAINED))
    return torch.from_numpy(sigmas.astype(numpy.float32)), times


def exponential(v):
    """Rounded as MKL rounds it, which torch's published packages for x86 compute with. Without MKL torch is off by a digit
    at some levels, and the path a thousandth."""
    return torch.tensor(numpy.float32(numpy.exp(numpy.float64(v))))


def noise(seed, height, width, steps, karras, start):
    sigmas, times = levels(steps, karras)
    path = torchsde.BrownianInterval(
        t0=sigmas[-1], t1=sigmas[0], size=(1, 4, height, width), dtype=torch.float32, entropy=seed, tol=1e-6, pool_size=24,
        halfway_tree=True)
    logs = -sigmas.log()
    for i in range(sum(times >= round(TRAINED * (1 - start))), steps - 1):
        for end in (logs[i] + (logs[i + 1] - logs[i]) * 0.5, logs[i + 1]):
            high, low = exponential(-logs[i]), exponential(-end)
            drawn = (-path(low, high) / (high - low).sqrt()).flatten().numpy()
            yield drawn[[k * (len(drawn) - 1) // 7 for k in range(8)]]


with open(sys.argv[1], "wb") as file:
    for case in CASES:
        for values in noise(*case):
            file.write(values.astype("<f4").tobytes())
