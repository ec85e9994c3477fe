"""Small folders of pipelines that make videos, each with something that those of `tiny_families` lack."""

from __future__ import annotations

from typing import Any

from tiny import CLIP, CLIP_TOKENIZER, EULER_FLOW, GEMMA, QWEN_VL, T5, UNBOUNDED_TOKENIZER, VAE_8, Component

# Guided by a component, and by passes apart; masks that are no whole numbers, an image that is zeros, and a
# decoder that fills a mask row by row.
HUNYUAN_15: dict[str, Component] = {
    "guider": ("ClassifierFreeGuidance", {"guidance_scale": 6.0}),
    "scheduler": EULER_FLOW,
    "text_encoder": ("Qwen2_5_VLForConditionalGeneration", QWEN_VL),
    "text_encoder_2": ("T5EncoderModel", T5),
    "tokenizer": UNBOUNDED_TOKENIZER,
    "tokenizer_2": ("ByT5Tokenizer", {"model_max_length": 256}),
    "transformer": (
        "HunyuanVideo15Transformer3DModel",
        {
            "in_channels": 9,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_layers": 2,
            "num_refiner_layers": 1,
            "text_embed_dim": 32,
            "text_embed_2_dim": 32,
            "image_embed_dim": 16,
            "rope_axes_dim": [4, 6, 6],
        },
    ),
    "vae": (
        "AutoencoderKLHunyuanVideo15",
        {
            "latent_channels": 4,
            "block_out_channels": [32, 32, 32, 32, 32],
            "layers_per_block": 1,
        },
    ),
}
# Sound beside the picture, in whole pieces a number of frames does not divide into; three calls a step.
LTX2: dict[str, Component] = {
    "audio_vae": (
        "AutoencoderKLLTX2Audio",
        {"ch_mult": [1, 1, 1], "num_res_blocks": 1},
    ),
    "connectors": (
        "LTX2TextConnectors",
        {
            "caption_channels": 32,
            "text_proj_in_factor": GEMMA["num_hidden_layers"] + 1,
            "video_connector_num_attention_heads": 2,
            "video_connector_attention_head_dim": 16,
            "video_connector_num_layers": 1,
            "audio_connector_num_attention_heads": 2,
            "audio_connector_attention_head_dim": 16,
            "audio_connector_num_layers": 1,
        },
    ),
    "scheduler": ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}),
    "text_encoder": ("Gemma2Model", GEMMA),
    "tokenizer": ("GemmaTokenizer", {"model_max_length": 1024}),
    "transformer": (
        "LTX2VideoTransformer3DModel",
        {
            "in_channels": 16,
            "out_channels": 16,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "cross_attention_dim": 32,
            "audio_num_attention_heads": 2,
            "audio_attention_head_dim": 8,
            "audio_cross_attention_dim": 16,
            "num_layers": 30,
            "caption_channels": 32,
        },
    ),
    "vae": (
        "AutoencoderKLLTX2Video",
        {
            "latent_channels": 16,
            "block_out_channels": [16, 32, 64, 128],
            "decoder_block_out_channels": [16, 32, 64],
            "layers_per_block": [1, 1, 1, 1, 1],
            "decoder_layers_per_block": [1, 1, 1, 1],
            "decoder_causal": False,
            "spatial_compression_ratio": 32,
            "temporal_compression_ratio": 8,
        },
    ),
    "vocoder": ("LTX2Vocoder", {"hidden_channels": 64}),
}
# Drops more tokens of a template than shorter texts have.
KANDINSKY5: dict[str, Component] = {
    "scheduler": EULER_FLOW,
    "text_encoder": ("Qwen2_5_VLForConditionalGeneration", QWEN_VL),
    "text_encoder_2": ("CLIPTextModel", CLIP),
    "tokenizer": ("Qwen2VLProcessor", {}),
    "tokenizer_2": CLIP_TOKENIZER,
    "transformer": (
        "Kandinsky5Transformer3DModel",
        {
            "in_visual_dim": 4,
            "out_visual_dim": 4,
            "in_text_dim": 32,
            "in_text_dim2": 32,
            "time_dim": 16,
            "model_dim": 64,
            "ff_dim": 64,
            "num_text_blocks": 1,
            "num_visual_blocks": 2,
            "axes_dims": [8, 12, 12],
            "visual_cond": True,
        },
    ),
    "vae": (
        "AutoencoderKLHunyuanVideo",
        {"latent_channels": 4, "block_out_channels": [32, 32, 32, 32], "layers_per_block": 1},
    ),
}
# Decodes sixteen frames at a time, and makes no clip of more than 32.
ANIMATEDIFF: dict[str, Component] = {
    "scheduler": ("DDIMScheduler", {"beta_schedule": "linear", "clip_sample": False}),
    "text_encoder": ("CLIPTextModel", CLIP),
    "tokenizer": CLIP_TOKENIZER,
    "unet": (
        "UNetMotionModel",
        {
            "sample_size": 8,
            "block_out_channels": [32, 64],
            "down_block_types": ["CrossAttnDownBlockMotion", "DownBlockMotion"],
            "up_block_types": ["UpBlockMotion", "CrossAttnUpBlockMotion"],
            "layers_per_block": 1,
            "cross_attention_dim": 32,
            "num_attention_heads": 2,
            "motion_num_attention_heads": 2,
            "use_motion_mid_block": False,
        },
    ),
    "vae": ("AutoencoderKL", VAE_8),
}
VIDEOS: dict[str, tuple[str, dict[str, Component], dict[str, Any]]] = {
    "hunyuanvideo-1.5": ("HunyuanVideo15Pipeline", HUNYUAN_15, {}),
    "ltx-2": ("LTX2Pipeline", LTX2, {}),
    "animatediff": ("AnimateDiffPipeline", ANIMATEDIFF, {}),
    "kandinsky5": ("Kandinsky5T2VPipeline", KANDINSKY5, {}),
}
