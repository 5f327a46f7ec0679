# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The lab in layers: each part imports only what lies below it, nothing from the tests, and never in a circle."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "build_scripts"
# From the bottom. Parts of one layer do not know each other; modules of one part may, without a circle.
LAYERS = (
    ("errors", "nested", "processes"),
    ("paths",),
    ("bundles", "disk"),
    ("pages", "progress", "system", "stm_image", "tables"),
    ("bootstrap", "cache"),
    ("sources", "machine"),
    ("builds",),
    ("bundling", "versions"),
    ("observation", "linux", "conformance"),
    ("bare", "benchmarks", "exercises", "experiments", "fuzzing", "model", "pictures"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def module_name(root: Path, path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports_of(text: str) -> set[str]:
    """The dotted names that a module imports, also inside functions and for type checking only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package_imports(root: Path) -> dict[str, set[str]]:
    """Every module of the package, and the names that it imports."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    return {module_name(root, path): imports_of(path.read_text(encoding="utf-8")) for path in files}


def internal(modules: dict[str, set[str]]) -> dict[str, set[str]]:
    """Of the names only modules of the package; a name inside a module stands for the module."""
    return {
        module: {name if name in modules else name.rpartition(".")[0] for name in names if name.startswith(PACKAGE)}
        for module, names in modules.items()
    }


def circle(modules: dict[str, set[str]]) -> list[str]:
    """The modules of a circle of imports; empty if there is none."""
    try:
        TopologicalSorter(internal(modules)).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def wrong_ways(modules: dict[str, set[str]]) -> list[str]:
    """Imports that do not go downwards."""
    found = []
    for module, names in internal(modules).items():
        part = module.split(".")[1] if "." in module else None
        for name in sorted(names - {PACKAGE}):
            other = name.split(".")[1]
            if part is not None and part != other and RANK[part] <= RANK[other]:
                found.append(f"{module} imports {name}")
    return found


@pytest.fixture(scope="module")
def modules(checkout: Path) -> dict[str, set[str]]:
    return package_imports(checkout)


def test_every_part_has_a_layer(modules: dict[str, set[str]]) -> None:
    assert {module.split(".")[1] for module in modules if "." in module} == set(RANK)


def test_no_circle_of_imports(modules: dict[str, set[str]]) -> None:
    assert circle(modules) == []


def test_layers_are_called_downwards(modules: dict[str, set[str]]) -> None:
    assert wrong_ways(modules) == []


def test_nothing_comes_from_the_tests(modules: dict[str, set[str]]) -> None:
    assert [module for module, names in modules.items() if any(name.split(".")[0] == "tests" for name in names)] == []


def test_each_of_these_is_noticed() -> None:
    """A circle, an upward call, and a call between parts of one layer, on a package made up here."""
    upward = imports_of("def f():\n    from build_scripts.machine import processors\n")
    modules = {
        f"{PACKAGE}.paths": upward,
        f"{PACKAGE}.machine.processors": imports_of(
            "from build_scripts import paths\nimport build_scripts.builds.qemu\n"
        ),
        f"{PACKAGE}.builds.qemu": set(),
    }
    assert circle(modules)[0] in (f"{PACKAGE}.paths", f"{PACKAGE}.machine.processors")
    assert wrong_ways(modules) == [
        f"{PACKAGE}.paths imports {PACKAGE}.machine.processors",
        f"{PACKAGE}.machine.processors imports {PACKAGE}.builds.qemu",
    ]
    modules[f"{PACKAGE}.paths"] = set()
    assert circle(modules) == []


def test_the_reference_names_them_from_the_bottom(modules: dict[str, set[str]], checkout: Path) -> None:
    """As its first paragraph says, what is named first knows nothing of what comes later."""
    page = (checkout / "docs/reference/api.rst").read_text(encoding="utf-8")
    areas = re.findall(r"^\.\. lab-api:: (\w+)$", page, re.MULTILINE)
    later = {area: areas[place + 1 :] for place, area in enumerate(areas)}
    assert len(areas) > 10 and later["machine"] and not later[areas[-1]]
    found = [
        f"{module} imports {name}"
        for module, names in internal(modules).items()
        for name in names - {PACKAGE}
        if "." in module and name.split(".")[1] in later.get(module.split(".")[1], [])
    ]
    assert found == []
