"""What a pipeline is called with: guidance that it keeps elsewhere, templates that are long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

pytest.importorskip("torch")

from joulecast.architecture.stand_ins import PROMPT, StandInTokenizer
from joulecast.compute.arguments import PipelineArguments, Request


class Guided:
    """Guided by a component."""

    def __init__(self) -> None:
        self.guider = SimpleNamespace(guidance_scale=6.0, config={"guidance_scale": 6.0})
        self.components: dict[str, Any] = {"guider": self.guider}

    def __call__(self, prompt: Any = None, num_inference_steps: int = 50) -> None:
        """Makes nothing."""


class OfTwoScales:
    """Guided in picture and sound."""

    components: ClassVar[dict[str, Any]] = {}

    def __call__(
        self,
        prompt: Any = None,
        guidance_scale: float = 3.0,
        audio_guidance_scale: float | None = 7.0,
        image_guidance_scale: float = 1.5,
    ) -> None:
        """Makes nothing."""


class OfARange:
    """Guided more from frame to frame."""

    components: ClassVar[dict[str, Any]] = {}

    def __call__(self, image: Any, min_guidance_scale: float = 1.0, max_guidance_scale: float = 3.0) -> None:
        """Makes nothing."""


def test_a_guider_is_set_and_not_given() -> None:
    pipeline = Guided()
    arguments = PipelineArguments(pipeline)
    assert arguments.guidance_parameter() == "guidance_scale"
    assert arguments.own_scale == 6.0
    assert "guidance_scale" not in arguments.of(Request(guided=True))
    assert pipeline.guider.guidance_scale > 1.0
    arguments.of(Request())
    assert pipeline.guider.guidance_scale == 1.0
    assert "guidance_scale" not in arguments.of(Request(arguments={"guidance_scale": 0.0}))
    assert pipeline.guider.guidance_scale == 0.0


def test_a_scale_that_may_be_left_out_goes_with_the_guidance() -> None:
    given = PipelineArguments(OfTwoScales()).of(Request())
    assert given["guidance_scale"] == given["audio_guidance_scale"] == 1.0
    assert "image_guidance_scale" not in given


def test_the_largest_scale_of_a_range_guides() -> None:
    arguments = PipelineArguments(OfARange())
    arguments.inputs = ("image",)
    assert arguments.guidance_parameter() == "max_guidance_scale"
    assert arguments.of(Request(guided=True))["max_guidance_scale"] > 1.0


def test_tokens_of_a_long_template_count_where_that_helps() -> None:
    tokenizer = StandInTokenizer(1024, 64)
    pipeline = SimpleNamespace(components={"tokenizer": tokenizer})
    arguments = PipelineArguments(pipeline)
    template = "Describe what moves. " * 40
    assert len(tokenizer([template + PROMPT])["input_ids"][0]) == 64
    assert arguments.may_count_templates()
    longer = len(tokenizer([template + PROMPT])["input_ids"][0])
    assert longer > 64 + 100
    assert len(tokenizer([PROMPT])["input_ids"][0]) == 64
    assert not arguments.may_count_templates()  # it did not help: as before
    assert len(tokenizer([template + PROMPT])["input_ids"][0]) == 64
    assert arguments.may_count_templates()
    arguments.has_made()
    assert not arguments.may_count_templates()
    assert len(tokenizer([template + PROMPT])["input_ids"][0]) == longer
