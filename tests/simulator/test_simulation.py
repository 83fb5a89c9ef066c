"""Settings: what is wrong is said before anything is drawn or posted; and the README's example runs."""

import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams import simulator
from streams.simulator import SimulatorConfig, run

END = 1_772_442_000
README = Path(simulator.__file__).with_name("README.md")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"start_at": END}, "start_at must be before end_at"),
        ({"start_at": 0}, "start_at must be a positive"),
        ({"pairs": 0}, "pairs must be at least 1"),
        ({"numbers": 0}, "numbers must be at least 1"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"duplicates": 1.1}, "duplicates must be between 0 and 1"),
        ({"disorder": -0.1}, "disorder must be between 0 and 1"),
        ({"rate_per_s": 0}, "rate_per_s must be more than 0"),
        ({"patience_s": 0}, "patience_s must be more than 0"),
        ({"hush_s": 86_400}, "hush_s must be less than a day"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SimulatorConfig.week_ending(END), **wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"gateway_url": "127.0.0.1:8080"}, "gateway_url must start with http"),
        ({"app_secret": ""}, "CALLGRANT_META_APP_SECRETS"),
        ({"api_key": ""}, "CALLGRANT_API_KEYS"),
        ({"start_at": END - 29 * 86_400}, "at most 28 days can be posted"),
    ],
)
async def test_posting_needs_a_gateway_its_secrets_and_a_young_world(wrong: dict[str, Any], said: str) -> None:
    config = replace(
        SimulatorConfig.week_ending(END), gateway_url="http://127.0.0.1:1", app_secret="test", api_key="test:key"
    )
    with pytest.raises(ValueError, match=said):
        await run(replace(config, **wrong))


def test_secrets_are_not_in_the_settings_repr() -> None:
    config = replace(SimulatorConfig.week_ending(END), app_secret="sesame", api_key="open:sesame")
    assert "sesame" not in repr(config)


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        example = tmp_path / f"example{number}.py"
        example.write_text(block)
        runpy.run_path(str(example))
    assert (tmp_path / "history.jsonl").stat().st_size > 0
