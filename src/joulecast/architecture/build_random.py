"""Build a pipeline with random weights on a device, as loading a checkpoint would have left it.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from joulecast.architecture.build import (
    TORCH_DTYPES,
    build_component,
    class_of,
    constructor_parameters,
    nullable_parts,
    quiet,
    share_image_tokens,
)
from joulecast.architecture.pipeline_config import ComponentConfig, PipelineConfig

import torch  # isort: skip - after build, which says so when the extra is missing

SEED: Final = 20251117


def random_pipeline(config: PipelineConfig, precision: str, device: torch.device) -> Any:
    """A pipeline with random weights, made on the device in the right number format.

    Parameters and the buffers that checkpoints hold are in `precision`, as loading would have
    them; tables that modules compute for themselves stay as computed.
    """
    torch.manual_seed(SEED)
    with quiet():
        pipeline_class = class_of("diffusers", config.pipeline)
        parts = {
            name: _random_part(name, part, precision, device) for name, part in config.components.items()
        }
        share_image_tokens(parts)
        accepted = constructor_parameters(pipeline_class)
        missing = [name for name in accepted if name not in parts and name not in config.settings]
        optional = dict.fromkeys(set(missing) & set(nullable_parts(pipeline_class)))
        settings = {name: value for name, value in config.settings.items() if name in accepted}
        pipeline = pipeline_class(**parts, **optional, **settings)
        pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _random_part(name: str, part: ComponentConfig, precision: str, device: torch.device) -> Any:
    is_module = not (
        name.startswith(("tokenizer", "scheduler"))
        or "Tokenizer" in part.class_name
        or "Processor" in part.class_name
    )
    if not is_module:
        return build_component(name, part, precision)
    found = class_of(part.package, part.class_name)
    config = part.arguments
    dtype = TORCH_DTYPES[precision]
    with _default_dtype(dtype), torch.device(device):
        module = (
            found.from_config(config) if part.package == "diffusers" else found(found.config_class(**config))
        )
    module.eval().requires_grad_(False)
    kept = _kept_in_fp32(module, dtype)
    for path, child in module.named_modules():
        wanted = torch.float32 if any(piece in kept for piece in path.split(".")) else dtype
        for table in (child._parameters, child._buffers):
            for key, tensor in table.items():
                if tensor is None or not tensor.is_floating_point() or tensor.dtype == wanted:
                    continue
                if table is child._parameters or key not in child._non_persistent_buffers_set:
                    tensor.data = tensor.data.to(wanted)
    return module


def _kept_in_fp32(module: Any, dtype: torch.dtype) -> list[str]:
    """Names of parts that loading leaves in fp32."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or [] if dtype == torch.float16 else []
    return list(kept) + list(getattr(module, "_keep_in_fp32_modules_strict", None) or [])


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
