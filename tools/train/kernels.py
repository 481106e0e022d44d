"""Faster norms, gate and weight update for training on a processor: kernels.c, compiled at first use. Elsewhere, or where no
compiler is, torch's own operations take their place."""
import ctypes
import hashlib
import os
import subprocess

import torch
import torch.nn.functional as F
from torch.autograd import Function

from common import HERE, path

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC", "-Wall", "-Wextra")


def compiled():
    """The library, or None."""
    source = os.path.join(HERE, "kernels.c")
    with open(source, "rb") as text:
        file = path("kernels", hashlib.sha256(text.read()).hexdigest()[:16] + ".so")
    try:
        if not os.path.exists(file):
            subprocess.run(["gcc", *FLAGS, source, "-o", file + ".part", "-lm"], check=True)
            os.replace(file + ".part", file)
        library = ctypes.CDLL(file)
    except (OSError, subprocess.CalledProcessError) as fault:
        print(f"kernels: {fault}; going on without", flush=True)
        return None
    library.squares.restype = ctypes.c_double
    return library


LIBRARY = None if torch.cuda.is_available() else compiled()


class Update(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in ("rate", "beta1", "beta2", "eps", "decay", "correct1", "correct2", "keep", "scale")]


def at(tensor):
    return ctypes.c_void_p(tensor.data_ptr() if tensor is not None else None)


def long(number):
    return ctypes.c_int64(number)


def usable(x):
    return LIBRARY is not None and x.dtype == torch.bfloat16 and x.device.type == "cpu"


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def checked(status):
    if status:
        raise RuntimeError("a kernel found no memory, or more groups than channels")


class GroupNorm(Function):
    @staticmethod
    def forward(ctx, x, shift, gamma, beta, groups, eps, silu):
        x = channels_last(x)
        n, c, h, w = x.shape
        shift = shift.contiguous() if shift is not None else None
        gamma, beta, y = gamma.float(), beta.float(), torch.empty_like(x)
        mean, rstd = torch.empty(n, groups), torch.empty(n, groups)
        checked(LIBRARY.group_norm(long(n), long(h * w), c, groups, ctypes.c_float(eps), silu, at(x), at(shift), at(gamma), at(beta),
                                   at(mean), at(rstd), at(y)))
        ctx.save_for_backward(x, shift, gamma, beta, mean, rstd)
        ctx.silu = silu
        return y

    @staticmethod
    def backward(ctx, dy):
        x, shift, gamma, beta, mean, rstd = ctx.saved_tensors
        n, c, h, w = x.shape
        dy, dx, sums = channels_last(dy), torch.empty_like(x), torch.empty(n, 2, c)
        dshift = torch.empty_like(shift) if shift is not None else None
        checked(LIBRARY.group_norm_back(long(n), long(h * w), c, mean.shape[1], ctx.silu, at(x), at(shift), at(gamma), at(beta),
                                        at(mean), at(rstd), at(dy), at(dx), at(sums), at(dshift)))
        dgamma, dbeta = sums.sum(0).to(dy.dtype)
        return dx, dshift, dgamma, dbeta, None, None, None


class LayerNorm(Function):
    PARTS = 16

    @staticmethod
    def forward(ctx, x, gamma, beta, eps):
        x, gamma, beta = x.contiguous(), gamma.float(), beta.float()
        width, rows = x.shape[-1], x.numel() // x.shape[-1]
        y, mean, rstd = torch.empty_like(x), torch.empty(rows), torch.empty(rows)
        LIBRARY.layer_norm(long(rows), width, ctypes.c_float(eps), at(x), at(gamma), at(beta), at(mean), at(rstd), at(y))
        ctx.save_for_backward(x, gamma, mean, rstd)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, mean, rstd = ctx.saved_tensors
        dy, dx, sums = dy.contiguous(), torch.empty_like(x), torch.empty(LayerNorm.PARTS, 2, x.shape[-1])
        LIBRARY.layer_norm_back(long(mean.numel()), x.shape[-1], LayerNorm.PARTS, at(x), at(gamma), at(mean), at(rstd), at(dy), at(dx),
                                at(sums))
        dgamma, dbeta = sums.sum(0).to(dy.dtype)
        return dx, dgamma, dbeta, None


class Gated(Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        width = x.shape[-1] // 2
        y = torch.empty((*x.shape[:-1], width), dtype=x.dtype)
        LIBRARY.gated(long(y.numel() // width), width, at(x), at(y))
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        dy, dx, width = dy.contiguous(), torch.empty_like(x), dy.shape[-1]
        LIBRARY.gated_back(long(dy.numel() // width), width, at(x), at(dy), at(dx))
        return dx


def group_norm(norm, x, shift=None, silu=True):
    """silu(norm(x + shift)), shift being (n, channels)."""
    if usable(x):
        return GroupNorm.apply(x, shift, norm.weight, norm.bias, norm.num_groups, norm.eps, int(silu))
    y = norm(x if shift is None else x + shift[:, :, None, None])
    return F.silu(y) if silu else y


def layer_norm(norm, x):
    return LayerNorm.apply(x, norm.weight, norm.bias, norm.eps) if usable(x) else norm(x)


def gated(x):
    """The first half of the last dimension, times GELU of the second."""
    if usable(x):
        return Gated.apply(x)
    value, gate = x.chunk(2, -1)
    return value * F.gelu(gate)
