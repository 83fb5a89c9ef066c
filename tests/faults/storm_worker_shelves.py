"""What a storm tells and what it leaves, on the disk: so many shelves, each with all of some pairs, judged one by one.

A storm of a million facts does not fit in memory; a shelf of it does, whatever the length. Both names of a user lie on
one shelf wherever a payload shows both. Owns which pair lies where, and the files. Refuses to judge.
"""

import pickle
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from tests.faults.doors import Kept
from tests.faults.telling import Link
from tests.integration.log import Record

FACTS_A_SHELF: Final = 50_000
FIRST: Final = 0
"""Here lies what is of no pair, and what nobody can have told."""
OF_NO_PAIR: Final = ("deadletters", "business.events")


class Files:
    """Lists of things, by number and kind, put by one and taken whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self._open: dict[tuple[int, str], Any] = {}

    def put(self, number: int, kind: str, thing: Any) -> None:
        place = (number, kind)
        if place not in self._open:
            self._open[place] = (self._folder / f"{number}-{kind}").open("ab")
        pickle.dump(thing, self._open[place])

    def take(self, number: int, kind: str) -> list[Any]:
        self.close()
        path = self._folder / f"{number}-{kind}"
        return list(_all(path)) if path.exists() else []

    def close(self) -> None:
        for each in self._open.values():
            each.close()
        self._open.clear()

    def remove(self) -> None:
        self.close()
        shutil.rmtree(self._folder)


def _all(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)  # noqa: S301 - we have just written it
            except EOFError:
                return


class Shelves:
    """What was told, and what stands of it on the topics."""

    def __init__(self, folder: Path, facts: int, facts_a_shelf: int = FACTS_A_SHELF) -> None:
        self.count = max(1, -(-facts // facts_a_shelf))
        self._files = Files(folder)
        self._digits: dict[tuple[str, str], str] = {}
        self._of_delivery: dict[str, tuple[int, ...]] = {}

    def know(self, links: Iterable[Link]) -> None:
        """Two names of one user; to be told before anything is put."""
        self._digits |= {(number, scoped): wa_id for number, scoped, wa_id in links}

    def tell(self, kept: Kept) -> None:
        """One delivery, on each shelf with what of it belongs there."""
        facts, links = defaultdict(list), defaultdict(list)
        for fact in kept.facts:
            facts[self._of(fact.phone_number_id, fact.user)].append(fact)
        for link in kept.links:
            links[self._of(link[0], link[2])].append(link)
        shelves = {*facts, *links} if not kept.parks and (facts or links) else {*facts, *links, FIRST}
        self._of_delivery[kept.delivery_id] = tuple(shelves)
        for shelf in shelves:
            parks = kept.parks if shelf == FIRST else ()
            mine = replace(kept, facts=tuple(facts[shelf]), links=frozenset(links[shelf]), parks=parks)
            self._files.put(shelf, "told", mine)

    def leave(self, topic: str, record: Record, delivery_id: str | None) -> None:
        """One record of a topic; `delivery_id`: of a raw one."""
        if delivery_id is not None:
            shelves = self._of_delivery.get(delivery_id, (FIRST,))
        elif topic in OF_NO_PAIR:
            shelves = (FIRST,)
        else:
            number, _, user = (record.key or b"").decode("utf-8", "replace").partition("/")
            shelves = (self._of(number, user),)
        for shelf in shelves:
            self._files.put(shelf, topic, record)

    def told(self, shelf: int) -> dict[str, Kept]:
        return {kept.delivery_id: kept for kept in self._files.take(shelf, "told")}

    def left(self, shelf: int, topic: str) -> list[Record]:
        return self._files.take(shelf, topic)

    def remove(self) -> None:
        self._files.remove()

    def _of(self, number: str, user: str) -> int:
        return crc32(f"{number}/{self._digits.get((number, user), user)}".encode()) % self.count
