"""`schemas list|print|write`: the JSON Schemas of every shape that crosses a border."""

from typing import Annotated

import typer

from deploy.cli.paper import JsonFlag, print_json, print_table
from deploy.trouble import Trouble

group = typer.Typer(
    help="The JSON Schemas of facts, actions, state, changes, records and answers.",
    epilog="Example: callgrant schemas print change.v1",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class UnknownSchema(Trouble):
    """There is no schema of that name."""

    exit_code = 2


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="schemas")


@group.command("list", epilog="Example: callgrant schemas list")
def list_(as_json: JsonFlag = False) -> None:
    """Every schema and how many examples it has."""
    from schemas.generate import EXAMPLES, FOLDER

    rows = [
        {"name": path.stem, "examples": len(list(EXAMPLES.joinpath(*path.stem.rsplit(".", 1)).glob("*.json")))}
        for path in sorted(FOLDER.glob("*.json"))
    ]
    if as_json:
        print_json(rows)
    else:
        print_table("", ["schema", "examples"], [list(row.values()) for row in rows])


@group.command("print", epilog="Example: callgrant schemas print pair_state.v1")
def print_(name: Annotated[str, typer.Argument(help="A name from `callgrant schemas list`.")]) -> None:
    """One schema, as it is checked in."""
    import difflib

    from schemas.generate import FOLDER

    known = {path.stem: path for path in FOLDER.glob("*.json")}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "`callgrant schemas list` names all of them"
        raise UnknownSchema(f"there is no schema {name!r}: {hint}")
    print(known[name].read_text("utf-8"), end="")


@group.command(epilog="Example: callgrant schemas write")
def write() -> None:
    """Generate the schemas again from the models, in the source tree."""
    from schemas import generate

    print("\n".join(f"wrote {name}" for name in generate.write()) or "nothing to do: every schema is current")
