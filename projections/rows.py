"""One record value on its way into the store: bytes in, one line out.

Owns what is looked at on the way, which is as little as possible: the bytes that Kafka delivered are the bytes that
the store parses, and nothing here reads the JSON (that would cost ten times the rest). What the store then refuses is
found by its row number (`batch`). Refuses to repair anything.
"""

from typing import Final, Literal

Unfit = Literal["no_value", "not_an_object", "not_a_record"]

DETAIL: Final[dict[Unfit, str]] = {
    "no_value": "the record has no value",
    "not_an_object": "the value does not start with { and end with }",
    "not_a_record": "the value names no phone_number_id, so it is not a record of this topic",
}
_NAMES_ITS_NUMBER: Final = b'"phone_number_id":'


def line(partition: int, offset: int, value: bytes | None) -> bytes | Unfit:
    """The inbox row of a value: the value itself, whole, beside the place it came from. Else why there is none."""
    if value is None:
        return "no_value"
    if not (value.startswith(b"{") and value.endswith(b"}")):
        return "not_an_object"
    # The store fills missing fields with defaults: without this, `{}` would pass and leave nothing behind.
    if _NAMES_ITS_NUMBER not in value:
        return "not_a_record"
    return b'{"kafka_partition":%d,"kafka_offset":%d,"record":%b}\n' % (partition, offset, value)
