"""Small diffusers-format folders of many pipelines: a few layers each, no weights.

Each entry of `PIPELINES` is a pipeline class, its components as (class, config) and the scalar
entries of its ``model_index.json``. Configs are written as the libraries' own ``save_config`` would.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Component = tuple[str, dict[str, Any]]

VAE = {
    "block_out_channels": [32, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "norm_num_groups": 32,
    "latent_channels": 4,
    "sample_size": 64,
}
VAE_8 = VAE | {  # three halvings, as the models in use have
    "block_out_channels": [32, 32, 64, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "sample_size": 256,
}
VAE_16 = VAE_8 | {
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "shift_factor": 0.1,
}
CLIP = {
    "vocab_size": 1000,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "projection_dim": 32,
    "max_position_embeddings": 77,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
T5 = {
    "vocab_size": 1000,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 3,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "dense_act_fn": "gelu_new",
    "is_gated_act": True,
    "tie_word_embeddings": False,
}
GEMMA = {
    "vocab_size": 1000,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
QWEN3 = GEMMA | {"num_hidden_layers": 3}
QWEN_VL = {
    "text_config": {
        "vocab_size": 152064,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    },
    "vision_config": {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 32,
    },
}
UNET = {
    "sample_size": 32,
    "block_out_channels": [32, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 2,
    "attention_head_dim": 4,
    "cross_attention_dim": 32,
    "norm_num_groups": 32,
}
UNET_4 = UNET | {  # four levels, as the models in use have
    "block_out_channels": [32, 32, 64, 64],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
UNET_XL = UNET | {
    "transformer_layers_per_block": [1, 2],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 80,  # 6 * 8 + 32
    "cross_attention_dim": 64,
    "use_linear_projection": True,
}
FLUX = {
    "in_channels": 64,
    "num_layers": 2,
    "num_single_layers": 3,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "pooled_projection_dim": 32,
    "axes_dims_rope": [4, 4, 8],
}
QWEN_VAE = {"base_dim": 24, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1, "z_dim": 16}
EULER_FLOW: Component = ("FlowMatchEulerDiscreteScheduler", {})
CLIP_TOKENIZER: Component = ("CLIPTokenizer", {"model_max_length": 77})
T5_TOKENIZER: Component = ("T5Tokenizer", {"model_max_length": 512})
UNBOUNDED_TOKENIZER: Component = ("Qwen2Tokenizer", {"model_max_length": 131072})
LINEAR = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}

TRANSFORMERS_CLASSES = (
    "CLIPTextModel",
    "CLIPTextModelWithProjection",
    "CLIPVisionModelWithProjection",
    "T5EncoderModel",
    "UMT5EncoderModel",
    "Gemma2Model",
    "GemmaModel",
    "Qwen2_5_VLForConditionalGeneration",
    "Qwen3Model",
    "Qwen3ForCausalLM",
    "GlmModel",
    "BertModel",
    "LlamaForCausalLM",
)
# As folders on the hub name them.
PIPELINE_MODULES = {
    "PaellaVQModel": "wuerstchen",
    "MultilingualCLIP": "kandinsky",
    "LTX2TextConnectors": "ltx2",
    "LTX2Vocoder": "ltx2",
}

SD = {
    "scheduler": ("DDIMScheduler", LINEAR),
    "text_encoder": ("CLIPTextModel", CLIP),
    "tokenizer": CLIP_TOKENIZER,
    "unet": ("UNet2DConditionModel", UNET_4),
    "vae": ("AutoencoderKL", VAE_8),
}
XL = {
    "scheduler": ("EulerDiscreteScheduler", LINEAR),
    "text_encoder": ("CLIPTextModel", CLIP),
    "text_encoder_2": ("CLIPTextModelWithProjection", CLIP),
    "tokenizer": CLIP_TOKENIZER,
    "tokenizer_2": CLIP_TOKENIZER,
    "unet": ("UNet2DConditionModel", UNET_XL),
    "vae": ("AutoencoderKL", VAE_8 | {"force_upcast": True}),
}
SD3 = {
    "scheduler": ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    "text_encoder": ("CLIPTextModelWithProjection", CLIP),
    "text_encoder_2": ("CLIPTextModelWithProjection", CLIP),
    "text_encoder_3": ("T5EncoderModel", T5 | {"d_model": 64}),
    "tokenizer": CLIP_TOKENIZER,
    "tokenizer_2": CLIP_TOKENIZER,
    "tokenizer_3": T5_TOKENIZER,
    "transformer": (
        "SD3Transformer2DModel",
        {
            "sample_size": 32,
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": 3,
            "attention_head_dim": 8,
            "num_attention_heads": 4,
            "joint_attention_dim": 64,
            "caption_projection_dim": 32,
            "pooled_projection_dim": 64,
            "pos_embed_max_size": 48,
        },
    ),
    "vae": ("AutoencoderKL", VAE_16),
}
FLUX_PARTS = {
    "scheduler": ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0, "use_dynamic_shifting": True}),
    "text_encoder": ("CLIPTextModel", CLIP),
    "text_encoder_2": ("T5EncoderModel", T5),
    "tokenizer": CLIP_TOKENIZER,
    "tokenizer_2": T5_TOKENIZER,
    "transformer": ("FluxTransformer2DModel", FLUX | {"guidance_embeds": True}),
    "vae": ("AutoencoderKL", VAE_16),
}
PIXART = {
    "scheduler": ("DPMSolverMultistepScheduler", {}),
    "text_encoder": ("T5EncoderModel", T5),
    "tokenizer": T5_TOKENIZER,
    "transformer": (
        "PixArtTransformer2DModel",
        {
            "sample_size": 32,
            "num_layers": 3,
            "attention_head_dim": 8,
            "num_attention_heads": 4,
            "cross_attention_dim": 32,
            "caption_channels": 32,
            "in_channels": 4,
            "out_channels": 8,
            "norm_type": "ada_norm_single",
            "use_additional_conditions": False,
        },
    ),
    "vae": ("AutoencoderKL", VAE_8),
}
QWEN: dict[str, Component] = {
    "scheduler": ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}),
    "text_encoder": ("Qwen2_5_VLForConditionalGeneration", QWEN_VL),
    "tokenizer": UNBOUNDED_TOKENIZER,
    "transformer": (
        "QwenImageTransformer2DModel",
        {
            "in_channels": 64,
            "out_channels": 16,
            "num_layers": 3,
            "attention_head_dim": 16,
            "num_attention_heads": 3,
            "joint_attention_dim": 32,
            "axes_dims_rope": [8, 4, 4],
        },
    ),
    "vae": ("AutoencoderKLQwenImage", QWEN_VAE),
}
SANA = {
    "scheduler": (
        "DPMSolverMultistepScheduler",
        {"prediction_type": "flow_prediction", "use_flow_sigmas": True},
    ),
    "text_encoder": ("Gemma2Model", GEMMA),
    "tokenizer": ("GemmaTokenizer", {"model_max_length": 1000000000000000019884624838656}),
    "transformer": (
        "SanaTransformer2DModel",
        {
            "in_channels": 4,
            "out_channels": 4,
            "num_layers": 3,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_cross_attention_heads": 2,
            "cross_attention_head_dim": 16,
            "cross_attention_dim": 32,
            "caption_channels": 32,
            "sample_size": 32,
        },
    ),
    "vae": (
        "AutoencoderDC",
        {
            "latent_channels": 4,
            "attention_head_dim": 2,
            "encoder_block_types": ["ResBlock", "ResBlock", "EfficientViTBlock"],
            "decoder_block_types": ["ResBlock", "ResBlock", "EfficientViTBlock"],
            "encoder_block_out_channels": [16, 16, 32],
            "decoder_block_out_channels": [16, 16, 32],
            "encoder_layers_per_block": [1, 1, 1],
            "decoder_layers_per_block": [1, 1, 1],
            "encoder_qkv_multiscales": [[], [], [5]],
            "decoder_qkv_multiscales": [[], [], [5]],
            "upsample_block_type": "interpolate",
            "downsample_block_type": "conv",
            "decoder_norm_types": "rms_norm",
            "decoder_act_fns": "silu",
        },
    ),
}
PIPELINES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "sd": ("StableDiffusionPipeline", SD, {}),
    "sdxl": ("StableDiffusionXLPipeline", XL, {"force_zeros_for_empty_prompt": True}),
    "sd3": ("StableDiffusion3Pipeline", SD3, {}),
    "flux": ("FluxPipeline", FLUX_PARTS, {}),
    "pixart": ("PixArtSigmaPipeline", PIXART, {}),
    "qwen": ("QwenImagePipeline", QWEN, {}),
    "sana": ("SanaPipeline", SANA, {}),
}


def write_folder(
    folder: Path, pipeline: str, components: dict[str, Component], settings: dict[str, Any] | None = None
) -> Path:
    """A diffusers-format folder of these components; returns it."""
    folder.mkdir(parents=True)
    index: dict[str, Any] = {"_class_name": pipeline, "_diffusers_version": "0.42.1"} | (settings or {})
    for name, (class_name, config) in components.items():
        library = library_of(class_name)
        content: dict[str, Any]
        index[name] = [library, class_name]
        (folder / name).mkdir()
        if "Tokenizer" in class_name or "Processor" in class_name:
            file, content = "tokenizer_config.json", {"tokenizer_class": class_name} | config
        elif "Scheduler" in class_name:
            file, content = "scheduler_config.json", {"_class_name": class_name} | config
        elif library != "transformers":
            file, content = (
                "config.json",
                {"_class_name": class_name, "_diffusers_version": "0.42.1"} | config,
            )
        else:
            file = "config.json"
            content = {"architectures": [class_name], "dtype": "bfloat16", **config}
        (folder / name / file).write_text(json.dumps(content), encoding="utf-8")
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def library_of(class_name: str) -> str:
    """The library that has a class: transformers for text encoders and tokenizers."""
    if class_name in PIPELINE_MODULES:
        return PIPELINE_MODULES[class_name]
    is_text = class_name in TRANSFORMERS_CLASSES or "Tokenizer" in class_name or "Processor" in class_name
    return "transformers" if is_text else "diffusers"
