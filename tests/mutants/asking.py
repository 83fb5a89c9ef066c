"""Asks the tests about each change, in one pytest session: collected once, then a forked process for every change.

Owns how a change is put in (the function itself gets the changed code, so whoever imported it has it), which tests are
asked (those that reach the function, the ones that noticed its last change first, then the quickest) and what counts
as noticed: a test fails, or does not end. Refuses to write a file, and to change anything in the process that forks.
"""

import gc
import json
import os
import signal
import sys
import textwrap
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Final

import pytest
from _pytest.runner import runtestprotocol

PACKAGE: Final = "streams.permission"
PROFILE: Final = "mutants"
# A test that takes this many times as long as it does without the change, and this much on top, does not end.
PATIENCE, PATIENCE_S = 10, 1.0
FAILED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One place of one function, said otherwise. `function`: its qualified name in the module `file`."""

    file: str
    function: str
    line: int
    source: str
    changed: str
    before: str
    after: str


@dataclass(slots=True)
class Asking:
    """The plugin. `tell` gets each change and whether it was noticed."""

    changes: Sequence[Change]
    tell: Callable[[Change, bool], None]
    reaching: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # tests, by function
    costs_s: dict[int, float] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        """Few examples, the same every time, and no search for the smallest: one that fails is enough."""
        from hypothesis import HealthCheck, Phase, settings  # not before pytest, which rewrites its assertions

        phases, checks = [Phase.explicit, Phase.generate], list(HealthCheck)
        settings.register_profile(
            PROFILE,
            max_examples=10,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            suppress_health_check=checks,
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests once: once to see what they reach, then for every change."""
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        gc.freeze()
        self._look(session.items)
        for change in self.changes:
            self.tell(change, self._is_noticed(change, session.items))
        return True

    def _look(self, items: Sequence[pytest.Item]) -> None:
        """Which tests reach which function and what they cost, with every function in its own words put in anew."""
        code, said = forked(lambda: self._reached(items))
        if code != 0:
            raise pytest.UsageError(f"without any change the tests must pass: {said.decode(errors='replace')}")
        for index, (cost_s, functions) in enumerate(json.loads(said)):
            self.costs_s[index] = cost_s
            for function in functions:
                self.reaching[function].append(index)
        for tests in self.reaching.values():
            tests.sort(key=self.costs_s.__getitem__)

    def _reached(self, items: Sequence[pytest.Item]) -> tuple[int, bytes]:
        names: dict[CodeType, str] = {}
        for file, function, source in {(one.file, one.function, one.source) for one in self.changes}:
            if _stripped(source) not in _stripped(Path(held(file, function).__code__.co_filename).read_text("utf-8")):
                return FAILED, f"{file}.py was changed since the changes were listed".encode()
            names[put(file, function, source).__code__] = f"{file}.{function}"
        seen: set[str] = set()

        def see(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and (name := names.get(frame.f_code)) is not None:
                seen.add(name)

        told: list[tuple[float, list[str]]] = []
        for item, following in followed(items):
            seen.clear()
            began = time.process_time()
            sys.setprofile(see)
            passes = passed(item, following)
            sys.setprofile(None)
            told.append((time.process_time() - began, sorted(seen)))
            if not passes:
                return FAILED, item.nodeid.encode()
        return 0, json.dumps(told).encode()

    def _is_noticed(self, change: Change, items: Sequence[pytest.Item]) -> bool:
        asked = self.reaching[f"{change.file}.{change.function}"]
        code, said = forked(lambda: self._asked(change, [(index, items[index]) for index in asked]))
        if code == FAILED and said.isdigit():  # who noticed this one may well notice the next
            asked.insert(0, asked.pop(asked.index(int(said))))
        return code != 0

    def _asked(self, change: Change, tests: Sequence[tuple[int, pytest.Item]]) -> tuple[int, bytes]:
        put(change.file, change.function, change.changed)
        for (index, _), (item, following) in zip(tests, followed([item for _, item in tests]), strict=True):
            signal.setitimer(signal.ITIMER_PROF, PATIENCE_S + PATIENCE * self.costs_s[index])
            if not passed(item, following):
                return FAILED, str(index).encode()
        return 0, b""


def held(file: str, function: str) -> FunctionType:
    """The function of the rules, as everybody holds it."""
    module = import_module(f"{PACKAGE}.{file}")
    owner, _, name = function.rpartition(".")
    return _plain(vars(getattr(module, owner) if owner else module)[name])


def put(file: str, function: str, source: str) -> FunctionType:
    """The same function, with the code of `source` in place of its own."""
    old = held(file, function)
    namespace = dict(old.__globals__)
    exec(compile(textwrap.dedent(source), f"<{file}.{function}>", "exec"), namespace)  # noqa: S102
    new = _plain(namespace[old.__name__])
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    return old


def _plain(function: object) -> FunctionType:
    function = getattr(function, "__func__", function)
    assert isinstance(function, FunctionType)
    return function


def _stripped(source: str) -> str:
    return "\n".join(line.strip() for line in source.strip().splitlines())


def followed(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Each test and the one after it, for which shared fixtures are kept."""
    yield from zip(items, [*items[1:], None], strict=True)


def passed(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Whether a test passes, its fixtures included."""
    reports = runtestprotocol(item, log=False, nextitem=following)
    return not any(report.failed for report in reports)


def forked(run: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
    """The code and the words of what runs in a process of its own; the code is negative where a signal ended it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = FAILED
        try:
            os.close(reading)
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            try:
                code, said = run()
            except Exception:  # noqa: BLE001 - whatever it is, the process that forked says it
                said = traceback.format_exc().encode()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(said)
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), said
