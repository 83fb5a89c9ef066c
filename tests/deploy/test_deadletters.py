"""The fold of `deadletters`, what today's code makes of a letter, and what is shown of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.config import load, projection_settings, worker_settings
from deploy.deadletters import Address, Filters, address_of, counted, letter_of, registered
from deploy.deadletters_outlook import outlook, returned
from deploy.deadletters_shown import at_path, contents, diagnosis, line
from deploy.sources import ConfigError
from schemas.envelope import arrived_with, dead_letter, is_mark, mark
from schemas.topics import MAX_RECORD_BYTES
from tests.deploy.letters import AT_MS, DAY_S, NUMBER, REPLY, USER, Record, ledger_of, marked, parked, webhook
from tests.providers.payloads import known

DIGEST = b"0123456789abcdef" * 2


def test_a_letter_tells_where_it_stood_and_keeps_the_headers_it_came_with() -> None:
    letter = letter_of(parked((2, 7)))

    assert (str(letter.address), str(letter.origin)) == ("2:7", "t.webhooks.raw-0@5")
    assert (letter.reason, letter.provider, letter.origin_at_ms) == ("not_json", "meta", AT_MS)
    assert [name for name, _ in letter.arrived] == [
        "provider",
        "received_at",
        "delivery_id",
        "secret_slot",
        "content-type",
    ]


def test_headers_of_the_origin_that_are_named_like_ours_are_kept() -> None:
    own = dead_letter(reason="not_json", path="$", detail="", topic="t", partition=0, offset=1)

    assert arrived_with([*own, ("provider", b"meta"), ("reason", b"theirs")]) == [
        ("provider", b"meta"),
        ("reason", b"theirs"),
    ]


def test_a_mark_is_no_letter_and_a_letter_that_carries_a_header_of_marks_is_none() -> None:
    assert is_mark(mark(partition=0, offset=1, outcome="dropped"))
    assert not is_mark(list(parked((0, 0), arrived=mark(partition=0, offset=1, outcome="dropped")).headers))
    assert not is_mark([])


def test_a_letter_of_a_foreign_writer_is_shown_with_what_it_has() -> None:
    letter = letter_of(Record(0, 3, AT_MS, None, b"?", [("origin_topic", b"t"), ("origin_offset", b"-1")]))

    assert (letter.reason, letter.origin, letter.provider) == ("unknown", None, None)


def test_the_same_record_parked_twice_is_one_letter_and_a_mark_on_either_holds_for_both() -> None:
    copies = [parked((0, 1)), parked((1, 9), later_s=3)]
    ledger = ledger_of(*copies)
    (letter,) = ledger.select(Filters())
    assert letter.address == Address(0, 1)
    assert ledger.at(Address(1, 9)) is not None

    ledger.take(marked(Address(1, 9), (1, 10)))

    assert ledger.select(Filters()) == []
    assert ledger.became(letter) == "dropped"


def test_two_reasons_of_one_record_are_two_letters_of_one_record() -> None:
    ledger = ledger_of(parked((0, 1)), parked((0, 2), reason="unknown_number"))

    first, second = ledger.select(Filters())
    assert ledger.of_record(first) == [first, second]
    assert ledger.copies(first) == [first]


@pytest.mark.parametrize("swapped", [False, True])
def test_the_later_mark_holds_in_whatever_order_marks_are_read(swapped: bool) -> None:
    marks = [marked(Address(0, 1), (0, 5), "dropped", 60), marked(Address(0, 1), (0, 6), "retried", 90)]
    ledger = ledger_of(*(reversed(marks) if swapped else marks), parked((0, 1)))

    assert ledger.became(ledger.letters()[0]) == "retried"


def test_a_mark_of_an_unknown_outcome_or_address_changes_nothing() -> None:
    ledger = ledger_of(parked((0, 1)), marked(Address(0, 1), (0, 2), "burnt"), marked(Address(5, 5), (0, 3), "dropped"))

    assert len(ledger.select(Filters())) == 1


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(reasons=("unknown_number",)), ["0:2"]),
        (Filters(providers=("gupshup", "infobip")), ["0:3"]),
        (Filters(origins=("permission.events",)), ["0:4"]),
        (Filters(origins=("t.permission.events",)), ["0:4"]),
        (Filters(origins=("events",)), ["0:4"]),
        (Filters(since_at=AT_MS // 1000 + 50), ["0:3", "0:4"]),
        (Filters(since_at=AT_MS // 1000 + 50, until_at=AT_MS // 1000 + 100), ["0:3"]),
        (Filters(reasons=("not_json",), providers=("meta",)), ["0:1"]),
    ],
)
def test_filters_choose_by_reason_provider_origin_and_time(filters: Filters, found: list[str]) -> None:
    ledger = ledger_of(
        parked((0, 1)),
        parked((0, 2), reason="unknown_number"),
        parked((0, 3), provider="gupshup", origin=("t.webhooks.raw", 0, 6), later_s=50),
        parked((0, 4), origin=("t.permission.events", 0, 6), arrived=[], later_s=100),
    )

    assert [str(one.address) for one in ledger.select(filters)] == found


def test_statistics_count_what_became_of_letters_by_what_is_asked() -> None:
    ledger = ledger_of(
        parked((0, 1)),
        parked((0, 2), origin=("t.webhooks.raw", 0, 6), later_s=DAY_S),
        parked((0, 3), reason="unknown_number"),
        marked(Address(0, 2), (0, 4), "retried", DAY_S + 9),
    )

    found = counted(ledger, ledger.select(Filters(), done=True), ["reason", "day"])

    assert {key: dict(counts) for key, counts in found.items()} == {
        ("not_json", "2026-03-02"): {"open": 1},
        ("not_json", "2026-03-03"): {"retried": 1},
        ("unknown_number", "2026-03-02"): {"open": 1},
    }


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:1", "1:-1", "1:2:3", "²:1", "1:" + "9" * 30])
def test_an_address_is_two_whole_numbers(text: str) -> None:
    assert address_of(text) is None


def test_an_origin_is_ours_in_every_generation_and_under_no_other_prefix() -> None:
    def named(topic: str) -> str | None:
        found = registered(topic, "t.")
        return found.name if found else None

    assert named("t.permission.records.g2") == "permission.records"
    assert named("t.webhooks.raw") == "webhooks.raw"
    assert named("t.webhooks.raw.g2") is None
    assert named("u.webhooks.raw") is None


def seen(record: Record, numbers: dict[str, str] | None = None) -> tuple[str, str]:
    found = outlook(letter_of(record), record.value, "t.", known(numbers or {}))
    return found.verdict, found.says


def test_a_webhook_that_can_be_read_today_says_what_it_becomes() -> None:
    assert seen(parked((0, 1), webhook(REPLY), reason="unknown_number")) == (
        "readable",
        "1 business_seen, 1 permission_replied",
    )


def test_a_webhook_that_is_still_unreadable_says_where() -> None:
    verdict, says = seen(parked((0, 1), b"{"))

    assert verdict == "unreadable"
    assert says.startswith("not_json at $: ")


def test_a_webhook_readable_in_part_says_both() -> None:
    verdict, says = seen(parked((0, 1), webhook(REPLY, {**REPLY, "id": "wamid.TESTREPLY2", "timestamp": "soon"})))

    assert verdict == "partly"
    assert "1 permission_replied" in says
    assert "still unreadable_time at $.entry[0].changes[0].value.messages[1].timestamp" in says
    assert USER not in says


def test_a_number_known_by_now_makes_its_webhook_readable() -> None:
    body = webhook(REPLY).replace(f', "phone_number_id": "{NUMBER}"'.encode(), b"")
    letter = parked((0, 1), body, reason="unknown_number")

    assert seen(letter)[0] == "unreadable"
    assert seen(letter, {"442079460123": NUMBER})[0] == "readable"


def test_a_fact_goes_back_only_under_the_key_of_its_pair() -> None:
    fact: dict[str, Any] = {"type": "permission_replied", "fact_id": "f", "phone_number_id": NUMBER, "user": USER}
    fact |= {"occurred_at": 1_772_443_800, "recorded_at": 1_772_443_801, "provider": "meta", "message_id": "m"}
    said = {"response": "reject", "is_permanent": False, "expires_at": None, "source": None, "context_id": None}
    value = json.dumps(fact | said).encode()
    origin = ("t.permission.events", 0, 9)
    ours = parked((0, 1), value, origin=origin, key=f"{NUMBER}/{USER}".encode(), reason="state_unreadable")

    assert seen(ours) == ("readable", "1 permission_replied")
    assert seen(ours._replace(key=b"another"))[1].startswith("key_mismatch")
    assert seen(ours._replace(value=b"{}"))[1].startswith("unknown_fact_type")


@pytest.mark.parametrize("topic", ["permission.commands", "permission.ticks", "deadletters", "webhooks.raw.g2"])
def test_what_says_nothing_any_more_never_goes_back(topic: str) -> None:
    assert seen(parked((0, 1), webhook(REPLY), origin=(f"t.{topic}", 0, 1)))[0] == "never"
    assert seen(parked((0, 1), webhook(REPLY), origin=("u.webhooks.raw", 0, 1)))[0] == "never"


def test_a_row_goes_back_when_it_looks_like_one() -> None:
    origin = ("t.permission.records", 0, 1)

    assert seen(parked((0, 1), b'{"phone_number_id":"7"}', origin=origin))[0] == "readable"
    assert seen(parked((0, 1), b"[]", origin=origin))[1].startswith("not_an_object")


def test_what_goes_back_keeps_key_headers_and_receipt_time_and_says_that_it_was_retried() -> None:
    record = parked((2, 7), webhook(REPLY))

    back = returned(letter_of(record), record.value, "t.")

    assert (back.topic, back.key, back.value, back.keyed) == ("t.webhooks.raw", None, record.value, False)
    assert back.headers == [*letter_of(record).arrived, ("retried", b"2:7")]


def test_what_came_without_a_receipt_time_gets_the_time_of_its_record_and_one_retry_is_named() -> None:
    record = parked((2, 7), webhook(REPLY), arrived=[("provider", b"meta"), ("retried", b"0:1")])

    back = returned(letter_of(record), record.value, "t.")

    assert back.headers == [
        ("provider", b"meta"),
        ("received_at", b"2026-03-02T09:30:01.000Z"),
        ("retried", b"2:7"),
    ]


def test_a_record_that_our_header_makes_too_large_is_not_sent() -> None:
    record = parked((2, 7), b" " * (MAX_RECORD_BYTES - 4_000))

    assert returned(letter_of(record), record.value, "t.").too_large


def test_a_list_and_a_diagnosis_hold_neither_key_nor_bytes_nor_headers_of_strangers() -> None:
    key = f"{NUMBER}/{USER}".encode()
    strange = [("provider", b"me\x1b[2Jta" + USER.encode()), ("x-from", USER.encode()), ("delivery_id", DIGEST)]
    ledger = ledger_of(parked((0, 1), webhook(REPLY), key=key, arrived=strange))
    (letter,) = ledger.letters()

    told = json.dumps([line(letter, ledger), diagnosis(letter, ledger)], ensure_ascii=False)

    assert USER not in told
    assert "wamid" not in told
    assert "me?[2Jta(digits)" in told
    assert DIGEST.decode() in told
    assert "(12 bytes)" in told


def test_the_bytes_are_shown_with_what_stands_at_the_offending_path() -> None:
    record = parked((0, 1), webhook(REPLY), path="$.entry[0].changes[0].value.messages[0].timestamp")

    told = contents(letter_of(record), record.value)

    assert told["at_the_path"] == REPLY["timestamp"]
    assert told["body"] == json.loads(webhook(REPLY))
    assert contents(letter_of(record), b"\xff{")["body_base64"] == "/3s="


def test_a_path_that_leads_nowhere_shows_the_last_place_there_is() -> None:
    assert at_path({"entry": [{"id": 1}]}, "$.entry[0].changes[3]") == {"id": 1}


@pytest.mark.parametrize("text", ["2026-03-02T09:30:01Z", "2026-03-02T10:30:01+01:00", "1772443801"])
def test_the_way_out_of_a_halt_is_an_instant(text: str, tmp_path: Path) -> None:
    for settings in (worker_settings, projection_settings):
        assert settings(load({"CALLGRANT_PARK_UNTIL": text}, tmp_path)).park_until_at == AT_MS // 1000
        assert settings(load({}, tmp_path)).park_until_at is None


@pytest.mark.parametrize("text", ["yes", "2026-03-02", "2026-03-02T09:30:01", "1772443801000"])
def test_the_way_out_of_a_halt_is_never_guessed(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CALLGRANT_PARK_UNTIL"):
        load({"CALLGRANT_PARK_UNTIL": text}, tmp_path)
