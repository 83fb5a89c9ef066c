from pathlib import Path
from typing import Any, cast

import rocksdict

from streams.worker.deadlines import PREFIX, Deadline, due, index_key

KEY, OTHER = b"700100200300400/447700900123", b"700100200300400/447700900124"


def test_the_order_of_index_rows_is_the_order_of_time() -> None:
    later, sooner = Deadline(300, KEY), Deadline(2, OTHER)

    assert sorted([index_key(later), index_key(sooner)]) == [index_key(sooner), index_key(later)]


def test_due_ones_come_back_whole_up_to_the_instant_and_the_limit() -> None:
    deadlines = [Deadline(at, KEY) for at in (10, 20, 30)]
    rows = [(index_key(each), b"") for each in deadlines]

    assert due(rows, 20, 10) == deadlines[:2]
    assert due(rows, 30, 1) == deadlines[:1]
    assert due(rows, 9, 10) == []


def test_the_search_in_a_real_store_meets_neither_pairs_nor_the_offset_row(tmp_path: Path) -> None:
    store = rocksdict.Rdict(str(tmp_path / "store"), rocksdict.Options(raw_mode=True))
    try:
        for deadline in (Deadline(20, OTHER), Deadline(10, KEY)):
            store[index_key(deadline)] = b""
        store[KEY] = b"{}"
        store[b"__faust\0offset__"] = b"7"

        assert due(cast(Any, store.items(from_key=PREFIX)), 1 << 62, 10) == [Deadline(10, KEY), Deadline(20, OTHER)]
    finally:
        store.close()
