"""One weight for each form of LoRA, and what it becomes, by the definitions of their authors (LyCORIS, DoRA).

    lora_forms.py OUT.safetensors

Module NAME has its tensors as trainers name them, `NAME/base` and, at a strength of 0.7, `NAME/expected`. Needs
python3-torch; no part of the build or the tests.
"""
import json
import struct
import sys

import torch

STRENGTH = 0.7
out = {}


def rand(*shape):
    return torch.randn(*shape, dtype=torch.float32)


def tucker(core, a, b):
    """[r, r, k, k], [r, out], [r, in] to [out, in, k, k]"""
    return torch.einsum("ijkl,ip,jq->pqkl", core.double(), a.double(), b.double()).contiguous()


def case(name, base, change=None, tensors=None, result=None):
    out[name + "/base"] = base
    for end, tensor in (tensors or {}).items():
        out[f"lora_unet_{name}.{end}"] = tensor
    w = base.double()
    out[name + "/expected"] = result if result is not None else w + STRENGTH * change.reshape(w.shape)


def decomposed(base, change, scale, per_output):
    """The direction of the changed weight, by the length that was learned for each output or input."""
    w = base.double() + change.reshape(base.shape)
    flat = w.flatten(1) if per_output else w.transpose(0, 1).flatten(1)
    length = flat.norm(dim=1)
    length = length.view(-1, *[1] * (w.dim() - 1)) if per_output else length.view(1, -1, *[1] * (w.dim() - 2))
    new = w * scale.double().reshape(length.shape) / length
    return base.double() + STRENGTH * (new - base.double())


torch.manual_seed(11)
r, o, i, k = 3, 8, 6, 3
alpha = torch.tensor(2.0)

a1, b1, t1, a2, b2, t2 = rand(r, o), rand(r, i), rand(r, r, k, k), rand(r, o), rand(r, i), rand(r, r, k, k)
case("loha_tucker", rand(o, i, k, k), tucker(t1, a1, b1) * tucker(t2, a2, b2) * (2.0 / r),
     {"hada_w1_a": a1, "hada_w1_b": b1, "hada_t1": t1, "hada_w2_a": a2, "hada_w2_b": b2, "hada_t2": t2, "alpha": alpha})

w1, a, b, t = rand(2, 3), rand(r, 4), rand(r, 2), rand(r, r, k, k)
case("lokr_tucker", rand(o, i, k, k), torch.kron(w1.double()[:, :, None, None], tucker(t, a, b)) * (2.0 / r),
     {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "lokr_t2": t, "alpha": alpha})

up, mid, down = rand(o, r, 1, 1), rand(r, r, k, k), rand(r, i, 1, 1)
case("locon_tucker", rand(o, i, k, k), tucker(mid, up[:, :, 0, 0].t(), down[:, :, 0, 0]) * (2.0 / r),
     {"lora_up.weight": up, "lora_mid.weight": mid, "lora_down.weight": down, "alpha": alpha})

for name, shape, per_output in (("dora_output", (o, i), True), ("dora_input", (o, i), False), ("dora_conv_input", (o, i, k, k), False), ("dora_conv_output", (o, i, k, k), True)):
    base, up, down = rand(*shape), rand(o, r), rand(r, *shape[1:])
    scale = rand(*((o, *[1] * (len(shape) - 1)) if per_output else (1, i, *[1] * (len(shape) - 2)))).abs() + 1
    change = (up.double() @ down.double().flatten(1)) * (2.0 / r)
    case(name, base, None, {"lora_up.weight": up.reshape(o, r, *[1] * (len(shape) - 2)), "lora_down.weight": down, "alpha": alpha, "dora_scale": scale},
         decomposed(base, change, scale, per_output))

base, up, down, scale = rand(o, o), rand(o, r), rand(r, o), rand(o).abs() + 1
case("dora_peft", base, None, {"lora_B.weight": up, "lora_A.weight": down, "lora_magnitude_vector": scale},
     decomposed(base, up.double() @ down.double(), scale, True))

w1, w2 = rand(2, 3), rand(4, 2)
base, scale = rand(o, i), rand(o, 1).abs() + 1
case("dora_lokr", base, None, {"lokr_w1": w1, "lokr_w2": w2, "dora_scale": scale},
     decomposed(base, torch.kron(w1.double(), w2.double()), scale, True))

header, at, data = {}, 0, []
for name, tensor in out.items():
    values = tensor.to(torch.float32).contiguous().numpy()
    header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
    at += values.nbytes
    data.append(values.tobytes())
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + b"".join(data))
