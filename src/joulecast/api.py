"""The public interface; ``import joulecast`` offers these names."""

from __future__ import annotations

from joulecast.architecture.workload import Workload
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import (
    FileFormatError,
    FitError,
    InputError,
    JoulecastError,
    MeasureError,
    MissingExtraError,
    TraceError,
    UnknownNameError,
)
from joulecast.forecast.estimate import Estimate, estimate
from joulecast.forecast.predict import predict
from joulecast.forecast.track import Track, track
from joulecast.hardware import Gpu, gpu, gpus
from joulecast.question.models import Model, load_profile, models

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
    "estimate",
    "gpu",
    "gpus",
    "load_profile",
    "models",
    "predict",
    "track",
]
