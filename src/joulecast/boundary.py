"""What of a GPU's energy is counted: ``gross`` (all the board draws) or ``dynamic`` (without idle power)."""

from __future__ import annotations

from typing import Final

from joulecast.errors import UnknownNameError

BOUNDARIES: Final = ("gross", "dynamic")


def check_boundary(boundary: object) -> str:
    """`boundary` if it is known, else UnknownNameError."""
    if boundary not in BOUNDARIES:
        raise UnknownNameError("boundary", boundary, BOUNDARIES, f"known: {', '.join(BOUNDARIES)}")
    return str(boundary)
