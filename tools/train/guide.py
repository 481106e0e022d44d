"""While it learns, the UNet also tells what is where in the clean picture: a small head on its features names each place's thing
or background, and which part of the thing it is. The program that composed the scene knows. What words mean and how things
are put together is learned sooner that way; the head is no part of the model."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import config
from common import STYLES, concepts
from paint import KINDS
from shared_torch import DEVICE


def build():
    """One output per thing and per kind of background, and two for the place within the thing."""
    return nn.Conv2d(config.UNET["block_out_channels"][1], len(concepts()) + len(KINDS) + 2, 1)


def map_of(bank, plan, cells):
    """(3, cells, cells) int8: what is there, numbered like the head's outputs, and the place within it, -100..100."""
    middles = (np.arange(cells) + 0.5) / cells
    out = np.zeros((3, cells, cells), np.int8)
    out[0] = len(bank.concepts) + KINDS.index(plan["kind"])
    for concept, colour, x, y, size in plan["objects"]:
        across, down = (middles - x) / size + 0.5, (middles - y) / size + 0.5
        columns, rows = np.flatnonzero((across >= 0) & (across < 1)), np.flatnonzero((down >= 0) & (down < 1))
        sprite = bank.sprites[bank.where[(concept, STYLES.index(plan["style"]), colour)]]
        edge = len(sprite)
        covered = sprite[np.ix_((down[rows] * edge).astype(int), (across[columns] * edge).astype(int))][..., 3] > 128
        place = np.ix_(rows, columns)
        out[0][place] = np.where(covered, concept, out[0][place])
        out[1][place] = np.where(covered, ((across[columns] * 2 - 1) * 100).astype(np.int8)[None, :], out[1][place])
        out[2][place] = np.where(covered, ((down[rows] * 2 - 1) * 100).astype(np.int8)[:, None], out[2][place])
    return out


def loss_of(head, features, maps):
    """Cross-entropy of what is there, and square error of the place within things, averaged over all cells."""
    true = torch.from_numpy(maps).to(DEVICE).long()
    said = head(features).float()
    things = true[:, :1] < said.shape[1] - 2 - len(KINDS)
    off = (said[:, -2:] - true[:, 1:] / 100).pow(2) * things
    return F.cross_entropy(said[:, :-2], true[:, 0]) + off.mean()
