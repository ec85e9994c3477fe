"""Calls of a decoder that is given so many frames at a time are one, whose launches are pieces."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from joulecast.compute.capture import Call
from joulecast.compute.joined_calls import in_several_calls, joined
from joulecast.compute.loops import SCANNED
from joulecast.compute.pieces import pieces_of
from joulecast.compute.tracer import GEMM, Operator
from joulecast.errors import TraceError


def decode(images: int, component: str = "vae", kind: str = "convolution") -> Call:
    operators = (
        Operator(kind, GEMM, "half", 100 * images, 8 * images + 30, 4 * images),
        Operator("clone", "memory", "half", 0, 4 * images, 4 * images),
    )
    return Call(component, ((images, 4, 8, 8),), (), operators, (images, 3, 64, 64), (), 0, {})


def decoded(frames: int) -> list[Call]:
    """A clip of so many frames, decoded sixteen at a time after the denoiser."""
    pieces = [decode(min(16, frames - start)) for start in range(0, frames, 16)]
    return [decode(2, "unet"), decode(2, "unet"), *pieces]


def test_calls_that_follow_each_other_are_one() -> None:
    first, second, clip = joined(decoded(37), {"vae"})
    assert (first.shapes, second.shapes) == (((2, 4, 8, 8),),) * 2
    assert (clip.shapes, clip.output) == (((37, 4, 8, 8),), (37, 3, 64, 64))
    assert [operator.launches for operator in clip.operators] == [3, 3]
    assert [operator.flop for operator in clip.operators] == [3700, 0]
    assert clip.operators[0].bytes_read == 8 * 37 + 3 * 30
    assert joined(decoded(37), set()) == decoded(37)


def test_other_operators_are_calls_of_their_own() -> None:
    calls = [decode(16), decode(1, kind="mm")]
    assert joined(calls, {"vae"}) == calls
    assert in_several_calls(lambda frames=16: calls if frames > 16 else calls[:1], 16) == set()


def test_components_are_found_that_are_called_more_often_for_more_frames() -> None:
    def run(frames: int = 16) -> list[Call]:
        if frames > 32:
            raise TraceError("a clip has at most 32 frames")
        return decoded(frames)

    assert in_several_calls(run, 16) == {"vae"}
    assert in_several_calls(lambda frames=5: decoded(frames), 5) == {"vae"}
    assert in_several_calls(lambda frames=5: decoded(min(frames, 16)), 5) == set()
    assert in_several_calls(run, None) == set()


def test_the_calls_of_a_clip_are_pieces() -> None:
    lengths = pieces_of({n: joined(decoded(n), {"vae"})[-1].operators for n in SCANNED})
    assert lengths is not None
    assert [(some.condition, some.pieces) for some in lengths] == [({}, ("pictures/16",))]
