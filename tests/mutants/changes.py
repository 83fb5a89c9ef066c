"""Which changes a file of rules can have: mutmut's, one place of one function each.

Owns the list, as JSON lines on stdout. Refuses to run anything. A script of the environment of `requirements.lock`,
because mutmut wants a newer click than Faust allows: `venv/bin/python tests/mutants/changes.py FILE …`.
"""

import ast
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import libcst  # type: ignore[import-not-found]  # only the other environment has it
from mutmut.mutation.file_mutation import MutationVisitor, deep_replace  # type: ignore[import-not-found]
from mutmut.mutation.mutators import mutation_operators  # type: ignore[import-not-found]
from mutmut.mutation.pragma_handling import IgnoredCode  # type: ignore[import-not-found]


def main(files: list[str]) -> int:
    """Print every change of the files."""
    for file in files:
        for change in changes(Path(file).read_text("utf-8")):
            print(json.dumps({"file": Path(file).stem, **change}))
    return 0


def changes(code: str) -> list[dict[str, object]]:
    """Every change of a module: the function, its source, its source changed, the line, what it says before and then.

    No comment spares a line. A change that compiles to the same code is none.
    """
    module = libcst.parse_module(code)
    visitor = MutationVisitor(mutation_operators, IgnoredCode(set(), set(), set()))
    # The module that was visited, so that the nodes of the changes are found in it.
    module = libcst.MetadataWrapper(module).visit(visitor)
    owners = owned(module)
    lines = begun(code)
    found: list[dict[str, object]] = []
    for mutation in visitor.mutations:
        function = mutation.contained_by_top_level_function
        if (name := owners.get(function)) is None:
            continue
        function = function.with_changes(leading_lines=[])
        source = module.code_for_node(function)
        changed = module.code_for_node(deep_replace(function, mutation.original_node, mutation.mutated_node))
        if compiled(source) == compiled(changed):
            continue
        before, after = source.splitlines(), changed.splitlines()
        first = shared(before, after)
        last = shared(before[first:][::-1], after[first:][::-1])
        found.append(
            {
                "function": name,
                "source": source,
                "changed": changed,
                "line": lines[name] + first,
                "before": "\n".join(before[first : len(before) - last]).strip(),
                "after": "\n".join(after[first : len(after) - last]).strip(),
            }
        )
    return found


def owned(module: Any) -> dict[Any, str]:
    """The functions of a module and of its classes, by their qualified names."""
    names: dict[Any, str] = {}
    for node in module.body:
        if isinstance(node, libcst.FunctionDef):
            names[node] = node.name.value
        elif isinstance(node, libcst.ClassDef):
            names |= {
                method: f"{node.name.value}.{method.name.value}"
                for method in node.body.body
                if isinstance(method, libcst.FunctionDef)
            }
    return names


def begun(code: str) -> dict[str, int]:
    """The line where each function of a module and of its classes begins, its decorators included."""
    lines: dict[str, int] = {}
    for node in ast.parse(code).body:
        within, owner = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
        for one in within:
            if isinstance(one, ast.FunctionDef):
                lines[owner + one.name] = min([one.lineno, *(part.lineno for part in one.decorator_list)])
    return lines


def shared(some: Sequence[str], others: Sequence[str]) -> int:
    """How many lines both begin with."""
    pairs = enumerate(zip(some, others, strict=False))
    return next((n for n, (one, other) in pairs if one != other), min(len(some), len(others)))


def compiled(source: str) -> bytes:
    """The code of a function, apart from where its lines stand."""
    code = compile(textwrap.dedent(source), "", "exec")
    return repr(_said(code)).encode()


def _said(code: Any) -> tuple[object, ...]:
    constants = tuple(_said(one) if hasattr(one, "co_code") else (type(one).__name__, one) for one in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
