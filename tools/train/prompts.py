"""The prompts that the model is judged by, into tests/model/prompts.json: combinations that no training picture shows.

Three in ten name two things that never met, the others one thing on a kind of background where it never stood. Each names a
style. The file also says how the judge's answers are named."""
import json
import os
import random

import scenes
from common import ROOT, STYLES, concepts
from paint import KINDS, PLACES, PLAIN

COUNT = 200


def where_words(rng, kind):
    """(words, time): the time of day is named at places only."""
    if kind == "plain":
        return f"on a {rng.choice(sorted(PLAIN))} background", ""
    time = rng.choice(("day", "night", "sunset")) if kind in PLACES else ""
    words = rng.choice(scenes.PLACE_WORDS[kind])
    return (words if time in ("", "day") else f"{words} {scenes.TIME_WORDS[time][0]}"), time


def style_words(rng, style, words):
    if rng.random() < 0.5:
        return scenes.styled(rng, style, words)
    return f"{words}, {rng.choice(scenes.STYLE_AFTER[style])}"


def with_article(name):
    return name if scenes.plural_name(name) else ("an " if name[0] in "aeiou" else "a ") + name


def draw(rng, things, number):
    pair = number % 10 >= 7
    while True:
        chosen = rng.sample(range(len(things)), 2 if pair else 1)
        kind = rng.choice(KINDS)
        unseen_place = any(scenes.held_out_scene(things[c], kind) for c in chosen)
        if not pair and unseen_place:
            break
        if pair and not unseen_place and scenes.held_out_pair(*(things[c] for c in chosen)):
            break
    names = [with_article(things[c].name) for c in chosen]
    what = f" {rng.choice(('next to', 'to the left of', 'above'))} ".join(names) if pair else names[0]
    where, time = where_words(rng, kind)
    style = rng.choice(STYLES)
    return {"prompt": style_words(rng, style, f"{what} {where}"), "things": chosen, "kind": KINDS.index(kind),
            "time": ("day", "night", "sunset").index(time) if time else -1, "style": STYLES.index(style), "seed": 1000 + number}


def main():
    rng, things = random.Random(77), concepts()
    file = os.path.join(ROOT, "tests", "model", "prompts.json")
    rows = [json.dumps(draw(rng, things, i)) for i in range(COUNT)]
    head = {"things": [c.name for c in things], "kinds": KINDS, "styles": STYLES, "times": ("day", "night", "sunset")}
    with open(file, "w", encoding="utf-8") as out:
        out.write("{\n" + "".join(f'"{k}": {json.dumps(v)},\n' for k, v in head.items()))
        out.write('"prompts": [\n' + ",\n".join(rows) + "\n]\n}\n")


if __name__ == "__main__":
    main()
