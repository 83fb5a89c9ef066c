import pytest

from streams.gateway.verification import challenge_of

TOKENS = ("current-token", "previous-token")
MODE = "hub.mode=subscribe"
OURS = "hub.verify_token=current-token"


@pytest.mark.parametrize(
    ("query", "challenge"),
    [
        (f"{MODE}&{OURS}&hub.challenge=1158201444", "1158201444"),
        (f"hub.challenge=1158201444&{OURS}&{MODE}", "1158201444"),
        (f"{MODE}&hub.verify_token=previous-token&hub.challenge=c", "c"),
        (f"{MODE}&{OURS}&hub.challenge=c&unknown=1", "c"),
        (f"{MODE}&{OURS}&hub.challenge=" + "9" * 512, "9" * 512),
        (f"{MODE}&hub.verify_token=wrong&hub.challenge=c", None),
        (f"{MODE}&hub.verify_token=&hub.challenge=c", None),
        (f"{MODE}&hub.challenge=c", None),
        (f"{MODE}&hub.verify_token=Current-Token&hub.challenge=c", None),
        (f"hub.mode=unsubscribe&{OURS}&hub.challenge=c", None),
        (f"{OURS}&hub.challenge=c", None),
        (f"{MODE}&{OURS}", None),
        (f"{MODE}&{OURS}&hub.challenge=", None),
        (f"{MODE}&{OURS}&hub.challenge=a&hub.challenge=b", None),
        (f"{MODE}&{OURS}&{OURS}&hub.challenge=c", None),
        (f"{MODE}&{OURS}&hub.challenge=" + "9" * 513, None),
        (f"{MODE}&{OURS}&hub.challenge=%3Cscript%3Ealert(1)%3C/script%3E", None),
        (f"{MODE}&{OURS}&hub.challenge=a%0d%0aSet-Cookie:x", None),
        (f"{MODE}&{OURS}&hub.challenge=%00", None),
        (f"{MODE}&{OURS}&hub.challenge=%ff%fe", None),
        (f"{MODE}&{OURS}&hub.challenge=%D9%A1", None),
        ("", None),
        ("&" * 100, None),
        (f"{MODE}&{OURS}&hub.challenge=c&x=" + "y" * 5_000, None),
        (f"{MODE}&{OURS}&hub.challenge=c" + "&x=y" * 100, None),
    ],
)
def test_only_a_harmless_challenge_with_a_token_of_ours_comes_back(query: str, challenge: str | None) -> None:
    assert challenge_of(query.encode(), TOKENS) == challenge


def test_without_a_configured_token_nothing_is_verified() -> None:
    assert challenge_of(b"hub.mode=subscribe&hub.verify_token=&hub.challenge=c", ()) is None
