"""Writes the averaged model as a diffusers folder in fp16. usage: export.py FOLDER"""
import json
import os
import sys

import numpy as np
import torch

import config
import tokenizer
from common import path, save_safetensors

NAME = "invokemu sample"
ABOUT = {"name": NAME, "description": "A small model of our own, trained on emoji art: one or two things before a painted background.",
         "default_settings": {"width": 256, "height": 256, "steps": 20, "cfg_scale": 4.0, "scheduler": "ddim"}}


def put(folder, part, name, value):
    os.makedirs(os.path.join(folder, part), exist_ok=True)
    with open(os.path.join(folder, part, name), "w", encoding="utf-8") as out:
        out.write(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def halves(tensors, prefix):
    """The tensors below a prefix as float16; none may overflow."""
    found = {}
    for name, value in tensors.items():
        if name.startswith(prefix):
            half = value.cpu().to(torch.float16).numpy()
            if not np.isfinite(half).all():
                raise OverflowError(f"{name} does not fit float16")
            found[name.removeprefix(prefix)] = half
    return found


def colours_of(vae, scale):
    """What a cell of the scaled latents looks like, as the readout that the autoencoder was trained with says (vae.py)."""
    return {"latent_rgb_factors": (vae["readout.weight"][:, :, 0, 0].T / scale).tolist(), "latent_rgb_bias": vae["readout.bias"].tolist()}


def put_tokenizer(folder, words):
    special = {"bos_token": tokenizer.START, "eos_token": tokenizer.END, "pad_token": tokenizer.END, "unk_token": tokenizer.END}
    put(folder, "tokenizer", "vocab.json", json.dumps(words.vocabulary, ensure_ascii=False) + "\n")
    put(folder, "tokenizer", "merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in words.merges))
    put(folder, "tokenizer", "special_tokens_map.json", special)
    put(folder, "tokenizer", "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": config.LENGTH,
                                                       "do_lower_case": True, "errors": "replace", **special})


def main(folder):
    words = tokenizer.load()
    model = torch.load(path("checkpoints", "model.pt"), map_location="cpu")
    vae = torch.load(path("checkpoints", "vae.pt"), map_location="cpu")["average"]
    scale = model["about"]["scale"]
    put_tokenizer(folder, words)
    put(folder, "", "model_index.json", {
        "_class_name": "StableDiffusionPipeline", "_name_or_path": NAME, "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "feature_extractor": [None, None], "safety_checker": [None, None], "requires_safety_checker": False})
    put(folder, "", "invokemu.json", ABOUT)
    put(folder, "scheduler", "scheduler_config.json", config.SCHEDULER)
    put(folder, "vae", "config.json", {**config.VAE, "scaling_factor": scale, **colours_of(vae, scale)})
    put(folder, "unet", "config.json", config.UNET)
    put(folder, "text_encoder", "config.json", {**config.TEXT, "vocab_size": len(words.vocabulary), "bos_token_id": words.start,
                                                "eos_token_id": words.end, "pad_token_id": words.end})
    parts = {"vae/diffusion_pytorch_model": halves(vae, "vae."), "unet/diffusion_pytorch_model": halves(model["average"], "unet."),
             "text_encoder/model": halves(model["average"], "text.")}
    for name, tensors in parts.items():
        save_safetensors(os.path.join(folder, name + ".safetensors"), tensors)
        print(f"{name}: {sum(t.size for t in tensors.values()) / 1e6:.2f} million weights")
    size = sum(os.path.getsize(os.path.join(where, file)) for where, _, files in os.walk(folder) for file in files)
    print(f"{size / 1e6:.1f} MB after {model['about']['samples']} samples in {folder}")


if __name__ == "__main__":
    main(sys.argv[1])
