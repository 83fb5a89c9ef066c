from hmac import digest
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.gateway.signature import Signatures, slot_names

BODY = b'{"object":"whatsapp_business_account","entry":[]}'
SECRET = "current-secret"
SIGNATURES = Signatures([("", SECRET), ("", "previous-secret"), ("shop", "shop-secret")])


def signature(body: bytes, secret: str = SECRET) -> bytes:
    return b"sha256=" + digest(secret.encode(), body, "sha256").hex().encode()


RIGHT = signature(BODY)
HEX = RIGHT.removeprefix(b"sha256=")
MUTANTS = {
    "empty": b"",
    "only the scheme": b"sha256=",
    "without the scheme": HEX,
    "sha1 of the same length": b"sha1=" + HEX,
    "sha1 as Meta sends it": b"sha1=" + digest(SECRET.encode(), BODY, "sha1").hex().encode(),
    "upper-case scheme": b"SHA256=" + HEX,
    "upper-case hex": b"sha256=" + HEX.upper(),
    "cut by one": RIGHT[:-1],
    "longer by one": RIGHT + b"0",
    "leading space": b" " + RIGHT,
    "trailing space": RIGHT + b" ",
    "space after the scheme": b"sha256= " + HEX,
    "not hex": b"sha256=" + b"z" * 64,
    "a prefix of zero x": b"sha256=0x" + HEX[2:],
    "unicode digits": b"sha256=" + "٠".encode() * 32,
    "full-width digits in latin-1": b"sha256=" + b"\xb2" * 64,
    "two values in one header": RIGHT + b", " + RIGHT,
    "the bytes, not their hex": b"sha256=" + digest(SECRET.encode(), BODY, "sha256"),
    "nul behind": RIGHT + b"\0",
    "of another body": signature(BODY + b" "),
    "of the empty body": signature(b""),
    "with a secret nobody configured": signature(BODY, "stranger"),
    "with an empty secret": signature(BODY, ""),
}


def test_a_right_signature_is_accepted_under_each_secret_and_names_its_slot() -> None:
    for secret, slot in ((SECRET, "current"), ("previous-secret", "previous"), ("shop-secret", "shop/current")):
        found = SIGNATURES.check(BODY, signature(BODY, secret))
        assert found is not None
        assert found.slot == slot


@pytest.mark.parametrize("given", MUTANTS.values(), ids=MUTANTS.keys())
def test_anything_but_the_one_text_is_refused(given: bytes) -> None:
    assert SIGNATURES.check(BODY, given) is None


@settings(max_examples=500)
@given(at=st.integers(0, len(RIGHT) - 1), byte=st.integers(0, 255))
def test_no_single_changed_byte_is_accepted(at: int, byte: int) -> None:
    mutant = RIGHT[:at] + bytes([byte]) + RIGHT[at + 1 :]
    assert (SIGNATURES.check(BODY, mutant) is not None) == (mutant == RIGHT)


def test_none_of_ten_thousand_mutants_is_accepted() -> None:
    dice = Random(20260302)
    for _ in range(10_000):
        mutant = bytearray(RIGHT)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(mutant) + 1)
            match dice.randrange(3):
                case 0:
                    mutant[at : at + 1] = dice.randbytes(1)
                case 1:
                    mutant[at:at] = dice.randbytes(1)
                case _:
                    del mutant[at : at + 1]
        if mutant != RIGHT:
            assert SIGNATURES.check(BODY, bytes(mutant)) is None


@given(body=st.binary(max_size=300), secret=st.text(min_size=1, max_size=100))
def test_the_prepared_states_give_the_hmac_of_the_standard(body: bytes, secret: str) -> None:
    found = Signatures([("", secret)]).check(body, signature(body, secret))
    assert found is not None


def test_without_a_secret_nothing_is_authentic() -> None:
    assert not Signatures([])
    assert Signatures([]).check(BODY, signature(BODY, "")) is None


def test_the_same_bytes_have_the_same_delivery_id_and_it_does_not_hold_the_signature() -> None:
    first, again, other = (SIGNATURES.check(body, signature(body)) for body in (BODY, BODY, b"{}"))
    assert first is not None
    assert first == again
    assert other is not None
    assert first.delivery_id != other.delivery_id
    assert first.delivery_id.encode() not in RIGHT


def test_slots_are_named_per_owner_by_age() -> None:
    assert slot_names(["", "", "", "shop", "", "shop"]) == (
        "current", "previous", "older-1", "shop/current", "older-2", "shop/previous",
    )  # fmt: skip
