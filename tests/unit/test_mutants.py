# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The list of mutants fits the sources and the tests; what survives is in the documentation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_scripts.conformance.image_table import TABLE
from tests.mutation.mutants import PARTS, Mutant, StaleMutantError, load_all
from tests.mutation.tree import MutationError, Tree

MUTANTS = load_all()
IMAGES = {image.name for image in TABLE}
LEAST = {"lab": 30, "host": 30, "stm": 12, "machine": 20, "firmware": 5}
MUTANT = Mutant("lab", "x", "sums.py", "a + b", "a - b", ("test_sums.py",))


def test_there_are_enough() -> None:
    """In every part, with names of their own, and none twice."""
    counted = Counter(mutant.part for mutant in MUTANTS)
    assert {part for part in PARTS if counted[part] < LEAST[part]} == set()
    for what in (lambda m: (m.part, m.name), lambda m: (m.file, m.old, m.new)):
        assert [key for key, count in Counter(map(what, MUTANTS)).items() if count > 1] == []


def test_the_page_counts_them(checkout: Path) -> None:
    page = (checkout / "docs/guide/mutation.rst").read_text(encoding="utf-8")
    told = re.findall(r"   \* - ``test_(\w+)``\n     - (\d+)\n", page)
    assert {part: int(count) for part, count in told} == Counter(mutant.part for mutant in MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.part}-{mutant.name}")
def test_mutant_applies(mutant: Mutant, checkout: Path) -> None:
    """Whoever moves the text finds the mutant by this test, and gives it its new place."""
    text = (checkout / mutant.file).read_text(encoding="utf-8")
    assert mutant.applied(text) != text
    for test in mutant.tests:
        file, _, name = test.partition("::")
        source = (checkout / file).read_text(encoding="utf-8")
        function, _, parameter = name.rstrip("]").partition("[")
        assert not name or f"def {function}(" in source, test
        assert not parameter or parameter in IMAGES, test


def test_survivors_are_listed(checkout: Path) -> None:
    """Each with the reason that the list gives."""
    page = " ".join((checkout / "docs/guide/mutation.rst").read_text(encoding="utf-8").split())
    for mutant in MUTANTS:
        listed = f"``{mutant.part}-{mutant.name}``" in page
        assert listed == bool(mutant.survives), mutant.name
        assert " ".join(mutant.survives.split()) in page, mutant.name


@pytest.mark.parametrize("text", ["nothing", "a + b, a + b"])
def test_stale_mutant_is_an_error(text: str) -> None:
    with pytest.raises(StaleMutantError, match="lab/x is stale"):
        MUTANT.applied(text)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """A project of one function."""
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    made = Tree(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(("check", "killed"), [("add(2, 3) == 5", True), ("add(2, 0) == 2", False)])
def test_killed_and_survived(tree: Tree, check: str, killed: bool) -> None:
    """A test that looks kills the mutant, one that does not lets it live; the file is as before."""
    (tree.path / "test_sums.py").write_text(f"from sums import add\n\n\ndef test_add():\n    assert {check}\n")
    before = (tree.path / "sums.py").read_text()
    tree.check_sound(MUTANT)
    assert tree.killed(MUTANT) == killed
    assert (tree.path / "sums.py").read_text() == before


@pytest.mark.parametrize("text", ["def test_it():\n    assert False\n", ""], ids=["failing", "no-test"])
def test_a_run_that_says_nothing_is_an_error(tree: Tree, text: str) -> None:
    """Tests that fail anyway, and tests that are not there, kill nothing."""
    (tree.path / "test_sums.py").write_text(text)
    with pytest.raises(MutationError, match="fail without a mutant"):
        tree.check_sound(MUTANT)
