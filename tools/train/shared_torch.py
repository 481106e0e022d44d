"""What every training step needs of torch: device, reduced-precision copies with float32 masters, checkpoints, an end in time."""
import copy
import ctypes
import math
import os
import random
import signal
import time

import torch

import kernels
import muon

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LOW = torch.bfloat16


def prepare(seed):
    torch.manual_seed(seed)
    random.seed(seed)
    torch.set_num_threads(int(os.environ.get("TRAIN_THREADS", "2")))


def place(*tensors):
    """On the device, pictures channels-last, in the precision that the networks compute in."""
    moved = [t.to(DEVICE, LOW) for t in tensors]
    return [t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in moved]


class Weight:
    """A tensor of weights: float32 master, bf16 copy to compute with, moving average or None, and AdamW's two moments, of which
    Muon uses one."""

    def __init__(self, master, low, average, by_muon=False):
        self.master, self.low, self.average, self.by_muon = master, low, average, by_muon
        self.momentum, self.square = torch.zeros_like(master), torch.zeros_like(master)
        self.fast = kernels.usable(low) and low.stride() == master.stride()

    def squares(self):
        """The gradient's sum of squares; lays the gradient out like the weights first."""
        if self.low.grad.stride() != self.low.stride():
            self.low.grad = torch.empty_like(self.low).copy_(self.low.grad)
        grad = self.low.grad
        return kernels.LIBRARY.squares(kernels.long(grad.numel()), kernels.at(grad)) if self.fast else float(grad.float().pow(2).sum())

    @torch.no_grad()
    def update(self, u):
        grad, self.low.grad = self.low.grad, None
        if self.fast:
            kernels.LIBRARY.adamw(kernels.long(grad.numel()), ctypes.byref(u), *map(kernels.at, (
                grad, self.master, self.momentum, self.square, self.average, self.low)))
            return
        grad = grad.float() * u.scale
        self.momentum.mul_(u.beta1).add_(grad, alpha=1 - u.beta1)
        self.square.mul_(u.beta2).addcmul_(grad, grad, value=1 - u.beta2)
        self.master.mul_(1 - u.rate * u.decay).addcdiv_(self.momentum, (self.square / u.correct2).sqrt_().add_(u.eps),
                                                        value=-u.rate / u.correct1)
        self.low.copy_(self.master)
        if self.average is not None:
            self.average.lerp_(self.master, 1 - u.keep)


class Trained:
    """Networks with float32 master weights, bf16 copies to compute with, AdamW and a moving average; Muon for the matrices of one."""

    def __init__(self, masters, average=0.0, decay=0.01, by_muon=""):
        self.masters = torch.nn.ModuleDict(masters).to(DEVICE).to(memory_format=torch.channels_last)
        self.low = copy.deepcopy(self.masters).to(LOW).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.masters).requires_grad_(False) if average else None
        self.keep, self.decay, self.step_number = average, decay, 0
        averages = self.average.parameters() if average else [None] * len(list(self.masters.parameters()))
        matrices = [name.startswith(by_muon + ".") and muon.takes(name, weight) for name, weight in self.masters.named_parameters()]
        self.weights = [Weight(*four) for four in zip(self.masters.parameters(), self.low.parameters(), averages, matrices)]

    def refresh(self):
        with torch.no_grad():
            for weight in self.weights:
                weight.low.copy_(weight.master)

    def step(self, loss, rate):
        """One update at this learning rate, the gradient cut to a norm of 1; returns its norm before."""
        loss.backward()
        used = [w for w in self.weights if w.low.grad is not None]
        norm = math.sqrt(sum(w.squares() for w in used))
        self.step_number += 1
        number = self.step_number
        keep = min(self.keep, (1 + number) / (10 + number))
        for w in used:
            if w.by_muon:
                muon.update(w, rate, 10 * self.decay, keep)
                continue
            w.update(kernels.Update(rate, 0.9, 0.99, 1e-8, self.decay if w.master.dim() > 1 else 0.0, 1 - 0.9 ** number,
                                    1 - 0.99 ** number, keep, min(1.0, 1 / (norm + 1e-6))))
        return norm

    def state(self):
        return {"masters": self.masters.state_dict(), "moments": [(w.momentum, w.square) for w in self.weights],
                "step": self.step_number, "average": self.average.state_dict() if self.average is not None else None}

    def load(self, state):
        self.masters.load_state_dict(state["masters"])
        for weight, (momentum, square) in zip(self.weights, state["moments"]):
            weight.momentum.copy_(momentum)
            weight.square.copy_(square)
        self.step_number = state["step"]
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.refresh()


def save(file, value):
    """Writes a checkpoint beside the last one and then takes its place, so that an interruption leaves one of the two."""
    torch.save(value, file + ".part")
    os.replace(file + ".part", file)


class Clock:
    """Says when to save, and that SIGTERM or SIGINT asked for an end."""

    def __init__(self, every):
        self.every, self.saved, self.ended = every, time.monotonic(), False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, *_signal):
        self.ended = True

    def due(self):
        if time.monotonic() - self.saved < self.every:
            return False
        self.saved = time.monotonic()
        return True
