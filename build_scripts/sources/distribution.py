# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Source tarballs and binary packages from the distribution, through the machine's own mirror.

A private configuration of the package client, so that another release can be
read without root and without touching the system's: own source list, own
state, own cache. The addresses come from the system's configuration; the
index is signed, and the checksums come from it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from debian import deb822

from build_scripts import nested, paths
from build_scripts.errors import LabError
from build_scripts.progress import Step, run_logged

KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
_POCKETS = ("-updates", "-backports", "-proposed", "-security")
_TRIES = 3
_TARBALL = re.compile(r"\.orig\.tar\.\w+$")


@dataclass(frozen=True)
class SourceFile:
    """An original tarball that the signed index offers."""

    package: str
    version: str
    name: str
    sha256: str


def parse_source_index(text: str) -> list[SourceFile]:
    """Read the stanzas of ``apt-cache showsrc``: the original tarballs and their SHA-256."""
    return [
        SourceFile(stanza["Package"], stanza["Version"], file["name"], file["sha256"])
        for stanza in deb822.Sources.iter_paragraphs(text, use_apt_pkg=False)
        if {"Package", "Version"} <= stanza.keys()
        for file in stanza.get("Checksums-Sha256") or ()
        if _TARBALL.search(file["name"])
    ]


def mirror_addresses(targets: str) -> dict[bool, str]:
    """The configured mirrors, from lines ``ADDRESS SUITE``: [False] the archive, [True] its security part."""
    found: dict[bool, str] = {}
    for line in targets.splitlines():
        address, _, suite = line.strip().partition(" ")
        if not suite:
            continue
        security = suite.endswith("-security")
        if security or not suite.endswith(_POCKETS):
            found.setdefault(security, address)
    return found


@dataclass(frozen=True)
class BinaryPackage:
    """A binary package that the signed index offers."""

    name: str
    version: str
    sha256: str
    depends: str


def parse_package_index(text: str) -> list[BinaryPackage]:
    """Read the stanzas of ``apt-cache show``."""
    return [
        BinaryPackage(stanza["Package"], stanza["Version"], stanza["SHA256"], stanza.get("Depends", ""))
        for stanza in deb822.Packages.iter_paragraphs(text, use_apt_pkg=False)
        if {"Package", "Version", "SHA256"} <= stanza.keys()
    ]


class PackageClient:
    """The package client with its private configuration below the cache."""

    _entry: str
    _name: str

    def __init__(self, log: Path) -> None:
        self._folder = paths.cache_dir() / self._name
        self._log = log
        self._environment = nested.clean_environment() | {"APT_CONFIG": str(self._folder / "apt.conf"), "LC_ALL": "C"}

    def refresh(self, suites: list[str], shown: Step) -> None:
        """Write the configuration and fetch the signed indexes of `suites`.

        Raises:
            LabError: no package client, no mirror, or no index from it.
        """
        if shutil.which("apt-get") is None:
            raise LabError("this system has no apt-get, so no distribution sources")
        for name in ("lists/partial", "cache/archives/partial"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        keyring = next((path for name in KEYRINGS if (path := Path("/usr/share/keyrings") / name).is_file()), None)
        if keyring is None:
            raise LabError("no keyring of the Debian archive", remedy="apt-get install debian-archive-keyring")
        query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
        result = subprocess.run(query, capture_output=True, text=True, check=False)
        mirrors = mirror_addresses(result.stdout)
        lines = [
            f"{self._entry} [arch=amd64 signed-by={keyring}] {mirrors[security]} {suite} main\n"
            for suite in suites
            if (security := suite.endswith("-security")) in mirrors
        ]
        if not lines:
            raise LabError("the system's package configuration names no mirror")
        (self._folder / "sources.list").write_text("".join(lines))
        settings = {
            "Dir::Etc::sourcelist": self._folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            # The download user of apt may not enter a home directory; signatures are checked all the same.
            "APT::Sandbox::User": "root",
            "Acquire::Retries": "3",
        }
        (self._folder / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
        self._retry(["apt-get", "update", "--error-on=any"], shown, "reading the package index")

    def _retry(self, command: list[str], shown: Step, what: str, cwd: Path | None = None) -> None:
        for attempt in range(_TRIES):
            try:
                run_logged(command, self._log, shown, what, cwd=cwd, environment=self._environment)
                return
            except LabError:
                if attempt == _TRIES - 1:
                    raise


class SourceClient(PackageClient):
    """Reads and downloads source packages."""

    _entry = "deb-src"
    _name = "apt"

    def offers(self, package: str) -> list[SourceFile]:
        """The original tarballs of `package` in the indexes, newest version first as apt orders them."""
        result = subprocess.run(
            ["apt-cache", "showsrc", package], env=self._environment, capture_output=True, text=True, check=False
        )
        return parse_source_index(result.stdout)

    def download(self, offer: SourceFile, folder: Path, shown: Step) -> Path:
        """Download one tarball into `folder`; only it, since a mirror may miss the other files of a version.

        Raises:
            LabError: the download failed or its checksum is wrong.
        """
        command = ["apt-get", "source", "--download-only", "--tar-only", "-q"]
        self._retry([*command, f"{offer.package}={offer.version}"], shown, f"downloading {offer.name}", folder)
        path = folder / offer.name
        if not path.is_file() or paths.sha256_file(path) != offer.sha256:
            raise LabError(f"{offer.name}: the checksum differs from the signed index's", log=self._log)
        return path


class BinaryClient(PackageClient):
    """Reads and downloads binary packages; none is installed."""

    _entry = "deb"
    _name = "apt-binary"

    def offers(self, package: str) -> list[BinaryPackage]:
        """What the indexes have of `package`, newest version first as apt orders them."""
        result = subprocess.run(
            ["apt-cache", "show", package], env=self._environment, capture_output=True, text=True, check=False
        )
        return parse_package_index(result.stdout)

    def download(self, offer: BinaryPackage, folder: Path, shown: Step) -> Path:
        """Download one package into `folder`.

        Raises:
            LabError: the download failed or its checksum is wrong.
        """
        command = ["apt-get", "download", "-q", f"{offer.name}={offer.version}"]
        self._retry(command, shown, f"downloading {offer.name}", folder)
        found = [path for path in folder.glob(f"{offer.name}_*.deb") if paths.sha256_file(path) == offer.sha256]
        if not found:
            raise LabError(f"{offer.name}: the checksum differs from the signed index's", log=self._log)
        return found[0]
