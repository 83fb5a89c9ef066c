from tests.spilling import said_by


def test_a_fault_is_told_by_type_and_place_and_nothing_of_it_is_quoted() -> None:
    lines = said_by("projections.logs")
    assert {line.get("fault") for line in lines} == {"KeyError", None}
    assert all("__main__:" in line["at"] for line in lines if "fault" in line)
    told = [line["template"] for line in lines if line["event"] == "library"]
    assert told.count("Task exception was never retrieved") == 2
    assert "Crashed reason" in told
