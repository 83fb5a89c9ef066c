"""A gateway process for tests: `python -m tests.gateway.serve '<settings as JSON>'`."""

import json
import sys

from streams.gateway.main import run
from streams.gateway.settings import GatewaySettings

PAIRS = ("meta_app_secrets", "api_keys")


def main(told: str) -> int:
    fields = json.loads(told)
    for name in PAIRS:
        fields[name] = tuple((owner, secret) for owner, secret in fields[name])
    fields["meta_verify_tokens"] = tuple(fields["meta_verify_tokens"])
    return run(GatewaySettings(**fields))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
