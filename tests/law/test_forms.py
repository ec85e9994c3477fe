"""The registry of forms: what ships, in order; reading a law loads no fit. See also tests/test_own_law.py."""

from __future__ import annotations

import subprocess
import sys

from joulecast.law.baseline import BaselineLaw
from joulecast.law.forms import find_form, known_forms, law_classes, title
from joulecast.law.load import law_names, load_law
from joulecast.law.paper import PaperLaw
from joulecast.law.roofline import RooflineLaw

ONLY_FOR_FITS = {
    "joulecast.runs", "joulecast.law.dataset", "joulecast.law.fit_roofline", "joulecast.law.fit_paper",
    "joulecast.law.fit_baseline", "joulecast.law.hold_out", "joulecast.law.calibration",
}  # fmt: skip


def test_the_forms_that_ship() -> None:
    """In the order in which they are shown; the roofline law alone is slow to fit."""
    assert list(known_forms()) == ["roofline", "paper", "tdp_time", "joules_per_flop", "parameters_steps"]
    assert [name for name, form in known_forms().items() if form.is_slow] == ["roofline"]
    assert law_classes() == {"roofline": RooflineLaw, "paper": PaperLaw, "baseline": BaselineLaw}


def test_every_packaged_law_is_of_its_form() -> None:
    for name in law_names():
        assert type(load_law(name)) is find_form(name).law


def test_titles() -> None:
    assert title("joules_per_flop") == "constant J/FLOP"
    assert title("my law") == "my law"


def test_an_estimate_loads_no_fit() -> None:
    code = "import joulecast, sys; joulecast.estimate('sdxl', gpu='A100'); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "joulecast.law.forms" in loaded
    assert loaded & ONLY_FOR_FITS == set()
