"""A worker that measures tasks of a store with a virtual GPU until none is left, or it is killed."""

from __future__ import annotations

import sys
import time

from task_samples import ENVIRONMENT, RESULT, repeat_of

from joulecast.measure.store import Store


def main(path: str) -> None:
    with Store(path) as store:
        while claim := store.claim():
            environment = store.environment(ENVIRONMENT)
            for number in range(3):
                time.sleep(0.0005)
                store.record(claim, "pipeline", number, repeat_of(claim.spec.steps + number), environment)
            store.finish(claim, RESULT, environment, 0.1)
            print(claim.task, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
