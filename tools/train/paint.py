"""Painted backgrounds: backgrounds.npy and backgrounds.json, each picture by its own seed, EDGE pixels square.

A background has a kind (a place, or paper and the like), a time (day, night, sunset) and a weather (clear, rain, snow)."""
import colorsys
import math
import random

import numpy as np

from common import path, write_json
from config import TRAINING

try:
    import cairo
except ImportError:
    cairo = None  # a machine that has unpacked backgrounds needs only their names

EDGE = 256
PLAIN = {"white": (0.98, 0.98, 0.97), "black": (0.08, 0.08, 0.09), "grey": (0.6, 0.6, 0.62), "red": (0.86, 0.2, 0.2),
         "orange": (0.96, 0.58, 0.2), "yellow": (0.98, 0.85, 0.3), "green": (0.35, 0.72, 0.36),
         "blue": (0.25, 0.48, 0.86), "light blue": (0.66, 0.84, 0.96), "purple": (0.55, 0.35, 0.75),
         "pink": (0.97, 0.68, 0.78), "brown": (0.55, 0.38, 0.26)}
PLACES = ("sky", "sea", "beach", "meadow", "forest", "mountains", "desert", "snow", "city")
KINDS = ("plain", "gradient", "paper", "room", "space", "underwater") + PLACES
TIMES = ("day", "night", "sunset")
WEATHERS = ("clear", "rain", "snow")
SKIES = {"day": ((0.33, 0.62, 0.93), (0.75, 0.89, 0.98)), "night": ((0.03, 0.05, 0.16), (0.13, 0.18, 0.38)),
         "sunset": ((0.36, 0.25, 0.53), (0.99, 0.62, 0.33)), "rain": ((0.45, 0.5, 0.56), (0.68, 0.72, 0.76)),
         "rain night": ((0.07, 0.09, 0.15), (0.18, 0.21, 0.29))}
LIGHT = {"day": (1.0, 1.0, 1.0), "night": (0.3, 0.36, 0.55), "sunset": (0.92, 0.68, 0.6)}


class Painter:
    """A cairo surface of unit coordinates (0..1, y down) with the few shapes that the backgrounds need."""

    def __init__(self, rng, time, weather):
        self.rng, self.time, self.weather = rng, time, weather
        self.surface = cairo.ImageSurface(cairo.FORMAT_RGB24, EDGE, EDGE)
        self.cr = cairo.Context(self.surface)
        self.cr.scale(EDGE, EDGE)

    def lit(self, colour, spread=0.04):
        """The colour a little off, under the light of the time of day."""
        light = LIGHT[self.time]
        grey = 0.85 if self.weather == "rain" else 1.0
        return [min(max((c + self.rng.uniform(-spread, spread)) * l * grey, 0), 1) for c, l in zip(colour, light)]

    def fade(self, top, bottom, y0=0.0, y1=1.0):
        ramp = cairo.LinearGradient(0, y0, 0, y1)
        ramp.add_color_stop_rgb(0, *top)
        ramp.add_color_stop_rgb(1, *bottom)
        self.cr.set_source(ramp)
        self.cr.rectangle(0, y0, 1, y1 - y0)
        self.cr.fill()

    def disc(self, x, y, r, colour, alpha=1.0):
        self.cr.set_source_rgba(*colour, alpha)
        self.cr.arc(x, y, r, 0, 2 * math.pi)
        self.cr.fill()

    def polygon(self, points, colour):
        self.cr.set_source_rgb(*colour)
        for x, y in points:
            self.cr.line_to(x, y)
        self.cr.close_path()
        self.cr.fill()

    def hills(self, y, height, colour, waves=2.0):
        """Rolling ground from y downwards."""
        phase, second = self.rng.uniform(0, 7), self.rng.uniform(0, 7)
        line = [(i / 40, y - height * (0.6 * math.sin(waves * i / 40 * 3 + phase) + 0.4 * math.sin(waves * i / 9 + second)))
                for i in range(41)]
        self.polygon(line + [(1, 1), (0, 1)], colour)

    def sky(self, horizon=1.0):
        rng = self.rng
        key = ("rain night" if self.time == "night" else "rain") if self.weather != "clear" else self.time
        top, bottom = ([min(max(c + rng.uniform(-0.04, 0.04), 0), 1) for c in row] for row in SKIES[key])
        self.fade(top, bottom, 0, horizon)
        if self.time == "night" and self.weather == "clear":
            for _ in range(rng.randint(25, 70)):
                self.disc(rng.random(), rng.random() * horizon, rng.uniform(0.002, 0.006), (1, 1, 0.9), rng.uniform(0.6, 1))
            if rng.random() < 0.7:
                x, y, r = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.25), rng.uniform(0.04, 0.08)
                self.disc(x, y, r, (0.98, 0.96, 0.82))
                if rng.random() < 0.5:
                    self.disc(x + r * 0.45, y - r * 0.15, r * 0.9, top)
        elif self.time == "sunset":
            self.disc(rng.uniform(0.15, 0.85), horizon * rng.uniform(0.72, 0.95), rng.uniform(0.07, 0.13), (1, 0.85, 0.45))
        elif self.time == "day":
            if self.weather == "clear" and rng.random() < 0.4:
                self.disc(rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.22), rng.uniform(0.05, 0.09), (1, 0.93, 0.45))
            for _ in range(rng.randint(0, 3)):
                self.cloud(rng.uniform(0, 1), rng.uniform(0.06, 0.35) * horizon, rng.uniform(0.05, 0.1))

    def cloud(self, x, y, r):
        shade = (1, 1, 1) if self.weather == "clear" else (0.8, 0.82, 0.85)
        for dx, dy, size in ((-1.2, 0.2, 0.7), (0, -0.2, 1), (1.1, 0.15, 0.75), (0.2, 0.3, 0.8)):
            self.disc(x + dx * r, y + dy * r, r * size, shade, 0.92)

    def falling(self):
        """Rain or snow in front of everything painted so far."""
        rng = self.rng
        if self.weather == "rain":
            self.cr.set_line_width(0.005)
            for _ in range(rng.randint(70, 120)):
                x, y, length = rng.random() * 1.1, rng.random(), rng.uniform(0.04, 0.08)
                self.cr.set_source_rgba(0.82, 0.88, 0.96, rng.uniform(0.5, 0.85))
                self.cr.move_to(x, y)
                self.cr.line_to(x - length * 0.25, y + length)
                self.cr.stroke()
        if self.weather == "snow":
            for _ in range(rng.randint(60, 110)):
                self.disc(rng.random(), rng.random(), rng.uniform(0.005, 0.012), (1, 1, 1), rng.uniform(0.75, 1))

    def pixels(self):
        self.surface.flush()
        return np.ndarray((EDGE, EDGE, 4), np.uint8, self.surface.get_data())[..., [2, 1, 0]].copy()


def sea(p, top):
    p.fade(p.lit((0.13, 0.45, 0.72)), p.lit((0.1, 0.33, 0.6)), top, 1)
    p.cr.set_line_width(0.006)
    for _ in range(p.rng.randint(8, 16)):
        x, y, length = p.rng.random(), p.rng.uniform(top + 0.02, 1), p.rng.uniform(0.05, 0.14)
        p.cr.set_source_rgba(*p.lit((0.6, 0.82, 0.93)), 0.8)
        p.cr.move_to(x, y)
        p.cr.curve_to(x + length / 3, y - 0.02, x + length * 2 / 3, y + 0.02, x + length, y)
        p.cr.stroke()


def paint_sea(p):
    top = p.rng.uniform(0.45, 0.62)
    p.sky(top)
    sea(p, top)


def paint_beach(p):
    top = p.rng.uniform(0.38, 0.5)
    p.sky(top)
    sea(p, top)
    p.hills(p.rng.uniform(0.66, 0.74), 0.02, p.lit((0.95, 0.85, 0.62)), 1)


def paint_meadow(p):
    top = p.rng.uniform(0.5, 0.62)
    p.sky(top + 0.1)
    p.hills(top, 0.05, p.lit((0.45, 0.72, 0.33)))
    p.hills(top + 0.15, 0.04, p.lit((0.36, 0.65, 0.27)))
    flowers = [(0.98, 0.95, 0.95), (0.98, 0.8, 0.3), (0.92, 0.45, 0.55), (0.7, 0.55, 0.9)]
    for _ in range(p.rng.randint(10, 30)):
        p.disc(p.rng.random(), p.rng.uniform(top + 0.14, 1), p.rng.uniform(0.006, 0.012), p.lit(p.rng.choice(flowers)))


def fir(p, x, base, height, colour):
    for level in range(3):
        y, half = base - height * (0.15 + 0.25 * level), height * (0.3 - 0.07 * level)
        p.polygon([(x - half, y), (x + half, y), (x, y - height * 0.38)], colour)
    p.polygon([(x - 0.012, base - height * 0.15), (x + 0.012, base - height * 0.15), (x + 0.012, base), (x - 0.012, base)],
              p.lit((0.4, 0.27, 0.17)))


def paint_forest(p):
    p.sky(0.7)
    p.hills(0.6, 0.03, p.lit((0.2, 0.42, 0.26)))
    for row, base in enumerate((0.66, 0.78)):
        for i in range(p.rng.randint(6, 9)):
            fir(p, (i + p.rng.random()) / 7.5, base, p.rng.uniform(0.35, 0.5), p.lit((0.13 + 0.05 * row, 0.4 + 0.06 * row, 0.24)))
        p.hills(base, 0.02, p.lit((0.24 + 0.05 * row, 0.47 + 0.05 * row, 0.24)))


def paint_mountains(p):
    p.sky(0.8)
    for base, tint in ((0.75, (0.5, 0.55, 0.66)), (0.82, (0.4, 0.45, 0.54))):
        for _ in range(3):
            x, half, peak = p.rng.random(), p.rng.uniform(0.22, 0.4), p.rng.uniform(0.22, 0.45)
            p.polygon([(x - half, base), (x, peak), (x + half, base)], p.lit(tint, 0.02))
            p.polygon([(x - half * 0.28, peak + (base - peak) * 0.28), (x, peak), (x + half * 0.28, peak + (base - peak) * 0.28),
                       (x + half * 0.08, peak + (base - peak) * 0.2), (x - half * 0.08, peak + (base - peak) * 0.3)],
                      p.lit((0.95, 0.96, 1.0), 0.01))
    p.hills(p.rng.uniform(0.72, 0.8), 0.03, p.lit((0.38, 0.56, 0.35)))


def paint_desert(p):
    p.sky(0.65)
    for y, tint in ((0.55, (0.9, 0.7, 0.42)), (0.66, (0.93, 0.75, 0.47)), (0.8, (0.88, 0.67, 0.38))):
        p.hills(y, 0.05, p.lit(tint), 1.3)


def paint_snow(p):
    p.sky(0.7)
    p.hills(0.56, 0.04, p.lit((0.8, 0.87, 0.95), 0.02))
    for _ in range(p.rng.randint(0, 4)):
        fir(p, p.rng.random(), p.rng.uniform(0.58, 0.66), p.rng.uniform(0.15, 0.28), p.lit((0.25, 0.42, 0.38)))
    p.hills(0.68, 0.04, p.lit((0.95, 0.97, 1.0), 0.02))


def paint_city(p):
    p.sky(0.9)
    for base, shade in ((0.86, 0.62), (0.88, 0.45)):
        x = p.rng.uniform(-0.1, 0)
        while x < 1:
            width, top = p.rng.uniform(0.1, 0.2), p.rng.uniform(0.25, 0.65)
            tint = p.rng.choice([(1, 1, 1.15), (1.2, 1, 0.85), (1.05, 1.05, 1)])
            p.polygon([(x, base), (x, top), (x + width, top), (x + width, base)], p.lit([shade * c for c in tint], 0.05))
            windows(p, x, top, width, base)
            x += width + p.rng.uniform(0, 0.03)
    p.fade(p.lit((0.36, 0.36, 0.4)), p.lit((0.28, 0.28, 0.31)), 0.86, 1)


def windows(p, x, top, width, base):
    columns = max(int(width / 0.045), 2)
    for row in range(int((base - top) / 0.07)):
        for column in range(columns):
            lit = (1, 0.87, 0.45) if p.time == "night" and p.rng.random() < 0.6 else p.lit((0.75, 0.85, 0.92), 0.02)
            p.cr.set_source_rgb(*lit)
            p.cr.rectangle(x + (column + 0.3) * width / columns, top + 0.025 + row * 0.07, width / columns * 0.45, 0.035)
            p.cr.fill()


def paint_plain(p, colour):
    p.fade(*[[min(max(c + p.rng.uniform(-0.02, 0.02), 0), 1) for c in PLAIN[colour]]] * 2)


def paint_gradient(p, _):
    hue = p.rng.random()
    ends = [colorsys.hsv_to_rgb((hue + d) % 1, p.rng.uniform(0.35, 0.75), p.rng.uniform(0.75, 1))
            for d in (0, p.rng.choice((-1, 1)) * p.rng.uniform(0.08, 0.3))]
    angle = p.rng.random() * 2 * math.pi
    ramp = cairo.LinearGradient(0.5 - math.cos(angle) / 2, 0.5 - math.sin(angle) / 2,
                                0.5 + math.cos(angle) / 2, 0.5 + math.sin(angle) / 2)
    ramp.add_color_stop_rgb(0, *ends[0])
    ramp.add_color_stop_rgb(1, *ends[1])
    p.cr.set_source(ramp)
    p.cr.paint()


def paint_paper(p, _):
    p.fade((0.97, 0.94, 0.86), (0.95, 0.92, 0.83))
    p.cr.set_line_width(0.003)
    p.cr.set_source_rgb(0.68, 0.77, 0.88)
    squares, step = p.rng.random() < 0.5, p.rng.uniform(0.06, 0.09)
    for i in range(1, int(1 / step) + 1):
        p.cr.move_to(0, i * step)
        p.cr.line_to(1, i * step)
        if squares:
            p.cr.move_to(i * step, 0)
            p.cr.line_to(i * step, 1)
    p.cr.stroke()


def paint_room(p, _):
    wall = colorsys.hsv_to_rgb(p.rng.random(), p.rng.uniform(0.12, 0.35), p.rng.uniform(0.78, 0.95))
    floor = p.rng.uniform(0.68, 0.78)
    p.fade(wall, [c * 0.95 for c in wall], 0, floor)
    wood = p.rng.choice([(0.68, 0.47, 0.3), (0.55, 0.37, 0.25), (0.78, 0.62, 0.45)])
    p.fade(wood, [c * 0.85 for c in wood], floor, 1)
    p.fade([0.97] * 3, [0.93] * 3, floor - 0.025, floor)
    x, y, w, h = p.rng.choice((p.rng.uniform(0.04, 0.2), p.rng.uniform(0.6, 0.72))), p.rng.uniform(0.08, 0.16), 0.26, 0.34
    p.polygon([(x - 0.02, y - 0.02), (x + w + 0.02, y - 0.02), (x + w + 0.02, y + h + 0.02), (x - 0.02, y + h + 0.02)], (0.98, 0.98, 0.96))
    p.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], (0.62, 0.83, 0.97))
    p.cr.set_source_rgb(0.98, 0.98, 0.96)
    p.cr.rectangle(x + w / 2 - 0.008, y, 0.016, h)
    p.cr.rectangle(x, y + h / 2 - 0.008, w, 0.016)
    p.cr.fill()


def paint_space(p, _):
    p.fade((0.02, 0.02, 0.07), (0.06, 0.03, 0.14))
    for _ in range(p.rng.randint(2, 5)):
        x, y, r = p.rng.random(), p.rng.random(), p.rng.uniform(0.2, 0.45)
        glow = cairo.RadialGradient(x, y, 0, x, y, r)
        tint = colorsys.hsv_to_rgb(p.rng.uniform(0.55, 0.95), 0.75, 0.6)
        glow.add_color_stop_rgba(0, *tint, 0.45)
        glow.add_color_stop_rgba(1, *tint, 0)
        p.cr.set_source(glow)
        p.cr.paint()
    for _ in range(p.rng.randint(60, 120)):
        p.disc(p.rng.random(), p.rng.random(), p.rng.uniform(0.002, 0.006), (1, 1, 1), p.rng.uniform(0.5, 1))


def paint_underwater(p, _):
    p.fade((0.25, 0.68, 0.82), (0.03, 0.22, 0.45))
    p.hills(0.88, 0.03, (0.72, 0.66, 0.48))
    for _ in range(p.rng.randint(3, 7)):
        x, height = p.rng.random(), p.rng.uniform(0.1, 0.25)
        p.cr.set_source_rgb(0.13, 0.5 + p.rng.uniform(-0.1, 0.1), 0.35)
        p.cr.set_line_width(0.022)
        p.cr.move_to(x, 0.93)
        p.cr.curve_to(x + 0.06, 0.93 - height / 3, x - 0.06, 0.93 - height * 2 / 3, x + 0.02, 0.93 - height)
        p.cr.stroke()
    for _ in range(p.rng.randint(8, 20)):
        p.disc(p.rng.random(), p.rng.random() * 0.85, p.rng.uniform(0.006, 0.018), (0.85, 0.95, 1), 0.55)


def choose(rng):
    """(kind, detail, time, weather): detail is the colour of a plain background."""
    roll = rng.random()
    if roll < 0.16:
        return "plain", rng.choice(sorted(PLAIN) + ["white"] * 3), "", ""
    if roll < 0.30:
        return rng.choice(("gradient", "paper", "room", "space", "underwater")), "", "", ""
    kind = rng.choice(PLACES + ("snow",))
    time = rng.choices(TIMES, (6, 3, 2))[0]
    if time == "sunset" or kind == "desert":
        return kind, "", time, "clear"
    falling = {"snow": (5, 0, 4), "sea": (7, 2, 0), "beach": (7, 2, 0)}.get(kind, (7, 2, 1))
    return kind, "", time, rng.choices(WEATHERS, falling)[0]


def paint(kind, detail, time, weather, seed):
    rng = random.Random(seed)
    p = Painter(rng, time or "day", weather or "clear")
    if time:
        (globals()["paint_" + kind] if kind != "sky" else Painter.sky)(p)
        p.falling()
    else:
        globals()["paint_" + kind](p, detail)
    return p.pixels()


def main(count):
    rng, index = random.Random(2026), []
    bank = np.lib.format.open_memmap(path("data", "backgrounds.npy"), "w+", np.uint8, (count, EDGE, EDGE, 3))
    for i in range(count):
        index.append(choose(rng))
        bank[i] = paint(*index[-1], seed=i)
    bank.flush()
    write_json(path("data", "backgrounds.json"), index)
    print(f"{count} backgrounds")


if __name__ == "__main__":
    main(TRAINING["backgrounds"])
