from tests.spilling import said_by


def test_a_fault_is_told_by_type_and_place_and_nothing_of_it_is_quoted() -> None:
    lines = said_by("streams.gateway.log")
    assert all(line["level"] for line in lines)
    assert {line.get("fault") for line in lines} == {"KeyError", None}
    assert all("__main__:" in line["at"] for line in lines if "fault" in line)
    asgi = next(line for line in lines if line.get("logger") == "uvicorn.error")
    assert (asgi["event"], asgi["template"], asgi["fault"]) == ("library", "Exception in ASGI application", "KeyError")
    assert sum(line["event"] == "ours" for line in lines) == 2


def test_a_library_s_line_keeps_the_words_before_anything_it_may_quote() -> None:
    told = [line["template"] for line in said_by("streams.gateway.log") if line.get("logger") == "some.library"]
    assert told == ["Crashed reason", "could not read", "stack", "%s by %s"]
    lost = [line["template"] for line in said_by("streams.gateway.log") if line.get("logger") == "asyncio"]
    assert lost.count("Task exception was never retrieved") == 2
