from random import Random

import pytest

from streams.gateway.tokens import Tokens, presented

TOKENS = Tokens(["current-token", "previous-token"])


@pytest.mark.parametrize(
    ("given", "slot"),
    [
        (b"current-token", "current"),
        (b"previous-token", "previous"),
        (b"current-toke", None),
        (b"current-token\0", None),
        (b"CURRENT-TOKEN", None),
        (b"current-token,previous-token", None),
        (b"", None),
    ],
)
def test_only_a_whole_token_is_accepted_and_names_its_slot(given: bytes, slot: str | None) -> None:
    assert TOKENS.check(given) == slot


def test_none_of_ten_thousand_mutants_is_accepted() -> None:
    dice = Random(20260302)
    for _ in range(10_000):
        mutant = bytearray(b"current-token")
        mutant[dice.randrange(len(mutant))] ^= dice.randint(1, 255)
        assert TOKENS.check(bytes(mutant)) is None


def test_without_a_token_nobody_is_let_in() -> None:
    assert not Tokens([])
    assert Tokens([]).check(b"") is None


@pytest.mark.parametrize(
    ("query", "tokens"),
    [
        (b"token=a", [b"a"]),
        (b"x=y&token=a%2Bb", [b"a+b"]),
        (b"token=a&token=b", [b"a", b"b"]),
        (b"token=", [b""]),
        (b"token", [b""]),
        (b"TOKEN=a", []),
        (b"xtoken=a", []),
        (b"token=\xff", []),
        (b"token=%ed%a0%bd", ["���".encode()]),
        (b"x=1&" * 40 + b"token=a", []),
        (b"x" * 5_000 + b"&token=a", []),
    ],
)
def test_tokens_of_a_query_are_found_wherever_they_stand(query: bytes, tokens: list[bytes]) -> None:
    assert presented([], query) == tokens


def test_a_token_in_the_header_and_one_in_the_query_are_two() -> None:
    headers = [(b"host", b"x"), (b"x-callgrant-token", b"\ta ")]
    assert presented(headers, b"") == [b"a"]
    assert presented(headers, b"token=a") == [b"a", b"a"]
