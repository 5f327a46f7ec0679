# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the lab needs from the operating system, in one list, and how it is installed.

Standard library only: runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from build_scripts.errors import ExitCode, LabError


@dataclass(frozen=True)
class Need:
    """A Debian package and what shows, on any system, that its contents are there.

    Attributes:
        package: name in Debian 12 and 13.
        probe: a command, or a path; several may be given, any one is enough.
        why: for the message on a system that is not Debian.
        tests: what cannot pass without it, of packages that only tests need.
    """

    package: str
    probe: tuple[str, ...]
    why: str
    tests: tuple[str, ...] = ()


NEEDS = (
    Need("gcc", ("gcc",), "compiles machine and firmware"),
    Need("g++", ("g++",), "compiles the BaseTools of edk2"),
    Need("make", ("make",), "builds the BaseTools and the firmware"),
    Need("binutils", ("objcopy",), "converts images"),
    Need("ninja-build", ("ninja",), "builds the machine"),
    Need("pkg-config", ("pkg-config",), "finds glib for the machine"),
    Need("libglib2.0-dev", ("pkg-config:glib-2.0",), "library of the machine"),
    Need("zlib1g-dev", ("/usr/include/zlib.h", "pkg-config:zlib"), "library of the machine"),
    Need("nasm", ("nasm",), "assembles the firmware"),
    Need("acpica-tools", ("iasl",), "compiles ACPI tables"),
    Need("uuid-dev", ("/usr/include/uuid/uuid.h", "pkg-config:uuid"), "library of the BaseTools"),
    Need("flex", ("flex",), "generates scanners"),
    Need("bison", ("bison",), "generates parsers"),
    Need("git", ("git",), "stuart asks it for the checkout"),
    Need("patch", ("patch",), "applies the machine's hooks"),
    Need("uncrustify", ("uncrustify",), "checks the style of C files"),
    Need("xz-utils", ("xz",), "unpacks the sources"),
    Need("qemu-system-x86", ("qemu-system-x86_64",), "the stock machine for comparison"),
    Need("mtools", ("mformat",), "makes the drive that Linux boots from"),
    Need("gdb", ("gdb",), "debugs STM and SMI handlers"),
    Need("python3-venv", ("python-venv",), "virtual environments"),
)
# Of these, what a change of the STM needs where a bundle has brought everything else.
STM_NEEDS = tuple(need for need in NEEDS if need.package in ("gcc", "make", "binutils", "nasm", "patch"))
# Beyond these, of the command test: without one of them its tests fail, each with the reason, and all others run.
TEST_NEEDS = (
    Need(
        "chromium",
        ("chromium",),
        "shows the tests what a browser makes of report and site",
        ("tests/tutorial/test_report_page.py", "tests/tutorial/test_site.py"),
    ),
    Need(
        "swtpm",
        ("swtpm",),
        "is the TPM of 'run measured'",
        ("tests/boot/test_measured.py", "tests/tutorial/test_docs.py"),
    ),
    Need("perl", ("perl:Term::ANSIColor",), "runs QEMU's check of the patches' style", ("tests/unit/test_series.py",)),
)
# The running interpreter first, else the system's.
PYTHONS = (sys.executable, "/usr/bin/python3")


def _probe(mark: str) -> bool:
    if mark == "python-venv":
        return find_python() is not None
    if mark.startswith("pkg-config:"):
        tool = shutil.which("pkg-config")
        return tool is not None and subprocess.run([tool, "--exists", mark[11:]], check=False).returncode == 0
    if mark.startswith("perl:"):
        command = [shutil.which("perl") or "", f"-M{mark[5:]}", "-e1"]
        return command[0] != "" and subprocess.run(command, capture_output=True, check=False).returncode == 0
    if mark.startswith("/"):
        return Path(mark).exists()
    return shutil.which(mark) is not None


def missing(needs: Sequence[Need] = NEEDS) -> list[Need]:
    """Of these needs, those that this system does not meet."""
    return [need for need in needs if not any(_probe(mark) for mark in need.probe)]


def python_works(python: str) -> bool:
    """Whether this interpreter is new enough and can make an environment with pip in it."""
    check = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_python() -> str | None:
    """An interpreter for the environment: the running one, else the system's."""
    for python in PYTHONS:
        if python and python_works(python):
            return python
    return None


def _debian() -> bool:
    return shutil.which("apt-get") is not None and Path("/etc/debian_version").exists()


def _privilege() -> list[str] | None:
    """The prefix that makes a command run as root, or None if nothing does without a question."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    probe = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if probe.returncode == 0 else None


def _apt(prefix: list[str], arguments: list[str]) -> int:
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=a"]
    command = [*prefix, *environment, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    # The progress goes to stderr, so that stdout stays the lab's own.
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode


def ensure_packages(wanted: Sequence[Need] = NEEDS, tries: int = 3) -> None:
    """Install what is missing, without a question.

    Args:
        wanted: what the command needs.
        tries: how often; the index of a bare system is empty or old, and a passing network failure deserves a second.
    Raises:
        LabError: packages are missing and cannot be installed; the message names them.
    """
    needs = missing(wanted)
    if not needs:
        return
    names = [need.package for need in needs]
    if not _debian():
        listing = "".join(f"\n  {need.package}: {need.why}" for need in needs)
        raise LabError(
            f"missing on this system (names are Debian's):{listing}",
            ExitCode.MISSING_PACKAGES,
            remedy="install their equivalents and start again",
        )
    command = "apt-get install --no-install-recommends " + " ".join(names)
    prefix = _privilege()
    if prefix is None:
        raise LabError("missing packages: " + " ".join(names), ExitCode.MISSING_PACKAGES, remedy=f"as root: {command}")
    print(f"stmlab: installing {' '.join(names)}", file=sys.stderr, flush=True)
    install = ["install", "-y", "--no-install-recommends", *names]
    for _attempt in range(tries):
        if _apt(prefix, ["update"]) == 0 and _apt(prefix, install) == 0 and not missing(wanted):
            return
    still = " ".join(need.package for need in missing(wanted)) or " ".join(names)
    raise LabError(f"apt-get could not install: {still}", ExitCode.MISSING_PACKAGES, remedy=f"as root: {command}")


def without(wanted: Sequence[Need] = TEST_NEEDS) -> list[str]:
    """Install what is missing, each by itself, as far as that goes.

    Args:
        wanted: what the command can do without, in part.

    Returns:
        For each that is still missing what will fail for want of it, why it could not be installed, and the remedy.
    """
    found = []
    for need in missing(wanted):
        try:
            ensure_packages((need,), tries=1)
        except LabError as error:
            reason = error.message.splitlines()[0].rstrip(":")
            found.append(f"{', '.join(need.tests)} will fail without {need.package}: {reason}\nremedy: {error.remedy}")
    return found
