"""What PIL and numpy make of unsharp masks over a small picture, for tests/unit/test_unsharp.c.

    unsharp.py FILE

Writes the RGB bytes of each case one after the other. Needs python3-pil and python3-numpy; no part of the build or
the tests.
"""
import sys

import numpy
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 23, 17
CASES = [(0.3, 100), (2, 60), (7.5, 50), (2, 300), (40, 80)]


def picture():
    state, out = 1, bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for c in range(3):
                state = (state * 1664525 + 1013904223) % 2**32
                out.append((7 * x + 5 * y + 60 * c + (state >> 26)) % 256)
    return Image.frombytes("RGB", (WIDTH, HEIGHT), bytes(out))


def unsharp(image, radius, strength):
    blurred = numpy.asarray(image.filter(ImageFilter.GaussianBlur(radius=radius))) / 255
    values = numpy.asarray(image) / 255
    values = values + (values - blurred) * (strength / 100.0)
    return (numpy.clip(values, 0, 1) * 255).astype("uint8")


with open(sys.argv[1], "wb") as file:
    for case in CASES:
        file.write(unsharp(picture(), *case).tobytes())
