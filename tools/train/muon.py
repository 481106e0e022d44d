"""Muon: the momentum of each weight matrix, made orthogonal, is its update, so that all directions are learned equally fast.

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); the coefficients are those of N. Amsel et al.,
"The Polar Express" (2025); updates are as large as AdamW's would be, J. Liu et al., "Muon is scalable for LLM training" (2025)."""
import math

import torch

COEFFICIENTS = ((4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046),
                (2.8366, -3.0525, 1.2012))
MOMENTUM, SIZE = 0.95, 0.2


def matrix(weight):
    """A weight as (outputs, everything else), without a copy where it lies channels-last."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1) if weight.dim() == 4 else weight


def orthogonal(wide):
    """The nearest matrix with orthonormal rows or columns, roughly, in bf16."""
    x = wide.to(torch.bfloat16)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.float().norm() * 1.01 + 1e-7).to(torch.bfloat16)
    for a, b, c in COEFFICIENTS:
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).float()


def takes(name, weight):
    """Whether a network's weight is a matrix between layers: what comes in and goes out is left to AdamW."""
    return weight.dim() > 1 and not any(part in name for part in ("conv_in", "conv_out", "time_embedding"))


@torch.no_grad()
def update(weight, rate, decay, keep):
    """One step of a shared_torch.Weight, from the gradient of its low-precision copy."""
    grad, weight.low.grad = matrix(weight.low.grad).float(), None
    momentum = matrix(weight.momentum).lerp_(grad, 1 - MOMENTUM)
    change = orthogonal(grad.lerp_(momentum, MOMENTUM))
    matrix(weight.master.mul_(1 - rate * decay)).sub_(change, alpha=rate * SIZE * math.sqrt(max(change.shape)))
    weight.low.copy_(weight.master)
    if weight.average is not None:
        weight.average.lerp_(weight.master, 1 - keep)
