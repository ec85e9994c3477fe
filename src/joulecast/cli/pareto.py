"""The settings worth considering: of models, sizes, steps, precisions, batches, GPUs and regions."""

from __future__ import annotations

import argparse
import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from joulecast.cli.options import (
    ASKED,
    LAW_HELP,
    OUTPUT,
    WHERE,
    chart_option,
    check_table_name,
    draw,
    json_option,
    picture,
    print_json,
    runtime_options,
    workload_options,
)
from joulecast.cli.site_options import places_of, site_options
from joulecast.errors import InputError, shown

if TYPE_CHECKING:
    from joulecast.plan.case import Case
    from joulecast.plan.quality import Figure
    from joulecast.plan.tradeoff import Outcome

# What may have several values, of the same options as `estimate`; flags have one, and regions are beside it.
VARIED = (
    "gpu", "size", "steps", "precision", "guidance", "true_cfg_scale", "passes", "batch_size", "text_tokens",
    "frames", "seconds", "fps", "strength", "input_image", "control", "lora", "lora_rank", "engine",
    "quantization", "cache", "offload", "gpus", "parallel", "power_limit_w",
)  # fmt: skip
FLAGS = ("negative_prompt", "compile", "lora_fused")
OPTIONS = {"batch_size": "--batch", "power_limit_w": "--power-limit"}  # those that their keys do not name
COUNTED = ("steps", "batch_size", "text_tokens", "frames", "lora", "lora_rank", "gpus")
USUAL_BY = "energy,latency"
ALL = "all"
QUALITY_EXAMPLE = "e.g. --quality sdxl=0.71 --quality sdxl,steps=20=0.68"


def add_options(command: argparse.ArgumentParser) -> None:
    """What `pareto` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("models", metavar="MODEL", nargs="+", help="one or more: name, alias, hub id or profile file")
    workload_options(add, several=True)
    add("--law", help=LAW_HELP)
    add(
        "--by",
        metavar="MEASURE,...",
        default=USUAL_BY,
        help="what matters: energy, time (of the GPU, for an image or clip), latency (of a batch), carbon, "
        f"cost, quality; {USUAL_BY} by default",
    )
    add(
        "--quality",
        metavar="WHAT=FIGURE",
        action="append",
        help="how good a model's pictures are, or those of a setting of it, by a figure of your own, the "
        "higher the better, e.g. sdxl=0.71 or sdxl,steps=20=0.68; without it each model has its own front",
    )
    command.add_argument_group(WHERE).add_argument(
        "--gpu",
        required=True,
        metavar="GPU,...",
        help="names or aliases (see `joulecast gpus`), GPU files, or all of the catalogue: all; "
        "8xH100 is 8 GPUs",
    )
    runtime_options(command, several=True)
    site_options(command)
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    output.add_argument("--all", action="store_true", help="print every setting, those of the front marked")
    output.add_argument(
        "--out", metavar="FILE", help="CSV or .parquet file to write every setting to, with its ranges"
    )
    chart_option(output, "the settings by the first two measures")


def run(options: argparse.Namespace) -> int:
    """Print the front of all combinations, and write or draw all of them."""
    from joulecast.footprint.site import CURRENCY
    from joulecast.plan.quality import with_quality
    from joulecast.plan.tradeoff import fronts, some_possible

    by = _measures(options)
    figures = [_figure(text) for text in options.quality or ()]
    cases, doubts = _cases(options)
    target = picture(options.chart)
    if options.out is not None:
        check_table_name(options.out)
    found, left_out = some_possible(cases)
    if figures:
        found = with_quality(found, figures)
    front = fronts(found, by)
    _print(Compared(found, front, by, left_out, doubts), options)
    if target is not None:
        from joulecast.report.decisions.front_picture import pareto_chart

        draw(pareto_chart(found, front, by, options.currency or CURRENCY), target)
    return 0


class Compared(NamedTuple):
    """Settings that were compared, their front, by what, and what was left out or deserves doubt."""

    found: tuple[Outcome, ...]
    front: tuple[Outcome, ...]
    by: tuple[str, ...]
    left_out: tuple[str, ...]
    doubts: tuple[str, ...]


def _print(compared: Compared, options: argparse.Namespace) -> None:
    from joulecast.files.tables import write_blocks
    from joulecast.report.decisions.tradeoff_text import outcome_columns, outcome_data, pareto_text

    found, front, by, left_out, doubts = compared
    if options.out:
        write_blocks(iter([outcome_columns(found, front)]), Path(options.out))
    if options.json:
        settings = outcome_data(found, front)
        print_json({"by": list(by), "settings": settings, "left_out": left_out, "warnings": doubts})
    else:
        print(pareto_text(found, front, by, options.all, left_out, doubts))


def _cases(options: argparse.Namespace) -> tuple[list[Case], tuple[str, ...]]:
    """Every combination of the values given, names in full; and names that could mean something else too."""
    from joulecast.plan.case import Case
    from joulecast.plan.tradeoff import check_count, in_agreement
    from joulecast.question.models import resolved_name
    from joulecast.question.setting import Setting

    asked: dict[str, Sequence[str]] = {"model": list(dict.fromkeys(map(resolved_name, options.models)))}
    doubts: list[str] = []
    for name in VARIED:
        given = getattr(options, name)
        if given is not None:
            asked[name] = list(given) if name == "parallel" else _listed_values(given, name)
    asked["gpu"] = list(dict.fromkeys(name for text in asked["gpu"] for name in _gpu_names(text, doubts)))
    regions = [None] if options.region is None else _listed_values(options.region, "region")
    check_count(math.prod(map(len, [*asked.values(), regions])))
    places = places_of(options, regions)
    flags = {name: getattr(options, name) for name in FLAGS}
    every = (dict(zip(asked, values, strict=True)) for values in itertools.product(*asked.values()))
    settings = [Setting.of({**one, **flags}) for one in every]
    cases = [Case(one, place, options.law) for one in settings for place in places]
    return in_agreement(cases), tuple(doubts)


def _gpu_names(text: str, doubts: list[str]) -> list[str]:
    """A GPU's own name, or those of all; the path of a GPU file as it is. What is ambiguous is told."""
    from joulecast.hardware import gpus
    from joulecast.question.gpus import gpu_and_count
    from joulecast.question.question import ambiguous_gpu

    if text.casefold() == ALL:
        return [known.name for known in gpus()]
    found, count = gpu_and_count(text)
    if found.origin != "catalogue":
        return [text]
    doubts += [words for words in (ambiguous_gpu(text, found),) if words]
    return [found.name if count == 1 else f"{count}x{found.name}"]


def _figure(text: str) -> Figure:
    """``MODEL[,KEY=VALUE...]=QUALITY`` as a figure."""
    from joulecast.plan.quality import Figure
    from joulecast.question.setting import Setting, key_of

    what, equals, number = text.rpartition("=")
    model, *pairs = what.split(",")
    try:
        quality = float(number)
    except ValueError:
        quality = math.nan
    if not equals or not model.strip() or not math.isfinite(quality):
        raise InputError(f"--quality {shown(text)} is not MODEL=FIGURE, {QUALITY_EXAMPLE}")
    given: dict[str, object] = {"model": model.strip()}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or key_of(key) is None:
            raise InputError(f"--quality {shown(text)}: {shown(pair)} is not KEY=VALUE, {QUALITY_EXAMPLE}")
        given[key] = value
    return Figure(Setting.of(given), quality)


def _listed_values(text: str, name: str) -> list[str]:
    """The values between commas; FIRST-LAST and FIRST-LAST:STEP are whole numbers from one to the other."""
    values = [part.strip() for part in text.split(",")]
    option = OPTIONS.get(name, "--" + name.replace("_", "-"))
    if not all(values):
        raise InputError(f"{option} {shown(text)} has an empty value; write e.g. 20,28,50")
    if name in COUNTED:
        values = [one for value in values for one in _counted(value, option)]
    return list(dict.fromkeys(values))


def _counted(value: str, option: str) -> list[str]:
    found = re.fullmatch(r"(\d{1,6})-(\d{1,6})(?::(\d{1,6}))?", value)
    if found is None:
        return [value]
    first, last, step = (int(number or 1) for number in found.groups())
    if not first <= last or not step:
        raise InputError(f"{option} {shown(value)} holds no number; write e.g. 20-50:10")
    return [str(number) for number in range(first, last + 1, step)]


def _measures(options: argparse.Namespace) -> tuple[str, ...]:
    """The measures of --by, and quality where figures of it are given."""
    from joulecast.plan.measures import QUALITY, measures_of

    names = _listed_values(options.by, "by")
    if QUALITY in names and not options.quality:
        raise InputError(f"--by quality needs figures of your own: --quality MODEL=FIGURE, {QUALITY_EXAMPLE}")
    if options.quality and QUALITY not in names:
        names.append(QUALITY)
    if len(names) < 2:
        other = next(option for option in USUAL_BY.split(",") if option != names[0])
        raise InputError(f"--by {options.by} is one measure; a trade-off needs two, e.g. {names[0]},{other}")
    return measures_of(names, with_quality=True)
