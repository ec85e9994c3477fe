"""Regenerate the packaged compute profiles from the packaged architectures: all, or those named.

    python tools/make_profiles.py [NAME ...]

Needs the extra `trace`, with the versions in `constraints.txt`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from joulecast.architecture.catalogue import model_entry, model_names
from joulecast.architecture.pipeline_config import pipeline_config_from_catalogue
from joulecast.compute.profile_file import write_profile
from joulecast.compute.profiler import make_profile

FOLDER = Path(__file__).parents[1] / "src/joulecast/data/profiles"


def main() -> None:
    """Trace each model and write its profile."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or model_names():
        start = time.monotonic()
        entry = model_entry(name)
        profile = make_profile(pipeline_config_from_catalogue(entry), entry)
        write_profile(profile, FOLDER / f"{name}.json")
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
