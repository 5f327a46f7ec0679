# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's headers of a kernel, unpacked below the cache, and modules built against them."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from build_scripts import cache, paths
from build_scripts.builds.compiler import compiler_version
from build_scripts.errors import LabError
from build_scripts.linux.kernel import PINS, Kernel
from build_scripts.progress import Step, run_logged, step
from build_scripts.sources.distribution import BinaryClient, BinaryPackage

LINUX_MLE = paths.CHECKOUT / "StmPkg" / "LinuxMle"
# Shared by all that use the package client's private configuration.
_LOCK = "source-linux"
_RELEASE = re.compile(rb"(?:\A|\0)vermagic=(\S+) ")
_NEEDED = re.compile(r"linux-(?:headers|kbuild)-[\w.+-]+")
_COMPILER = re.compile(r"^CC\s*=.*?([\w.+-]+)$", re.MULTILINE)


def _remedy() -> str:
    """How to come to a kernel that has headers."""
    if os.environ.get("LINUX_DEB"):
        return "unset LINUX_DEB: the lab then takes the distribution's kernel, which has headers"
    return f"remove {cache.entry('linux', 'current-*')}, and the newest kernel and its headers are fetched"


@dataclass(frozen=True)
class Headers:
    """The unpacked headers of one kernel.

    Attributes:
        build: the folder that holds the configuration and ``Module.symvers``.
        common: the folder that holds the headers and the Makefile.
    """

    build: Path
    common: Path

    @classmethod
    def in_tree(cls, tree: Path, release: str) -> Headers:
        """Those in an unpacked tree.

        Raises:
            LabError: the packages hold something else.
        """
        build = tree / "usr" / "src" / f"linux-headers-{release}"
        found = sorted((tree / "usr" / "src").glob("linux-headers-*-common"))
        if not found or not (build / "Module.symvers").is_file():
            raise LabError(f"the distribution's packages hold no headers of Linux {release}", remedy=_remedy())
        return cls(build, found[0])

    @property
    def compiler(self) -> str:
        """The compiler that the kernel was built with, which builds modules too."""
        found = _COMPILER.search((self.build / ".kernelvariables").read_text(encoding="ascii"))
        return found[1].removeprefix("$(CROSS_COMPILE)") if found is not None else "gcc"


def release_of(kernel: Kernel) -> str:
    """The release that a kernel calls itself, which its modules name too.

    Raises:
        LabError: it has no module.
    """
    for module in kernel.modules:
        if found := _RELEASE.search(module.read_bytes()):
            return found[1].decode("ascii")
    raise LabError("the kernel's modules do not say which release they are for", remedy=_remedy())


def _offer(client: BinaryClient, name: str, version: str) -> BinaryPackage | None:
    """That version of a package; of one that several kernels share, the newest."""
    offers = client.offers(name)
    return next(
        (offer for offer in offers if offer.version == version), offers[0] if "-kbuild-" in name and offers else None
    )


def _download(release: str, version: str, tree: Path, log: Path, shown: Step) -> None:
    downloads = paths.cache_dir() / "downloads"
    downloads.mkdir(exist_ok=True)
    client = BinaryClient(log)
    suites = next(pin.suites for pin in PINS.values() if version.startswith(f"{pin.series}."))
    client.refresh(list(suites), shown)
    wanted = [f"linux-headers-{release}"]
    for name in wanted:
        offer = _offer(client, name, version)
        if offer is None:
            raise LabError(
                f"the distribution no longer offers {name} {version}",
                remedy=_remedy(),
            )
        wanted += [other for other in _NEEDED.findall(offer.depends) if other not in wanted]
        run_logged(["dpkg-deb", "-x", client.download(offer, downloads, shown), tree], log, shown, f"unpacking {name}")
    shutil.rmtree(tree / "usr" / "share", ignore_errors=True)


def locate(kernel: Kernel) -> Headers:
    """The headers of a kernel of the distribution, fetched if they have to be.

    Raises:
        LabError: the distribution does not offer them.
    """
    release = release_of(kernel)
    if not any(kernel.version.startswith(f"{pin.series}.") for pin in PINS.values()):
        raise LabError(
            f"no headers are known for Linux {kernel.version}, which is none of the lab's kernels", remedy=_remedy()
        )
    log = paths.cache_dir() / "source-headers.log"

    def make(folder: Path) -> None:
        log.unlink(missing_ok=True)
        with step(f"getting the headers of Linux {release}") as shown:
            _download(release, kernel.version, folder, log, shown)
            Headers.in_tree(folder, release)

    key = paths.content_key([], [release, kernel.version])
    return Headers.in_tree(
        cache.obtain("linux-headers", lambda: key, make, f"the headers of Linux {release}", _LOCK), release
    )


def build_module(kernel: Kernel, sources: Path = LINUX_MLE) -> Path:
    """Build a module for a kernel; a finished one of the same inputs is used again.

    Args:
        kernel: the kernel.
        sources: a folder with a ``Kbuild`` that makes one module.
    Raises:
        LabError: no headers, no compiler, or the compiler failed.
    """
    log = paths.cache_dir() / f"module-{cache.identity_of(str(sources))}.log"

    def key() -> str:
        return paths.content_key(
            paths.files_below(sources), [release_of(kernel), kernel.version, compiler_version()], sources
        )

    def make(folder: Path) -> None:
        headers = locate(kernel)
        if shutil.which(headers.compiler) is None:
            raise LabError(
                f"modules of Linux {kernel.version} are compiled with {headers.compiler}, which is not here",
                remedy=f"apt-get install {headers.compiler}",
            )
        tree = folder / "tree"
        shutil.copytree(sources, tree)
        log.unlink(missing_ok=True)
        with step(f"building a module for Linux {kernel.version}") as shown:
            # The package's own Makefile names the folder of an installation. BTF, for tracing, would need pahole.
            command: list[str | Path] = ["make", "-C", headers.build, "-f", headers.common / "Makefile", f"M={tree}"]
            command += ["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
            run_logged(command, log, shown, f"building {sources.name}")
            (made,) = sorted(tree.glob("*.ko"))
            run_logged(["objcopy", "--strip-debug", made, folder / made.name], log, shown, f"stripping {made.name}")
        shutil.rmtree(tree)

    folder = cache.obtain("linux-modules", key, make, f"the module {sources.name}")
    return next(iter(sorted(folder.glob("*.ko"))))
