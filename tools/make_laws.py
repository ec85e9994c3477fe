"""Regenerate the packaged laws from the packaged runs.

    python tools/make_laws.py

Needs scipy (the extra `fit`).
"""

from __future__ import annotations

from pathlib import Path

from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.fit_paper import fit_paper
from joulecast.law.law_file import write_law
from joulecast.runs import packaged_runs

FOLDER = Path(__file__).parents[1] / "src/joulecast/data/laws"


def main() -> None:
    """Fit each law on the packaged eager runs and write it."""
    FOLDER.mkdir(exist_ok=True)
    dataset = Dataset.build(packaged_runs().filter(runtime="eager"), packaged_profile)
    write_law(fit_paper(dataset), FOLDER / "paper.json")


if __name__ == "__main__":
    main()
