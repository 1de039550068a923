"""No module imports one that imports it back, not even for a type."""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGES = ("infraflux", "infraflux_lab", "flows", "tasks")


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """One circle of modules, from a module back to itself; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) in (["b", "c", "b"], ["c", "b", "c"])


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_its_importer(package):
    graph = grimp.build_graph(package, cache_dir=None)
    assert circle_in({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}) == []
