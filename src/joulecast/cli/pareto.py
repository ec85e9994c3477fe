"""The settings worth considering: of models, sizes, steps, precisions, batches, GPUs and regions."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from joulecast.cli.options import (
    ASKED,
    BATCH_HELP,
    LAW_HELP,
    OUTPUT,
    WHERE,
    chart_option,
    check_table_name,
    draw,
    json_option,
    picture,
    print_json,
    write_text,
)
from joulecast.cli.site_options import places_of, site_options
from joulecast.errors import InputError, UnknownNameError, shown

if TYPE_CHECKING:
    from joulecast.plan.case import Case
    from joulecast.plan.tradeoff import Outcome

# What has several values, and its option; regions are beside it.
VARIED = {
    "gpu": "--gpu",
    "size": "--size",
    "steps": "--steps",
    "precision": "--precision",
    "batch_size": "--batch",
}
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
    if options.out is not None:
        check_table_name(options.out)
    found = outcomes(_cases(options))
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


def _cases(options: argparse.Namespace) -> list[Case]:
    """Every combination of the values given."""
    from joulecast.plan.case import Case
    from joulecast.question.setting import Setting

    asked: dict[str, Sequence[str]] = {"model": options.models}
    for name, option in VARIED.items():
        text = getattr(options, name)
        if text is not None:
            asked[name] = _listed_values(text, option)
    regions = [None] if options.region is None else _listed_values(options.region, "--region")
    _check_count([*asked.values(), regions])
    places = places_of(options, regions)
    return [
        Case(setting, place, options.law)
        for values in itertools.product(*asked.values())
        for setting in [Setting.of({**dict(zip(asked, values, strict=True)), "passes": options.passes})]
        for place in places
    ]


def _check_count(choices: Sequence[Sequence[object]]) -> None:
    from joulecast.plan.tradeoff import MOST_SETTINGS

    count = math.prod(map(len, choices))
    if count > MOST_SETTINGS:
        raise InputError(f"{count:,} settings are too many to compare; at most {MOST_SETTINGS:,}")


def _listed_values(text: str, option: str) -> list[str]:
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise InputError(f"{option} {shown(text)} has an empty value; write e.g. 20,28,50")
    return list(dict.fromkeys(values))


def _measures(text: str) -> tuple[str, ...]:
    from joulecast.plan.measures import MEASURES

    keys = {measure.option: measure.key for measure in MEASURES.values()}
    names = _listed_values(text, "--by")
    for name in names:
        if name not in keys:
            raise UnknownNameError("measure", name, keys, f"known: {', '.join(keys)}")
    if len(names) < 2:
        raise InputError(f"--by {text} is one measure; a trade-off needs two, e.g. {USUAL_BY}")
    return tuple(keys[name] for name in names)


def _as_json(found: tuple[Outcome, ...], front: tuple[Outcome, ...]) -> list[dict[str, object]]:
    places = {id(one) for one in front}
    return [
        {
            **one.case.to_dict(),
            "on_front": id(one) in places,
            **one.measures,
            "ranges": {name: {"low": a.low, "high": a.high} for name, a in one.ranges.items()},
            "warnings": list(one.warnings),
        }
        for one in found
    ]
