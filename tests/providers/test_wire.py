"""A dead letter says which fields of an item are at fault, all of them, and quotes none."""

import pytest

from streams.providers import wire
from tests.providers.payloads import call, calls, envelope, read, reply, value


def test_a_dead_letter_names_every_fault_of_its_item() -> None:
    message = reply(response="accept", timestamp="soon", context="x" * 600)
    (fault,) = read(envelope(value(messages=[message | {"id": 5}]))).parked
    where = "$.entry[0].changes[0].value.messages[0]"
    assert (fault.reason, fault.path) == ("unreadable_time", f"{where}.timestamp")
    assert fault.detail == (
        "neither epoch seconds nor RFC 3339 with a zone"
        f"; also {where}.id: an id is a string of at most 512 characters"
        f"; also {where}.context.id: an id is a string of at most 512 characters"
    )


def test_the_faults_of_a_call_are_named_too() -> None:
    (fault,) = read(calls(call("terminate", start_time="soon", duration=-1))).parked
    assert fault.path.endswith("calls[0].start_time")
    assert "calls[0].duration: a duration is a whole number of seconds" in fault.detail


def test_a_single_fault_is_told_as_it_was_found() -> None:
    (fault,) = read(envelope(value(messages=[reply(response="accept", timestamp="soon")]))).parked
    assert fault.detail == "neither epoch seconds nor RFC 3339 with a zone"


def test_no_diagnosis_quotes_a_value() -> None:
    message = reply(response="accept", timestamp="447700900123x") | {
        "from_user_id": "447700900123x",
        "id": 447700900123,
    }
    assert "447700900" not in repr(read(envelope(value(messages=[message]))).parked)


def test_what_can_be_read_is_never_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(wire, "diagnosed")
    assert read(envelope(value(messages=[reply(response="accept")]))).facts
