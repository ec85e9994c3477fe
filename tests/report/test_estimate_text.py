"""Text for people: units that suit the size, aligned tables, everything an estimate must say."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_law import FakeLaw
from joulecast import Estimate, estimate, gpus, models
from joulecast.architecture.catalogue import model_entry
from joulecast.report import amounts as quantity
from joulecast.report.estimate_text import estimate_text
from joulecast.report.lines import table, terminal_width

LAW = FakeLaw()


def flux(**given: Any) -> Estimate:
    return estimate("flux.1-dev", "A100-SXM4-80GB", **{"size": "1024x1024", "steps": 50, "law": LAW, **given})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (0.9996, "1.00"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (999.6, "1,000"),
        (1234.5, "1,230"),
        (74.3847, "74.4"),
        (3.4e-7, "3.40e-07"),
        (-12.34, "-12.3"),
        (math.inf, "inf"),
        (2.0196e295, "2.02e+295"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert quantity.number(value) == text


@given(st.floats(1e-4, 1e15))
def test_what_is_shown_is_the_value(value: float) -> None:
    assert float(quantity.number(value).replace(",", "")) == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (quantity.energy_wh(3600), "1.00 Wh"),
        (quantity.energy_wh(7.2e6), "2.00 kWh"),
        (quantity.energy(1234), "1,230 J"),
        (quantity.duration(0.0123), "12.3 ms"),
        (quantity.duration(12.3), "12.3 s"),
        (quantity.duration(1200), "20.0 min"),
        (quantity.duration(72_000), "20.0 h"),
        (quantity.teraflop(74.3847e12), "74.4 TFLOP"),
        (quantity.parameters(11_900_000_000), "11.90 B"),
        (quantity.parameters(84_000_000), "84 M"),
        (quantity.share(1, 4), "25.0 %"),
    ],
)
def test_units(shown: str, text: str) -> None:
    assert shown == text


def test_an_estimate_says_all_it_must() -> None:
    answer = flux(precision="bf16")
    text = estimate_text(answer)
    text = " ".join(text.split())  # as if it had not been wrapped
    for words in (
        "flux.1-dev on A100-SXM4-80GB: 1024x1024, 50 steps, bf16",
        quantity.energy(answer.energy_j),
        quantity.energy_wh(answer.energy_j),
        f"90 %: {quantity.energy(answer.energy_low_j)} to {quantity.energy(answer.energy_high_j)}",
        quantity.duration(answer.duration_s),
        quantity.power(answer.power_w),
        "3,730 TFLOP",
        "denoiser",
        "idle power included",
        "not the rest of the computer",
        "tested on sources that it had not seen: 9 in 10 runs were within 30 % (energy)",
    ):
        assert words in text, words
    assert "Warning" not in text


def test_sources_are_told_where_they_are_asked_for() -> None:
    answer = flux(precision="bf16")
    plain, text = (" ".join(estimate_text(answer, sources=asked).split()) for asked in (False, True))
    for words in (
        "fake, fitted on 3 runs of 1 model on 1 GPU (a table)",
        "median 10 %, 9 in 10 within 30 %, worst 61 % (7 runs, 88 % of them inside the interval)",
        answer.gpu.sources["bf16"],
        "FluxPipeline, traced from black-forest-labs/FLUX.1-dev",
    ):
        assert words in text, words
        assert words not in plain, words


def test_warnings_and_notes_are_shown() -> None:
    answer = flux(size="1000x1000", guidance=3.5, batch_size=4, boundary="dynamic", passes=2)
    text = " ".join(estimate_text(answer).split())
    assert text.index("Warning: ") < text.index("energy per image")
    assert "Warning: 1000x1000 is generated at 992x992" in text
    assert "Note: passes was given" in text
    assert "50 steps x 2 passes" in text
    assert "time per batch of 4" in text
    assert "above its idle power of 50.0 W" in text


def test_a_law_without_a_published_error_says_so() -> None:
    text = estimate_text(estimate("sdxl", "L40S", law=LAW))
    assert "no error on runs held out is published" in " ".join(text.split())


@pytest.mark.parametrize("name", [model.name for model in models()])
def test_no_line_is_too_long(name: str) -> None:
    entry = model_entry(name)
    size = None if entry["min_size"] == entry["max_size"] else "768x1024"  # those of one size make no other
    for gpu in gpus():
        text = estimate_text(estimate(name, gpu.name, size=size, batch_size=3, law=LAW))
        assert max(map(len, text.splitlines())) <= 100


def test_tables_are_aligned() -> None:
    lines = table(["a", "bb"], [["ccc", "1"], ["d", "222"]], right={1})
    assert lines == ["  a     bb", "  ccc    1", "  d    222"]


@pytest.mark.parametrize("columns", [60, 72, 80, 110])
@pytest.mark.parametrize("name", ["flux.1-dev", "sdxl", "sana1.5-4.8b"])
def test_an_estimate_fits_the_terminal(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = estimate_text(estimate(name, "T4", batch_size=3, law=LAW), sources=True)
    assert max(map(len, text.splitlines())) <= columns


@pytest.mark.parametrize(
    ("columns", "width"),
    [("20", 40), ("72", 72), ("400", 110), ("", None), ("0", None), ("-5", None), ("wide", None)],
)
def test_a_terminal_says_its_width_within_reason(
    columns: str, width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == width


def test_ranges_stay_on_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["a setting of many words", "1,080 to 1,980", "90 %: 18.1 s to 27.3 s"]]
    monkeypatch.setenv("COLUMNS", "45")
    assert table(["what", "range", "interval"], rows, right=set()) == [
        "  what          range           interval",
        "  a setting of  1,080 to 1,980  90 %: 18.1 s",
        "  many words                    to 27.3 s",
    ]
    # no widths of the columns would do: each row is a paragraph
    wide = [["a setting of many words", "1,080,000,000,000,000 to 1,980,000,000,000,000", "x"]]
    assert table(["what", "range", "mark"], wide, right=set()) == [
        "  a setting of many words",
        "    range: 1,080,000,000,000,000 to",
        "    1,980,000,000,000,000; mark: x",
    ]


def test_a_narrow_table_goes_on_in_lines_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = table(["a", "words"], [["1", "one two three four five six seven eight"]], right={0})
    assert lines == ["  a  words", "  1  one two three four five six seven", "     eight"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "sdxl", "gpu": "H100-SXM5-80GB"}, "the range of the time is wider: see the warnings"),
        (
            {"model": "flux.1-dev", "gpu": "H100-SXM5-80GB", "size": "512x512"},
            "the range of the time is wider, as this workload is less sure than most",
        ),
        (
            {"model": "sd1.5", "gpu": "A100-SXM4-80GB", "size": "4096x4096"},
            "the ranges here are wider: see the warnings",
        ),
        ({"model": "sdxl", "gpu": "A100-SXM4-80GB"}, None),
        ({"model": "flux.1-dev", "gpu": "A100-SXM4-80GB"}, None),
        ({"model": "sdxl", "gpu": "L4"}, None),
        ({"model": "sdxl", "gpu": "L4", "law": "paper"}, None),
        (
            {"model": "sdxl", "gpu": "A100-SXM4-80GB", "law": "joules_per_flop"},
            "the range of the energy is wider, as this law's are in such cases: few runs told how wide",
        ),
    ],
)
def test_a_range_that_the_published_error_does_not_explain(given: dict[str, Any], words: str | None) -> None:
    """Not "2.27 to 11.3 s" above "9 in 10 within 20 %" without a word."""
    text = " ".join(estimate_text(estimate(**given)).split())
    assert (words in text) if words else ("wider" not in text)


@pytest.mark.parametrize("columns", ["40", "45", "60", "80"])
@pytest.mark.parametrize("gpu", ["H100-SXM5-80GB", "RTX 6000 Ada", "T4"])
def test_an_estimate_fits_every_terminal(columns: str, gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = estimate_text(estimate("sd3.5-large", gpu, size="768x1024", batch_size=3))
    assert max(map(len, text.splitlines())) <= int(columns)
    assert "decoder" in text


def test_a_marked_row_keeps_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    header = ["", "gpu", "energy [J]", "a range that is wide", "another that is wide"]
    rows = [["*", "L4", "661", "487 to 896", "1,080 to 1,980"], ["", "T4", "", "1 to 2", "2 to 3"]]
    assert table(header, rows, right=set()) == [
        "  * L4",
        "    energy [J]: 661; a range that is",
        "    wide: 487 to 896; another that is",
        "    wide: 1,080 to 1,980",
        "  T4",
        "    a range that is wide: 1 to 2;",
        "    another that is wide: 2 to 3",
    ]
