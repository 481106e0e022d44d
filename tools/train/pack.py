"""Carries art and backgrounds to a machine that has no renderer. usage: pack.py pack|unpack FOLDER

"pack" writes them losslessly compressed (some 30 MB) with the tokenizer; "unpack" makes the data folder of it again."""
import io
import json
import os
import shutil
import sys

import numpy as np
from PIL import Image

import art
from common import path, read_json, write_json

FILES = ("sprites.json", "backgrounds.json", "merges.json")


def write_pictures(file, pictures):
    """All pictures, one behind the other, and how long each is."""
    sizes = []
    with open(file, "wb") as out:
        for pixels in pictures:
            one = io.BytesIO()
            Image.fromarray(pixels).save(one, "WEBP", lossless=True, exact=True, quality=50)
            sizes.append(out.write(one.getvalue()))
    write_json(file + ".sizes", sizes)


def read_pictures(file):
    with open(file, "rb") as source:
        for size in read_json(file + ".sizes"):
            yield np.asarray(Image.open(io.BytesIO(source.read(size))))


def pack(folder):
    os.makedirs(folder, exist_ok=True)
    for name in FILES:
        shutil.copy(path("data", name), folder)
    sprites = np.load(path("data", "sprites.npy"), mmap_mode="r")
    plain = [row for row, (_, _, colour) in enumerate(read_json(path("data", "sprites.json"))) if not colour]
    write_pictures(os.path.join(folder, "sprites"), (sprites[row] for row in plain))
    write_pictures(os.path.join(folder, "backgrounds"), np.load(path("data", "backgrounds.npy"), mmap_mode="r"))


def unpack(folder):
    for name in FILES:
        shutil.copy(os.path.join(folder, name), path("data", name))
    plain, rows = read_pictures(os.path.join(folder, "sprites")), []
    for _, _, colour in read_json(path("data", "sprites.json")):
        if not colour:
            base = next(plain)
        rows.append(art.turn(base, colour) if colour else base)
    np.save(path("data", "sprites.npy"), np.stack(rows))
    np.save(path("data", "backgrounds.npy"), np.stack(list(read_pictures(os.path.join(folder, "backgrounds")))))
    print(json.dumps({"sprites": len(rows)}))


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](sys.argv[2])
