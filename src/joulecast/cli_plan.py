"""Commands that choose: a deployment that meets a demand within its limits.

`register` adds them to the commands of `joulecast.cli`; exit statuses are those of that module.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joulecast.errors import InputError

Run = Callable[[argparse.Namespace], int]
Options = Callable[[argparse.ArgumentParser], None]


def register(commands: dict[str, tuple[Run, Options]]) -> None:
    """Add this module's commands."""
    commands["plan"] = _plan, _plan_options


def _plan_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "file",
        metavar="FILE",
        help="demand, fleet, regions and limits (.toml); docs/planning.md has the keys",
    )
    add("--gap", default="0.001", help="how far from the best a plan may be, as a share; 0.001 by default")
    add("--time-limit", metavar="SECONDS", default="60", help="most time for solving; 60 by default")
    add("--report", metavar="FOLDER", help="folder to write plan.json, assignments.csv and hours.csv to")
    add("--json", action="store_true", help="print JSON instead of text")


def _plan(options: argparse.Namespace) -> int:
    """Which configuration, GPU, region and hour makes each image of a demand, at the least cost or carbon."""
    from joulecast.plan.demand import read_demand
    from joulecast.plan.solve import solve

    gap, seconds = _positive(options.gap, "--gap"), _positive(options.time_limit, "--time-limit")
    demand = read_demand(options.file)
    plan = solve(demand.problem, gap=gap, time_limit_s=seconds, warnings=demand.warnings)
    if options.report:
        from joulecast.plan.files import write_plan

        write_plan(plan, Path(options.report))
    if options.json:
        return _print_json(plan.to_dict())
    from joulecast.plan.text import plan_text

    print(plan_text(plan))
    return 0


def _positive(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise InputError(f"{name} must be a positive number, not {text!r}")
    return value


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2, allow_nan=False, default=sorted))
    return 0
