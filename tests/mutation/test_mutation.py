# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every mutant is noticed. Runs only if -m names it; docs/guide/mutation.rst."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from build_scripts import paths
from tests.mutation.mutants import Mutant, load
from tests.mutation.tree import Tree, copy_checkout

pytestmark = pytest.mark.mutation


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """The copy."""
    path = tmp_path_factory.mktemp("mutation") / "checkout"
    copy_checkout(paths.CHECKOUT, path)
    made = Tree(path)
    yield made
    made.close()


def _of(part: str) -> pytest.MarkDecorator:
    """Its mutants. Those with the same tests go to one process of xdist, which then sees only once that these pass."""
    rows = [pytest.param(m, marks=pytest.mark.xdist_group(f"mutation/{m.tests}"), id=m.name) for m in load(part)]
    return pytest.mark.parametrize("mutant", rows)


def _check(mutant: Mutant, tree: Tree) -> None:
    """The tests that should notice the mutant fail; they pass without it."""
    tree.check_sound(mutant)
    killed = tree.killed(mutant)
    if mutant.survives:
        assert not killed, f"no longer survives: take its reason out of mutants/{mutant.part}.toml and of the page"
    else:
        assert killed, f"survived: {mutant.file}: {mutant.old!r} -> {mutant.new!r}, {' '.join(mutant.tests)}"


@_of("lab")
def test_lab(mutant: Mutant, tree: Tree) -> None:
    """Python of the lab."""
    _check(mutant, tree)


@_of("host")
def test_host(mutant: Mutant, tree: Tree) -> None:
    """C that compiles for the host, too."""
    _check(mutant, tree)
