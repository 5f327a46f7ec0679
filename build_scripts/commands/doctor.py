# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``doctor``: known pitfalls, each with its remedy.

It runs after the bootstrap, which makes the Python environment and installs
missing packages if it can; the checks themselves change nothing.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from build_scripts import paths, system
from build_scripts.errors import ExitCode, LabError
from build_scripts.observation import show
from build_scripts.sources import sources

_DISK_BYTES = 5 * 1024**3
# Scopes of edk2 that fetch tools over NuGet, which needs mono.
_NUGET_SCOPES = ("edk2-build", "cibuild", "ovmf")


@dataclass(frozen=True)
class Finding:
    """One check: its name, what is wrong (empty if nothing), and what mends it.

    Attributes:
        narrow: it stands in the way of a few tests or one experiment, and of nothing else.
    """

    name: str
    problem: str = ""
    remedy: str = ""
    narrow: bool = False


def _checkout() -> Finding:
    """A package that was installed by itself has nothing to build."""
    try:
        paths.need_checkout()
    except LabError as error:
        return Finding("checkout", error.message, error.remedy)
    return Finding("checkout")


def _packages() -> Finding:
    names = [need.package for need in system.missing()]
    remedy = "as root: apt-get install " + " ".join(names)
    return Finding("packages", f"missing: {' '.join(names)}" if names else "", remedy)


def _test_package(need: system.Need) -> Finding:
    """What `test` wants beyond the rest; `report --open` takes whatever browser there is."""
    problem = f"missing: it {need.why}; {' and '.join(need.tests)} fail without it, all else works"
    remedy = f"as root: apt-get install --no-install-recommends {need.package}"
    return Finding(need.package, problem if system.missing((need,)) else "", remedy, narrow=True)


def _python_packages() -> Finding:
    """`regex` is needed by a BaseTools plugin that always loads, and no package depends on it."""
    wanted = ("regex", "edk2toolext", "pefile", "qemu", "plotly", "perfetto", "playwright")
    names = [name for name in wanted if importlib.util.find_spec(name) is None]
    return Finding("Python packages", f"missing: {' '.join(names)}" if names else "", "pip install -e .")


def _git(checkout: Path) -> Finding:
    """stuart fails without a commit: it asks git for the workspace's state."""
    probe = ["git", "-C", str(checkout), "rev-parse", "--verify", "--quiet", "HEAD"]
    good = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    problem = "" if good else f"{checkout} is no git repository with a commit; stuart fails in it"
    return Finding("git history", problem, "clone the repository, or: git init && git add . && git commit -m start")


def _edk2_link(checkout: Path) -> Finding:
    """stuart's walk of the workspace does not follow links; EDK2_DIR is the way to name a tree."""
    link = checkout / "edk2"
    problem = f"{link} is a link, which stuart does not follow" if link.is_symlink() else ""
    return Finding("edk2 in the workspace", problem, "remove it and set EDK2_DIR instead")


def _user_sources() -> Finding:
    for name, pin in sources.PINS.items():
        given = os.environ.get(pin["variable"])
        if not given:
            continue
        tree = Path(given).resolve()
        try:
            sources.check_user_tree(name, tree)
        except LabError as error:
            return Finding("own sources", error.message, error.remedy)
        tools = tree / sources.BASETOOLS
        if name == "edk2" and not (tools / "bin" / "GenFw").is_file():
            return Finding("own sources", f"BaseTools of {tree} are not compiled", f"make -C {tools}")
        if name == "edk2" and not (tree / sources.BROTLI_LINK / "c").exists():
            return Finding("own sources", f"{tree / sources.BROTLI_LINK} is empty", "git submodule update --init")
    return Finding("own sources")


def _scopes(checkout: Path) -> Finding:
    text = (checkout / "Platform/OvmfStmPkg/PlatformBuild.py").read_text(encoding="utf-8")
    used = [scope for scope in _NUGET_SCOPES if f'"{scope}"' in text]
    problem = f"PlatformBuild.py uses the scopes {' '.join(used)}, which fetch tools over NuGet" if used else ""
    return Finding("stuart scopes", problem, 'keep SCOPES = ("stm",)')


def _shadow(checkout: Path) -> Finding:
    """The workspace is searched before edk2, so a folder of the same name hides edk2's package."""
    hidden = [name for name in ("MdePkg", "MdeModulePkg", "OvmfPkg", "UefiCpuPkg") if (checkout / name).exists()]
    problem = f"hides edk2's package: {' '.join(hidden)}" if hidden else ""
    return Finding("package names", problem, "rename or move that folder")


def _edk2_environment() -> Finding:
    """`edksetup.sh` exports another hash seed than stuart's, and each change of it recompiles everything."""
    names = [name for name in ("WORKSPACE", "EDK_TOOLS_PATH", "PACKAGES_PATH", "CONF_PATH") if name in os.environ]
    seed = os.environ.get("PYTHONHASHSEED", "0")
    problem = f"set in this shell: {' '.join(names)}" if names else ""
    if not problem and seed != "0":
        problem = f"PYTHONHASHSEED={seed}: stuart uses 0, and mixing them recompiles everything"
    return Finding("edk2 environment", problem, "use a shell in which edksetup.sh was not sourced")


def _disk() -> Finding:
    free = shutil.disk_usage(paths.cache_dir()).free
    problem = "" if free >= _DISK_BYTES else f"{free // 1024**2} MB free in {paths.cache_dir()}"
    return Finding("disk space", problem, "free 5 GB, or set XDG_CACHE_HOME to a larger disk")


def _noexec() -> Finding:
    flags = os.statvfs(paths.cache_dir()).f_flag
    problem = f"{paths.cache_dir()} is mounted noexec" if flags & os.ST_NOEXEC else ""
    return Finding("cache", problem, "set XDG_CACHE_HOME to a file system that may hold programs")


def checks(checkout: Path) -> Iterator[Callable[[], Finding]]:
    """Every check, to be called one by one."""
    yield _checkout
    yield _packages
    for need in system.TEST_NEEDS:
        yield partial(_test_package, need)
    yield _python_packages
    if not _checkout().problem:
        yield lambda: _git(checkout)
        yield lambda: _edk2_link(checkout)
        yield lambda: _shadow(checkout)
        yield lambda: _scopes(checkout)
    yield _user_sources
    yield _edk2_environment
    yield _disk
    yield _noexec


def doctor(checkout: Path = paths.CHECKOUT) -> int:
    """Print each check.

    Returns:
        0, or `ExitCode.EXPECTATION_FAILED` if something is wrong that stands in the way of more than a few tests.
    """
    out = show.console()
    show.tell(out, f"python {sys.version.split()[0]} in {sys.prefix}\ncache {paths.cache_dir()}")
    wrong = 0
    for check in checks(checkout):
        finding = check()
        wrong += bool(finding.problem) and not finding.narrow
        if finding.problem:
            show.tell(out, f"{'note ' if finding.narrow else 'WRONG'} {finding.name}: {finding.problem}")
            show.tell(out, f"      remedy: {finding.remedy}")
        else:
            show.tell(out, f"ok    {finding.name}")
    return int(ExitCode.EXPECTATION_FAILED if wrong else ExitCode.OK)
