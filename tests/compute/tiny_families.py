"""Small folders of pipelines that the catalogue does not hold, each with something the others lack."""

from __future__ import annotations

from typing import Any

from tiny import (
    CLIP,
    CLIP_TOKENIZER,
    EULER_FLOW,
    FLUX,
    GEMMA,
    LINEAR,
    PIXART,
    QWEN,
    QWEN3,
    QWEN_VL,
    T5,
    T5_TOKENIZER,
    UNBOUNDED_TOKENIZER,
    UNET,
    VAE_8,
    VAE_16,
    Component,
)

DYNAMIC_FLOW: Component = ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True})
VAE_OF_16: Component = ("AutoencoderKL", VAE_16)
GLM = {
    "vocab_size": 1000,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
}
BERT = {
    "vocab_size": 1000,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
}

# The denoiser is told how many of the text's tokens are no padding.
LUMINA2: dict[str, Component] = {
    "scheduler": EULER_FLOW,
    "text_encoder": ("Gemma2Model", GEMMA),
    "tokenizer": ("GemmaTokenizer", {"model_max_length": 1000000000000000019884624838656}),
    "transformer": (
        "Lumina2Transformer2DModel",
        {
            "sample_size": 32,
            "in_channels": 16,
            "hidden_size": 48,
            "num_layers": 3,
            "num_refiner_layers": 2,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "axes_dim_rope": [4, 4, 4],
            "axes_lens": [300, 512, 512],
            "cap_feat_dim": 32,
        },
    ),
    "vae": VAE_OF_16,
}
# Two text encoders padded to different lengths; a table of sizes inside the pipeline's code.
HUNYUAN: dict[str, Component] = {
    "scheduler": ("DDPMScheduler", LINEAR),
    "text_encoder": ("BertModel", BERT),
    "tokenizer": ("BertTokenizer", {"model_max_length": 77}),
    "text_encoder_2": ("T5EncoderModel", T5),
    "tokenizer_2": ("T5Tokenizer", {"model_max_length": 256}),
    "transformer": (
        "HunyuanDiT2DModel",
        {
            "sample_size": 128,
            "num_layers": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "hidden_size": 32,
            "in_channels": 4,
            "patch_size": 2,
            "cross_attention_dim": 32,
            "cross_attention_dim_t5": 32,
            "pooled_projection_dim": 16,
            "text_len": 77,
            "text_len_t5": 256,
        },
    ),
    "vae": ("AutoencoderKL", VAE_8),
}
# A second pass as a call of its own, at guidance_scale > 1.
CHROMA: dict[str, Component] = {
    "scheduler": DYNAMIC_FLOW,
    "text_encoder": ("T5EncoderModel", T5),
    "tokenizer": T5_TOKENIZER,
    "transformer": (
        "ChromaTransformer2DModel",
        {key: value for key, value in FLUX.items() if key != "pooled_projection_dim"}
        | {"approximator_num_channels": 8, "approximator_hidden_dim": 16, "approximator_layers": 2},
    ),
    "vae": VAE_OF_16,
}
# The text is padded to a multiple of 16 tokens.
COGVIEW4: dict[str, Component] = {
    "scheduler": DYNAMIC_FLOW,
    "text_encoder": ("GlmModel", GLM),
    "tokenizer": ("PreTrainedTokenizerFast", {"model_max_length": 128000}),
    "transformer": (
        "CogView4Transformer2DModel",
        {
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": 3,
            "attention_head_dim": 8,
            "num_attention_heads": 4,
            "text_embed_dim": 32,
            "time_embed_dim": 8,
            "condition_dim": 4,
            "pos_embed_max_size": 128,
            "sample_size": 32,
            "rope_axes_dim": [256, 256],
        },
    ),
    "vae": VAE_OF_16,
}
# Images and texts are lists; tokens are padded to multiples of 32 inside; guidance above 0.
Z_IMAGE: dict[str, Component] = {
    "scheduler": DYNAMIC_FLOW,
    "text_encoder": ("Qwen3Model", QWEN3),
    "tokenizer": UNBOUNDED_TOKENIZER,
    "transformer": (
        "ZImageTransformer2DModel",
        {
            "dim": 32,
            "n_layers": 3,
            "n_refiner_layers": 2,
            "n_heads": 2,
            "n_kv_heads": 2,
            "cap_feat_dim": 32,
            "axes_dims": [4, 6, 6],
            "axes_lens": [1024, 512, 512],
        },
    ),
    "vae": VAE_OF_16,
}
# The pipeline itself computes with a module's parameters.
FLUX2_KLEIN: dict[str, Component] = {
    "scheduler": DYNAMIC_FLOW,
    "text_encoder": ("Qwen3ForCausalLM", QWEN3 | {"num_hidden_layers": 28}),
    "tokenizer": UNBOUNDED_TOKENIZER,
    "transformer": (
        "Flux2Transformer2DModel",
        {
            "in_channels": 128,
            "num_layers": 2,
            "num_single_layers": 3,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "joint_attention_dim": 96,
            "axes_dims_rope": [4, 4, 4, 4],
            "guidance_embeds": False,
        },
    ),
    "vae": (
        "AutoencoderKLFlux2",
        {
            "block_out_channels": [32, 32, 64, 64],
            "layers_per_block": 1,
            "latent_channels": 32,
            "sample_size": 256,
        },
    ),
}
# The decoder is called movq and is no image processor's business.
KANDINSKY3: dict[str, Component] = {
    "scheduler": ("DDPMScheduler", {}),
    "text_encoder": ("T5EncoderModel", T5),
    "tokenizer": ("T5Tokenizer", {"model_max_length": 128}),
    "unet": (
        "Kandinsky3UNet",
        {
            "time_embedding_dim": 16,
            "groups": 2,
            "attention_head_dim": 4,
            "layers_per_block": 3,
            "block_out_channels": [32, 64],
            "cross_attention_dim": 32,
            "encoder_hid_dim": 32,
        },
    ),
    "movq": (
        "VQModel",
        {
            "block_out_channels": [32, 32, 64, 64],
            "down_block_types": ["DownEncoderBlock2D"] * 3 + ["AttnDownEncoderBlock2D"],
            "up_block_types": ["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 3,
            "latent_channels": 4,
            "norm_num_groups": 8,
            "norm_type": "spatial",
            "num_vq_embeddings": 12,
            "vq_embed_dim": 4,
        },
    ),
}
# A prompt is encoded alone, then repeated for the images.
BRIA: dict[str, Component] = {
    "scheduler": DYNAMIC_FLOW,
    "text_encoder": ("T5EncoderModel", T5),
    "tokenizer": T5_TOKENIZER,
    "transformer": (
        "BriaTransformer2DModel",
        {key: value for key, value in FLUX.items() if key != "pooled_projection_dim"} | {"in_channels": 16},
    ),
    "vae": ("AutoencoderKL", VAE_8 | {"shift_factor": 0.0}),
}
# Tables of sizes, and conditions on size at the model's own.
PIXART_ALPHA: dict[str, Component] = PIXART | {
    "transformer": (
        "PixArtTransformer2DModel",
        PIXART["transformer"][1]
        | {
            "sample_size": 128,
            "num_attention_heads": 6,
            "cross_attention_dim": 48,
            "use_additional_conditions": True,
        },
    ),
}
# A video model, whose decoder takes one frame after the other.
WAN: dict[str, Component] = {
    "scheduler": (
        "UniPCMultistepScheduler",
        {"prediction_type": "flow_prediction", "use_flow_sigmas": True},
    ),
    "text_encoder": ("UMT5EncoderModel", T5),
    "tokenizer": T5_TOKENIZER,
    "transformer": (
        "WanTransformer3DModel",
        {
            "num_attention_heads": 2,
            "attention_head_dim": 12,
            "text_dim": 32,
            "freq_dim": 16,
            "ffn_dim": 32,
            "num_layers": 3,
        },
    ),
    "vae": ("AutoencoderKLWan", {"base_dim": 8, "num_res_blocks": 1}),
}
# A video model, whose decoder is given the frames as a batch of images.
MODELSCOPE: dict[str, Component] = {
    "scheduler": ("DDIMScheduler", LINEAR),
    "text_encoder": ("CLIPTextModel", CLIP),
    "tokenizer": CLIP_TOKENIZER,
    "unet": (
        "UNet3DConditionModel",
        UNET
        | {
            "down_block_types": ["CrossAttnDownBlock3D", "DownBlock3D"],
            "up_block_types": ["UpBlock3D", "CrossAttnUpBlock3D"],
            "layers_per_block": 1,
            "attention_head_dim": 16,
        },
    ),
    "vae": ("AutoencoderKL", VAE_8),
}
# The same layers as Wan's, and a prompt that goes through a package that is not needed to trace.
SKYREELS: dict[str, Component] = WAN | {
    "transformer": ("SkyReelsV2Transformer3DModel", WAN["transformer"][1] | {"num_layers": 2}),
}
CLIP_TEXT: Component = ("CLIPTextModelWithProjection", CLIP)
CLIP_VISION: Component = (
    "CLIPVisionModelWithProjection",
    {
        "hidden_size": 32,
        "intermediate_size": 37,
        "projection_dim": 32,
        "image_size": 224,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "patch_size": 14,
    },
)
CLIP_IMAGES: Component = ("CLIPImageProcessor", {"crop_size": 224, "size": 224})
# Takes the text for the last 512 tokens of what it is given, and an image's before them; the second of two
# equal denoisers takes over part of the way.
WAN_OF_AN_IMAGE: Component = (
    "WanTransformer3DModel",
    WAN["transformer"][1] | {"in_channels": 36, "image_dim": 32, "added_kv_proj_dim": 24},
)
WAN_IMAGE_TWO_EXPERTS: dict[str, Component] = WAN | {
    "transformer": WAN_OF_AN_IMAGE,
    "transformer_2": WAN_OF_AN_IMAGE,
    "image_encoder": CLIP_VISION,
    "image_processor": CLIP_IMAGES,
}
# Scales its image to two areas of its own, shows it to the encoder of text too, takes one prompt at once.
QWEN_IMAGE_EDIT: dict[str, Component] = {
    **QWEN,
    "text_encoder": ("Qwen2_5_VLForConditionalGeneration", QWEN_VL | {"image_token_id": 5}),
    "processor": ("Qwen2VLProcessor", {}),
}
# Two stages: a prior with steps of its own and a decoder; an image encoder that is called once for a batch;
# sides are rounded up.
KANDINSKY22: dict[str, Component] = {
    "scheduler": ("DDPMScheduler", {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012}),
    "unet": (
        "UNet2DConditionModel",
        {
            "in_channels": 4,
            "out_channels": 8,
            "addition_embed_type": "image",
            "encoder_hid_dim": 32,
            "encoder_hid_dim_type": "image_proj",
            "down_block_types": ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
            "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
            "up_block_types": ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
            "block_out_channels": [32, 64],
            "layers_per_block": 1,
            "cross_attention_dim": 32,
            "attention_head_dim": 4,
            "resnet_time_scale_shift": "scale_shift",
            "sample_size": 64,
        },
    ),
    "movq": KANDINSKY3["movq"],
    "prior_prior": (
        "PriorTransformer",
        {
            "num_attention_heads": 2,
            "attention_head_dim": 12,
            "embedding_dim": 32,
            "num_layers": 3,
            "num_embeddings": 77,
        },
    ),
    "prior_image_encoder": CLIP_VISION,
    "prior_text_encoder": CLIP_TEXT,
    "prior_tokenizer": CLIP_TOKENIZER,
    "prior_scheduler": (
        "UnCLIPScheduler",
        {"variance_type": "fixed_small_log", "prediction_type": "sample", "clip_sample_range": 5.0},
    ),
    "prior_image_processor": CLIP_IMAGES,
}
# The same with a text encoder between the stages, which runs other operators for one prompt.
KANDINSKY21: dict[str, Component] = KANDINSKY22 | {
    "scheduler": ("DDIMScheduler", {"beta_schedule": "linear", "set_alpha_to_one": False}),
    "tokenizer": ("XLMRobertaTokenizer", {"model_max_length": 77}),
    "text_encoder": (
        "MultilingualCLIP",
        {
            "numDims": 32,
            "transformerDimensions": 32,
            "vocab_size": 1000,
            "hidden_size": 32,
            "intermediate_size": 37,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
        },
    ),
    "unet": (
        "UNet2DConditionModel",
        KANDINSKY22["unet"][1]
        | {
            "addition_embed_type": "text_image",
            "addition_embed_type_num_heads": 2,
            "encoder_hid_dim_type": "text_image_proj",
        },
    ),
}
CASCADE_BLOCKS = ["SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"]
CASCADE_CLIP = {"clip_text_pooled_in_channels": 32, "timestep_ratio_embedding_dim": 64, "kernel_size": 3}
# Two stages whose latents follow the image size unevenly between multiples of 128 pixels.
STABLE_CASCADE: dict[str, Component] = {
    "scheduler": ("DDPMWuerstchenScheduler", {}),
    "text_encoder": CLIP_TEXT,
    "tokenizer": CLIP_TOKENIZER,
    "decoder": (
        "StableCascadeUNet",
        CASCADE_CLIP
        | {
            "in_channels": 4,
            "out_channels": 4,
            "patch_size": 2,
            "conditioning_dim": 32,
            "effnet_in_channels": 16,
            "block_out_channels": [16, 32, 64, 128],
            "num_attention_heads": [-1, -1, 1, 2],
            "down_num_layers_per_block": [1, 1, 2, 1],
            "up_num_layers_per_block": [1, 2, 1, 1],
            "down_blocks_repeat_mappers": [1, 1, 1, 1],
            "up_blocks_repeat_mappers": [3, 3, 2, 2],
            "block_types_per_layer": [CASCADE_BLOCKS[:2]] * 2 + [CASCADE_BLOCKS] * 2,
            "dropout": [0.1] * 4,
            "timestep_conditioning_type": ["sca"],
        },
    ),
    "vqgan": (
        "PaellaVQModel",
        {"bottleneck_blocks": 2, "num_vq_embeddings": 16, "levels": 2, "embed_dim": 16, "latent_channels": 4},
    ),
    "prior_prior": (
        "StableCascadeUNet",
        CASCADE_CLIP
        | {
            "in_channels": 16,
            "out_channels": 16,
            "conditioning_dim": 128,
            "clip_image_in_channels": 32,
            "clip_text_in_channels": 32,
            "block_out_channels": [128, 128],
            "num_attention_heads": [2, 2],
            "down_num_layers_per_block": [1, 2],
            "up_num_layers_per_block": [2, 1],
            "block_types_per_layer": [CASCADE_BLOCKS] * 2,
            "switch_level": [False],
        },
    ),
    "prior_text_encoder": CLIP_TEXT,
    "prior_tokenizer": CLIP_TOKENIZER,
    "prior_scheduler": ("DDPMWuerstchenScheduler", {}),
    "prior_feature_extractor": CLIP_IMAGES,
    "prior_image_encoder": CLIP_VISION,
}

# Its denoiser holds a table of positions of one size, and refuses every other.
COGVIDEOX_OF_AN_IMAGE: dict[str, Component] = {
    "scheduler": ("CogVideoXDDIMScheduler", {}),
    "text_encoder": ("T5EncoderModel", T5),
    "tokenizer": ("T5Tokenizer", {"model_max_length": 226}),
    "transformer": (
        "CogVideoXTransformer3DModel",
        {
            "in_channels": 8,
            "out_channels": 4,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_layers": 2,
            "text_embed_dim": 32,
            "time_embed_dim": 8,
            "sample_height": 6,
            "sample_width": 10,
            "sample_frames": 9,
            "use_rotary_positional_embeddings": True,
            "use_learned_positional_embeddings": True,
        },
    ),
    "vae": (
        "AutoencoderKLCogVideoX",
        {
            "latent_channels": 4,
            "block_out_channels": [8, 8, 8, 8],
            "layers_per_block": 1,
            "norm_num_groups": 2,
        },
    ),
}
# Scales every size to a megapixel, and routes tokens to experts.
HIDREAM: dict[str, Component] = {
    "scheduler": EULER_FLOW,
    "text_encoder": ("CLIPTextModelWithProjection", CLIP | {"max_position_embeddings": 248}),
    "text_encoder_2": ("CLIPTextModelWithProjection", CLIP | {"max_position_embeddings": 218}),
    "text_encoder_3": ("T5EncoderModel", T5),
    "text_encoder_4": ("LlamaForCausalLM", GEMMA),
    "tokenizer": CLIP_TOKENIZER,
    "tokenizer_2": CLIP_TOKENIZER,
    "tokenizer_3": T5_TOKENIZER,
    "tokenizer_4": UNBOUNDED_TOKENIZER,
    "transformer": (
        "HiDreamImageTransformer2DModel",
        {
            "patch_size": 2,
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": 1,
            "num_single_layers": 2,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "caption_channels": [32, 32],
            "text_emb_dim": 64,
            "axes_dims_rope": [8, 4, 4],
            "max_resolution": [128, 128],
            "llama_layers": [0, 1, 1],
        },
    ),
    "vae": VAE_OF_16,
}

FAMILIES: dict[str, tuple[str, dict[str, Component], dict[str, Any]]] = {
    "lumina2": ("Lumina2Pipeline", LUMINA2, {}),
    "hunyuan-dit": ("HunyuanDiTPipeline", HUNYUAN, {"requires_safety_checker": False}),
    "chroma": ("ChromaPipeline", CHROMA, {}),
    "cogview4": ("CogView4Pipeline", COGVIEW4, {}),
    "z-image": ("ZImagePipeline", Z_IMAGE, {}),
    "flux2-klein": ("Flux2KleinPipeline", FLUX2_KLEIN, {"is_distilled": False}),
    "kandinsky3": ("Kandinsky3Pipeline", KANDINSKY3, {}),
    "bria": ("BriaPipeline", BRIA, {}),
    "pixart-alpha": ("PixArtAlphaPipeline", PIXART_ALPHA, {}),
    "wan": ("WanPipeline", WAN, {}),
    "wan-image-two-experts": (
        "WanImageToVideoPipeline",
        WAN_IMAGE_TWO_EXPERTS,
        {"boundary_ratio": 0.9},
    ),
    "qwen-image-edit-plus": ("QwenImageEditPlusPipeline", QWEN_IMAGE_EDIT, {}),
    "skyreels-v2": ("SkyReelsV2Pipeline", SKYREELS, {}),
    "modelscope": ("TextToVideoSDPipeline", MODELSCOPE, {}),
    "kandinsky2.2": ("KandinskyV22CombinedPipeline", KANDINSKY22, {}),
    "kandinsky2.1": ("KandinskyCombinedPipeline", KANDINSKY21, {}),
    "stable-cascade": ("StableCascadeCombinedPipeline", STABLE_CASCADE, {}),
    "cogvideox-of-an-image": ("CogVideoXImageToVideoPipeline", COGVIDEOX_OF_AN_IMAGE, {}),
    "hidream": ("HiDreamImagePipeline", HIDREAM, {}),
}
