"""The arithmetic alone: that of an estimate, and nothing read after the first call for a model."""

from __future__ import annotations

import builtins
import os

import pytest

import joulecast


def test_it_is_the_batch_of_an_estimate() -> None:
    guess = joulecast.estimate("sdxl", "L4", width=768, height=1024, steps=20, batch_size=4)
    found = joulecast.flop("sdxl", 1024, 768, steps=20, batch_size=4)
    assert found == pytest.approx(4 * guess.flop, rel=1e-12)


def test_roles_sum_to_all_of_it() -> None:
    roles = ("text_encoder", "image_encoder", "denoiser", "decoder")
    parts = {role: joulecast.flop("wan2.1-t2v-1.3b", 480, 832, 33, role=role) for role in roles}
    assert parts["denoiser"] > 0.9 * sum(parts.values())
    assert parts["image_encoder"] == 0
    assert sum(parts.values()) == pytest.approx(joulecast.flop("wan2.1-t2v-1.3b", 480, 832, 33), rel=1e-12)


def test_a_step_more_is_a_denoiser_pass_more() -> None:
    """FLUX makes one pass a step: the difference of two counts is that of each step."""
    counts = [joulecast.flop("flux.1-dev", 1024, 1024, steps=steps) for steps in (10, 11, 12)]
    assert counts[2] - counts[1] == pytest.approx(counts[1] - counts[0], rel=1e-9)
    of_denoiser = joulecast.flop("flux.1-dev", 1024, 1024, steps=10, role="denoiser")
    assert counts[1] - counts[0] == pytest.approx(of_denoiser / 10, rel=1e-9)


def test_nothing_is_read_after_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    joulecast.flop("sd3.5-large", 512, 512, steps=4)

    def refused(*arguments: object, **more: object) -> None:
        raise AssertionError(f"a file was opened: {arguments}")

    monkeypatch.setattr(builtins, "open", refused)
    monkeypatch.setattr(os, "open", refused)
    assert joulecast.flop("sd3.5-large", 1024, 768, steps=28, guidance=7.0, batch_size=2) > 0


def test_a_role_that_there_is_not() -> None:
    with pytest.raises(joulecast.UnknownNameError, match="unknown role 'denoisr'; did you mean denoiser"):
        joulecast.flop("sdxl", role="denoisr")
