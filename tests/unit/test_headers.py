# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The kernel's headers without a network: which release, which packages, which compiler, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.errors import LabError
from build_scripts.linux import headers
from build_scripts.linux.kernel import Kernel
from build_scripts.sources.distribution import BinaryPackage

RELEASE = "6.1.0-56-cloud-amd64"


def _kernel(folder: Path, modinfo: bytes, version: str = "6.1.192-2") -> Kernel:
    (folder / "msr.ko").write_bytes(b"\x7fELF\0" + modinfo)
    return Kernel(folder / "vmlinuz", (folder / "msr.ko",), version)


def test_release_is_what_the_modules_name(tmp_path: Path) -> None:
    linux = _kernel(tmp_path, b"\0depends=\0vermagic=" + RELEASE.encode() + b" SMP preempt mod_unload modversions \0")
    assert headers.release_of(linux) == RELEASE


def test_modules_without_a_release(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="do not say which release"):
        headers.release_of(_kernel(tmp_path, b"\0depends=\0"))


def test_kernel_of_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the user's own, for which the distribution has no headers: it is he who can take another."""
    monkeypatch.setenv("LINUX_DEB", "own.deb")
    with pytest.raises(LabError, match="none of the lab's kernels") as caught:
        headers.locate(_kernel(tmp_path, b"\0vermagic=5.4.0 SMP \0", "5.4.0-1"))
    assert caught.value.remedy is not None and caught.value.remedy.startswith("unset LINUX_DEB")


class _Client:
    """An index with two versions of each package."""

    def offers(self, package: str) -> list[BinaryPackage]:
        return [BinaryPackage(package, version, "", "") for version in ("6.1.192-2", "6.1.176-1")]


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        (f"linux-headers-{RELEASE}", "6.1.176-1", "6.1.176-1"),
        (f"linux-headers-{RELEASE}", "6.1.1-1", None),
        ("linux-kbuild-6.1", "6.1.176-1", "6.1.176-1"),
        ("linux-kbuild-6.1", "6.1.1-1", "6.1.192-2"),
    ],
)
def test_headers_are_of_the_kernels_own_version(name: str, version: str, wanted: str | None) -> None:
    """Tools that several kernels share may be newer."""
    offer = headers._offer(_Client(), name, version)  # type: ignore[arg-type]
    assert (offer.version if offer is not None else None) == wanted


def test_folder_and_compiler(tmp_path: Path) -> None:
    build = tmp_path / "usr/src" / f"linux-headers-{RELEASE}"
    with pytest.raises(LabError, match="hold no headers of Linux"):
        headers.Headers.in_tree(tmp_path, RELEASE)
    build.mkdir(parents=True)
    (build / "Module.symvers").touch()
    (tmp_path / "usr/src/linux-headers-6.1.0-56-common").mkdir()
    (build / ".kernelvariables").write_text(
        "CCACHE = ccache\nCC = $(if $(DEBIAN_KERNEL_USE_CCACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-12\n"
    )
    found = headers.Headers.in_tree(tmp_path, RELEASE)
    assert found.compiler == "gcc-12" and found.common.name == "linux-headers-6.1.0-56-common"
