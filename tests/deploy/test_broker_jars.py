import hashlib
import threading
from pathlib import Path

import pytest

from deploy.broker import jars
from deploy.broker.jars import Jar
from deploy.broker.troubles import JarsUnavailable

CONTENT = b"the recorded jar"
JAR = Jar("org.example:thing:1.0", hashlib.sha256(CONTENT).hexdigest())


def put(jar: Jar, cache: Path, content: bytes = CONTENT) -> None:
    path = jar.path(cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def must_not_download(jar: Jar, cache: Path) -> None:
    pytest.fail(f"{jar.coordinate} was fetched again into {cache}")


def test_the_record_names_each_jar_once_with_its_sha256_and_one_kafka_version() -> None:
    recorded = jars.recorded()
    assert len({jar.coordinate for jar in recorded}) == len(recorded) == 47
    assert all(len(jar.sha256) == 64 and set(jar.sha256) <= set("0123456789abcdef") for jar in recorded)
    kafka = {jar.coordinate.rpartition(":")[2] for jar in recorded if jar.coordinate.startswith("org.apache.kafka:")}
    assert kafka == {"4.2.1"}


def test_a_jar_that_is_not_the_recorded_one_is_refused_by_name_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(JarsUnavailable, match=r"checksum mismatch: org\.example:thing:1\.0"):
        jars.fetch(tmp_path, [JAR], lambda jar, cache: put(jar, cache, b"something else"))
    assert not JAR.path(tmp_path).exists()


def test_what_an_interrupted_fetch_left_behind_is_fetched_anew(tmp_path: Path) -> None:
    put(JAR, tmp_path, CONTENT[:5])
    assert jars.fetch(tmp_path, [JAR], put) == 1
    assert JAR.path(tmp_path).read_bytes() == CONTENT


def test_a_jar_that_is_there_and_right_is_not_fetched(tmp_path: Path) -> None:
    put(JAR, tmp_path)
    assert jars.fetch(tmp_path, [JAR], must_not_download) == 0


def test_one_lost_connection_is_tried_again(tmp_path: Path) -> None:
    attempts = 0

    def stumbles_once(jar: Jar, cache: Path) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionError
        put(jar, cache)

    assert jars.fetch(tmp_path, [JAR], stumbles_once) == 1


def test_without_network_the_error_names_the_jar_and_both_ways_out(tmp_path: Path) -> None:
    def unreachable(jar: Jar, cache: Path) -> None:
        put(jar, cache, b"half")
        raise ConnectionError

    with pytest.raises(JarsUnavailable) as told:
        jars.fetch(tmp_path, [JAR], unreachable)
    for said in ("org.example:thing:1.0", "ConnectionError", "make setup", "CALLGRANT_KAFKA_BOOTSTRAP"):
        assert said in str(told.value)
    assert not JAR.path(tmp_path).exists()


def test_two_processes_that_fetch_at_once_fetch_one_copy(tmp_path: Path) -> None:
    fetched: list[int] = []
    both = [threading.Thread(target=lambda: fetched.append(jars.fetch(tmp_path, [JAR], put))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(fetched) == [0, 1]
