# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where mutants of machine, STM and firmware are built: a copy of the checkout and a cache of its own.

Both are kept from run to run, so that each mutant compiles what it changes and
little else. Nothing of them is ever found by an ordinary build: the copy is
another checkout, and its cache another cache. Only the fetched sources are
shared, which no build writes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from build_scripts import cache, paths
from build_scripts.progress import say
from build_scripts.sources import sources
from tests.mutation.tree import MutationError, Tree, copy_checkout

# For each part the call that builds it and prints where it is, and the variable by which its tests find it. The
# firmware's tests ask for it themselves and find what has just been built.
_BUILDS = {
    "machine": ("from build_scripts.builds.qemu_build import extended_qemu as build", "build()", "STMLAB_QEMU"),
    "stm": ("from build_scripts.builds.stm_build import build_stm as build", "build() / 'Stm.mseg'", "STMLAB_MSEG"),
    "firmware": ("from build_scripts.builds.firmware_build import build_firmware as build", "build().code", ""),
}
# Finished results of one kind that stay: those of the tree without a mutant are among the last used ones.
_KEPT = 4
_STORES = {"machine": "machines", "stm": "stm", "firmware": "firmware"}


@dataclass(frozen=True)
class Workshop:
    """The copy, and the cache of what is built from it.

    Attributes:
        folder: holds both.
    """

    folder: Path

    @property
    def checkout(self) -> Path:
        """The copy."""
        return self.folder / "checkout"

    def variables(self) -> dict[str, str]:
        """Variables under which the lab keeps everything in `folder`."""
        return {"XDG_CACHE_HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state")}

    def prepare(self) -> None:
        """Bring the copy up to date, and show it the fetched sources.

        Raises:
            LabError: a source cannot be had.
        """
        copy_checkout(paths.CHECKOUT, self.checkout)
        base = self.folder / "stmlab"
        base.mkdir(parents=True, exist_ok=True)
        for name in ("edk2", "qemu"):
            tree = sources.locate(name)
            link = base / tree.path.name
            if not tree.own and not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(tree.path, target_is_directory=True)

    def build(self, part: str) -> dict[str, str]:
        """Build one part from the copy as it is; returns the variables for its tests.

        Raises:
            MutationError: it does not compile.
        """
        load, call, variable = _BUILDS[part]
        # The environment of the user's own STM or machine means what is tested otherwise.
        given = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "STMLAB_"))}
        result = subprocess.run(
            [sys.executable, "-c", f"{load}\nprint({call})"],
            cwd=self.checkout,
            env=given | self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise MutationError(f"the {part} cannot be built:\n{result.stderr[-4000:]}")
        paths.prune(self.folder / "stmlab" / "finished" / _STORES[part], _KEPT)
        return {variable: result.stdout.splitlines()[-1]} if variable else {}

    def tree(self, part: str, machine: Path) -> Tree:
        """The copy with the tests of one part.

        Args:
            part: what is built before each run of them.
            machine: on which the tests of an STM run.
        """
        variables = self.variables() | ({"STMLAB_QEMU": str(machine)} if part == "stm" else {})
        return Tree(self.checkout, build=lambda: self.build(part), variables=variables)


@contextmanager
def workshop() -> Iterator[Workshop]:
    """The one workshop of the user's cache, up to date, for this process alone.

    Raises:
        LabError: a source cannot be had.
    """
    with paths.locked("mutation", say):
        made = Workshop(paths.cache_dir() / f"mutation-{cache.identity_of(str(paths.CHECKOUT))}")
        made.prepare()
        yield made
