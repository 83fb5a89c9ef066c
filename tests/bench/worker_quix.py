"""The same fold as a Quix Streams application: `python -m tests.bench.worker_quix <bootstrap> <prefix> <folder>`.

It runs in an environment of its own (`requirements-quix.lock`), as Quix Streams asks for an older pydantic than ours.
"""

import sys
from typing import Any

from quixstreams import Application

from schemas.topics import TopicNames
from tests.bench.one import One, fold_one

COMMIT_EVERY_S = 1.0


def main(bootstrap: str, prefix: str, folder: str) -> None:
    names = TopicNames(prefix, 1)
    app = Application(
        broker_address=bootstrap,
        consumer_group=names.group("quix"),
        auto_offset_reset="earliest",
        commit_interval=COMMIT_EVERY_S,
        state_dir=folder,
        loglevel="WARNING",
        producer_extra_config={"compression.type": "zstd"},
        consumer_extra_config={"fetch.wait.max.ms": 100},
    )
    raw: dict[str, Any] = {
        "key_serializer": "bytes",
        "value_serializer": "bytes",
        "key_deserializer": "bytes",
        "value_deserializer": "bytes",
    }
    facts, changes, records = (
        app.topic(names.of(f"permission.{name}"), **raw) for name in ("events", "changes", "records")
    )

    def fold(value: bytes, state: Any) -> One:
        done = fold_one(value, state.get_bytes("row"))
        if done.row is not None:
            state.set_bytes("row", done.row)
        return done

    folded = app.dataframe(facts).apply(fold, stateful=True)
    announced = folded.apply(lambda done: done.changes, expand=True)
    announced.set_headers(lambda told, *_: told.headers).apply(lambda told: told.value).to_topic(changes)
    recorded = folded.filter(lambda done: done.record is not None).apply(lambda done: done.record)
    recorded.set_headers(lambda told, *_: told.headers).apply(lambda told: told.value).to_topic(records)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
