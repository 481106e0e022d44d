"""CLIP's vocab.json and merges.txt, made from the list that was published, in the forms in which they are found beside models.

    clip_tokenizer.py bpe_simple_vocab_16e6.txt.gz FOLDER

The list lies in the repository openai/CLIP. Prints sizes and hash of each form, which worker/diffusion/tokenizer_files.c
knows. With CLIP_TOKENIZER=FOLDER/lines, build/check-engine compares tokens_full.json, too; no part of the build or the tests.
"""
import gzip
import hashlib
import json
import pathlib
import sys

SHA256 = '924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a'
WORDS = 49408


def byte_symbols():
    """A symbol for each byte: printable ones stand for themselves and come first, the others follow from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in plain] + [chr(0x100 + i) for i in range(0x100 - len(plain))]


def main():
    source, folder = pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2])
    if hashlib.sha256(source).hexdigest() != SHA256:
        sys.exit('This is not the file that was published.')
    symbols = byte_symbols()
    count = WORDS - 2 * len(symbols) - 2
    merges = [line.split() for line in gzip.decompress(source).decode().split('\n')[1:count + 1]]
    words = [*symbols, *(s + '</w>' for s in symbols), *(''.join(pair) for pair in merges), '<|startoftext|>', '<|endoftext|>']
    vocabulary = {word: i for i, word in enumerate(words)}
    forms = {
        'blanks': json.dumps(vocabulary, ensure_ascii=False),
        'dense': json.dumps(vocabulary, ensure_ascii=False, separators=(',', ':')),
        'lines': json.dumps(vocabulary, ensure_ascii=False, indent=2, sort_keys=True) + '\n',
    }
    text = ('#version: 0.2\n' + ''.join(' '.join(pair) + '\n' for pair in merges)).encode()
    for name, form in forms.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / 'vocab.json').write_bytes(form.encode())
        (folder / name / 'merges.txt').write_bytes(text)
        print(f'{len(form.encode())} {len(text)} {hashlib.sha256(form.encode() + text).hexdigest()} {name}')


if __name__ == '__main__':
    main()
