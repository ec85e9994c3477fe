"""Print how far computed peaks of memory are from published ones: ``data/peak_memory.csv``.

python tools/compare_memory.py
"""

from __future__ import annotations

from joulecast.forecast.memory_comparison import compared
from joulecast.report.memory_text import comparison_text


def main() -> None:
    """A row a published figure."""
    print(comparison_text(compared()))


if __name__ == "__main__":
    main()
