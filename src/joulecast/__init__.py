"""joulecast: the energy, time and carbon of an AI-generated image, before it is generated.

What is offered is one dot away: ``joulecast.estimate``. Names are loaded when they are first used: ``import
joulecast`` alone reads next to nothing. A path with more dots is private and may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from joulecast.footprint.account import Footprint, footprint_of, footprint_of_energy
    from joulecast.footprint.grid.live import live_intensity
    from joulecast.footprint.grid.reading import hourly_series
    from joulecast.footprint.grid.yearly import grid_intensity
    from joulecast.footprint.place import Place
    from joulecast.footprint.site import Site, site
    from joulecast.forecast.call import predict_call
    from joulecast.forecast.estimate import Estimate, estimate, estimate_of
    from joulecast.forecast.flop import flop
    from joulecast.forecast.predict import predict
    from joulecast.forecast.spans import annotate_span, span_setting
    from joulecast.forecast.steps import StepJoules, StepProgress
    from joulecast.forecast.track import Track, track
    from joulecast.hardware import Gpu, gpus
    from joulecast.law.adapt import fit
    from joulecast.law.fitted import FittedLaw
    from joulecast.law.forms import Form, register_form
    from joulecast.law.hold_out import validate
    from joulecast.law.law import Law, LawInput
    from joulecast.law.law_file import write_law
    from joulecast.law.load import load_law
    from joulecast.ledger.make import Ledger, make_ledger
    from joulecast.ledger.meanings import Meanings, read_meanings
    from joulecast.measure.once import measure_once
    from joulecast.plan.case import Case
    from joulecast.plan.infeasible import InfeasiblePlanError
    from joulecast.plan.make import make_plan
    from joulecast.plan.solve import Plan
    from joulecast.plan.tradeoff import Outcome, front, outcomes
    from joulecast.plan.whatif import WhatIf, what_if
    from joulecast.question.gpus import gpu
    from joulecast.question.models import Model, load_profile, models
    from joulecast.question.question import Question, ask
    from joulecast.question.setting import Setting
    from joulecast.runs import RunTable, packaged_runs
    from joulecast.uncertainty import Interval

__version__ = "0.1.0"

# Where each name lives.
_HOMES = {
    "Case": "plan.case",
    "ComputeProfile": "compute.profile",
    "Estimate": "forecast.estimate",
    "FileFormatError": "errors",
    "FitError": "errors",
    "FittedLaw": "law.fitted",
    "Footprint": "footprint.account",
    "Form": "law.forms",
    "Gpu": "hardware",
    "InputError": "errors",
    "InfeasiblePlanError": "plan.infeasible",
    "Interval": "uncertainty",
    "JoulecastError": "errors",
    "Law": "law.law",
    "LawInput": "law.law",
    "Ledger": "ledger.make",
    "Meanings": "ledger.meanings",
    "MeasureError": "errors",
    "MissingExtraError": "errors",
    "Model": "question.models",
    "Outcome": "plan.tradeoff",
    "Place": "footprint.place",
    "Plan": "plan.solve",
    "Question": "question.question",
    "RunTable": "runs",
    "Setting": "question.setting",
    "Site": "footprint.site",
    "StepJoules": "forecast.steps",
    "StepProgress": "forecast.steps",
    "TraceError": "errors",
    "Track": "forecast.track",
    "UnknownNameError": "errors",
    "WhatIf": "plan.whatif",
    "Workload": "architecture.workload",
    "annotate_span": "forecast.spans",
    "ask": "question.question",
    "estimate": "forecast.estimate",
    "estimate_of": "forecast.estimate",
    "fit": "law.adapt",
    "flop": "forecast.flop",
    "footprint_of": "footprint.account",
    "footprint_of_energy": "footprint.account",
    "front": "plan.tradeoff",
    "gpu": "question.gpus",
    "gpus": "hardware",
    "grid_intensity": "footprint.grid.yearly",
    "hourly_series": "footprint.grid.reading",
    "live_intensity": "footprint.grid.live",
    "load_law": "law.load",
    "load_profile": "question.models",
    "make_ledger": "ledger.make",
    "make_plan": "plan.make",
    "measure_once": "measure.once",
    "models": "question.models",
    "outcomes": "plan.tradeoff",
    "packaged_runs": "runs",
    "predict": "forecast.predict",
    "predict_call": "forecast.call",
    "read_meanings": "ledger.meanings",
    "register_form": "law.forms",
    "site": "footprint.site",
    "span_setting": "forecast.spans",
    "track": "forecast.track",
    "validate": "law.hold_out",
    "what_if": "plan.whatif",
    "write_law": "law.law_file",
}

__all__ = [
    "Case",
    "ComputeProfile",
    "Estimate",
    "FileFormatError",
    "FitError",
    "FittedLaw",
    "Footprint",
    "Form",
    "Gpu",
    "InfeasiblePlanError",
    "InputError",
    "Interval",
    "JoulecastError",
    "Law",
    "LawInput",
    "Ledger",
    "Meanings",
    "MeasureError",
    "MissingExtraError",
    "Model",
    "Outcome",
    "Place",
    "Plan",
    "Question",
    "RunTable",
    "Setting",
    "Site",
    "StepJoules",
    "StepProgress",
    "TraceError",
    "Track",
    "UnknownNameError",
    "WhatIf",
    "Workload",
    "__version__",
    "annotate_span",
    "ask",
    "estimate",
    "estimate_of",
    "fit",
    "flop",
    "footprint_of",
    "footprint_of_energy",
    "front",
    "gpu",
    "gpus",
    "grid_intensity",
    "hourly_series",
    "live_intensity",
    "load_law",
    "load_profile",
    "make_ledger",
    "make_plan",
    "measure_once",
    "models",
    "outcomes",
    "packaged_runs",
    "predict",
    "predict_call",
    "read_meanings",
    "register_form",
    "site",
    "span_setting",
    "track",
    "validate",
    "what_if",
    "write_law",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"joulecast.{_HOMES[name]}"), name)  # asked for once
    return found


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__") and name != "__version__")]
