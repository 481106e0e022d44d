"""Tiny networks of the ESRGAN family under each kind of names, a picture, and what each makes of it.

    upscalers.py FOLDER

Writes new, old, unshuffle and compact.safetensors with `test/input` and `test/expected`, 0 to 1, NCHW. Needs
python3-torch; no part of the build or the tests.
"""
import json
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

WIDTH, GROWTH, BLOCKS = 8, 4, 2


def save(path, tensors):
    header, at, data = {}, 0, []
    for name, (tensor, kind) in tensors.items():
        values = np.ascontiguousarray(tensor.numpy().astype(kind))
        header[name] = {"dtype": "F16" if kind == np.float16 else "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
        data.append(values.tobytes())
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + b"".join(data))


def half(*shape, size=1.0):
    return (torch.randn(*shape) * size).half().double()


class Weights(dict):
    def conv(self, name, out, channels):
        self[name + ".weight"] = half(out, channels, 3, 3, size=1 / (3 * channels**0.5))
        self[name + ".bias"] = half(out, size=0.1)

    def run(self, name, x):
        return F.conv2d(x, self[name + ".weight"], self[name + ".bias"], padding=1)


def rrdb(w, name, x, ups, unshuffle):
    """`name`: {place: name of the layer}."""
    leaky = lambda v: F.leaky_relu(v, 0.2)
    x = first = w.run(name("first"), F.pixel_unshuffle(x, unshuffle) if unshuffle > 1 else x)
    for b in range(BLOCKS):
        y = x
        for r in (1, 2, 3):
            seen = y
            for k in range(1, 5):
                seen = torch.cat([seen, leaky(w.run(name("conv", b, r, k), seen))], 1)
            y = y + 0.2 * w.run(name("conv", b, r, 5), seen)
        x = x + 0.2 * y
    x = first + w.run(name("body"), x)
    for i in range(ups):
        x = leaky(w.run(name("up", i), F.interpolate(x, scale_factor=2, mode="nearest")))
    return w.run(name("last"), leaky(w.run(name("hr"), x)))


def new_name(place, *n):
    return {"first": "conv_first", "body": "conv_body", "hr": "conv_hr", "last": "conv_last"}.get(place) or (
        f"body.{n[0]}.rdb{n[1]}.conv{n[2]}" if place == "conv" else f"conv_up{n[0] + 1}"
    )


def old_name(ups):
    def name(place, *n):
        return {"first": "model.0", "body": f"model.1.sub.{BLOCKS}", "hr": f"model.{3 * ups + 2}", "last": f"model.{3 * ups + 4}"}.get(place) or (
            f"model.1.sub.{n[0]}.RDB{n[1]}.conv{n[2]}.0" if place == "conv" else f"model.{3 * n[0] + 3}"
        )

    return name


def make_rrdb(path, name, ups, unshuffle, picture):
    w = Weights()
    w.conv(name("first"), WIDTH, 3 * unshuffle**2)
    for b in range(BLOCKS):
        for r in (1, 2, 3):
            for k in range(1, 6):
                w.conv(name("conv", b, r, k), GROWTH if k < 5 else WIDTH, WIDTH + GROWTH * (k - 1))
    for place in ("body", "hr"):
        w.conv(name(place), WIDTH, WIDTH)
    for i in range(ups):
        w.conv(name("up", i), WIDTH, WIDTH)
    w.conv(name("last"), 3, WIDTH)
    w[name("last") + ".bias"] += 0.5
    finish(path, w, picture, rrdb(w, name, picture, ups, unshuffle))


def make_compact(path, scale, picture):
    w, x = Weights(), picture
    for i in range(3):
        last = i == 2
        w.conv(f"body.{2 * i}", 3 * scale**2 if last else WIDTH, WIDTH if i else 3)
        x = w.run(f"body.{2 * i}", x)
        if not last:
            w[f"body.{2 * i + 1}.weight"] = half(WIDTH).abs()
            x = F.prelu(x, w[f"body.{2 * i + 1}.weight"])
    finish(path, w, picture, F.pixel_shuffle(x, scale) + F.interpolate(picture, scale_factor=scale, mode="nearest"))


def finish(path, w, picture, expected):
    tensors = {name: (value, np.float16) for name, value in w.items()}
    tensors["test/input"] = (picture, np.float32)
    tensors["test/expected"] = (expected.clamp(0, 1), np.float32)
    save(path, tensors)


torch.manual_seed(3)
image = torch.randint(0, 256, (1, 3, 10, 12)).double() / 255
folder = sys.argv[1]
make_rrdb(folder + "/new.safetensors", new_name, 2, 1, image)
make_rrdb(folder + "/unshuffle.safetensors", new_name, 2, 2, image)
make_rrdb(folder + "/old.safetensors", old_name(1), 1, 1, image)
make_compact(folder + "/compact.safetensors", 4, image)
