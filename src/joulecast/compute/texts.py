"""Find what changes the length of a pipeline's text, and which lengths it takes, by asking it for some.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from joulecast.compute.capture import Call, PipelineCapture
from joulecast.errors import TraceError

# Of tokens, to which pipelines pad a text.
MULTIPLES = (1, 2, 4, 8, 16, 32)
LENGTHS = (64, 96, 160)  # of a text [tokens], from which a longer one is told
COSTS_AGREE = 1e-9  # of a sum, relative


class TextProbe:
    """A pipeline's text. `run` makes a small request of it, and `denoiser` is the component that denoises.

    `knob` is what changes the text's length, the prompt's own tokens or the pipeline's maximum; None where
    nothing does. The pipeline pads it to a multiple of `multiple` tokens. What deserves to be known is added
    to `notes`.
    """

    def __init__(
        self, capture: PipelineCapture, run: Callable[..., list[Call]], denoiser: str, notes: list[str]
    ) -> None:
        self.run, self.denoiser, self.notes = run, denoiser, notes
        self.pipeline, self.arguments = capture.config.pipeline, capture.arguments
        self.parameters = capture.arguments.parameters
        self.knob, self.multiple = self._finds()

    def request(self, tokens: int) -> dict[str, Any]:
        """What asks the pipeline for a text of so many tokens."""
        return _request_of(self.knob, tokens)

    def largest(self) -> int | None:
        """The largest text length the pipeline takes, among those in use."""
        accepted = None
        for tokens in (128, 256, 300, 512, 1024, 4096):
            try:
                self.run(**self.request(tokens))
            except TraceError:
                return accepted
            accepted = tokens
        return None

    def _finds(self) -> tuple[str | None, int]:
        """Which knob changes the text length (the prompt's own tokens, the pipeline's maximum, or none),
        and to a multiple of how many tokens the pipeline pads it."""
        for knob in ("prompt", "max_sequence_length"):
            if knob == "max_sequence_length" and knob not in self.parameters:
                continue
            base = 2 * MULTIPLES[-1] + 1
            shapes = self._shapes(knob, base)
            if shapes is None or self._shapes(knob, base + MULTIPLES[-1]) in (shapes, None):
                continue
            if knob == "max_sequence_length" and not self._follows_maximum():
                default = self.parameters[knob].default
                self.notes.append(
                    f"{self.pipeline} works in another way on a text that is padded to fewer than its "
                    f"{default} tokens: this profile holds for {default}"
                )
                continue
            return knob, next(m for m in MULTIPLES if self._shapes(knob, base + m) != shapes)
        self.arguments.forget_text()
        return None, 1

    def _follows_maximum(self) -> bool:
        """Whether what each operator of the denoiser costs is one polynomial, of degree 2, of lengths up to
        the default one.

        It is not where a number of tokens is taken for given, as Wan does that is given an image.
        """
        default = self.parameters["max_sequence_length"].default
        if not isinstance(default, int) or default in LENGTHS:
            return True
        try:
            costs = [self._denoiser_costs(tokens) for tokens in (*LENGTHS, default)]
        except TraceError:
            return True
        if len({len(some) for some in costs}) > 1:
            return True
        solved = np.linalg.solve(np.vander(np.array(LENGTHS) / default, 3), np.array(costs[:-1]))
        return bool(np.allclose(solved.sum(axis=0), costs[-1], rtol=COSTS_AGREE, atol=0.5))

    def _denoiser_costs(self, most_tokens: int) -> list[float]:
        """FLOP and bytes of one operator after the other, with a text of at most so many tokens."""
        calls = self.run(**_request_of("max_sequence_length", most_tokens))
        ran = (call.operators for call in calls if call.component == self.denoiser)
        return [float(cost) for some in ran for o in some for cost in (o.flop, o.bytes_read, o.bytes_written)]

    def _shapes(self, knob: str, tokens: int) -> Any:
        try:
            return [call.shapes for call in self.run(**_request_of(knob, tokens))]
        except TraceError:
            return None


def _request_of(knob: str | None, tokens: int) -> dict[str, Any]:
    return {} if knob is None else {"text": tokens, "text_knob": knob}
