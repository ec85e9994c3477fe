"""Predictions beside the traces of a service: a request read of a span's attributes, an estimate put on it.

What is read has the names of OpenTelemetry's semantic conventions (``gen_ai.*``, of 2026, in development).
They have names for the model, for how many outputs were asked for and of what kind, and none for the size,
the steps or the length of a clip: those are given beside. What is written has names of ours. The
conventions' ``hw.energy`` is of a meter, and no prediction is in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from joulecast.errors import InputError, check_extras, shown
from joulecast.question.setting import Setting, key_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from joulecast.forecast.estimate import Estimate

MODEL: Final = ("gen_ai.request.model", "gen_ai.response.model")  # the second where the first is not said
COUNT: Final = "gen_ai.request.choice.count"
KIND: Final = "gen_ai.output.type"
OPERATION: Final = "gen_ai.operation.name"
KINDS: Final = ("image", "video")  # the second has no name in the conventions yet, which allow others
# Operations of the conventions that make no image whatever their span's output is.
OTHER_OPERATIONS: Final = (
    "create_agent", "embeddings", "execute_tool", "invoke_agent", "invoke_workflow", "retrieval",
    "text_completion",
)  # fmt: skip
PREFIX: Final = "joulecast."
PREDICTED: Final = "predicted"
Value = str | int | float | Sequence[str]


def span_setting(span: Span | Mapping[str, object], **given: Any) -> Setting:
    """What a span asks for, and what is said beside it, as a request.

    >>> attributes = {"gen_ai.request.model": "Qwen/Qwen-Image", "gen_ai.request.choice.count": 2}
    >>> joulecast.span_setting(attributes, gpu="H100", size="1024x1024", steps=50).batch_size
    2

    Parameters
    ----------
    span : a span that is recorded, or a span's attributes.
    given : keys of a setting, as of `joulecast.estimate`; they go before what the span says.

    Raises
    ------
    InputError
        The span keeps no attributes, is of an operation that makes no image, or asks for what is not
        predicted.
    UnknownNameError
        A key that no setting has.
    """
    said = _attributes(span)
    _check_kind(said)
    named = next((said[name] for name in MODEL if said.get(name)), None)
    found = {"model": named, "batch_size": said.get(COUNT)}
    keys = {key_of(name) for name, value in given.items() if value is not None}
    return Setting.of({**{key: value for key, value in found.items() if key not in keys}, **given})


def annotate_span(estimate: Estimate, span: Span | None = None) -> dict[str, Value]:
    """Put an estimate on a span, and return the attributes that it was given.

    Energies are of all that the request makes: a batch. What is not known is left out. A span that is not
    recorded takes none, as everywhere in OpenTelemetry.

    Parameters
    ----------
    estimate : what was predicted of the span's request.
    span : by default the current one, which needs the extra `otel`.

    Raises
    ------
    MissingExtraError
        opentelemetry-api is not installed, and no span was given.
    """
    values = _values(estimate)
    (_current() if span is None else span).set_attributes(values)
    return values


def _values(estimate: Estimate) -> dict[str, Value]:
    outputs, of_one, time = estimate.workload.batch_size, estimate.energy, estimate.duration
    numbers = {
        "energy": of_one.value * outputs,
        "energy.low": of_one.low * outputs,
        "energy.high": of_one.high * outputs,
        "duration": time.value,
        "duration.low": time.low,
        "duration.high": time.high,
    }
    return {
        **{f"{PREFIX}{name}": number for name, number in numbers.items() if math.isfinite(number)},
        f"{PREFIX}source": PREDICTED,
        f"{PREFIX}boundary": estimate.boundary,
        f"{PREFIX}output": estimate.output,
        f"{PREFIX}outputs": outputs,
        f"{PREFIX}model": estimate.question.profile.name,
        f"{PREFIX}gpu": estimate.gpu.name,
        f"{PREFIX}runtime": estimate.runtime.label,
        f"{PREFIX}law": estimate.law.name,
        **({f"{PREFIX}warnings": estimate.warnings} if estimate.warnings else {}),
    }


def _current() -> Span:
    check_extras("the current span", "otel")
    from opentelemetry.trace import get_current_span

    return get_current_span()


def _attributes(span: Span | Mapping[str, object]) -> Mapping[str, object]:
    """The attributes of a span, which only those of an SDK keep."""
    found = span if isinstance(span, Mapping) else getattr(span, "attributes", None)
    if not isinstance(found, Mapping):
        raise InputError(
            f"{shown(type(span).__name__)} keeps no attributes that could be read: an SDK's span does, while "
            "it is recorded; else give its attributes as a mapping"
        )
    return found


def _check_kind(said: Mapping[str, object]) -> None:
    """InputError for a span of something else than an image or a clip."""
    operation, kind = said.get(OPERATION), said.get(KIND)
    if operation in OTHER_OPERATIONS:
        raise InputError(
            f"{OPERATION} is {shown(operation)}, which makes no image: nothing is predicted for it"
        )
    if kind is not None and kind not in KINDS:
        raise InputError(f"{KIND} is {shown(kind)}: images and clips of video are predicted")
