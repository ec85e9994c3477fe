"""What laws keep of what they were asked before."""

from __future__ import annotations

from joulecast.law.remembered import remembered


def test_is_made_once_and_kept_for_no_more_than_a_number_of_things() -> None:
    known: dict[int, str] = {}
    made: list[int] = []

    def told(key: int) -> str:
        def make() -> str:
            made.append(key)
            return str(key)

        return remembered(known, key, make, most=2)

    assert [told(key) for key in (1, 1, 2, 3, 1)] == ["1", "1", "2", "3", "1"]
    assert made == [1, 2, 3, 1]
    assert len(known) == 2
