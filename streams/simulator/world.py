"""The pretend world: everything that truly happened between its first and its last second.

Owns the drawing of one life per pair, legal by `rules.py`: Meta takes no request beyond its limits, a user answers
only what is still on the screen, the profile is used only where it changes something. Refuses clocks and global
chance: the same arguments draw the same world, and the same seed over a span moved in time draws the same lives moved
in time.

Decisions bound here
- The hush: nothing happens in the minutes after `end_at` minus seven days. So no request and no grant runs out within
  `hush_s` after `end_at`, and a system asked a little later than `end_at` must still give the ledger's answers of
  `end_at`.
- Nothing happens within a minute of a moment at which something else runs out, and no two things in one second: the
  rules leave such ties to taste, and tests of taste belong to the product.
- Ids carry a digest of all arguments: two different worlds never give one id two contents.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from random import Random

from streams.simulator import cast, rules
from streams.simulator.happenings import (
    DAY_S,
    WEEK_S,
    Answer,
    Category,
    Chatted,
    Happening,
    Pair,
    Replied,
    RequestSent,
    StatusName,
    StatusReported,
)

MINUTE_S = 60
HOUR_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`happenings` in the order of time; `pairs` also holds those to whom nothing happened."""

    start_at: int
    end_at: int
    hush_s: int
    pairs: tuple[Pair, ...]
    happenings: tuple[Happening, ...]


def draw_world(*, seed: int, start_at: int, end_at: int, pairs: int, numbers: int, hush_s: int) -> World:
    dice = Random(f"world {seed}")
    mint = _Mint(sha256(f"{seed} {start_at} {end_at} {pairs} {numbers} {hush_s}".encode()).hexdigest()[:8].upper())
    people = tuple(cast.cast(pairs, numbers))
    happenings: list[Happening] = []
    for pair in people:
        happenings += _Life(pair, dice, mint, start_at, end_at, hush_s).lived()
    happenings.sort(key=lambda happening: happening.at)  # stable: pairs keep their order within a second
    return World(start_at=start_at, end_at=end_at, hush_s=hush_s, pairs=people, happenings=tuple(happenings))


@dataclass(slots=True)
class _Mint:
    """Message ids, each once."""

    tag: str
    minted: int = 0

    def id(self, kind: str) -> str:
        self.minted += 1
        return f"wamid.TEST{kind}{self.tag}{self.minted:08d}"


@dataclass(slots=True)
class _Life:
    """What happens between one business number and one user, intention by intention in the order of time.

    An intention is a function called at its instant: it looks at what has happened so far, and does something, puts
    it off, or lets it be.
    """

    pair: Pair
    dice: Random
    mint: _Mint
    start_at: int
    end_at: int
    hush_s: int
    happened: list[Happening] = field(default_factory=list)
    intentions: list[tuple[int, int, Callable[[int], None]]] = field(default_factory=list)
    intended: int = 0

    def lived(self) -> list[Happening]:
        dice, span = self.dice, self.end_at - self.start_at
        self._intend(self.start_at + dice.randrange(span), self._ask)
        if dice.random() < cast.CHATS:
            for _ in range(dice.randint(1, 3)):
                self._intend(self.start_at + dice.randrange(span), self._chat)
        if dice.random() < cast.GETS_ANOTHER_MESSAGE:
            self._intend(self.start_at + dice.randrange(span), self._other_message)
        if dice.random() < cast.GRANTS_IN_PROFILE:
            self._intend(self.start_at + dice.randrange(span), self._grant_in_profile)
        while self.intentions:
            at, order, intention = heapq.heappop(self.intentions)
            free_at = self._free(at)
            if free_at > self.end_at:
                continue
            if free_at > at:
                heapq.heappush(self.intentions, (free_at, order, intention))
            else:
                intention(at)
        return self.happened

    def _intend(self, at: int, intention: Callable[[int], None]) -> None:
        self.intended += 1
        heapq.heappush(self.intentions, (at, self.intended, intention))

    def _free(self, at: int) -> int:
        """`at`, or a later instant: clear of the hush, of the last happening, and of moments when things run out."""
        while True:
            hush_at = self.end_at - WEEK_S
            if hush_at - MINUTE_S <= at <= hush_at + self.hush_s:
                at = hush_at + self.hush_s + self.dice.randint(1, 10 * MINUTE_S)
            elif self.happened and at <= self.happened[-1].at:
                at = self.happened[-1].at + 1
            elif any(abs(at - ends_at) <= MINUTE_S for ends_at in self._endings()):
                at += 2 * MINUTE_S + 1
            else:
                return at

    def _endings(self) -> list[int]:
        """Every moment at which a grant or a request may run out: a week after something that has happened."""
        return [h.at + WEEK_S for h in self.happened if not isinstance(h, Chatted)]

    def _ask(self, at: int) -> None:
        allowed_at = rules.may_request_from(self.happened, at)
        if allowed_at is None:
            return
        if allowed_at > at:
            self._intend(allowed_at + self.dice.randint(MINUTE_S, 12 * HOUR_S), self._ask)
            return
        dice = self.dice
        chatting = any(isinstance(h, Chatted | Replied) and at - DAY_S < h.at for h in self.happened)
        template = None if chatting and dice.random() < 0.6 else dice.choice(cast.TEMPLATES)
        request = RequestSent(
            pair=self.pair,
            message_id=self.mint.id("REQ"),
            at=at,
            template=template,
            campaign=dice.choice(cast.CAMPAIGNS),
            origin=dice.choice(cast.ORIGINS),
        )
        self.happened.append(request)
        self._intend(at + dice.randint(1, 3), partial(self._report, request, "sent"))
        luck = dice.random()
        if luck < cast.FAILS:
            self._intend(at + dice.randint(4, 60), partial(self._report, request, "failed"))
            if dice.random() < 0.5:
                self._intend(at + dice.randint(2 * HOUR_S, 30 * HOUR_S), self._ask)
        elif luck > cast.FAILS + cast.NEVER_ARRIVES:
            # A phone that is off takes hours, but less than the day before which no newer request can overtake it.
            delay_s = dice.randint(4, 90) if dice.random() < 0.85 else dice.randint(90, 18 * HOUR_S)
            self._intend(at + delay_s, partial(self._arrive, request))
        if dice.random() < cast.IS_ASKED_AGAIN:
            self._intend(at + dice.randint(DAY_S, 5 * DAY_S), self._ask)

    def _report(self, request: RequestSent, status: StatusName, at: int) -> None:
        self._report_on(request.message_id, request.category, status, at)

    def _report_on(self, message_id: str, category: Category, status: StatusName, at: int) -> None:
        code = 131026 if status == "failed" else None  # what an old client gets; see domain 3.9
        report = StatusReported(
            pair=self.pair, message_id=message_id, at=at, status=status, category=category, error_code=code
        )
        self.happened.append(report)

    def _arrive(self, request: RequestSent, at: int) -> None:
        dice = self.dice
        if dice.random() < cast.ONLY_READ_IS_REPORTED:
            self._report(request, "read", at)
        else:
            self._report(request, "delivered", at)
            if dice.random() < cast.IS_READ:
                self._intend(at + int(dice.expovariate(1 / HOUR_S)) + 2, partial(self._report, request, "read"))
        odds, luck = cast.odds_of(request.template), dice.random()
        answer: Answer
        if luck < odds.temporary:
            answer = "temporary"
        elif luck < odds.temporary + odds.permanent:
            answer = "permanent"
        elif luck < odds.temporary + odds.permanent + odds.reject:
            answer = "reject"
        else:
            return
        self._intend(at + self._thinking_s(), partial(self._answer, request, answer))

    def _thinking_s(self) -> int:
        """Most decide within the hour, some within a day, a few after days."""
        dice = self.dice
        return dice.randint(5, dice.choices((HOUR_S, DAY_S, 6 * DAY_S), weights=(60, 30, 10))[0])

    def _answer(self, request: RequestSent, answer: Answer, at: int) -> None:
        if not rules.may_answer(self.happened, request.message_id, at):
            return
        dice = self.dice
        self.happened.append(self._reply(answer, request.message_id, at))
        if dice.random() < cast.CHANGES_MIND:
            second = dice.choice(cast.SECOND_THOUGHTS[answer])
            self._intend(at + dice.randint(MINUTE_S, 3 * DAY_S), partial(self._answer, request, second))
        if answer != "reject" and dice.random() < cast.REVOKES_IN_PROFILE:
            self._intend(at + dice.randint(HOUR_S, 5 * DAY_S), self._revoke_in_profile)

    def _reply(self, answer: Answer, request_id: str | None, at: int) -> Replied:
        return Replied(pair=self.pair, message_id=self.mint.id("REPLY"), at=at, answer=answer, request_id=request_id)

    def _grant_in_profile(self, at: int) -> None:
        if rules.permission(self.happened, at).status != "permanent":
            self.happened.append(self._reply("permanent" if self.dice.random() < 0.7 else "temporary", None, at))

    def _revoke_in_profile(self, at: int) -> None:
        if rules.permission(self.happened, at).status != "no_permission":
            self.happened.append(self._reply("reject", None, at))

    def _chat(self, at: int) -> None:
        text = self.dice.choice(cast.TEXTS)
        self.happened.append(Chatted(pair=self.pair, message_id=self.mint.id("TEXT"), at=at, text=text))

    def _other_message(self, at: int) -> None:
        """A message that asks for nothing: its statuses are of no meaning to anybody who counts requests."""
        message_id = self.mint.id("MSG")
        steps: tuple[StatusName, ...] = ("sent", "delivered", "read")
        for step, status in enumerate(steps[: self.dice.randint(1, 3)]):
            self._intend(at + 30 * step, partial(self._report_on, message_id, "service", status))
