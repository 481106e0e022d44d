"""Folders, files and small helpers that every step of the training shares."""
import json
import os
import struct
import zlib

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.environ.get("TRAIN_DIR") or os.path.join(ROOT, "train")
STYLES = ("glossy", "flat")
SETS = dict(zip(STYLES, ("fluent-emoji", "fluent-emoji-flat")))
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
HUES = dict(zip(COLOURS, (0.0, 0.075, 0.14, 0.34, 0.6, 0.76, 0.9)))


def path(*parts):
    """A file of the training's folder; makes the folders above it."""
    file = os.path.join(WORK, *parts)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    return file


def write_json(file, value):
    with open(file + ".part", "w", encoding="utf-8") as out:
        json.dump(value, out)
    os.replace(file + ".part", file)


def read_json(file):
    with open(file, encoding="utf-8") as source:
        return json.load(source)


def hashed(*words):
    """A number that depends on the words alone, on every machine and in every run."""
    return zlib.crc32("|".join(words).encode())


class Concept:
    """One line of concepts.txt."""

    def __init__(self, line):
        icon, rest = line.split(":", 1)
        self.recolours = rest.rstrip(" ~").endswith("*")
        self.large_set_only = "~" in rest
        self.icon = icon.strip()
        self.names = [name.strip() for name in rest.rstrip(" ~*").split(",")]
        self.name = self.names[0]


def concepts():
    """The concepts of the set in use: SET=all takes every line, anything else the short list."""
    with open(os.path.join(HERE, "concepts.txt"), encoding="utf-8") as source:
        lines = [line.strip() for line in source]
    found = [Concept(line) for line in lines if line and not line.startswith("#")]
    return [c for c in found if os.environ.get("SET") == "all" or not c.large_set_only]


def read_safetensors(file):
    """The arrays of such a file by name, as float32."""
    with open(file, "rb") as source:
        header = json.loads(source.read(struct.unpack("<Q", source.read(8))[0]))
        values = source.read()
    header.pop("__metadata__", None)
    names = {short: name for name, short in _DTYPES.items()}
    return {name: np.frombuffer(values[slice(*h["data_offsets"])], names[h["dtype"]]).reshape(h["shape"]).astype(np.float32)
            for name, h in header.items()}


_DTYPES = {"float16": "F16", "float32": "F32", "int64": "I64"}


def save_safetensors(file, tensors):
    """Writes numpy arrays in the safetensors layout: length of the header, header, values."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, value in sorted(tensors.items()):
        header[name] = {"dtype": _DTYPES[str(value.dtype)], "shape": list(value.shape),
                        "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(file + ".part", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, value in sorted(tensors.items()):
            out.write(np.ascontiguousarray(value).tobytes())
    os.replace(file + ".part", file)
