"""What `fit` and `validate` share: forms of laws, runs of the user's, and how linear algebra runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from joulecast.cli.options import say
from joulecast.errors import InputError, shown
from joulecast.files.paths import is_path

if TYPE_CHECKING:
    from joulecast.runs import RunTable


def check_forms(forms: Sequence[str]) -> None:
    """Raise InputError for a name that is no form of law, which can be fitted again."""
    from joulecast.law.forms import find_form, known_forms

    for form in forms:
        if is_path(form, ".json"):
            raise InputError(
                f"--law {shown(form)}: a law file cannot be held out of its own fit; give a form "
                f"({', '.join(known_forms())}), or runs of your own with --runs"
            )
        find_form(form)


def forms_in_words() -> str:
    """The forms of law that may be asked for, e.g. "roofline or paper"."""
    one_thread()  # the registry loads numpy
    from joulecast.law.forms import known_forms

    *others, last = known_forms()
    return f"{', '.join(others)} or {last}"


def read_runs(path: str) -> RunTable:
    """The runs of a file; what is ignored or invented in it is said."""
    from joulecast.runs import RunTable

    runs = RunTable.read(path)
    if runs.ignored_columns:
        say(f"ignored columns: {', '.join(runs.ignored_columns)}")
    invented = sum(run.is_invented for run in runs)
    if invented:
        say(f"warning: {invented} of the runs are of a dry run, invented: nothing follows from them")
    return runs


def one_thread() -> None:
    """Keep linear algebra to one thread: its problems here are small, and threads only wait for each other.

    Works where numpy is not loaded yet, and in processes that are started from here.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
