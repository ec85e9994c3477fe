"""Kaplan's count of a transformer's FLOP, which the paper uses for the denoiser.

One token in one forward pass costs ``2 * parameters + 2 * L * d_attn * n_layers`` FLOP: every weight
once, and attention over the L tokens of the sequence. Source: Kaplan et al. 2020, arXiv 2001.08361,
section 2.1, with 1 multiply-accumulate = 2 FLOP; used by arXiv 2511.17031 for diffusion transformers.

It is here to reproduce the paper. joulecast's own laws count what the traced operators do: a
dual-stream transformer sends a token through about half of its weights, and attention does twice the
arithmetic of the second term (scores, and their product with the values).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from joulecast.architecture.catalogue import model_entry
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError
from joulecast.law.law import Array
from joulecast.law.paper import PIXELS_PER_TOKEN

LAYERS = ("num_layers", "num_single_layers")


class Transformer(NamedTuple):
    """What Kaplan's count takes from an architecture.

    Attributes
    ----------
    parameters : of the denoiser.
    attention_width : d_attn, heads times head size.
    layers : n_layers, of all kinds.
    """

    parameters: int
    attention_width: int
    layers: int


def kaplan_flop(tokens: Array, transformer: Transformer) -> Array:
    """FLOP of one forward pass over sequences of `tokens` tokens, shape (workloads,)."""
    attention = 2.0 * tokens * transformer.attention_width * transformer.layers
    result: Array = tokens * (2.0 * transformer.parameters + attention)
    return result


def transformer_of(profile: ComputeProfile) -> Transformer:
    """The denoiser of a catalogue model, its sizes from the packaged architecture.

    Raises
    ------
    InputError
        The model is not in the catalogue, or its denoiser is no transformer.
    """
    if profile.origin != "catalogue":
        raise InputError(f"Kaplan's count needs an architecture of the catalogue, not {profile.origin}")
    denoiser = profile.denoisers[0]
    config: dict[str, Any] = model_entry(profile.name)["components"][denoiser.name]["config"]
    heads, head_dim = config.get("num_attention_heads"), config.get("attention_head_dim")
    if not isinstance(heads, int) or not isinstance(head_dim, int) or "num_layers" not in config:
        raise InputError(f"Kaplan's count is of transformers; the denoiser of {profile.name} is none")
    layers = sum(config.get(name, 0) for name in LAYERS)
    return Transformer(denoiser.parameters, heads * head_dim, layers)


def sequence_length(pixels: Array, text_tokens: Array) -> Array:
    """Tokens the denoiser attends over: one for 16 x 16 pixels of the image, and the text's."""
    return pixels / PIXELS_PER_TOKEN + text_tokens
