"""What a runtime makes of the work: by how much times and bytes of the reference are multiplied.

The reference is eager diffusers on one GPU. Everything here follows from a runtime's parts and a few
fitted constants, so a runtime that nobody measured is predicted from its parts:

- *fused* kernels (torch.compile of the denoiser, or an engine's own everywhere) leave a share of the
  memory-bound traffic, of the launches and of the host's time, and do arithmetic faster;
- *FlashAttention 3* overlaps softmax and matrix products, on the generation it is made for;
- *8-bit arithmetic* has the GPU's own peak, of which a share of the gain is reached, for scaling numbers as
  they pass; quantised *weights alone* are expanded before each use, and speed up nothing;
- a *cache* leaves a share of the denoiser's calls to be done, of those after the first, which is always made;
- *several GPUs* share the denoiser's work but for a part of it; those that share it by tokens work on all of
  a text that is not joined to the image's tokens, or has not a number of them that they can share evenly;
  what is shared by tokens exchanges queries,
  keys, values and results over the link in every attention layer, each of the two passes of guidance among
  its own GPUs where they are shared too; layers that are shared as a pipeline (PipeFusion) wait for each
  other in the first step, which fills it; the other components run on each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.law.law import Array
from joulecast.runtime import CFG, FLASH_ATTENTION_3, LEFT, NONE, PIPEFUSION, RING, TENSOR, ULYSSES, Runtime

DENOISER, OTHER = 0, 1  # places of the two kinds of components
KEYS_AND_VALUES = 0.5  # of attention's bytes, which ring attention passes on
UNKNOWN_CACHE_SHARE = 0.5  # of the denoiser's calls that a cache leaves, where no run tells


class Conduct(NamedTuple):
    """Multipliers of the reference's costs, (2, workloads) of the denoiser and the others, or (workloads,).

    Attributes
    ----------
    share : of one GPU in the work, (2, ...).
    total : the work of all GPUs together, over that of one alone, (2, ...).
    calls : of the calls made, (2, ...).
    arithmetic_time, memory, kernels, host : multiply times and memory-bound bytes, (2, ...).
    quantised_time : of matrix products, beside what follows from their format.
    is_fp8, is_int8 : 1 where arithmetic is in it.
    attention : 1 where the engine has FlashAttention 3.
    quantising, dequantising : further traffic over matrix products' bytes, and over weights' bytes.
    exchanged : bytes that one GPU sends, over attention's bytes.
    copied : bytes it copies for that, over the same.
    exchanges : 1 where GPUs exchange in every attention layer.
    waiting : for the others of a pipeline, over the denoiser's busy time.
    gpus : how many share the work.
    by_tokens : how many of them share a pass's tokens.
    text_again : of the work on the text's own tokens, what a GPU does beside its share.
    limit_w : power limit that was set [W]; nan for the board's own.
    is_plain : whether all run the reference's kernels on one GPU.
    """

    share: Array
    total: Array
    calls: Array
    arithmetic_time: Array
    memory: Array
    kernels: Array
    host: Array
    quantised_time: Array
    is_fp8: Array
    is_int8: Array
    attention: Array
    quantising: Array
    dequantising: Array
    exchanged: Array
    copied: Array
    exchanges: Array
    waiting: Array
    gpus: Array
    by_tokens: Array
    text_again: Array
    limit_w: Array
    is_plain: bool

    def take(self, rows: NDArray[np.int64]) -> Conduct:
        """The given runtimes, by place; of what is the same of all, the same."""
        tables = {name: getattr(self, name) for name in self._fields if name != "is_plain"}
        taken = {name: table[..., rows] for name, table in tables.items() if table.shape[-1] > 1}
        return self._replace(**taken)

    @property
    def depends_on_workload(self) -> bool:
        """Whether it is another `over` another number of steps or another text."""
        if self.is_plain:
            return False
        return bool((self.calls[0] < 1).any() or self.waiting.any() or (self.by_tokens > 1).any())

    def over(self, steps: Array, joined_text: Array) -> Conduct:
        """The same over so many steps with so long a text, each of shape (workloads,).

        The first step is special: no cache has anything to leave out of it, and it goes through a pipeline's
        GPUs one after the other: they wait for all of what the others do in it. `joined_text` is how many of
        the text's tokens attention joins to those of the image (`ComputeProfile.joined_text`).
        """
        is_shared = (joined_text > 0) & (joined_text % self.by_tokens == 0)
        return self._replace(
            calls=np.array([self.calls[0] + (1 - self.calls[0]) / steps, self.calls[1] + 0 * steps]),
            waiting=self.waiting / steps,
            text_again=np.where(is_shared, 0.0, self.text_again),
        )


class Facts(NamedTuple):
    """What conduct takes from some runtimes, each of shape (runtimes,).

    `fused` is by role; `left` by name, nan where an engine does not state it.
    """

    fused: Array
    fp8: Array
    int8: Array
    weights_alone: Array
    attention_3: Array
    ulysses: Array
    ring: Array
    tensor: Array
    cfg: Array
    pipefusion: Array
    shared: Array
    cached: Array
    left: Mapping[str, Array]
    gpus: Array
    limit_w: Array
    is_plain: bool


def facts_of(runtimes: tuple[Runtime, ...]) -> Facts:
    """The facts of some runtimes."""

    def column(value: Callable[[Runtime], float]) -> Array:
        return np.array([float(value(runtime)) for runtime in runtimes])

    return Facts(
        fused=np.array([column(lambda r: r.is_fused), column(lambda r: r.is_fused and not r.compile)]),
        fp8=column(lambda r: r.arithmetic == "fp8"),
        int8=column(lambda r: r.arithmetic == "int8"),
        weights_alone=column(lambda r: r.weight_bits > 0 and not r.arithmetic),
        attention_3=column(lambda r: r.attention == FLASH_ATTENTION_3),
        ulysses=column(lambda r: r.degree(ULYSSES)),
        ring=column(lambda r: r.degree(RING)),
        tensor=column(lambda r: r.degree(TENSOR)),
        cfg=column(lambda r: r.degree(CFG)),
        pipefusion=column(lambda r: r.degree(PIPEFUSION)),
        shared=column(lambda r: r.degree(ULYSSES, RING, TENSOR, CFG, PIPEFUSION)),
        cached=column(lambda r: r.cache != NONE),
        left={name: column(lambda r, name=name: r.left.get(name, np.nan)) for name in LEFT},  # type: ignore[misc]
        gpus=column(lambda r: r.gpus),
        limit_w=column(lambda r: np.nan if r.power_limit_w is None else r.power_limit_w),
        is_plain=all(runtime.is_reference for runtime in runtimes),
    )


class RuntimeEffects(NamedTuple):
    """What single runtimes differ by beside their parts, each of shape (runtimes,) or 0 for all.

    Attributes
    ----------
    engine, quantised : logs of times of arithmetic, and of quantised matrix products.
    cache : of the share of calls that a cache leaves (logit), beside that of UNKNOWN_CACHE_SHARE.
    """

    engine: Array | float = 0.0
    quantised: Array | float = 0.0
    cache: Array | float = 0.0

    @classmethod
    def of(
        cls,
        runtimes: tuple[Runtime, ...],
        engine: Mapping[str, float],
        quantised: Mapping[str, float],
        cache_shares: Mapping[str, float],
    ) -> RuntimeEffects:
        """Those that are known by name; of others there are none."""
        shares = [cache_shares.get(r.cache, UNKNOWN_CACHE_SHARE) for r in runtimes]
        return cls(
            np.array([engine.get(r.kernels, 0.0) for r in runtimes]),
            np.array([quantised.get(quantised_name(r), 0.0) for r in runtimes]),
            np.array([cache_effect(share) for share in shares]),
        )


NO_EFFECTS = RuntimeEffects()


def cache_share(effect: Any) -> Any:
    """The share of the calls after the first that a cache leaves, from its effect (logit)."""
    return 1 / (1 + np.exp(-effect) * (1 / UNKNOWN_CACHE_SHARE - 1))


def cache_effect(share: float) -> float:
    """The inverse of `cache_share`."""
    return float(np.log(share / (1 - share)) - np.log(UNKNOWN_CACHE_SHARE / (1 - UNKNOWN_CACHE_SHARE)))


def conduct(f: Facts, p: Mapping[str, float], effects: RuntimeEffects = NO_EFFECTS) -> Conduct:
    """The multipliers of some runtimes, last axis (runtimes,), but for what depends on the steps.

    `p` are the law's shared constants.
    """
    one = np.ones_like(f.gpus)
    tokens = f.ulysses * f.ring
    others = tokens * f.tensor * f.cfg  # between whom one pass's queries, keys and values are shared out
    left = 1 / f.shared + p["unsplit_share"] * (1 - 1 / f.shared)
    by_tokens = (1 - 1 / f.ulysses + KEYS_AND_VALUES * (f.ring - 1)) / others
    by_layers = 2 * (1 - 1 / f.tensor) / (tokens * f.cfg)
    return Conduct(
        share=np.array([left, one]),
        total=np.array([left * f.shared, 1 + p["repeated_share"] * (f.gpus - 1)]),
        calls=np.array([np.where(f.cached > 0, cache_share(effects.cache), 1.0), one]),
        arithmetic_time=np.exp(effects.engine) * _left(f, "time_left", p["fused_time"]),
        memory=_left(f, "bytes_left", p["fused_bytes"]),
        kernels=_left(f, "kernels_left", p["fused_kernels"]),
        host=_left(f, "host_left", p["fused_host"]),
        quantised_time=np.exp(effects.quantised) * one,
        is_fp8=f.fp8,
        is_int8=f.int8,
        attention=f.attention_3,
        quantising=(f.fp8 + f.int8) * p["quantising_traffic"],
        dequantising=f.weights_alone * p["dequantising_traffic"],
        exchanged=by_tokens + by_layers,
        copied=np.where(tokens > 1, p["exchange_traffic"] / others, 0.0),
        exchanges=(tokens * f.tensor > 1).astype(float),
        waiting=f.pipefusion - 1,
        gpus=f.gpus,
        by_tokens=tokens,
        text_again=(tokens - 1) / f.shared,
        limit_w=f.limit_w,
        is_plain=f.is_plain,
    )


def quantised_name(runtime: Runtime) -> str:
    """By what kernels of quantised matrix products are told apart: whose they are, compiled or not, and of
    which format. Some are made for one row at a time, or fall back to slow ones unless they are compiled;
    those of another engine are others, of which nothing is known but their parts.
    """
    if not runtime.weight_bits:
        return ""
    return ", ".join([runtime.kernels, *(["compiled"] if runtime.compile else []), runtime.quantization])


def _left(f: Facts, name: str, share: float) -> Array:
    """What an engine states that it leaves of a cost, else a `share` of where its kernels are fused."""
    stated = f.left[name]
    return np.where(np.isnan(stated), np.where(f.fused > 0, share, 1.0), stated)
