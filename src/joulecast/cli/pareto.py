"""The settings worth considering: of models, sizes, steps, precisions, batches, GPUs and regions."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from joulecast.cli.options import (
    ASKED,
    BATCH_HELP,
    LAW_HELP,
    OUTPUT,
    WHERE,
    chart_option,
    draw,
    json_option,
    picture,
    print_json,
    write_text,
)
from joulecast.cli.settings import at_region, plain_case, site_setting
from joulecast.cli.site_options import site_options
from joulecast.errors import InputError, UnknownNameError, shown

if TYPE_CHECKING:
    from joulecast.plan.tradeoff import Outcome

VARIED = ("gpu", "size", "steps", "precision", "batch_size", "region")  # keys of several values
USUAL_BY = "energy,latency"


def add_options(command: argparse.ArgumentParser) -> None:
    """What `pareto` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("models", metavar="MODEL", nargs="+", help="one or more: name, alias, hub id or profile file")
    add("--size", metavar="WIDTHxHEIGHT,...", help="pixels; by default each model's")
    add("--steps", metavar="STEPS,...", help="denoising steps; by default each model's")
    add("--precision", metavar="PRECISION,...", help="fp16, bf16 or fp32; by default each model's")
    add("--batch", "--batch-size", dest="batch_size", metavar="IMAGES,...", help=BATCH_HELP)
    add("--passes", help="denoiser passes a step, 1 or 2; by default each model's")
    add("--law", help=LAW_HELP)
    add(
        "--by",
        metavar="MEASURE,...",
        default=USUAL_BY,
        help="what matters: energy, time (of the GPU, for an image), latency (of a batch), carbon, cost; "
        f"{USUAL_BY} by default",
    )
    command.add_argument_group(WHERE).add_argument(
        "--gpu",
        required=True,
        metavar="GPU,...",
        help="names or aliases (see `joulecast gpus`), or GPU files",
    )
    site_options(command)
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    output.add_argument("--all", action="store_true", help="print every setting, those of the front marked")
    output.add_argument("--out", metavar="FILE", help="CSV file to write every setting to, with its ranges")
    chart_option(output, "the settings by the first two measures")


def run(options: argparse.Namespace) -> int:
    """Print the front of all combinations, and write or draw all of them."""
    from joulecast.footprint.site import CURRENCY
    from joulecast.plan.tradeoff import measured, on_front, outcomes

    by, target = _measures(options.by), picture(options.chart)
    found = outcomes(_settings(options))
    measured(found, by)
    front = on_front(found, by)
    _print(found, front, by, options)
    if target is not None:
        from joulecast.report.decisions.pictures import pareto_chart

        draw(pareto_chart(found, front, by, options.currency or CURRENCY), target)
    return 0


def _print(
    found: tuple[Outcome, ...], front: tuple[Outcome, ...], by: tuple[str, ...], options: argparse.Namespace
) -> None:
    from joulecast.report.decisions.tradeoff_text import outcomes_csv, pareto_text

    if options.out:
        write_text(outcomes_csv(found, front).removesuffix("\n"), options.out)
    if options.json:
        print_json({"by": list(by), "settings": _as_json(found, front)})
    else:
        print(pareto_text(found, front, by, options.all))


def _settings(options: argparse.Namespace) -> list[dict[str, object]]:
    """Every combination of the values given."""
    choices: dict[str, list[str]] = {"model": options.models}
    for name in VARIED:
        text = getattr(options, name)
        if text is not None:
            option = "--batch" if name == "batch_size" else f"--{name}"
            choices[name] = _listed_values(text, option)
    _check_count(choices)
    fixed = {name: getattr(options, name) for name in ("passes", "law") if getattr(options, name) is not None}
    fixed |= site_setting(options)
    places = {region: at_region(options, region) for region in choices.get("region", ())}
    return [
        {**setting, **places.get(setting.get("region", ""), {}), **fixed}
        for values in itertools.product(*choices.values())
        for setting in [dict(zip(choices, values, strict=True))]
    ]


def _check_count(choices: Mapping[str, list[str]]) -> None:
    from joulecast.plan.tradeoff import MOST_SETTINGS

    count = math.prod(map(len, choices.values()))
    if count > MOST_SETTINGS:
        raise InputError(f"{count:,} settings are too many to compare; at most {MOST_SETTINGS:,}")


def _listed_values(text: str, option: str) -> list[str]:
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise InputError(f"{option} {shown(text)} has an empty value; write e.g. 20,28,50")
    return list(dict.fromkeys(values))


def _measures(text: str) -> tuple[str, ...]:
    from joulecast.plan.measures import MEASURES

    by_option = {measure.option: measure.key for measure in MEASURES.values()}
    names = _listed_values(text, "--by")
    for name in names:
        if name not in by_option:
            raise UnknownNameError("measure", name, by_option, f"known: {', '.join(by_option)}")
    if len(names) < 2:
        raise InputError(f"--by {text} is one measure; a trade-off needs two, e.g. energy,latency")
    return tuple(by_option[name] for name in names)


def _as_json(found: tuple[Outcome, ...], front: tuple[Outcome, ...]) -> list[dict[str, object]]:
    places = {id(one) for one in front}
    return [
        {
            **plain_case(one.case),
            "on_front": id(one) in places,
            **one.measures,
            "ranges": {name: {"low": a.low, "high": a.high} for name, a in one.ranges.items()},
            "warnings": list(one.warnings),
        }
        for one in found
    ]
