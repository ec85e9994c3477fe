"""Requests as questions, or why they are none: alone, and beside each other in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from joulecast.errors import JoulecastError
from joulecast.question.question import Question, ask
from joulecast.question.questions import Questions
from joulecast.question.setting import Setting
from joulecast.question.table import TableReader

GPU = "H100-SXM5-80GB"


def asked(model: str, **keys: object) -> Question:
    return ask(Setting.of({"model": model, "gpu": GPU, **keys}))


def asked_or_refused(request: Mapping[str, object]) -> Question | str:
    """The question of a request, or why it is none."""
    try:
        return ask(Setting.of({**request, "gpu": GPU}))
    except JoulecastError as error:
        return str(error)


def asked_in_a_table(
    requests: Sequence[Mapping[str, object]], names: Sequence[str]
) -> Iterator[tuple[Questions, int, Question]]:
    """Rows of all kinds beside each other, as the text of a CSV file: the table, the place of each that is a
    question, and the same asked alone; a row that is none says why, as alone."""
    table = {name: [str(request.get(name, "")) for request in requests] for name in names}
    found = TableReader().read({**table, "gpu": [GPU] * len(requests)})
    for row, request in enumerate(requests):
        question = asked_or_refused(request)
        assert found.error[row] == (question if isinstance(question, str) else "")
        if not isinstance(question, str):
            yield found, row, question
