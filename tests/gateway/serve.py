"""A gateway process for tests: `python -m tests.gateway.serve '<settings as JSON>'`. `secret_file` names a file with
Meta's app secrets."""

import dataclasses
import json
import sys
from pathlib import Path

from deploy.secret_files import with_secrets_of
from streams.gateway.main import run
from streams.gateway.settings import GatewaySettings
from streams.rotation import SecretFile

PAIRS = ("meta_app_secrets", "api_keys", "provider_tokens")


def main(told: str) -> int:
    fields = json.loads(told)
    for name in PAIRS:
        fields[name] = tuple((owner, secret) for owner, secret in fields.get(name, ()))
    fields["meta_verify_tokens"] = tuple(fields["meta_verify_tokens"])
    named = fields.pop("secret_file", None)
    settings = GatewaySettings(**fields)
    if named is not None:
        file = SecretFile(
            setting="CALLGRANT_META_APP_SECRETS_FILE", path=Path(named), read=with_secrets_of("meta_app_secrets")
        )
        read = file.read(settings, file.path.read_text())
        settings = dataclasses.replace(read, secret_files=(file,))
    return run(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
