"""The prompts that the model is judged by, into tests/model/prompts.json: combinations that no training picture shows.

Three in ten name two things that never met, the others one thing on a kind of background where it never stood. Each names a
style. The file also says how the judge's answers are named, and how much two true pictures of a prompt differ."""
import json
import os
import random

import numpy as np

import scenes
from common import ROOT, STYLES, concepts
from paint import KINDS, PLACES, PLAIN, TIMES

COUNT, APART = 200, 64


def where_words(rng, kind):
    """(words, colour, time): plain backgrounds have a colour, places a time of day."""
    if kind == "plain":
        colour = rng.choice(sorted(PLAIN))
        return f"on a {colour} background", colour, ""
    time = rng.choice(TIMES) if kind in PLACES else ""
    words = rng.choice(scenes.PLACE_WORDS[kind])
    return (words if time in ("", "day") else f"{words} {scenes.TIME_WORDS[time][0]}"), "", time


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
    where, colour, time = where_words(rng, kind)
    style = rng.choice(STYLES)
    return {"colour": colour, "prompt": style_words(rng, style, f"{what} {where}"), "things": chosen, "kind": KINDS.index(kind),
            "time": TIMES.index(time) if time else -1, "style": STYLES.index(style), "seed": 1000 + number}


def paint(rng, bank, asked):
    """A true picture of a prompt, as the training would have shown it."""
    kind, time = KINDS[asked["kind"]], TIMES[asked["time"]] if asked["time"] >= 0 else ""
    fits = [i for i in bank.by_kind[kind] if bank.about[i][1] == asked["colour"] or not asked["colour"]]
    ground = rng.choice([i for i in fits if time in ("", bank.about[i][2])])
    plan = {"bg": ground, "flip": rng.random() < 0.5, "style": STYLES[asked["style"]], "relation": "", "kind": kind}
    places = scenes.place_two(rng, kind)[1] if len(asked["things"]) == 2 else [scenes.place_one(rng, kind)]
    plan["objects"] = [[thing, "", *place] for thing, place in zip(asked["things"], places)]
    return bank.paint(plan, 256)


def apart(prompts):
    """Mean absolute difference, of 255, of two true pictures of the same prompt."""
    rng, bank = random.Random(78), scenes.Bank()
    return float(np.mean([np.abs(np.subtract(paint(rng, bank, asked), paint(rng, bank, asked), dtype=np.float32)).mean()
                          for asked in prompts[:APART]]))


def main():
    rng, things = random.Random(77), concepts()
    file = os.path.join(ROOT, "tests", "model", "prompts.json")
    prompts = [draw(rng, things, i) for i in range(COUNT)]
    rows = [json.dumps({key: value for key, value in asked.items() if key != "colour"}) for asked in prompts]
    head = {"things": [c.name for c in things], "kinds": KINDS, "styles": STYLES, "times": TIMES, "apart": round(apart(prompts), 1)}
    with open(file, "w", encoding="utf-8") as out:
        out.write("{\n" + "".join(f'"{k}": {json.dumps(v)},\n' for k, v in head.items()))
        out.write('"prompts": [\n' + ",\n".join(rows) + "\n]\n}\n")


if __name__ == "__main__":
    main()
