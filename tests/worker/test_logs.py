from tests.spilling import said_by


def test_a_fault_is_told_by_type_and_place_and_nothing_of_it_is_quoted() -> None:
    lines = said_by("streams.worker.logs", "set_up_logs")
    assert {line.get("fault", "").partition(" at ")[0] for line in lines} == {"KeyError", ""}
    assert all("spilling.py:" in line["fault"] for line in lines if "fault" in line)
    told = [line["event"] for line in lines]
    assert told.count("Task exception was never retrieved") == 2
    assert "Crashed reason" in told
    assert "ours" in told
