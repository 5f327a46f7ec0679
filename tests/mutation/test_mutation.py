# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every mutant of what needs no build is noticed. Runs only if -m names it; docs/guide/mutation.rst."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from build_scripts import paths
from tests.mutation.mutants import Mutant
from tests.mutation.tree import Tree, copy_checkout, mutants_of

pytestmark = pytest.mark.mutation


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """The copy."""
    path = tmp_path_factory.mktemp("mutation") / "checkout"
    copy_checkout(paths.CHECKOUT, path)
    # No test here needs a machine, so that none is built before the first of them.
    made = Tree(path, variables={"STMLAB_QEMU": "/nonexistent"})
    yield made
    made.close()


@mutants_of("lab")
def test_lab(mutant: Mutant, tree: Tree) -> None:
    """Python of the lab."""
    tree.check(mutant)


@mutants_of("host")
def test_host(mutant: Mutant, tree: Tree) -> None:
    """C that compiles for the host, too."""
    tree.check(mutant)
