"""The one registry of forms of law: what a form is called, its class, and how it is fitted.

Everything that lists, fits, reads, holds out or draws laws asks here, so a law of one's own is
registered once (`register_form`), from anywhere, and is then known everywhere. Fits are loaded when
one is made: reading a law needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from joulecast.errors import InputError, MissingExtraError, UnknownNameError, check_extras, shown
from joulecast.law.baseline import BaselineLaw
from joulecast.law.fitted import FittedLaw
from joulecast.law.paper import PaperLaw
from joulecast.law.roofline import RooflineLaw
from joulecast.records import Record

if TYPE_CHECKING:
    from joulecast.law.dataset import Dataset

FITTING = "fitting this law"


class Form(Record):
    """A form of law.

    Attributes
    ----------
    name : what it is asked for by, a word; also the name of the law of this form that ships.
    title : what pictures call it.
    law : the class of its laws, whose `form` law files carry; forms with the same equations share it.
    fit : fits one on runs; raises FitError where they do not support it.
    refit : the same, beginning at a law that was fitted on nearly the same runs: sooner there. None without.
    is_slow : whether a fit takes so long that several processes should share hold-outs. `law` and
        `fit` must then be importable by name.
    extras : of this package, that the fit needs.
    """

    name: str
    title: str
    law: type[FittedLaw]
    fit: Callable[[Dataset], FittedLaw]
    is_slow: bool = False
    extras: tuple[str, ...] = ()
    refit: Callable[[Dataset, FittedLaw], FittedLaw] | None = None

    def check_extras(self) -> None:
        """Raise MissingExtraError that names what its fit lacks."""
        check_extras(FITTING, *self.extras)


def register_form(form: Form) -> None:
    """Make a form of law known; again, or to a process that knows it already, it changes nothing.

    Raises
    ------
    InputError
        Its name is no word, or the name or the class's `form` is another one's.
    """
    if not form.name.isidentifier():
        raise InputError(f"a form of law is named by a word, e.g. my_law, not {shown(form.name)}")
    if _FORMS.get(form.name, form) != form:
        raise InputError(f"there is another form of law named {form.name}; give yours a name of its own")
    if law_classes().get(form.law.form, form.law) is not form.law:
        raise InputError(
            f"another class of laws has the form {shown(form.law.form)}; {form.law.__name__} needs its own"
        )
    _FORMS[form.name] = form


def register_forms(forms: Iterable[Form]) -> None:
    """The same of several forms: what another process knows."""
    for form in forms:
        register_form(form)


def known_forms() -> Mapping[str, Form]:
    """Every form of law by name, in the order in which they are shown."""
    return dict(_FORMS)


def find_form(name: str) -> Form:
    """The form of a name; UnknownNameError where there is none."""
    if name not in _FORMS:
        raise UnknownNameError("form of law", name, _FORMS, f"known: {', '.join(_FORMS)}")
    return _FORMS[name]


def law_classes() -> Mapping[str, type[FittedLaw]]:
    """Classes of laws by the `form` that law files carry."""
    return {form.law.form: form.law for form in _FORMS.values()}


def title(name: str) -> str:
    """What pictures call a form, or the name itself where it is none's."""
    return _FORMS[name].title if name in _FORMS else name


def fit_law(form: str, dataset: Dataset, near: FittedLaw | None = None) -> FittedLaw:
    """Fit a law of the given form; one that was fitted on nearly the same runs may say where to begin.

    Raises
    ------
    UnknownNameError
        There is no such form.
    FitError
        The runs do not support the fit.
    MissingExtraError
        The extra `fit` (scipy) is not installed.
    """
    found = find_form(form)
    try:
        return found.fit(dataset) if near is None or found.refit is None else found.refit(dataset, near)
    except ImportError as error:
        raise MissingExtraError("fit", FITTING) from error


def _fit_roofline(dataset: Dataset) -> FittedLaw:
    from joulecast.law.fit_roofline import fit_roofline

    return fit_roofline(dataset)


def _refit_roofline(dataset: Dataset, near: FittedLaw) -> FittedLaw:
    from joulecast.law.fit_roofline import fit_roofline

    return fit_roofline(dataset, near=near if isinstance(near, RooflineLaw) else None)


def _fit_paper(dataset: Dataset) -> FittedLaw:
    from joulecast.law.fit_paper import fit_paper

    return fit_paper(dataset)


def _fit_tdp_time(dataset: Dataset) -> FittedLaw:
    from joulecast.law.fit_baseline import fit_baseline

    return fit_baseline(dataset, "tdp_time")


def _fit_joules_per_flop(dataset: Dataset) -> FittedLaw:
    from joulecast.law.fit_baseline import fit_baseline

    return fit_baseline(dataset, "joules_per_flop")


def _fit_parameters_steps(dataset: Dataset) -> FittedLaw:
    from joulecast.law.fit_baseline import fit_baseline

    return fit_baseline(dataset, "parameters_steps")


_FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form(
            "roofline",
            "roofline",
            RooflineLaw,
            _fit_roofline,
            is_slow=True,
            extras=("fit",),
            refit=_refit_roofline,
        ),
        Form("paper", "paper", PaperLaw, _fit_paper),
        Form("tdp_time", "TDP x time at peak", BaselineLaw, _fit_tdp_time),
        Form("joules_per_flop", "constant J/FLOP", BaselineLaw, _fit_joules_per_flop),
        Form("parameters_steps", "parameters x steps", BaselineLaw, _fit_parameters_steps),
    )
}
