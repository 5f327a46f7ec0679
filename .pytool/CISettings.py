"""Settings of ``stuart_ci_build``: edk2's own code checks for the packages of this repository.

The checks are edk2's plugins, taken from the edk2 tree (``EDK2_DIR``, or the
lab's cache). edk2-pytool finds plugins only inside the workspace, so those that
are used are copied to ``Build/CiPlugins`` at each start.

Copyright (c) 2026, STM Lab contributors
SPDX-License-Identifier: BSD-2-Clause-Patent
"""

import logging
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from edk2toolext.environment import shell_environment
from edk2toolext.invocables.edk2_ci_build import CiBuildSettingsManager
from edk2toolext.invocables.edk2_setup import SetupSettingsManager
from edk2toolext.invocables.edk2_update import UpdateSettingsManager

WORKSPACE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(WORKSPACE / "Platform" / "OvmfStmPkg"))

import PlatformBuild  # noqa: E402

PACKAGES = ("StmPkg", "OvmfStmPkg")
TARGETS = ("DEBUG", "RELEASE", "NOOPT", "NO-TARGET")
PLUGINS = Path("Build") / "CiPlugins"
SCOPES = ("cibuild",)  # edk2-pytool adds "global"

# Folders of edk2 with the plugins that run here.
USED = (
    ".pytool/Plugin/CharEncodingCheck",
    ".pytool/Plugin/CompilerPlugin",
    ".pytool/Plugin/DependencyCheck",
    ".pytool/Plugin/DscCompleteCheck",
    ".pytool/Plugin/GuidCheck",
    ".pytool/Plugin/LibraryClassCheck",
    "BaseTools/Plugin/DebugMacroCheck",
)
# Those that do not, and why. docs/guide/building.rst repeats it.
LEFT_OUT = {
    ".pytool/Plugin/EccCheck": "looks only at what differs from origin/master of edk2's repository",
    ".pytool/Plugin/HostUnitTestCompilerPlugin": "for cmocka and googletest; our host tests are run by pytest",
    ".pytool/Plugin/HostUnitTestDscCompleteCheck": "as HostUnitTestCompilerPlugin",
    ".pytool/Plugin/LicenseCheck": "looks only at what differs from origin/master; a test looks at every file",
    ".pytool/Plugin/SpellCheck": "needs cspell from npm",
    ".pytool/Plugin/UncrustifyCheck": "needs edk2's fork of uncrustify from NuGet; a test runs the distribution's",
}


def copy_plugins(edk2: Path, target: Path) -> None:
    """Replace the copies of the plugins by those of this edk2 tree."""
    shutil.rmtree(target, ignore_errors=True)
    for name in USED:
        shutil.copytree(edk2 / name, target / Path(name).name, ignore=shutil.ignore_patterns("tests", "__pycache__"))


class Settings(CiBuildSettingsManager, UpdateSettingsManager, SetupSettingsManager):
    """What stuart_ci_setup, stuart_ci_build and stuart_update ask; nothing has to be fetched."""

    def __init__(self) -> None:
        """Take all packages, targets and the one architecture until the command line says otherwise."""
        self._packages: Iterable[str] = PACKAGES
        self._targets: Iterable[str] = TARGETS

    def GetName(self) -> str:
        """Return the name that reports carry."""
        return "StmLab"

    def GetWorkspaceRoot(self) -> str:
        """Return the checkout."""
        return str(WORKSPACE)

    def GetPackagesPath(self) -> tuple[str, ...]:
        """Return where packages are looked for, after the workspace itself."""
        return (str(WORKSPACE / "Platform"), str(PlatformBuild.edk2_dir()))

    def GetActiveScopes(self) -> tuple[str, ...]:
        """Return the scopes of the plugins; this is also the last moment to bring them."""
        if not (WORKSPACE / PLUGINS).is_dir() or not self._prepared:
            copy_plugins(PlatformBuild.edk2_dir(), WORKSPACE / PLUGINS)
            PlatformBuild.use_basetools()
            # edk2's build picks each module's stack cookie by Python's string hash.
            shell_environment.GetEnvironment().set_shell_var("PYTHONHASHSEED", "0")
            self._prepared = True
        return SCOPES

    _prepared = False

    def GetSkippedDirectories(self) -> tuple[str, ...]:
        """Return workspace directories without plugins; ``Build`` has only the copies."""
        outputs = [path for path in (WORKSPACE / "Build").glob("*") if path.name != PLUGINS.name]
        return (*(str(path.relative_to(WORKSPACE)) for path in outputs), "Platform", "StmPkg", "docs", "tests")

    def GetPackagesSupported(self) -> tuple[str, ...]:
        """Return the packages that can be checked."""
        return PACKAGES

    def GetArchitecturesSupported(self) -> tuple[str, ...]:
        """Return the one architecture."""
        return ("X64",)

    def GetTargetsSupported(self) -> tuple[str, ...]:
        """Return the targets; NO-TARGET is for the checks that compile nothing."""
        return TARGETS

    def GetRequiredSubmodules(self) -> list[object]:
        """Return the git submodules of the workspace: none."""
        return []

    def SetPackages(self, list_of_requested_packages: Iterable[str]) -> None:
        """Take the packages of the command line.

        Raises:
            ValueError: one is not ours.
        """
        self._check("package", list_of_requested_packages, PACKAGES)
        self._packages = list_of_requested_packages

    def SetArchitectures(self, list_of_requested_architectures: Iterable[str]) -> None:
        """Take the architectures of the command line.

        Raises:
            ValueError: one is not X64.
        """
        self._check("architecture", list_of_requested_architectures, self.GetArchitecturesSupported())

    def SetTargets(self, list_of_requested_target: Iterable[str]) -> None:
        """Take the targets of the command line.

        Raises:
            ValueError: there is no such target.
        """
        self._check("target", list_of_requested_target, TARGETS)
        self._targets = list_of_requested_target

    @staticmethod
    def _check(what: str, requested: Iterable[str], supported: tuple[str, ...]) -> None:
        unknown = sorted(set(requested) - set(supported))
        if unknown:
            logging.critical("no such %s: %s (there are: %s)", what, ", ".join(unknown), ", ".join(supported))
            raise ValueError(f"no such {what}: {', '.join(unknown)}")
