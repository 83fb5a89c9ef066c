"""What the room's README shows runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "projections" / "README.md").read_text()


@pytest.mark.clickhouse
def test_the_code_of_the_readme_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert "001_tables.sql" in done.stdout
    assert "'requested': 0" in done.stdout


def test_every_file_the_readme_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.(?:py|sql))`", README)
    assert len(named) > 15
    for name in named:
        places = [ROOT / "projections" / name, ROOT / "projections" / "migrations" / name]
        assert any(place.exists() for place in places), name
