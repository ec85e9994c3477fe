"""Peaks that a fresh trace refutes are taken back everywhere; what is not known is said where it is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.peak_tracing import PeakTraces
from joulecast.compute.peaks import Memory, Peak, Span
from joulecast.compute.profile_file import packaged_profile

POINT = {"batch": 1, "frames": 1, "height": 2, "width": 2, "text": 0}


def of_bytes(size: float, **condition: int) -> tuple[Peak, ...]:
    row = np.array([[size]])
    return (Peak(condition, ("1",), row, row, row[0]),)


def traces(precision: str, **peaks: tuple[Peak, ...]) -> PeakTraces:
    """What was found of components in a precision, of which a call just took 100 bytes."""
    found = PeakTraces()
    capture: Any = SimpleNamespace(precision=precision, weights=dict.fromkeys(peaks, 7))
    found.start(capture)
    for name, some in peaks.items():
        call: Any = SimpleNamespace(component=name, spans=(Span(0, 1, 100),), weights=9)
        found.add(call, POINT)
        found.found[name, precision] = Memory(7, 9, some)
    return found


@pytest.mark.parametrize("refuted", [of_bytes(99), of_bytes(200, batch=4)])
def test_refuted_peaks_are_taken_back_in_all_precisions(refuted: tuple[Peak, ...]) -> None:
    found = traces("bf16", vae=refuted, unet=of_bytes(100))
    found.found["vae", "fp16"] = Memory(7, 9, refuted)
    for name in ("vae", "unet"):
        found.verify(name, POINT)
    assert found.memory("vae") == {"bf16": Memory(7, 9), "fp16": Memory(7, 9)}
    assert found.memory("unet")["bf16"].peaks == of_bytes(100)
    assert found.notes() == ["how much memory vae needs beside its weights is not known"]


def test_what_a_copy_found_does_not_bring_refuted_peaks_back() -> None:
    here, copy = traces("bf16", vae=of_bytes(99)), traces("fp32", vae=of_bytes(300))
    copy.found["vae", "bf16"] = Memory(7, 9, of_bytes(99))
    here.verify("vae", POINT)
    here.join(copy.result(), ["fp32"])
    assert {precision: memory.peaks for precision, memory in here.memory("vae").items()} == {
        "bf16": (),
        "fp32": (),
    }
    there = traces("bf16", vae=of_bytes(100))
    copy.refuted.add("vae")
    there.join(copy.result(), ["fp32"])
    assert not there.memory("vae")["bf16"].peaks


def test_a_note_names_the_precisions() -> None:
    found = traces("bf16", vae=())
    found.found["vae", "fp16"] = Memory(7, 9)
    found.found["vae", "fp32"] = Memory(7, 9, of_bytes(100))
    assert found.notes() == ["how much memory vae needs beside its weights in bf16 and fp16 is not known"]


def test_between_batches_that_were_traced_the_bounds_stay_bounds() -> None:
    """Z-Image works on the images of a batch one after the other: it was traced for 2 and 4, not for 3."""
    profile = packaged_profile("z-image")
    same = {"width": 1024, "height": 1024, "steps": 10}
    use = profile.memory(WorkloadColumns.from_values(same | {"batch_size": np.array([2, 3, 4, 32])}), "bf16")
    assert use is not None
    place = use.names.index("transformer")
    alive, least = use.alive[place], use.least[place]
    assert alive[0] < alive[1] == alive[2] < alive[3]
    assert least[0] == least[1] < least[2] < least[3]
    (sixteen,) = profile.memory(WorkloadColumns.from_values(same | {"batch_size": 16}), "bf16").alive[place]  # type: ignore[union-attr]
    assert alive[3] == 2 * sixteen
