"""Which configuration, GPU, region and hour makes each image or clip, at least cost or carbon."""

from __future__ import annotations

import argparse
from pathlib import Path

from joulecast.cli.options import ASKED, OR_STDIN, OUTPUT, json_option, print_json, say
from joulecast.errors import check_extras


def add_options(command: argparse.ArgumentParser) -> None:
    """What `plan` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add(
        "file",
        metavar="FILE",
        help="demand, fleet, regions and limits (.toml); docs/planning.md has the keys" + OR_STDIN,
    )
    add("--gap", default="0.001", help="how far from the best a plan may be, as a share; 0.001 by default")
    add("--time-limit", metavar="SECONDS", default="60", help="most time for solving; 60 by default")
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    output.add_argument(
        "--report", metavar="FOLDER", help="folder to write a page with pictures, and its data, to"
    )


def run(options: argparse.Namespace) -> int:
    """Solve a plan file, print the plan, and write its report."""
    from joulecast.files.numbers import positive
    from joulecast.plan.demand import MOST_BYTES, read_demand
    from joulecast.plan.solve import solve

    gap, seconds = positive(options.gap, "--gap", most=1), positive(options.time_limit, "--time-limit")
    demand = read_demand(options.file)
    check_extras("solving a plan", *(("plan", "plot") if options.report else ("plan",)))
    if options.report:
        from joulecast.report.page import check_folder

        check_folder(Path(options.report))
    plan = solve(demand.problem, gap=gap, time_limit_s=seconds, warnings=demand.warnings)
    if options.report:
        from joulecast import __version__
        from joulecast.files.paths import user_text
        from joulecast.report.decisions.plan_page import write_plan

        text = user_text(options.file, "plan file", MOST_BYTES)
        written = write_plan(plan, demand, text, Path(options.report), f"joulecast {__version__}")
        say(f"wrote {written[0]} and {len(written) - 1} more files beside it")
    if options.json:
        return print_json(plan.to_dict())
    from joulecast.report.decisions.plan_text import plan_text

    print(plan_text(plan, demand.today))
    return 0
