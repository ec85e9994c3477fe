"""Commands that choose: what a change does, the best of many settings, a deployment, when a grid is clean.

`register` adds them to the commands of `joulecast.cli`; exit statuses are those of that module.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.cli.site_options import SITE, site_options
from joulecast.errors import InputError, UnknownNameError, shown

if TYPE_CHECKING:
    from joulecast.plan.tradeoff import Outcome

Run = Callable[[argparse.Namespace], int]
Options = Callable[[argparse.ArgumentParser], None]

_WORKLOAD = (
    "gpu", "size", "steps", "precision", "guidance", "negative_prompt", "passes", "batch", "text_tokens",
    "boundary", "law",
)  # fmt: skip
_HOURS = ("hourly", "at", "timezone")
# What `pareto` varies, and the setting's key of each.
_VARIED = {
    "size": "size",
    "steps": "steps",
    "precision": "precision",
    "batch": "batch_size",
    "region": "region",
}


def register(commands: dict[str, tuple[Run, Options]], estimate_options: Options) -> None:
    """Add this module's commands; `estimate_options` are those of `estimate`, and it gains a picture."""
    run, options = commands["estimate"]
    commands["estimate"] = _estimate_with_chart(run), _with_chart(options)
    commands["what-if"] = _what_if, lambda command: _what_if_options(command, estimate_options)
    commands["pareto"] = _pareto, _pareto_options
    commands["plan"] = _plan, _plan_options
    commands["grid"] = _grid, _grid_options


# --- estimate --chart ----------------------------------------------------------------------------


def _with_chart(options: Options) -> Options:
    def both(command: argparse.ArgumentParser) -> None:
        options(command)
        _chart_option(command, "where the joules of the image go")

    return both


def _estimate_with_chart(run: Run) -> Run:
    def estimate_and_draw(options: argparse.Namespace) -> int:
        if options.chart is None:
            return run(options)
        from joulecast.forecast.estimate import estimate
        from joulecast.report.decisions.pictures import estimate_chart

        target = _picture(options.chart)
        status = run(options)
        guess = estimate(options.model, **{k: v for k, v in _given(options).items() if k != "model"})
        _draw(estimate_chart(guess), target)
        return status

    estimate_and_draw.__doc__ = run.__doc__
    return estimate_and_draw


# --- what-if -------------------------------------------------------------------------------------


def _what_if_options(command: argparse.ArgumentParser, estimate_options: Options) -> None:
    estimate_options(command)
    command.add_argument(
        "--to",
        metavar="KEY=VALUE",
        action="append",
        help="a change, e.g. steps=28, gpu=h200, region=FR or at=20:00; several: each alone, then together",
    )
    site_options(command)
    _hour_options(command)


def _what_if(options: argparse.Namespace) -> int:
    """What a change does to an image: energy, time, carbon and cost before and after, and how surely."""
    from joulecast.plan.whatif import what_if
    from joulecast.report.decisions.what_if_text import what_if_data, what_if_text

    if not options.to:
        raise InputError("say what changes: --to KEY=VALUE, e.g. --to steps=28 or --to gpu=h200")
    setting = _setting(options)
    changes = [_change(text) for text in options.to]
    doubled = [key for key in {k for c in changes for k in c} if sum(key in c for c in changes) > 1]
    found = [what_if(setting, change) for change in changes]
    if len(changes) > 1 and not doubled:
        found.append(what_if(setting, {key: value for change in changes for key, value in change.items()}))
    from joulecast.plan.case import Case

    if options.json:
        return _print_json(
            {"setting": Case.of(setting).given, "changes": [what_if_data(one) for one in found]}
        )
    from joulecast.question.question import ask
    from joulecast.report.estimate_text import title

    place = setting.get("region") or setting.get("hourly")
    head = title(ask(Case.of(setting).asked)) + (f", in {place}" if place else "")
    print(what_if_text(found, head, options.currency))
    return 0


def _change(text: str) -> dict[str, Any]:
    """``KEY=VALUE`` as a change of a setting; keys are the options' names."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError(f"--to {shown(text)} is not KEY=VALUE, e.g. --to steps=28")
    name = key.strip().lstrip("-").replace("-", "_")
    fixed = ("boundary", "law")  # of the question, not of the image
    known = [
        "model",
        *(n for n in _WORKLOAD if n not in fixed),
        *(n for n in SITE if n != "currency"),
        *_HOURS,
    ]
    if name not in known:
        raise UnknownNameError("change", key.strip(), [k.replace("_", "-") for k in known])
    return {_key(name): _value(name, value.strip())}


def _key(name: str) -> str:
    """A setting's key of an option's name."""
    return "batch_size" if name == "batch" else name


def _value(name: str, text: str) -> Any:
    if name == "negative_prompt":
        if text.casefold() not in ("yes", "no", "true", "false"):
            raise InputError(f"negative-prompt is yes or no, not {shown(text)}")
        return text.casefold() in ("yes", "true")
    return _whole(text, name) if name == "year" else text


# --- pareto --------------------------------------------------------------------------------------


def _pareto_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("models", metavar="MODEL", nargs="+", help="one or more: name, alias, hub id or profile file")
    add(
        "--gpu",
        required=True,
        metavar="GPU,...",
        help="names or aliases (see `joulecast gpus`), or GPU files",
    )
    add("--size", metavar="WIDTHxHEIGHT,...", help="pixels; by default each model's")
    add("--steps", metavar="STEPS,...", help="denoising steps; by default each model's")
    add("--precision", metavar="PRECISION,...", help="fp16, bf16 or fp32; by default each model's")
    add("--batch", metavar="IMAGES,...", default="1", help="images generated together; 1 by default")
    add("--by", metavar="MEASURE,...", default="energy,latency",
        help="what matters: energy, time (of the GPU, for an image), latency (of a batch), carbon, cost; "
             "energy,latency by default")  # fmt: skip
    add("--passes", help="denoiser passes a step, 1 or 2; by default each model's")
    add("--law", help="a packaged law or a law file; by default the package's own")
    add("--all", action="store_true", help="print every setting, those of the front marked")
    add("--out", metavar="FILE", help="CSV file to write every setting to, with its ranges")
    _chart_option(command, "the settings by the first two measures")
    add("--json", action="store_true", help="print JSON instead of text")
    site_options(command)
    _hour_options(command)


def _pareto(options: argparse.Namespace) -> int:
    """The settings worth considering: of models, sizes, steps, precisions, batches, GPUs and regions."""
    from joulecast.plan.tradeoff import measured, on_front, outcomes

    by = _measures(options.by)
    target = None if options.chart is None else _picture(options.chart)
    found = outcomes(_settings(options))
    measured(found, by)
    front = on_front(found, by)
    if options.out:
        from joulecast.files.paths import replacing
        from joulecast.report.decisions.tradeoff_text import outcomes_csv

        with replacing(Path(options.out)) as temporary:
            temporary.write_text(outcomes_csv(found, front), encoding="utf-8")
    if options.json:
        _print_json({"by": list(by), "settings": _listed(found, front)})
    else:
        from joulecast.report.decisions.tradeoff_text import pareto_text

        print(pareto_text(found, front, by, options.all))
    if target is not None:
        from joulecast.report.decisions.pictures import pareto_chart

        _draw(pareto_chart(found, front, by, options.currency), target)
    return 0


def _settings(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every combination of the values given."""
    choices: dict[str, list[Any]] = {"model": options.models, "gpu": _listed_values(options.gpu, "--gpu")}
    for name, key in _VARIED.items():
        given = getattr(options, name)
        if given is not None:
            choices[key] = _listed_values(given, f"--{name}")
    fixed = {name: getattr(options, name) for name in ("passes", "law") if getattr(options, name) is not None}
    fixed |= {k: v for k, v in _site_setting(options).items() if k != "region"}
    _few_enough(choices)
    return [
        {**dict(zip(choices, values, strict=True)), **fixed}
        for values in itertools.product(*choices.values())
    ]


def _few_enough(choices: Mapping[str, list[Any]]) -> None:
    from joulecast.plan.tradeoff import MOST_SETTINGS

    count = 1
    for values in choices.values():
        count *= len(values)
    if count > MOST_SETTINGS:
        raise InputError(f"{count:,} settings are too many to compare; at most {MOST_SETTINGS:,}")


def _listed_values(text: str, name: str) -> list[str]:
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise InputError(f"{name} {shown(text)} has an empty value; write e.g. 20,28,50")
    return list(dict.fromkeys(values))


def _measures(text: str) -> tuple[str, ...]:
    from joulecast.plan.measures import MEASURES

    keys = {measure.option: measure.key for measure in MEASURES.values()}
    names = _listed_values(text, "--by")
    for name in names:
        if name not in keys:
            raise UnknownNameError("measure", name, keys, f"known: {', '.join(keys)}")
    if len(names) < 2:
        raise InputError(f"--by {text} is one measure; a trade-off needs two, e.g. energy,latency")
    return tuple(keys[name] for name in names)


def _listed(found: tuple[Outcome, ...], front: tuple[Outcome, ...]) -> list[dict[str, Any]]:
    places = {id(one) for one in front}
    return [
        {
            **one.setting,
            "on_front": id(one) in places,
            **one.measures,
            "ranges": {name: {"low": a.low, "high": a.high} for name, a in one.ranges.items()},
            "warnings": list(one.warnings),
        }
        for one in found
    ]


# --- plan ----------------------------------------------------------------------------------------


def _plan_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "file",
        metavar="FILE",
        help="demand, fleet, regions and limits (.toml); docs/planning.md has the keys",
    )
    add("--gap", default="0.001", help="how far from the best a plan may be, as a share; 0.001 by default")
    add("--time-limit", metavar="SECONDS", default="60", help="most time for solving; 60 by default")
    add("--report", metavar="FOLDER", help="folder to write a page with pictures, and its data, to")
    add("--json", action="store_true", help="print JSON instead of text")


def _plan(options: argparse.Namespace) -> int:
    """Which configuration, GPU, region and hour makes each image of a demand, at the least cost or carbon."""
    from joulecast.plan.demand import MOST_BYTES, read_demand
    from joulecast.plan.solve import solve

    if options.report:
        from joulecast.report.page import check_folder

        check_folder(Path(options.report))
    gap, seconds = _positive(options.gap, "--gap", most=1), _positive(options.time_limit, "--time-limit")
    demand = read_demand(options.file)
    plan = solve(demand.problem, gap=gap, time_limit_s=seconds, warnings=demand.warnings)
    if options.report:
        from joulecast import __version__
        from joulecast.files.paths import user_text
        from joulecast.report.decisions.plan_page import write_plan

        text = user_text(options.file, "plan file", MOST_BYTES)
        written = write_plan(plan, demand, text, Path(options.report), f"joulecast {__version__}")
        print(f"wrote {written[0]} and {len(written) - 1} more files beside it", file=sys.stderr)
    if options.json:
        return _print_json(plan.to_dict())
    from joulecast.report.decisions.plan_text import plan_text

    print(plan_text(plan))
    return 0


# --- grid ----------------------------------------------------------------------------------------


def _grid_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("series", metavar="SERIES", nargs="+", help="hourly series: packaged ones (US-CAL-CISO) or files")
    add("--timezone", metavar="ZONE", help="of the hours of the day; UTC by default")
    _chart_option(command, "a panel a series")
    add("--json", action="store_true", help="print JSON instead of text")


def _grid(options: argparse.Namespace) -> int:
    """When a grid is clean: carbon intensity by hour of the day, the mean and where nine days in ten lie."""
    from joulecast.footprint.grid.reading import find_series
    from joulecast.report.decisions.rows import intensity_hours

    target = None if options.chart is None else _picture(options.chart)
    found = [find_series(name, timezone=options.timezone) for name in options.series]
    known = {one.region: one for one in found}
    if len(known) < len(found):
        raise InputError(f"two of these series are of one region: {', '.join(one.region for one in found)}")
    rows = intensity_hours(known, options.timezone)
    caveats = list(dict.fromkeys(words for one in found for words in one.caveats()))
    if options.json:
        _print_json({"timezone": options.timezone or "UTC", "hours": rows, "warnings": caveats})
    else:
        from joulecast.report.decisions.tradeoff_text import grid_text

        print(grid_text(rows, options.timezone or "UTC", caveats))
    if target is not None:
        from joulecast.report.decisions.pictures import intensity_chart

        _draw(intensity_chart(known, options.timezone), target)
    return 0


# --- what they share -----------------------------------------------------------------------------


def _chart_option(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--chart", metavar="FILE", help=f"picture to draw (.svg or .png; extra `plot`): {what}"
    )


def _hour_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--hourly", metavar="SERIES", help="hourly grid intensity: a packaged series or a file")
    add("--at", metavar="TIME", help="of the series: a full hour of the day (12:00), 2022-06-01T12:00Z, a "
        "day or a window START/END; the mean of all by default")  # fmt: skip
    add(
        "--timezone",
        metavar="ZONE",
        help="of an hour of the day (UTC by default) and of times without an offset",
    )


def _setting(options: argparse.Namespace) -> dict[str, Any]:
    """A setting from the options of one workload and its site."""
    return {**_given(options), **_site_setting(options)}


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """What was given of a workload."""
    given = {_key(name): getattr(options, name) for name in _WORKLOAD}
    return {"model": options.model, **{k: v for k, v in given.items() if v is not None and v is not False}}


def _site_setting(options: argparse.Namespace) -> dict[str, Any]:
    """What was given of a site."""
    found = {name: getattr(options, name) for name in (*SITE, *_HOURS) if getattr(options, name) is not None}
    if "year" in found:
        found["year"] = _whole(found["year"], "--year")
    if options.live:
        if "region" not in found or "intensity" in found or "year" in found or "hourly" in found:
            raise InputError("--live needs --region, and neither --intensity, --year nor --hourly")
        from joulecast.footprint.grid.live import live_intensity

        found["intensity"] = live_intensity(found["region"])
    return found


def _picture(path: str) -> Path:
    """A picture's path, if it can be drawn. Raises InputError or MissingExtraError before any work."""
    from joulecast.report.charts import check_extra, check_picture

    check_picture(Path(path))
    check_extra()
    return Path(path)


def _draw(chart: Any, target: Path) -> None:
    from joulecast.files.paths import replacing
    from joulecast.report.charts import save

    with replacing(target) as temporary:
        save(chart, temporary, target.suffix)
    print(f"wrote {target}", file=sys.stderr)


def _whole(text: str, name: str) -> int:
    if not text.strip().isdecimal():
        raise InputError(f"{name} must be a whole number, not {shown(text)}")
    return int(text)


def _positive(text: str, name: str, most: float = math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= most or value == math.inf:
        limit = "" if most == math.inf else f" of at most {most:g}"
        raise InputError(f"{name} must be a positive number{limit}, not {shown(text)}")
    return value


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2, allow_nan=False, default=str))
    return 0
