# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's kernels: downloaded by the package client, unpacked below the cache, never installed."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts import cache, paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import Step, run_logged, step
from build_scripts.sources.distribution import BinaryClient, BinaryPackage

_PACKAGES: dict[str, Any] = json.loads((Path(__file__).parent / "packages.json").read_text(encoding="utf-8"))
VARIABLE = _PACKAGES["variable"]
MODULES = ("efivarfs", "msr", "button", "kvm-intel")
# How each ending of a module's name is read; Debian 13 and the backports compress with xz.
DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {".ko": bytes, ".xz": lzma.decompress, ".gz": gzip.decompress}
# What this Python cannot read. No kernel of the distribution's has it.
_FOREIGN = (".zst",)
_ORDER = "order"
_DEPENDS = re.compile(rb"(?:\A|\0)depends=([\w,-]*)\0")


@dataclass(frozen=True)
class Pin:
    """Which kernel the distribution is asked for.

    Attributes:
        series: the first two numbers of its version.
        package: the meta-package that depends on the newest image.
        suites: of the distribution, where both are.
    """

    series: str
    package: str
    suites: tuple[str, ...]

    @property
    def stamp(self) -> str:
        """The file that names the kernel that was fetched last for these modules."""
        return f"current-{paths.content_key([], [self.series, self.package, *MODULES])[:8]}"


PINS = {name: Pin(pin["series"], pin["package"], tuple(pin["suites"])) for name, pin in _PACKAGES["kernels"].items()}
DEFAULT = next(iter(PINS))


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel.

    Attributes:
        image: the bzImage.
        modules: the files of the modules to load, dependencies first.
        version: of the package; part of every key of what is built from it.
    """

    image: Path
    modules: tuple[Path, ...]
    version: str

    @classmethod
    def in_folder(cls, folder: Path) -> Kernel:
        """The kernel of a finished folder."""
        version, *names = (folder / _ORDER).read_text(encoding="ascii").split()
        return cls(folder / "vmlinuz", tuple(folder / name for name in names), version)


def module_content(path: Path) -> bytes:
    """The ELF file of a module, whether or not the distribution compresses it.

    Raises:
        LabError: the file is damaged.
    """
    try:
        return DECOMPRESSORS[path.suffix](path.read_bytes())
    except (lzma.LZMAError, zlib.error, OSError, EOFError) as error:
        raise LabError(f"module {path.name} cannot be decompressed: {error}") from error


def load_order(files: dict[str, Path], wanted: tuple[str, ...]) -> list[Path]:
    """The files of the wanted modules and of all that they depend on, dependencies first.

    The package's own modules.dep is made at its installation; each module says
    in its .modinfo section what it depends on.

    Args:
        files: module name, with ``-`` for ``_``, to file.
        wanted: names in that form.
    Raises:
        LabError: the kernel lacks one.
    """
    order: list[Path] = []

    def add(name: str) -> None:
        if name not in files:
            raise LabError(f"the kernel has no module {name}")
        found = _DEPENDS.search(module_content(files[name]))
        for other in found[1].decode("ascii").split(",") if found is not None else ():
            if other:
                add(other.replace("_", "-"))
        if files[name] not in order:
            order.append(files[name])

    for name in wanted:
        add(name)
    return order


def take_apart(tree: Path, version: str, folder: Path) -> None:
    """Copy the image and the modules of an unpacked package into `folder`, with their order.

    Raises:
        LabError: it holds no kernel, or not these modules, or they are compressed in a way unknown here.
    """
    images = sorted((tree / "boot").glob("vmlinuz-*"))
    if not images:
        raise LabError("the package holds no kernel")
    found = sorted((tree / "lib" / "modules").rglob("*.ko*"))
    if foreign := next((path for path in found if path.suffix in _FOREIGN), None):
        raise LabError(
            f"module {foreign.name}: modules compressed with {foreign.suffix[1:]} cannot be read",
            remedy="take a package whose modules are plain, or compressed with xz or gzip",
        )
    modules = [path for path in found if path.suffix in DECOMPRESSORS]
    files = {path.name.partition(".")[0].replace("_", "-"): path for path in modules}
    order = load_order(files, MODULES)
    shutil.copyfile(images[0], folder / "vmlinuz")
    names = []
    for path in order:
        names.append(f"{path.name.partition('.')[0]}.ko")
        # Process 1 loads what it is given as it is: a plain ELF file.
        (folder / names[-1]).write_bytes(module_content(path))
    (folder / _ORDER).write_text("\n".join([version, *names]) + "\n", encoding="ascii")


def _unpack(package: Path, version: str, log: Path, shown: Step) -> Kernel:
    key = paths.content_key([], [version, paths.sha256_file(package), *MODULES])

    def make(folder: Path) -> None:
        tree = folder / "tree"
        run_logged(["dpkg-deb", "-x", package, tree], log, shown, f"unpacking {package.name}")
        take_apart(tree, version, folder)
        shutil.rmtree(tree)

    return Kernel.in_folder(cache.obtain("linux", lambda: key, make, "the Linux kernel"))


def _newest(client: BinaryClient, pin: Pin) -> BinaryPackage:
    """The image that the meta-package stands for."""
    metas = [offer for offer in client.offers(pin.package) if offer.version.startswith(f"{pin.series}.")]
    found = re.search(r"linux-image-[\w.+-]+", metas[0].depends) if metas else None
    images = client.offers(found[0]) if found is not None else []
    if not images:
        raise LabError(f"the distribution's index has no {pin.package} {pin.series}")
    return images[0]


def _fetch(pin: Pin, log: Path, shown: Step) -> Kernel:
    downloads = paths.cache_dir() / "downloads"
    downloads.mkdir(exist_ok=True)
    client = BinaryClient(log)
    client.refresh(list(pin.suites), shown)
    offer = _newest(client, pin)
    return _unpack(client.download(offer, downloads, shown), offer.version, log, shown)


def _cached(pin: Pin) -> Kernel | None:
    """The kernel that was fetched last; a later one of the distribution does not replace it by itself."""
    stamp = cache.entry("linux", pin.stamp)
    if not stamp.is_file():
        return None
    folder = stamp.with_name(stamp.read_text(encoding="ascii", errors="replace").strip() or "none")
    return Kernel.in_folder(folder) if folder.is_dir() and not cache.damage(folder) else None


def locate(name: str = DEFAULT) -> Kernel:
    """The kernel, fetched if it has to be.

    Args:
        name: a key of `PINS`; a package of the user's (`VARIABLE`) takes the place of them all.
    Raises:
        LabError: it could not be obtained.
    """
    log = paths.cache_dir() / "source-linux.log"
    if given := os.environ.get(VARIABLE):
        package = Path(given).resolve()
        if not package.is_file():
            raise LabError(f"{VARIABLE}={package}: no such file", ExitCode.USAGE)
        with step(f"unpacking {package.name}") as shown:
            return _unpack(package, package.name.split("_")[1] if "_" in package.name else "unknown", log, shown)
    pin = PINS[name]
    return cache.ensure(lambda: _cached(pin), lambda: _current(pin, log), "source-linux")


def _current(pin: Pin, log: Path) -> Kernel:
    log.unlink(missing_ok=True)
    with step(f"getting the distribution's Linux {pin.series} ({pin.package})") as shown:
        try:
            kernel = _fetch(pin, log, shown)
        except LabError as error:
            error.remedy = error.remedy or f"check the network, or set {VARIABLE} to a package of that kernel"
            raise
    folder = kernel.image.parent
    (folder.parent / pin.stamp).write_text(folder.name + "\n", encoding="ascii")
    return kernel
