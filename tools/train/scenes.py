"""What stands where: draws the plan of a scene, paints it from the banks of sprites and backgrounds, and words it.

A plan is a dictionary: bg (row of the background bank), flip, style, objects ([concept, colour, x, y, size] back to
front, middle and size in parts of the edge), relation ("", "left", "above", "front", "count") and kind/time/weather."""
import random

import numpy as np
from PIL import Image

from common import COLOURS, STYLES, concepts, hashed, path, read_json

GROUND = {"beach": 0.82, "meadow": 0.85, "forest": 0.9, "mountains": 0.9, "desert": 0.85, "snow": 0.88, "city": 0.94,
          "room": 0.93, "sea": 0.8}
NUMBERS = {2: ("two", "2", "a pair of"), 3: ("three", "3"), 6: ("many", "lots of", "a lot of")}


def held_out_scene(concept, kind):
    """Whether this thing never stands on this kind of background in training."""
    return hashed("scene", concept.name, kind) % 8 == 0


def held_out_pair(first, second):
    """Whether these two things never share a picture in training."""
    return hashed("pair", *sorted((first.name, second.name))) % 6 == 0


class Bank:
    """Sprites and backgrounds, opened once."""

    def __init__(self):
        self.concepts = concepts()
        self.sprites = np.load(path("data", "sprites.npy"), mmap_mode="r")
        self.where = {tuple(row): i for i, row in enumerate(read_json(path("data", "sprites.json")))}
        self.backgrounds = np.load(path("data", "backgrounds.npy"), mmap_mode="r")
        self.about = read_json(path("data", "backgrounds.json"))
        self.by_kind = {}
        for i, (kind, *_rest) in enumerate(self.about):
            self.by_kind.setdefault(kind, []).append(i)
        self.recolourable = [i for i, c in enumerate(self.concepts) if c.recolours]

    def sprite(self, concept, style, colour):
        rgba = np.asarray(self.sprites[self.where[(concept, STYLES.index(style), colour)]])
        return Image.fromarray(rgba, "RGBA").convert("RGBa")

    def paint(self, plan, edge):
        """RGB picture of the plan, (edge, edge, 3) of 0..255."""
        ground = self.backgrounds[plan["bg"]]
        picture = Image.fromarray(np.ascontiguousarray(ground[:, ::-1] if plan["flip"] else ground))
        if edge != picture.width:
            picture = picture.resize((edge, edge), Image.BOX if picture.width % edge == 0 else Image.BICUBIC)
        for concept, colour, x, y, size in plan["objects"]:
            side = max(int(round(size * edge)), 4)
            sprite = self.sprite(concept, plan["style"], colour).resize((side, side), Image.BICUBIC).convert("RGBA")
            picture.paste(sprite, (int(round(x * edge - side / 2)), int(round(y * edge - side / 2))), sprite)
        return np.asarray(picture)


def place_one(rng, kind):
    size = rng.uniform(0.5, 0.85)
    x = 0.5 + rng.uniform(-1, 1) * (0.5 - size / 2) * 0.8
    if kind in GROUND and rng.random() < 0.75:
        return x, max(GROUND[kind] + rng.uniform(-0.05, 0.04) - size / 2, size / 2), size
    return x, 0.5 + rng.uniform(-1, 1) * (0.5 - size / 2) * 0.8, size


def place_two(rng, kind):
    """(relation, the two places); the first thing is left, above, or in front."""
    relation = rng.choices(("left", "above", "front"), (5, 3, 2))[0]
    a, b = rng.uniform(0.38, 0.47), rng.uniform(0.38, 0.47)
    level = GROUND.get(kind, 0.5 + 0.22) + rng.uniform(-0.05, 0.03)
    if relation == "left":
        return relation, [(0.26 + rng.uniform(-0.02, 0.03), level - a / 2, a), (0.74 + rng.uniform(-0.03, 0.02), level - b / 2, b)]
    if relation == "above":
        x = rng.uniform(0.35, 0.65)
        return relation, [(x + rng.uniform(-0.06, 0.06), 0.26, a), (x, 0.74, b)]
    big = rng.uniform(0.6, 0.72)
    x = rng.choice((0.4, 0.6))
    return relation, [(1.02 - x + rng.uniform(-0.05, 0.05), 0.95 - a / 2, a), (x, 0.92 - big / 2 - 0.05, big)]


def place_many(rng, count):
    if count == 2:
        size, y = rng.uniform(0.4, 0.48), rng.uniform(0.4, 0.68)
        return [(0.26, y, size), (0.74, y, size)]
    if count == 3 and rng.random() < 0.5:
        size, y = 0.25, rng.uniform(0.4, 0.7)
        return [(0.18, y, size), (0.5, y, size), (0.82, y, size)]
    if count == 3:
        size = rng.uniform(0.38, 0.45)
        return [(0.5, 0.27, size), (0.27, 0.72, size), (0.73, 0.72, size)]
    size = rng.uniform(0.25, 0.3)
    return [(x + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.02, 0.02), size) for y in (0.3, 0.7) for x in (0.18, 0.5, 0.82)]


def draw_plan(rng, bank, everything=False):
    """A random plan; without `everything`, one that keeps out what is held out."""
    while True:
        bg = rng.randrange(len(bank.about))
        kind, detail, time, weather = bank.about[bg]
        plan = {"bg": bg, "flip": rng.random() < 0.5, "style": rng.choice(STYLES), "relation": "",
                "kind": kind, "detail": detail, "time": time, "weather": weather, "objects": []}
        roll = rng.random()
        count = 0 if roll < 0.06 else 1 if roll < 0.66 else 2
        chosen = rng.sample(range(len(bank.concepts)), count)
        if count and rng.random() < 0.12:
            chosen[0] = rng.choice(bank.recolourable)
        if len(set(chosen)) == count and everything:
            return arrange(rng, bank, plan, chosen)
        if len(set(chosen)) < count or any(held_out_scene(bank.concepts[c], kind) for c in chosen):
            continue
        if count == 2 and held_out_pair(*(bank.concepts[c] for c in chosen)):
            continue
        return arrange(rng, bank, plan, chosen)


def on_cells(place):
    """The same place on the grid of 256 pixels' latents, its size one of six: a thing of one size then has the same latents
    wherever it stands, and the network need not learn it anew for each part of a cell."""
    x, y, size = place
    size = max(round(size * 8), 2) / 8
    return [round((middle - size / 2) * 32) / 32 + size / 2 for middle in (x, y)] + [size]


def colour_of(rng, concept, always=False):
    return rng.choice(COLOURS) if concept.recolours and (always or rng.random() < 0.65) else ""


def arrange(rng, bank, plan, chosen):
    colours = [colour_of(rng, bank.concepts[c]) for c in chosen]
    if len(chosen) == 1 and rng.random() < 0.2:
        plan["relation"] = "count"
        places = place_many(rng, rng.choices((2, 3, 6), (4, 4, 2))[0])
        plan["objects"] = [[chosen[0], colours[0], *on_cells(place)] for place in places]
    elif len(chosen) == 1:
        plan["objects"] = [[chosen[0], colours[0], *on_cells(place_one(rng, plan["kind"]))]]
    elif chosen:
        plan["relation"], places = place_two(rng, plan["kind"])
        plan["objects"] = [[c, colour, *on_cells(place)] for c, colour, place in zip(chosen, colours, places)]
        plan["objects"].reverse()
    return plan


PLACE_WORDS = {
    "sky": ("in the sky", "against the sky", "under an open sky"), "sea": ("on the sea", "at sea", "on the ocean", "on the water"),
    "beach": ("on the beach", "on a beach", "at the beach", "on the sand by the sea"),
    "meadow": ("in a meadow", "on the grass", "in a green field", "in a meadow with flowers"),
    "forest": ("in the forest", "in a forest", "in the woods", "among trees"),
    "mountains": ("in the mountains", "in front of mountains", "with mountains behind"),
    "desert": ("in the desert", "in a desert", "on sand dunes"), "snow": ("in the snow", "in snow", "in a snowy landscape", "in winter"),
    "city": ("in the city", "in a city", "in a street", "in front of buildings"),
    "space": ("in space", "in outer space", "among the stars"), "underwater": ("underwater", "under water", "under the sea"),
    "paper": ("on paper", "on a sheet of paper", "on notebook paper"), "room": ("in a room", "indoors", "at home"),
    "gradient": ("on a gradient", "on a colour gradient", "on a colourful background")}
ALONE_WORDS = {"sky": ("the sky", "a sky"), "sea": ("the sea", "the ocean"), "beach": ("a beach", "the beach"),
               "meadow": ("a meadow", "a green field"), "forest": ("a forest", "the woods"), "mountains": ("mountains", "snowy peaks"),
               "desert": ("a desert", "sand dunes"), "snow": ("a snowy landscape", "snow"), "city": ("a city", "a street with buildings"),
               "space": ("outer space", "stars in space"), "underwater": ("an underwater scene", "the bottom of the sea"),
               "paper": ("a sheet of paper", "notebook paper"), "room": ("a room", "an empty room"),
               "gradient": ("a gradient", "a colour gradient")}
TIME_WORDS = {"night": ("at night", "by night", "in the dark", "in the moonlight"), "sunset": ("at sunset", "in the evening", "at dusk"),
              "day": ("by day", "on a sunny day", "in daylight")}
WEATHER_WORDS = {"rain": ("in the rain", "on a rainy day", "while it rains"), "snow": ("while it snows", "with snow falling", "in falling snow")}
STYLE_BEFORE = {"flat": ("flat icon of", "flat illustration of", "flat drawing of", "flat", "minimal flat"),
                "glossy": ("glossy icon of", "glossy 3d", "glossy", "shiny 3d render of")}
STYLE_AFTER = {"flat": ("flat style", "in flat style", "flat design"), "glossy": ("glossy style", "in glossy style", "3d, glossy")}
PLAIN_WORDS = ("on a {} background", "on {}", "{} background", "against a {} background")


def article(rng, words):
    roll = rng.random()
    if roll < 0.7:
        return ("an " if words[0] in "aeiou" else "a ") + words
    return ("the " if roll < 0.77 else "") + words


def plural(name):
    """Plural of the name's last word, and of the first where "of" or "with" follows."""
    for joint in (" of ", " with ", " and "):
        if joint in name:
            head, tail = name.split(joint, 1)
            return plural(head) + joint + tail
    if name.endswith(("s", "dice", "corn", "sheep", "fish", "bread", "fruit")):
        return name
    if name.endswith(("ch", "sh", "x")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def name_of(rng, concept):
    return concept.name if rng.random() < 0.75 else rng.choice(concept.names)


def plural_name(name):
    return name.endswith("s") and not name.endswith(("ss", "us", "octopus", "bus", "compass", "cactus"))


def thing_words(rng, bank, concept, colour):
    words = (colour + " " if colour else "") + name_of(rng, bank.concepts[concept])
    return words if plural_name(words) else article(rng, words)


def pair_words(rng, first, second, relation):
    """The first thing is left of, above or in front of the second."""
    joints = {"left": ("to the left of", "left of", "next to", "beside", "and"), "above": ("above", "over", "on top of", "and"),
              "front": ("in front of", "before", "and", "with")}
    turned = {"left": ("to the right of", "right of", "next to", "and"), "above": ("below", "under", "and"), "front": ("behind", "and")}
    if rng.random() < 0.6:
        return f"{first} {rng.choice(joints[relation])} {second}"
    return f"{second} {rng.choice(turned[relation])} {first}"


def object_words(rng, bank, plan):
    things = plan["objects"]
    if not things:
        return ""
    if plan["relation"] == "count":
        name = plural(name_of(rng, bank.concepts[things[0][0]]))
        return " ".join(filter(None, (rng.choice(NUMBERS[len(things)]), things[0][1], name)))
    words = [thing_words(rng, bank, concept, colour) for concept, colour, *_place in things]
    return words[0] if len(words) == 1 else pair_words(rng, words[1], words[0], plan["relation"])


def place_words(rng, plan, alone):
    if plan["kind"] == "plain":
        return f"{article(rng, plan['detail'] + ' background')}" if alone else rng.choice(PLAIN_WORDS).format(plan["detail"])
    words = [rng.choice((ALONE_WORDS if alone else PLACE_WORDS)[plan["kind"]])]
    if plan["time"] and (plan["time"] != "day" or rng.random() < 0.25):
        words.append(rng.choice(TIME_WORDS[plan["time"]]))
    if plan["weather"] in WEATHER_WORDS:
        words.append(rng.choice(WEATHER_WORDS[plan["weather"]]))
    if len(words) == 3 and rng.random() < 0.5:
        words[1:] = words[:0:-1]
    return " ".join(words)


def styled(rng, style, what):
    """The words with their style before them: "flat icon of a cat" or "a flat cat"."""
    word = rng.choice(STYLE_BEFORE[style])
    first, _, rest = what.partition(" ")
    if word.endswith(" of") or first.lower() not in ("a", "an", "the"):
        return f"{word if word.endswith(' of') else word + ' picture of'} {what}"
    return f"{'the' if first == 'the' else 'a'} {word} {rest}"


def caption(rng, bank, plan):
    """One of the many wordings of a plan; parts go missing now and then."""
    what = object_words(rng, bank, plan)
    where = "" if what and rng.random() < 0.13 else place_words(rng, plan, not what)
    if what and where and rng.random() < 0.04:
        what, where = "", place_words(rng, plan, True)
    roll = rng.random()
    style = plan["style"] if what else ""
    if style and roll < 0.3:
        what = styled(rng, style, what)
    comma = "," if rng.random() < 0.12 else ""
    words = f"{what}{comma} {where}".strip(" ,") if rng.random() < 0.92 else f"{where}, {what}".strip(" ,")
    if style and 0.3 <= roll < 0.65:
        words += f", {rng.choice(STYLE_AFTER[style])}"
    roll = rng.random()
    return words.capitalize() + ("." if roll < 0.1 else "") if roll < 0.2 else words


if __name__ == "__main__":
    the_bank, source = Bank(), random.Random(1)
    for _ in range(40):
        print(caption(source, the_bank, draw_plan(source, the_bank)))
