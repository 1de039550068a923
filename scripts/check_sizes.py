"""Refuse functions, files and flow bodies that have grown too long to read: `python scripts/check_sizes.py [ROOT]`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FUNCTION_LINES = 60
MAX_FLOW_LINES = 40
MAX_FILE_LINES = 400
MAX_TERRAFORM_LINES = 150

PYTHON_ROOTS = ("src", "lab", "flows", "tasks", "scripts", "tests")
GENERATED = ("lab/src/infraflux_lab/talos/proto",)


def is_flow(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether `@flow` or `@flow(...)` decorates the function."""
    calls = (decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list)
    return any(getattr(call, "id", getattr(call, "attr", "")) == "flow" for call in calls)


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
    return (node.end_lineno or body[-1].lineno) - body[0].lineno + 1


def too_long_in(source: str, *, name: str) -> Iterator[str]:
    """Findings for one Python file, as `file:line: what`."""
    lines = source.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{name}:1: file has {lines} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_FUNCTION_LINES:
            yield f"{name}:{node.lineno}: function {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"
        if is_flow(node) and body_lines(node) > MAX_FLOW_LINES:
            yield f"{name}:{node.lineno}: flow {node.name} has a body of {body_lines(node)}, at most {MAX_FLOW_LINES}"


def findings(root: Path) -> Iterator[str]:
    """All findings of the repository at `root`."""
    for top in PYTHON_ROOTS:
        for path in sorted((root / top).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(GENERATED):
                yield from too_long_in(path.read_text(), name=name)
    for path in sorted((root / "terraform").rglob("*.tf")):
        lines = path.read_text().count("\n")
        if lines > MAX_TERRAFORM_LINES:
            yield f"{path.relative_to(root)}:1: file has {lines} lines, at most {MAX_TERRAFORM_LINES}"


def main() -> int:
    """Print every finding; 1 when there is any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(findings(root))
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
