"""What may be chosen on the page: models, GPUs, runtimes, regions, and what a server takes by itself."""

from __future__ import annotations

from joulecast import __version__
from joulecast.architecture.workload import PRECISIONS
from joulecast.footprint.grid.places import regions
from joulecast.footprint.grid.series import packaged_regions
from joulecast.hardware import gpus
from joulecast.plan.problem import OBJECTIVES
from joulecast.question.models import models
from joulecast.report.validation.pictures import CHIP_COLOURS, CHIP_SHAPES
from joulecast.report.validation.rows import CHIP_TITLES, HOLDOUT_TITLES
from joulecast.runtime import CACHE, ENGINE, OFFLOAD, QUANTIZATION, parts
from joulecast.web.asking import Defaults

GPU, MODEL, REGION = "H100-SXM5-80GB", "flux.1-dev", "World"  # where a link says nothing

_UNSHOWN = ("pipeline", "parameters")


def choices(defaults: Defaults) -> dict[str, object]:
    """All of it, without the figures and sources that the API's lists have."""
    return {
        "version": __version__,
        "defaults": {
            "model": MODEL,
            "gpu": defaults.gpu or GPU,
            "engine": defaults.engine,
            "region": REGION,
        },
        "models": [
            {
                **{name: value for name, value in vars(one).items() if name not in _UNSHOWN},
                "video": one.frames is not None,
            }
            for one in models()
        ],
        "gpus": [
            {
                "name": one.name,
                "vendor": one.vendor,
                "chip": CHIP_TITLES.get(one.chip, one.chip),
                "year": one.year,
                "tdp_w": one.tdp_w,
                "memory_bytes": one.memory_bytes,
                "aliases": list(one.aliases),
            }
            for one in gpus()
        ],
        "runtimes": {
            kind: [{"name": one.name, "title": one.title} for one in parts(kind).values()]
            for kind in (ENGINE, QUANTIZATION, CACHE, OFFLOAD)
        },
        "precisions": list(PRECISIONS),
        "regions": [
            {
                "name": one.name,
                "aliases": [one.alpha2, one.alpha3, *one.aliases],
                "kind": one.kind,
                "intensity_g_per_kwh": one.intensity_g_per_kwh,
                "year": one.year,
            }
            for one in regions()
        ],
        "series": list(packaged_regions()),
        "objectives": list(OBJECTIVES),
        "chips": {
            name: {"colour": colour, "shape": CHIP_SHAPES[name]} for name, colour in CHIP_COLOURS.items()
        },
        "holdouts": dict(HOLDOUT_TITLES),
    }
