"""Every form of law by name, and how it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from joulecast.errors import MissingExtraError, UnknownNameError
from joulecast.law.baseline import QUANTITIES, fit_baseline
from joulecast.law.dataset import Dataset
from joulecast.law.fit_paper import fit_paper
from joulecast.law.fit_roofline import fit_roofline
from joulecast.law.fitted import FittedLaw

FITS: Mapping[str, Callable[[Dataset], FittedLaw]] = {
    "roofline": fit_roofline,
    "paper": fit_paper,
    **{name: partial(fit_baseline, quantity=name) for name in QUANTITIES},
}


def fit_law(form: str, dataset: Dataset) -> FittedLaw:
    """Fit a law of the given form.

    Raises
    ------
    UnknownNameError
        There is no such form.
    FitError
        The runs do not support the fit.
    MissingExtraError
        The extra `fit` (scipy) is not installed.
    """
    if form not in FITS:
        raise UnknownNameError("form of law", form, FITS, f"known: {', '.join(FITS)}")
    try:
        return FITS[form](dataset)
    except ImportError as error:
        raise MissingExtraError("fit", "fitting this law") from error
