# SPDX-License-Identifier: BSD-2-Clause-Patent
"""docs/reference/regressions.rst: every fault has a test, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from build_scripts import paths

_ROW = re.compile(r"^   \* - (\d+)\n((?:     .*\n)+)", re.MULTILINE)
_TEST = re.compile(r"``(tests/[\w/.]+\.py)::(\w+)``")


def test_every_fault_has_tests(checkout: Path) -> None:
    rows = _ROW.findall((checkout / "docs/reference/regressions.rst").read_text(encoding="utf-8"))
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1)) and len(rows) == 23
    for number, row in rows:
        tests = _TEST.findall(row)
        assert tests, f"{number}: no test"
        for file, function in tests:
            text = (checkout / file).read_text(encoding="utf-8")
            assert f"def {function}(" in text, f"{number}: {file} has no {function}"


def test_one_assembler() -> None:
    """A second assembly of the same code would be one that nobody keeps in step."""
    sources = [path for folder in ("StmPkg", "Platform/OvmfStmPkg") for path in (paths.CHECKOUT / folder).rglob("*")]
    assert [path for path in sources if path.suffix in (".nasm", ".inc")]
    assert [path for path in sources if path.suffix in (".s", ".S", ".asm")] == []
    infs = [path for path in sources if path.suffix == ".inf"]
    named = {word for path in infs for word in re.findall(r"\S+\.(?:s|S|asm)\b", path.read_text(encoding="utf-8"))}
    assert infs and named == set()
