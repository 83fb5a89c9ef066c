import dataclasses

import pytest

from tests.gateway.asgi import SECRET, SETTINGS, TOKEN


def test_no_secret_is_shown() -> None:
    shown = repr(SETTINGS) + str(SETTINGS)
    assert not any(secret in shown for secret in (SECRET, TOKEN, "key-of-the-tests"))


@pytest.mark.parametrize(
    ("field", "value", "setting"),
    [
        ("meta_app_secrets", (("", "good"), ("shop", "")), "CALLGRANT_META_APP_SECRETS"),
        ("meta_verify_tokens", ("",), "CALLGRANT_META_VERIFY_TOKENS"),
        ("api_keys", (("id", ""),), "CALLGRANT_API_KEYS"),
        ("api_keys", (("", "secret"),), "CALLGRANT_API_KEYS"),
    ],
)
def test_an_empty_secret_is_refused_and_the_setting_named(field: str, value: object, setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        dataclasses.replace(SETTINGS, **{field: value})  # type: ignore[arg-type]
