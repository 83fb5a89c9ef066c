import pytest

from streams.gateway.keys import ApiKeys

KEYS = ApiKeys([("crm", "one"), ("crm", "two"), ("dialer", "three")])


@pytest.mark.parametrize(
    ("given", "slot"),
    [
        (b"Bearer crm:one", "crm/current"),
        (b"bearer crm:two", "crm/previous"),
        (b"Bearer  dialer:three ", "dialer/current"),
        (b"Bearer dialer:one", None),
        (b"Bearer crm:", None),
        (b"Bearer crm", None),
        (b"Bearer :one", None),
        (b"Bearer nobody:one", None),
        (b"Bearer CRM:one", None),
        (b"Bearer", None),
        (b"", None),
        (b"Basic crm:one", None),
        (b"crm:one", None),
        (b"Bearer crm:one, Bearer crm:one", None),
        (b"Bearer crm:one\xff", None),
    ],
)
def test_a_key_is_let_in_only_whole_and_as_bearer(given: bytes, slot: str | None) -> None:
    assert KEYS.check(given) == slot


def test_without_a_configured_key_nobody_is_let_in() -> None:
    assert ApiKeys([]).check(b"Bearer :") is None
