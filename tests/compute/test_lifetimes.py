"""What is alive while a component runs: against a second way to find it, and against counts by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from test_exactness import Point, request_and_workload, unbinned
from tiny import PIPELINES, write_folder
from tiny_families import FAMILIES
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from joulecast.architecture.pipeline_config import read_pipeline_folder
from joulecast.architecture.workload import Workload
from joulecast.compute import lifetimes, profiler
from joulecast.compute.capture import PipelineCapture
from joulecast.compute.lifetimes import scratch_of_attention, scratch_of_convolution
from joulecast.compute.operators import OperatorTable
from joulecast.compute.peak_solving import solve_peaks
from joulecast.compute.peaks import FOREVER, Span, largest_terms, peak_at, peak_of
from joulecast.compute.profile_file import decode_profile, encode_profile
from joulecast.compute.profile_meaning import check_profile
from joulecast.compute.profiler import make_profile
from joulecast.compute.tracer import OperatorRecorder
from joulecast.compute.values import tensors
from joulecast.errors import TraceError
from joulecast.runtime import MODEL_OFFLOAD, NONE

pytestmark = pytest.mark.trace

ODD = Point(batch=1, height=37, width=23, text=111)
GUIDED = Point(batch=3, height=20, width=34, text=71, guided=True, steps=3)
PADDED = (Point(batch=1, height=40, width=24, text=160), Point(batch=2, height=24, width=32, text=96))
ASKED = dict.fromkeys(("sd", "flux", "qwen", "sana"), (ODD, GUIDED)) | {"z-image": PADDED}


class Polling(TorchDispatchMode):  # type: ignore[misc]  # torch's class has no types
    """After every operator, asks torch which of the memory it has seen is still in use, and adds it up."""

    def __init__(self, foreign: dict[int, Any]) -> None:
        super().__init__()
        self.foreign, self.seen, self.peak = foreign, dict[int, tuple[Any, int]](), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [x.untyped_storage() for x in tensors((args, kwargs or {})) if x.is_meta]
        for storage in given:  # held, so that no other memory takes its address
            if storage._cdata not in self.seen:
                self.foreign[storage._cdata] = storage
        out = func(*args, **(kwargs or {}))
        self.seen = {key: one for key, one in self.seen.items() if not one[0].expired()}
        self.see(out)
        self.peak = max(self.peak, sum(size for _, size in self.seen.values()))
        return out

    def see(self, values: Any) -> None:
        for x in tensors(values):
            storage = x.untyped_storage()
            if x.is_meta and storage._cdata not in self.foreign:
                self.seen.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))


@contextmanager
def polled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The peak of every call that is recorded, its inputs included, as `Polling` finds it."""
    peaks: list[int] = []
    record = PipelineCapture._record

    def measured(capture: PipelineCapture, name: str, *call: Any) -> Any:
        module = capture.modules[name]
        weights = [x.untyped_storage() for x in (*module.parameters(), *module.buffers())]
        polling = Polling({storage._cdata: storage for storage in weights})
        polling.see(call[1])  # inputs that are on the meta device already
        with polling:
            found = record(capture, name, *call)
        peaks.append(polling.peak)
        return found

    monkeypatch.setattr(PipelineCapture, "_record", measured)
    yield peaks
    monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_peaks_are_what_torch_holds_at_sizes_never_seen(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solved from other sizes with equal blocks replayed; asked where every block runs."""
    monkeypatch.setattr(profiler, "PRECISIONS", ("bf16",))
    for scratch in ("scratch_of_convolution", "work_in"):
        owner: Any = lifetimes if scratch == "scratch_of_convolution" else lifetimes.Lifetimes
        monkeypatch.setattr(owner, scratch, lambda *_, **__: 0)
    config = read_pipeline_folder(write_folder(tmp_path / name, *(PIPELINES | FAMILIES)[name]))
    profile = make_profile(config)
    capture = PipelineCapture(config, "bf16", replay=False)
    capture.arguments.unguided_scale = profile.guidance.threshold
    for point in ASKED[name]:
        request, workload = request_and_workload(profile, point, "bf16")
        with pytest.MonkeyPatch.context() as patch, polled(patch) as peaks:
            calls = capture.run(request)
        assert {peak_of(call.spans) for call in calls} <= set(peaks)
        use = unbinned(profile).memory(workload.columns(), "bf16")
        assert use is not None
        for component, alive in zip(use.names, use.alive, strict=True):
            own = [peak_of(call.spans) for call in calls if call.component == component]
            assert {alive.item()} == {max(own)}, (component, point)


def test_scratch_by_hand() -> None:
    image, out = torch.empty(2, 3, 8, 8, dtype=torch.half), torch.empty(2, 5, 4, 4, dtype=torch.half)
    assert scratch_of_convolution(image, out) == 2 * (2 * 3 * 8 * 8 + 2 * 5 * 4 * 4)
    assert scratch_of_attention(torch.empty(2, 3, 7, 64, dtype=torch.half)) == 4 * 2 * 3 * 7
    wide = torch.empty(1, 1, 7, 512, dtype=torch.half)
    assert scratch_of_attention(wide) == 4 * 7 + 4 * 7 * 512
    assert scratch_of_attention(wide.float()) == 4 * 7


def test_the_least_peak_is_without_what_is_optional() -> None:
    spans = [Span(0, FOREVER, 8), Span(1, 2, 4, optional=True), Span(2, 3, 3)]
    tables = [OperatorTable({}, ("1",), ("copy_",), ("memory",), ("half",), *[np.ones((1, 1))] * 5)]
    (peak,) = solve_peaks([({"batch": 1, "frames": 1, "height": 0, "width": 0, "text": 0}, spans)], tables)
    assert (peak.alive.tolist(), peak.least.tolist(), peak.held.tolist()) == ([[12.0]], [[11.0]], [8.0])


def test_a_loop_whose_length_changes_has_one_polynomial() -> None:
    """A tensor of 4 bytes a token is made for each token, and the last two are alive at once."""
    points = []
    for text in (2, 3, 5, 8, 13):
        steps = [Span(at, min(at + 2, text) if at < text - 1 else FOREVER, 4 * text) for at in range(text)]
        points.append(({"batch": 1, "frames": 1, "height": 0, "width": 0, "text": text}, steps))
    tables = [OperatorTable({}, ("1",), ("copy_",), ("memory",), ("half",), *[np.ones((1, 1))] * 5)]
    peaks = solve_peaks(points, tables)
    assert peak_at(peaks, {"batch": 1, "frames": 1, "height": 0, "width": 0, "text": 21}) == 2 * 4 * 21
    with pytest.raises(TraceError, match="not a polynomial"):
        solve_peaks([*points, (points[0][0] | {"text": 21}, [Span(0, FOREVER, 7)])], tables)


def test_attention_holds_no_scores() -> None:
    query = torch.empty(1, 2, 1000, 8, dtype=torch.half, device="meta")
    with OperatorRecorder() as recorder:
        recorder.lifetimes.start([query])
        out = torch.nn.functional.scaled_dot_product_attention(query, query, query)
    size = 2 * 1000 * 8 * 2
    assert peak_of(recorder.lifetimes.spans()) == 2 * size + 4 * 2 * 1000
    assert out.shape == query.shape


def test_spans_by_hand() -> None:
    with OperatorRecorder() as recorder:
        x = torch.empty(10, device="meta")  # 40 bytes, held by its caller
        recorder.lifetimes.start([x])
        y = x + 1
        y = y * 2  # the sum is needed until the product is there
        view = y.view(2, 5)
        y = x + view.reshape(10)
        del view
        z = y.sum()
    assert recorder.lifetimes.spans() == (
        Span(0, FOREVER, 40),
        Span(0, 2, 40),
        Span(1, 3, 40),
        Span(2, FOREVER, 40),
        Span(3, FOREVER, 4),
    )
    assert peak_of(recorder.lifetimes.spans()) == 120
    assert z.shape == ()


def test_only_terms_that_may_be_largest_are_kept() -> None:
    monomials = ("1", "batch", "batch*height/2*width/2", "batch*height*width", "text")
    terms = np.array([
        [9.0, 0, 0, 2, 0],
        [5.0, 1, 0, 1, 0],  # below the first: the number of images is at most their area
        [5.0, 1, 1, 1, 0],  # above it for many images of one pixel
        [0.0, 0, 0, 0, 3],
        [0.0, 0, 3, 0, 0],  # a quarter of the area or more, rounded up
        [9.0, 0, 0, 1, 0],
    ])  # fmt: skip
    kept = {tuple(term) for term in largest_terms(monomials, terms)}
    assert kept == {(9, 0, 0, 2, 0), (5, 1, 1, 1, 0), (0, 0, 0, 0, 3), (0, 0, 3, 0, 0)}


def peak(profile: Any, workload: Any, offload: str = NONE) -> float:
    found = profile.peak_bytes(workload, "fp16", offload)
    assert found is not None
    return float(found[0])


def test_a_profile_file_keeps_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "PRECISIONS", ("fp16", "fp32"))
    monkeypatch.setattr(profiler, "FIRST_PRECISION", "fp16")
    profile = make_profile(read_pipeline_folder(write_folder(tmp_path / "tiny", *PIPELINES["sdxl"])))
    workload = Workload(256, 192, 20, batch_size=2).columns()
    before = peak(profile, workload)
    vae = next(part for part in profile.components if part.name == "vae")
    # The pipeline casts its decoder to fp32, in which its weights are twice as large.
    assert 1.9 < vae.memory["fp16"].called / vae.memory["fp16"].weights <= 2
    offloaded = peak(profile, workload, MODEL_OFFLOAD)
    others = sum(part.memory["fp16"].weights for part in profile.components if part is not vae)
    assert before - offloaded == others
    content = encode_profile(profile)
    for part in content["components"]:
        part["tables_by_precision"]["bf16"] = part["tables_by_precision"]["fp16"]
    again = decode_profile(content, "file")
    check_profile(again)
    assert again.peak_bytes(workload, "fp16") == before
    for part in content["components"]:
        del part["memory"]
    assert decode_profile(content, "file").peak_bytes(workload, "fp16") is None
