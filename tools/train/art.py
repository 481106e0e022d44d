"""Turns the icons of the three packages into pictures with an alpha channel: sprites.npy and sprites.json.

Each sprite is cut to what is drawn and stands in the middle of a square of EDGE pixels. Recolourable concepts get one
further sprite for every colour."""
import json
import os
import re

import numpy as np

from common import COLOURS, HERE, HUES, SETS, STYLES, concepts, path, write_json

try:
    import cairo
    import gi
    gi.require_version("Rsvg", "2.0")
    from gi.repository import Rsvg
except ImportError:
    cairo = None  # a machine that has unpacked sprites needs only turn()

EDGE = 208


def svg_of(package, icon):
    entry = package["icons"][icon]
    width = entry.get("width", package.get("width", 16))
    height = entry.get("height", package.get("height", 16))
    # A gradient skewed by a right angle has no inverse, and the renderer stops at it.
    body = entry["body"].replace("skewY(-90)", "rotate(-90)")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{body}</svg>')


def rasterise(svg, edge):
    """RGBA (edge, edge, 4) of 0..255, alpha not multiplied in."""
    surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, edge, edge)
    handle = Rsvg.Handle.new_from_data(svg.encode())
    box = Rsvg.Rectangle()
    box.x, box.y, box.width, box.height = 0, 0, edge, edge
    handle.render_document(cairo.Context(surface), box)
    pixels = np.ndarray((edge, edge, 4), np.uint8, surface.get_data())[..., [2, 1, 0, 3]].astype(np.float32)
    alpha = np.maximum(pixels[..., 3:], 1) / 255
    pixels[..., :3] = np.minimum(pixels[..., :3] / alpha, 255)
    return pixels.round().astype(np.uint8)


def cut_out(svg):
    """The drawing without its margins, centred in a square of EDGE pixels."""
    rough = rasterise(svg, 128)[..., 3] > 8
    rows, columns = np.flatnonzero(rough.any(1)), np.flatnonzero(rough.any(0))
    if not len(rows):
        raise ValueError("nothing is drawn")
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 3
    scale = 128 / side
    top = (rows[0] + rows[-1] + 1 - side) / 2 / 128
    left = (columns[0] + columns[-1] + 1 - side) / 2 / 128
    view = [float(v) for v in re.search(r'viewBox="([^"]+)"', svg).group(1).split()]
    box = (left * view[2], top * view[3], view[2] / scale, view[3] / scale)
    return rasterise(re.sub(r'viewBox="[^"]+" width="[^"]+" height="[^"]+"',
                            'viewBox="%f %f %f %f" width="%d" height="%d"' % (*box, EDGE, EDGE), svg, 1), EDGE)


def to_hsv(rgb):
    high, low = rgb.max(-1), rgb.min(-1)
    span = np.maximum(high - low, 1e-6)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(high == r, (g - b) / span % 6, np.where(high == g, (b - r) / span + 2, (r - g) / span + 4)) / 6
    return hue, np.where(high > 0, (high - low) / np.maximum(high, 1e-6), 0), high


def to_rgb(hue, saturation, value):
    channels = [value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
                for k in ((n + hue * 6) % 6 for n in (5, 3, 1))]
    return np.stack(channels, -1)


def turn(sprite, colour):
    """The sprite with its main colour turned to the named one; greys, and colours far from the main one, stay."""
    rgb = sprite[..., :3].astype(np.float32) / 255
    hue, saturation, value = to_hsv(rgb)
    weight = saturation * value * (sprite[..., 3] > 128)
    angle = np.arctan2((weight * np.sin(hue * 2 * np.pi)).sum(), (weight * np.cos(hue * 2 * np.pi)).sum()) / (2 * np.pi)
    distance = (hue - angle + 0.5) % 1 - 0.5
    near = np.clip((0.2 - np.abs(distance)) / 0.05, 0, 1)
    turned = np.where(near > 0, HUES[colour] + distance * 0.4, hue) % 1
    out = to_rgb(turned, saturation, value)
    return np.concatenate([(out * 255).round().astype(np.uint8), sprite[..., 3:]], -1)


def main():
    packages = {}
    for style, name in SETS.items():
        with open(os.path.join(HERE, "node_modules/@iconify-json", name, "icons.json"), encoding="utf-8") as source:
            packages[style] = json.load(source)
    sprites, index = [], []
    for number, concept in enumerate(concepts()):
        for style in STYLES:
            plain = cut_out(svg_of(packages[style], concept.icon))
            for colour in [""] + list(COLOURS if concept.recolours else ()):
                sprites.append(turn(plain, colour) if colour else plain)
                index.append([number, STYLES.index(style), colour])
    np.save(path("data", "sprites.npy"), np.stack(sprites))
    write_json(path("data", "sprites.json"), index)
    print(f"{len(sprites)} sprites of {len(concepts())} concepts in {len(STYLES)} styles")


if __name__ == "__main__":
    main()
