"""CLIP's byte-level BPE with an end-of-word mark, trained on our own captions: vocab.json and merges.txt."""
import collections
import random
import re

from common import path, read_json, write_json
from config import LENGTH

START, END = "<|startoftext|>", "<|endoftext|>"
# CLIP's word pattern, over ASCII, which is all that our captions hold.
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")


def byte_symbols():
    """A printable character for every byte, in CLIP's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}


def words_of(text):
    return WORDS.findall(text.lower())


def train(captions, size):
    """Merges in the order they were found: always the commonest pair, until the words of the captions are whole."""
    counts = collections.Counter(word for text in captions for word in words_of(text))
    spelled = {word: [*word[:-1], word[-1] + "</w>"] for word in counts}
    merges = []
    while len(merges) < size:
        pairs = collections.Counter()
        for word, parts in spelled.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in spelled.items():
            spelled[word] = merged(parts, best)
    return merges


def merged(parts, pair):
    out, i = [], 0
    while i < len(parts):
        both = tuple(parts[i:i + 2]) == pair
        out.append(parts[i] + parts[i + 1] if both else parts[i])
        i += 2 if both else 1
    return out


class Tokenizer:
    def __init__(self, merges):
        symbols = list(byte_symbols().values())
        self.merges = [tuple(pair) for pair in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        names = symbols + [s + "</w>" for s in symbols] + ["".join(pair) for pair in self.merges] + [START, END]
        self.vocabulary = {name: i for i, name in enumerate(names)}
        self.known = {}
        self.start, self.end = self.vocabulary[START], self.vocabulary[END]

    def word(self, word):
        if word not in self.known:
            letters = [byte_symbols()[b] for b in word.encode()]
            parts = [*letters[:-1], letters[-1] + "</w>"]
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda pair: self.rank.get(pair, 1 << 30))
                if best not in self.rank:
                    break
                parts = merged(parts, best)
            self.known[word] = [self.vocabulary[part] for part in parts]
        return self.known[word]

    def ids(self, text):
        """LENGTH ids: start, words, end, and the end again as padding."""
        inside = [i for word in words_of(text) for i in self.word(word)][:LENGTH - 2]
        return [self.start, *inside] + [self.end] * (LENGTH - 1 - len(inside))


def load():
    return Tokenizer(read_json(path("data", "merges.json")))


def main(size):
    from scenes import Bank, caption, draw_plan
    rng, bank = random.Random(3), Bank()
    captions = [caption(rng, bank, draw_plan(rng, bank)) for _ in range(60000)]
    captions += [name for concept in bank.concepts for name in concept.names] * 3
    merges = train(captions, size)
    write_json(path("data", "merges.json"), merges)
    tokenizer = Tokenizer(merges)
    longest = max(sum(len(tokenizer.word(w)) for w in words_of(text)) for text in captions)
    print(f"{len(merges)} merges, {len(tokenizer.vocabulary)} tokens, longest caption {longest} of {LENGTH - 2}")


if __name__ == "__main__":
    main(4000)
