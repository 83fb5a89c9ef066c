from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import is_user
from streams.api.question import BadQuestion, Question, read_question

NAMES = st.sampled_from(["user_wa_id", "recipient", "at", "fields", ""])
PIECES = st.builds(lambda name, value: name.encode() + b"=" + value, NAMES, st.binary(max_size=40))
QUERIES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=4).map(b"&".join))


def read(number: str, query: bytes) -> Question | str:
    try:
        return read_question(number, query)
    except BadQuestion as fault:
        return str(fault)


@given(st.text(max_size=40), QUERIES)
def test_any_path_and_query_is_a_question_or_a_sentence(number: str, query: bytes) -> None:
    got = read(number, query)
    assert got.isascii() if isinstance(got, str) else is_user(got.pair.user)


@given(st.text(max_size=60))
def test_any_instant_is_read_or_named(at: str) -> None:
    query = b"user_wa_id=447700900123&at=" + quote(at, errors="surrogatepass").encode()
    got = read("700100200300400", query)
    assert got.startswith("at:") if isinstance(got, str) else got.at is not None
