"""Sizes of the model, in the words of diffusers' config.json files, and of its training."""
import json
import os

# Steps of the autoencoder and of the text encoder's start; scenes kept, and samples seen, at each edge; the last "cool" samples
# of all have a falling learning rate. plan.json in the training's folder may say otherwise, for fewer hours, say.
TRAINING = {"backgrounds": 3000, "vae": 20000, "text": 2000, "scenes": {128: 100000, 256: 60000},
            "samples": {128: 3_000_000, 256: 1_000_000}, "cool": 400_000}
_PLAN = os.path.join(os.environ.get("TRAIN_DIR", "train"), "plan.json")
if os.path.exists(_PLAN):
    with open(_PLAN, encoding="utf-8") as _source:
        for _key, _value in json.load(_source).items():
            TRAINING[_key] = {int(k): v for k, v in _value.items()} if isinstance(_value, dict) else _value

LENGTH = 32  # tokens a caption may have, start and end included

VAE = {"_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "down_block_types": ["DownEncoderBlock2D"] * 4,
       "up_block_types": ["UpDecoderBlock2D"] * 4, "block_out_channels": [32, 48, 96, 128], "layers_per_block": 1, "act_fn": "silu",
       "latent_channels": 4, "norm_num_groups": 16, "sample_size": 256, "scaling_factor": 1.0, "force_upcast": False,
       "use_quant_conv": True, "use_post_quant_conv": True, "mid_block_add_attention": False}

UNET = {"_class_name": "UNet2DConditionModel", "sample_size": 32, "in_channels": 4, "out_channels": 4, "center_input_sample": False,
        "flip_sin_to_cos": True, "freq_shift": 0, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "mid_block_type": "UNetMidBlock2DCrossAttn", "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "only_cross_attention": False, "block_out_channels": [64, 128, 256], "layers_per_block": 1, "downsample_padding": 1,
        "mid_block_scale_factor": 1, "act_fn": "silu", "norm_num_groups": 32, "norm_eps": 1e-5, "cross_attention_dim": 192,
        "attention_head_dim": [2, 4, 8], "use_linear_projection": False}

TEXT = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": 0, "hidden_size": 192,
        "intermediate_size": 768, "projection_dim": 192, "num_hidden_layers": 3, "num_attention_heads": 6,
        "max_position_embeddings": LENGTH, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}

SCHEDULER = {"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
             "num_train_timesteps": 1000, "set_alpha_to_one": False, "steps_offset": 1, "clip_sample": False,
             "prediction_type": "v_prediction", "trained_betas": None}
