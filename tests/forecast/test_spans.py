"""Spans of OpenTelemetry: what they ask for is read, what is predicted of it is put on them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, Tracer

import joulecast
from fake_law import FakeLaw
from joulecast import InputError, MissingExtraError, UnknownNameError, annotate_span, span_setting
from joulecast.law.law import LawInput, Prediction

# As OpenTelemetry's registry of attributes spells them.
ASKED: dict[str, str | int] = {
    "gen_ai.operation.name": "generate_content",
    "gen_ai.output.type": "image",
    "gen_ai.request.model": "Qwen/Qwen-Image",
    "gen_ai.request.choice.count": 2,
    "gen_ai.request.seed": 42,
}
EXACT = 1e-12


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exported: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return provider.get_tracer("tests")


def only(exported: InMemorySpanExporter) -> Mapping[str, Any]:
    (span,) = exported.get_finished_spans()
    return dict(span.attributes or {})


def guess(**given: Any) -> joulecast.Estimate:
    asked = {"size": "1024x1024", "steps": 20, "batch_size": 2, **given}
    return joulecast.estimate("sdxl", "H100-SXM5-80GB", **asked)


class OpenEnded(FakeLaw):
    """Knows no upper end."""

    def predict(self, asked: LawInput) -> Prediction:
        known = super().predict(asked)
        return known._replace(log_half_width=known.log_half_width + math.inf)


def test_the_current_span_has_what_was_predicted(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    expected = guess()
    with tracer.start_as_current_span("generate"):
        given = annotate_span(expected)
    found = only(exported)
    assert found == given
    assert found["joulecast.energy"] == pytest.approx(2 * expected.energy_j, rel=EXACT)
    assert found["joulecast.energy.low"] == pytest.approx(2 * expected.energy_low_j, rel=EXACT)
    assert found["joulecast.energy.high"] == pytest.approx(2 * expected.energy_high_j, rel=EXACT)
    times = [found[f"joulecast.duration{end}"] for end in ("", ".low", ".high")]
    assert times == [expected.duration_s, expected.duration_low_s, expected.duration_high_s]
    assert {name: found[f"joulecast.{name}"] for name in ("model", "gpu", "runtime", "law", "source")} == {
        "model": "sdxl",
        "gpu": "H100-SXM5-80GB",
        "runtime": "diffusers",
        "law": "roofline",
        "source": "predicted",
    }
    assert (found["joulecast.outputs"], found["joulecast.output"]) == (2, "image")
    assert found["joulecast.boundary"] == "gross"


def test_a_span_that_is_given_is_the_one(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    with tracer.start_as_current_span("outer"):
        inner = tracer.start_span("inner")
        annotate_span(guess(), inner)
        inner.end()
    by_name = {span.name: dict(span.attributes or {}) for span in exported.get_finished_spans()}
    assert by_name["outer"] == {}
    assert "joulecast.energy" in by_name["inner"]


def test_no_prediction_has_a_name_of_a_meter() -> None:
    assert all(name.startswith("joulecast.") for name in annotate_span(guess(), INVALID_SPAN))


def test_warnings_are_put_beside_the_number(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    doubtful = joulecast.estimate("flux.1-dev", "RTX 4060", size="1024x1024", batch_size=4)
    assert doubtful.warnings
    with tracer.start_as_current_span("generate"):
        annotate_span(doubtful)
    assert only(exported)["joulecast.warnings"] == doubtful.warnings


def test_an_end_that_is_not_known_is_left_out() -> None:
    given = annotate_span(guess(law=OpenEnded()), INVALID_SPAN)
    assert "joulecast.energy.high" not in given
    assert given["joulecast.energy"] == pytest.approx(2 * guess(law=FakeLaw()).energy_j, rel=EXACT)


def test_a_span_is_read_by_the_names_of_the_conventions(tracer: Tracer) -> None:
    with tracer.start_as_current_span("generate", attributes=ASKED) as span:
        setting = span_setting(span, gpu="H100", size="1024x1024", steps=50)
    assert setting == span_setting(ASKED, gpu="H100", size="1024x1024", steps=50)
    assert (setting.model, setting.batch_size, setting.steps) == ("Qwen/Qwen-Image", 2, 50)
    assert joulecast.ask(setting).profile.name == "qwen-image"


def test_a_span_is_read_and_annotated(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    with tracer.start_as_current_span("generate", attributes=ASKED) as span:
        annotate_span(joulecast.estimate_of(joulecast.ask(span_setting(span, gpu="H100"))))
    found = only(exported)
    assert found["joulecast.model"] == "qwen-image"
    assert found["gen_ai.request.model"] == "Qwen/Qwen-Image"


def test_what_is_given_goes_before_what_a_span_says() -> None:
    setting = span_setting(ASKED, model_name="sdxl", num_images_per_prompt=4)
    assert (setting.model, setting.batch_size) == ("sdxl", 4)


def test_the_model_that_answered_where_none_was_asked_for() -> None:
    assert span_setting({"gen_ai.response.model": "sdxl"}).model == "sdxl"
    assert span_setting({"gen_ai.response.model": "sdxl", "gen_ai.request.model": "sd1.5"}).model == "sd1.5"


@pytest.mark.parametrize(
    ("span", "given", "words"),
    [
        ({}, {}, "needs a model"),
        ({**ASKED, "gen_ai.operation.name": "embeddings"}, {}, "'embeddings', which makes no image"),
        ({**ASKED, "gen_ai.output.type": "speech"}, {}, "'speech': images and clips"),
        (
            {**ASKED, "gen_ai.request.choice.count": "many"},
            {},
            "batch size must be a whole number",
        ),
        ({**ASKED, "gen_ai.request.choice.count": 0}, {}, "batch size must be between 1"),
        ({**ASKED, "gen_ai.request.model": 7}, {}, "7"),
        (INVALID_SPAN, {}, "give its attributes as a mapping"),
        (None, {}, "give its attributes as a mapping"),
    ],
)
def test_what_cannot_be_read_says_why(span: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        joulecast.ask(span_setting(span, gpu="H100", **given))
    assert "\n" not in str(error.value)


def test_a_key_that_there_is_not() -> None:
    with pytest.raises(UnknownNameError, match="did you mean steps"):
        span_setting(ASKED, stepz=3)


def test_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span's attributes are read all the same; the current span needs the extra."""
    monkeypatch.setattr("joulecast.extras._is_there", lambda module: module != "opentelemetry")
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    assert span_setting(ASKED).batch_size == 2
    with pytest.raises(MissingExtraError, match="needs the extra `otel`: pip install"):
        annotate_span(guess())
