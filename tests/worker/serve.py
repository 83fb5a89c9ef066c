"""A worker process for tests: `python -m tests.worker.serve '<settings as JSON>'`."""

import json
import sys
from pathlib import Path

from streams.worker.main import run
from streams.worker.settings import WorkerSettings


def main(told: str) -> int:
    fields = json.loads(told)
    fields["data_dir"] = Path(fields["data_dir"])
    return run(WorkerSettings(**fields))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
