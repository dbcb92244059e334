"""Imports point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "potstill": set(),
    "data": {"potstill"},
    "models": {"potstill"},
    "kd": {"potstill", "data", "models"},
    "deploy": {"potstill", "data", "models"},
    "reports": {"potstill"},
    "search": {"potstill", "data", "models", "kd", "deploy", "reports"},
    "hydra_plugins": {"search", "potstill"},
}


def imported(path: Path) -> set[str]:
    """The first parts of the names of all modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_knows_only_those_it_may(room):
    files = list((ROOT / room).rglob("*.py"))
    assert files
    rooms = set(ALLOWED) | {"train", "tests", "bench"}
    for path in files:
        assert imported(path) & rooms <= ALLOWED[room] | {room}, path


def test_files_import_each_other_in_no_circle():
    graph = {module_of(path): modules_in(path) for room in ALLOWED for path in (ROOT / room).rglob("*.py")}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done and module in graph:
            for other in graph[module]:
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_in(path: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {node.module for node in nodes if node.module}
