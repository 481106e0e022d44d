"""What every training step needs of torch: device, reduced-precision copies with float32 masters, checkpoints, an end in time."""
import copy
import os
import random
import signal
import time

import torch

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


class Trained:
    """Networks with float32 master weights, bf16 copies to compute with, AdamW and a moving average."""

    def __init__(self, masters, rate, average=0.0, decay=0.01):
        self.masters = torch.nn.ModuleDict(masters).to(DEVICE)
        self.low = copy.deepcopy(self.masters).to(LOW).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.masters).requires_grad_(False) if average else None
        self.pairs = list(zip(self.masters.parameters(), self.low.parameters()))
        self.keep, self.rate = average, rate
        heavy = [p for p in self.masters.parameters() if p.dim() > 1]
        light = [p for p in self.masters.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW([{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}],
                                           lr=rate, betas=(0.9, 0.99), foreach=True)
        self.step_number = 0

    def refresh(self):
        with torch.no_grad():
            for master, low in self.pairs:
                low.copy_(master)

    def step(self, loss, rate):
        """One update at this learning rate; returns the gradient's norm."""
        loss.backward()
        for master, low in self.pairs:
            master.grad = low.grad.float() if low.grad is not None else None
            low.grad = None
        norm = torch.nn.utils.clip_grad_norm_([p for p in self.masters.parameters() if p.grad is not None], 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.refresh()
        self.step_number += 1
        if self.average is not None:
            keep = min(self.keep, (1 + self.step_number) / (10 + self.step_number))
            with torch.no_grad():
                torch._foreach_mul_(list(self.average.parameters()), keep)
                torch._foreach_add_(list(self.average.parameters()), list(self.masters.parameters()), alpha=1 - keep)
        return float(norm)

    def state(self):
        return {"masters": self.masters.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step_number,
                "average": self.average.state_dict() if self.average is not None else None}

    def load(self, state):
        self.masters.load_state_dict(state["masters"])
        self.optimizer.load_state_dict(state["optimizer"])
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
