"""joulecast: the energy, time and carbon of an AI-generated image, before it is generated.

Names are loaded when they are first used: ``import joulecast`` alone reads next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joulecast.api import (
        ComputeProfile,
        Estimate,
        FileFormatError,
        FitError,
        Gpu,
        InputError,
        JoulecastError,
        MeasureError,
        MissingExtraError,
        Model,
        TraceError,
        Track,
        UnknownNameError,
        Workload,
        estimate,
        gpu,
        gpus,
        load_profile,
        models,
        predict,
        track,
    )

__version__ = "0.1.0"

__all__ = [
    "ComputeProfile",
    "Estimate",
    "FileFormatError",
    "FitError",
    "Gpu",
    "InputError",
    "JoulecastError",
    "MeasureError",
    "MissingExtraError",
    "Model",
    "TraceError",
    "Track",
    "UnknownNameError",
    "Workload",
    "__version__",
    "estimate",
    "gpu",
    "gpus",
    "load_profile",
    "models",
    "predict",
    "track",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from joulecast import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
