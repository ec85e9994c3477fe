"""What a whole service used: its logs of requests added up, with their error; also compared, and served."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from joulecast.cli.options import (
    ASKED,
    FAILED_ROWS,
    LAW_HELP,
    OUTPUT,
    WHERE,
    json_option,
    listen_options,
    port_of,
    print_json,
    runtime_options,
    say,
)
from joulecast.cli.site_options import asks_for_a_site, site_options, sites_of
from joulecast.errors import InputError, check_extras

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulecast.footprint.tables.columns import Sites
    from joulecast.ledger.meanings import Meanings

DIFF, SERVE = "diff", "serve"
LISTENING: Final = ("host", "port")
# What may be given for all rows that do not say it.
GIVEN: Final = (
    "model", "gpu", "precision", "engine", "compile", "quantization", "cache", "offload", "gpus",
    "parallel", "power_limit_w",
)  # fmt: skip


def add_options(command: argparse.ArgumentParser) -> None:
    """What `ledger` takes."""
    asked = command.add_argument_group(ASKED).add_argument
    asked(
        "paths",
        metavar="FILE",
        nargs="+",
        help="logs (.csv, .parquet, .jsonl) or folders of them; or diff and the folders of two ledgers, or "
        "serve and that of one",
    )
    asked("--map", metavar="MAP", help="what the log's columns mean (.toml); by default their names say")
    asked("--adapter", metavar="NAME", help="a packaged map, e.g. sglang")
    asked(
        "--by",
        metavar="NAME,...",
        help="totals by columns of the log, or day, month, hour, model, gpu, region",
    )
    asked("--model", help="of rows that do not say theirs")
    asked("--precision", metavar="{fp16,bf16,fp32}", help="of rows that do not say theirs")
    asked("--law", help=LAW_HELP)
    where = command.add_argument_group(WHERE)
    where.add_argument("--gpu", help="of rows that do not say theirs; 8xH100 is 8 GPUs")
    where.add_argument(
        "--fleet",
        metavar="GPU=COUNT,...",
        help="GPUs that were there all the time: what they drew while they waited",
    )
    where.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="files are read by the nodes of a Ray cluster: auto, or HOST:PORT",
    )
    listen_options(where)
    runtime_options(command)
    site_options(command)
    output = command.add_argument_group(OUTPUT)
    output.add_argument(
        "--out", metavar="FOLDER", help="where the ledger goes; one that was broken off goes on there"
    )
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Make a ledger, compare two, or serve one; 1 when some requests were set aside."""
    check_extras("a ledger", "ledger")
    kind = {DIFF: _diff, SERVE: _serve}.get(options.paths[0], _make)
    return kind(options)


def _make(options: argparse.Namespace) -> int:
    from joulecast.footprint.grid.times import zone_of
    from joulecast.ledger.idle import read_fleet
    from joulecast.ledger.make import make_ledger
    from joulecast.report.ledger_page import write_ledger
    from joulecast.report.ledger_text import facts, text

    if unused := _given(options, LISTENING):
        raise InputError(f"{', '.join(unused)} is where `ledger {SERVE} FOLDER` listens: leave it out here")
    if options.out is None:
        raise InputError("--out is missing: the folder that the ledger goes into, e.g. --out ledger")
    meanings = _meanings(options)
    by = tuple(name.strip() for name in options.by.split(",")) if options.by else ()
    values = {name: getattr(options, name) for name in GIVEN}
    done = make_ledger(
        options.paths,
        options.out,
        meanings=meanings,
        values={name: _word(value) for name, value in values.items() if value is not None},
        by=by,
        law=options.law,
        zone=None if options.timezone is None else zone_of(options.timezone),
        sites=_sites(options, meanings),
        fleet=None if options.fleet is None else read_fleet(options.fleet),
        tell=say,
        cluster=options.cluster,
    )
    write_ledger(done, Path(options.out))
    if options.json:
        print_json(facts(done))
    else:
        print(text(done))
        say(f"wrote {options.out}/index.html, and its tables beside it")
    return FAILED_ROWS if done.aside else 0


def _word(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _meanings(options: argparse.Namespace) -> Meanings | None:
    from joulecast.ledger.meanings import adapter, read_meanings

    if options.map and options.adapter:
        raise InputError("--map and --adapter both say what the columns mean: give one of them")
    if options.adapter:
        return adapter(options.adapter)
    return read_meanings(options.map) if options.map else None


def _sites(options: argparse.Namespace, meanings: Meanings | None) -> Sites | None:
    """Where requests ran: by their region and hour where the log says them, else by the options alone."""
    from joulecast.ledger.make import meanings_of_first
    from joulecast.ledger.meanings import REGION
    from joulecast.ledger.partition import OF_HOUR

    known = meanings or meanings_of_first(options.paths)
    says_region = REGION in known.columns or REGION in known.values
    if not asks_for_a_site(options) and not says_region:
        return None
    options.region_column = REGION if says_region and not options.region and not options.intensity else None
    options.time_column = OF_HOUR if options.hourly and not options.at else None
    return sites_of(options)


def _diff(options: argparse.Namespace) -> int:
    from joulecast.ledger.difference import differences
    from joulecast.ledger.folder import read_ledger
    from joulecast.report.ledger_diff_text import difference_notes, difference_record, difference_text

    folders = options.paths[1:]
    if len(folders) != 2:
        raise InputError(
            f"diff takes the folders of two ledgers, not {len(folders)}: joulecast ledger diff BEFORE AFTER"
        )
    if unused := _given(options, but=("json",)):
        raise InputError(f"diff compares ledgers as they were made: leave out {', '.join(unused)}")
    (before, made_before), (after, made_after) = map(read_ledger, folders)
    found = differences(before, after)
    beware = difference_notes(found, (before, after), (made_before, made_after), folders)
    if options.json:
        for words in beware:
            say(f"note: {words}")
        return print_json([difference_record(one) for one in found])
    print(difference_text(found, folders, beware), file=sys.stdout)
    return 0


def _serve(options: argparse.Namespace) -> int:
    """Tell Prometheus what a ledger says, until interrupted."""
    folders = options.paths[1:]
    if len(folders) != 1:
        raise InputError(
            f"serve takes the folder of a ledger, not {len(folders)}: joulecast ledger serve FOLDER"
        )
    if unused := _given(options, but=LISTENING):
        raise InputError(f"serve tells a ledger as it was made: leave out {', '.join(unused)}")
    port = port_of(options)
    check_extras("serving", "web")
    from joulecast.web.ledger_metrics import create_ledger_app, metrics_of
    from joulecast.web.server import serve

    folder = Path(folders[0])
    metrics_of(folder)  # which says at once what is wrong
    serve(create_ledger_app(folder), options.host, port, say, "/metrics")
    return 0


def _given(
    options: argparse.Namespace, of: Sequence[str] | None = None, but: Sequence[str] = ()
) -> list[str]:
    """Options that were given, `of` some, all `but` some."""
    alone = argparse.ArgumentParser(add_help=False)
    add_options(alone)
    usual = vars(alone.parse_args([DIFF]))
    known = {action.dest: action.option_strings[0] for action in alone._actions if action.option_strings}
    return [
        known[name]
        for name, value in vars(options).items()
        if name in known and name not in but and (of is None or name in of) and value != usual[name]
    ]
