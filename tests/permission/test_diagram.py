import pytest

from tests.permission.diagram import README, STANDINGS, drawn, placed, shown, start


@pytest.mark.parametrize("name", STANDINGS)
def test_each_standing_of_the_drawing_is_one(name: str) -> None:
    told, at = start(name)
    assert shown(told.at(at)) == name


def test_the_drawing_in_the_readme_is_what_the_core_does_today() -> None:
    text = README.read_text("utf-8")
    assert placed(text) == text, "python -m tests.permission.diagram --write"
    assert drawn() in text
