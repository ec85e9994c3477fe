"""The published errors of a law, as its file has them."""

from __future__ import annotations

from typing import Any

from joulecast.law.fitted import FittedLaw
from joulecast.law.load import load_law


def published(law: str | FittedLaw, holdout: str, quantity: str) -> dict[str, Any]:
    """Of ``energy`` or ``duration`` under a hold-out."""
    found = load_law(law) if isinstance(law, str) else law
    scores = found.errors[holdout].to_dict()[quantity]
    assert scores is not None
    return dict(scores)
