"""The public interface; ``import joulecast`` offers these names."""

from __future__ import annotations

from joulecast.architecture.workload import Workload
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import (
    FileFormatError,
    FitError,
    InputError,
    JoulecastError,
    MissingExtraError,
    TraceError,
    UnknownNameError,
)
from joulecast.forecast.estimate import Estimate, estimate
from joulecast.forecast.predict import predict
from joulecast.forecast.profiles import Model, load_profile, models
from joulecast.hardware import Gpu, gpu, gpus

__all__ = [
    "ComputeProfile",
    "Estimate",
    "FileFormatError",
    "FitError",
    "Gpu",
    "InputError",
    "JoulecastError",
    "MissingExtraError",
    "Model",
    "TraceError",
    "UnknownNameError",
    "Workload",
    "estimate",
    "gpu",
    "gpus",
    "load_profile",
    "models",
    "predict",
]
