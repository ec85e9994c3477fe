"""Commands from joules to decisions: footprint, budget, card, and estimate's footprint options.

`register` adds them to the commands of `joulecast.cli`; exit statuses are those of that module, and
1 from `budget check` when something is over its budget.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.errors import InputError

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint, Site

Run = Callable[[argparse.Namespace], int]
Options = Callable[[argparse.ArgumentParser], None]

OVER_BUDGET = FAILED_ROWS = 1
_SITE = (
    "region", "year", "intensity", "accounting", "host_overhead", "pue", "wue", "life_years", "utilisation",
    "price_per_kwh", "price_per_gpu_hour", "currency", "transmission_loss",
)  # fmt: skip


def register(commands: dict[str, tuple[Run, Options]]) -> None:
    """Add this module's commands; `estimate` gains options for a footprint."""
    run, options = commands["estimate"]
    commands["estimate"] = _estimate_with_footprint(run), _with_site_options(options)
    commands["footprint"] = _footprint, _footprint_options
    commands["budget"] = _budget, _budget_options
    commands["card"] = _card, _card_options


# --- estimate --region ---------------------------------------------------------------------------


def _with_site_options(options: Options) -> Options:
    def both(command: argparse.ArgumentParser) -> None:
        options(command)
        command.add_argument("--images", default=None, help="footprint of that many images; 1 by default")
        command.add_argument("--explain", action="store_true", help="print the footprint's whole sum")
        _site_options(command)

    return both


def _estimate_with_footprint(run: Run) -> Run:
    def estimate_and_footprint(options: argparse.Namespace) -> int:
        if not _asks_for_a_site(options):
            return run(options)
        from joulecast.footprint.account import footprint_of
        from joulecast.forecast.estimate import estimate

        names = (
            "size",
            "steps",
            "precision",
            "guidance",
            "negative_prompt",
            "passes",
            "text_tokens",
            "boundary",
            "law",
        )
        guess = estimate(
            options.model,
            options.gpu,
            batch_size=options.batch,
            **{name: getattr(options, name) for name in names},
        )
        answer = footprint_of(guess, _site(options), _count(options.images))
        if options.json:
            return _print_json({**guess.to_dict(), "footprint": answer.to_dict()})
        from joulecast.report.text import estimate_text

        print(estimate_text(guess))
        print("\n" + footprint_text(answer))
        if options.explain:
            print("\n" + answer.explain())
        return 0

    estimate_and_footprint.__doc__ = run.__doc__
    return estimate_and_footprint


def footprint_text(answer: Footprint) -> str:
    """A footprint: each quantity with its range, then what was assumed."""
    from joulecast.report import quantity
    from joulecast.report.text import table

    def words(amount: float, unit: str) -> str:
        large = {"g": ("kg", 1e3), "kWh": ("MWh", 1e3), "L": ("m3", 1e3)}.get(unit)
        small = {"kWh": ("Wh", 1e-3), "L": ("mL", 1e-3), "g": ("mg", 1e-3)}.get(unit)
        if large and amount >= 1e4:
            return f"{quantity.number(amount / large[1])} {large[0]}"
        if small and 0 < amount < 0.1:
            return f"{quantity.number(amount / small[1])} {small[0]}"
        return f"{quantity.number(amount)} {unit}"

    rows = [
        ("energy, with host and cooling", answer.facility_energy),
        ("carbon of the electricity", answer.operational_carbon),
        ("carbon of the hardware", answer.embodied_carbon),
        ("carbon together", answer.carbon),
        ("water on site", answer.water),
        *([("money", answer.money)] if answer.money else []),
        ("carbon of one image (SCI)", answer.sci),
    ]
    cells = [
        [
            name,
            words(a.amount.value, a.unit),
            f"{words(a.amount.low, a.unit)} to {words(a.amount.high, a.unit)}",
        ]
        for name, a in rows
    ]
    count = f"{answer.images:,} image" + ("s" if answer.images > 1 else "")
    year = "" if answer.grid.year is None else f", {answer.grid.year}"
    return "\n".join(
        [
            f"{count} in {answer.grid.region}, {answer.accounting}{year}",
            "",
            *table(cells[0], cells[1:], right={1}),
            "",
            f"  Grid: {quantity.number(answer.grid.intensity.amount.value)} g CO2e/kWh, "
            f"{answer.grid.source}, {answer.grid.boundary}.",
            "  Ranges are the widest that the factors allow; --explain prints the sum and every source.",
            *(f"  Warning: {warning}" for warning in answer.warnings),
        ]
    )


# --- footprint -----------------------------------------------------------------------------------


def _footprint_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("file", metavar="FILE", help="CSV with energy_j and duration_s, e.g. what `joulecast predict` wrote")
    add("--region-column", metavar="COLUMN", help="the column that holds each row's region")
    add("--out", metavar="FILE", help="CSV file to write; standard output without it")
    _site_options(command)


def _footprint(options: argparse.Namespace) -> int:
    """Carbon, water and money of every row of a table; a row without says why in `footprint_error`."""
    from joulecast.footprint.table import footprint_file

    if options.region_column and options.region:
        raise InputError("give --region or --region-column, not both")

    def at(region: str | None) -> Site:
        if region is not None and not region.strip():
            raise InputError("the region is missing")
        return _site(options, region)

    rows, failed, first = footprint_file(options.file, options.out or sys.stdout, at, options.region_column)
    print(f"footprints of {rows - failed} of {rows} rows", file=sys.stderr)
    if not failed:
        return 0
    print(f"{failed} failed (see the column `footprint_error`), first {first}", file=sys.stderr)
    return FAILED_ROWS


# --- budget check --------------------------------------------------------------------------------


def _budget_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "action",
        choices=["check"],
        metavar="check",
        help="the one thing to do: hold a file against its budget",
    )
    add(
        "file", metavar="FILE", help="CSV of workloads, as for `joulecast predict`, or of predictions or runs"
    )
    add("--max-g-per-image", metavar="GRAMS", help="most carbon of an image, hardware included")
    add("--max-wh-per-image", metavar="WH", help="most GPU energy of an image")
    add(
        "--bound",
        default="value",
        help="what must be within the budget: value (default), or high: the range's end",
    )
    add("--region-column", metavar="COLUMN", help="the column that holds each row's region")
    add("--law", help="a packaged law or a law file; by default the package's own")
    _site_options(command)


def _budget(options: argparse.Namespace) -> int:
    """Hold workloads against a budget for an image; exit status 1 when one is over it, for CI."""
    from joulecast.footprint.card import grams_per_image
    from joulecast.footprint.table import positive, row_footprint
    from joulecast.report import quantity
    from joulecast.report.text import table

    grams = _limit(options.max_g_per_image, "--max-g-per-image")
    watt_hours = _limit(options.max_wh_per_image, "--max-wh-per-image")
    if grams is None and watt_hours is None:
        raise InputError("give a budget: --max-g-per-image or --max-wh-per-image")
    if options.bound not in ("value", "high"):
        raise InputError(f"--bound is value or high, not {options.bound!r}")
    rows, over = _predicted(options.file, options.law), 0
    sites: dict[str | None, Site] = {}
    lines = []
    for number, row in enumerate(rows, 1):
        if row.get("error"):
            raise InputError(f"data row {number} cannot be held against a budget: {row['error']}")
        cells = [str(number), row.get("model", ""), row.get("gpu", "")]
        energy = positive(row, "energy_j")
        if options.bound == "high":
            energy = positive(row, "energy_high_j", energy)
        verdicts = []
        if watt_hours is not None:
            cells.append(f"{quantity.number(energy / 3600)} Wh")
            verdicts.append(energy / 3600 <= watt_hours)
        if grams is not None:
            region = _cell(row, options.region_column, number)
            sites[region] = sites.get(region) or _site(options, region)
            found = grams_per_image(row_footprint(row, sites[region], 1), options.bound)
            cells.append(f"{quantity.number(found)} g")
            verdicts.append(found <= grams)
        over += not all(verdicts)
        lines.append([*cells, "ok" if all(verdicts) else "OVER"])
    head = ["row", "model", "GPU", *(["energy"] if watt_hours is not None else [])]
    print("\n".join(table([*head, *(["carbon"] if grams is not None else []), ""], lines, right={0, 3, 4})))
    print(f"\n  {over} of {len(rows)} over the budget" if over else f"\n  all {len(rows)} within the budget")
    return OVER_BUDGET if over else 0


def _predicted(file: str, law: str | None) -> list[dict[str, str]]:
    """Rows with energies: the file's own, or predicted from its workloads."""
    from joulecast.footprint.table import read_rows

    rows = read_rows(file, ())
    if not rows:
        raise InputError(f"{file!r} has no rows to hold against a budget")
    if "energy_j" in rows[0]:
        return rows
    from joulecast.forecast.predict import predict

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    answers = predict(columns, law=law)
    names = ("energy_j", "energy_low_j", "energy_high_j", "duration_s", "law", "error")
    return [{**row, **{name: str(answers[name][i]) for name in names}} for i, row in enumerate(rows)]


def _cell(row: Mapping[str, str], column: str | None, number: int) -> str | None:
    if column is None:
        return None
    if not row.get(column):
        raise InputError(f"data row {number} has no region in the column {column!r}")
    return row[column]


# --- card ----------------------------------------------------------------------------------------


def _card_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("file", metavar="FILE", help="CSV of measured runs or predictions, with energy_j")
    add("--format", default="markdown", help="markdown (default), json or huggingface")
    add("--out", metavar="FILE", help="file to write; standard output without it")
    _site_options(command)


def _card(options: argparse.Namespace) -> int:
    """What to publish beside a model or service: energy, carbon with --region, and how they were had."""
    from joulecast import __version__
    from joulecast.footprint.card import card
    from joulecast.footprint.table import read_rows
    from joulecast.forecast.files import replacing

    at = _site(options) if _asks_for_a_site(options) else None
    text = card(read_rows(options.file, ("energy_j",)), options.format, at, f"joulecast {__version__}")
    if options.out is None:
        print(text)
        return 0
    with replacing(Path(options.out)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return 0


# --- options of a site ---------------------------------------------------------------------------


def _site_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--region", help="country by name or ISO code, or World: packaged yearly grid intensity (Ember)")
    add("--year", help="year of that intensity, where it must be a certain one")
    add("--intensity", metavar="G_PER_KWH", help="grid intensity [g CO2e/kWh] instead; a range is LOW:HIGH")
    add(
        "--live",
        action="store_true",
        help="ask for the intensity of now (ELECTRICITYMAPS_API_KEY; GB needs none)",
    )
    add(
        "--accounting",
        default="location-based",
        help="of --intensity: location-based, market-based or marginal",
    )
    add(
        "--host-overhead", metavar="SHARE", help="energy of the rest of the node for each joule of GPU energy"
    )
    add("--pue", help="facility energy over IT energy, e.g. 1.2 or 1.1:1.3; a packaged range by default")
    add("--wue", metavar="L_PER_KWH", help="water for each kWh of IT energy; a packaged range by default")
    add("--life-years", metavar="YEARS", help="years over which the hardware's carbon is written off")
    add("--utilisation", metavar="SHARE", help="share of its life in which a GPU generates")
    add("--price-per-kwh", metavar="PRICE", help="price of electricity")
    add("--price-per-gpu-hour", metavar="PRICE", help="price of a rented GPU, electricity included")
    add("--currency", default="USD", help="of the price, three capital letters")
    add(
        "--transmission-loss",
        metavar="SHARE",
        help="share of the electricity lost on its way; none by default",
    )


def _asks_for_a_site(options: argparse.Namespace) -> bool:
    """Whether an option asks for a footprint; a factor without region or intensity is an error there."""
    given = [
        name
        for name in _SITE
        if getattr(options, name) is not None and name not in ("accounting", "currency")
    ]
    asked = getattr(options, "images", None) is not None or getattr(options, "explain", False)
    return bool(given or asked or options.live)


def _site(options: argparse.Namespace, region: str | None = None) -> Site:
    from joulecast.footprint.account import site

    given: dict[str, Any] = {name: getattr(options, name) for name in _SITE}
    if region is not None:
        given["region"] = region
    if given["year"] is not None:
        given["year"] = _count(given["year"], "--year")
    if options.live:
        if given["region"] is None or given["intensity"] is not None or given["year"] is not None:
            raise InputError("--live needs --region, and neither --intensity nor --year")
        from joulecast.footprint.live import live_intensity

        given["intensity"] = live_intensity(given["region"])
    return site(given.pop("region"), **given)


def _count(text: str | None, name: str = "--images") -> int:
    if text is None:
        return 1
    try:
        value = float(text.replace("_", "").replace(",", ""))
    except ValueError:
        value = 0.0
    if not (1 <= value <= 1e15) or value != int(value):
        raise InputError(f"{name} must be a whole number of at least 1, not {text!r}")
    return int(value)


def _limit(text: str | None, name: str) -> float | None:
    if text is None:
        return None
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
