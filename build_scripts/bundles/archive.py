# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The form of a bundle: a ZIP archive whose manifest names every member with its size and SHA-256.

Python can start it (``python3 FILE``), because its ``__main__.py`` and the
checkout in it are where ``zipimport`` looks. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any

from build_scripts.bundles.record import SOURCE_FACTS
from build_scripts.errors import ExitCode, LabError

FORM = 1
MANIFEST = "stmlab-bundle.json"
STARTER = "__main__.py"
# The first part of each member's name.
CHECKOUT, ENVIRONMENT, MACHINE, FIRMWARE, EDK2 = "checkout", "environment", "machine", "firmware", "edk2"
PARTS = (CHECKOUT, ENVIRONMENT, MACHINE, FIRMWARE, EDK2)
SOURCES = ("edk2", "qemu")
_CHUNK = 1 << 20
# What zipfile makes of damage; the last two are a compression that it lacks, and a member that says it is encrypted.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_AGAIN = "copy the file again, and compare its SHA-256 with that of the original"

Told = Callable[[str], None]


def quiet(_name: str) -> None:
    """For those who want to hear nothing."""


@dataclass(frozen=True)
class Member:
    """A file or a symbolic link.

    Attributes:
        size: in bytes; 0 for a link.
        sha256: of the content; empty for a link.
        program: whether it is executable.
        time: of its last change, in seconds; Python's byte code is compared with it.
        link: where a symbolic link leads to; empty for a file.
    """

    size: int
    sha256: str
    program: bool
    time: int
    link: str


def _damaged(archive: Path, words: str) -> LabError:
    return LabError(f"{archive} is damaged: {words}", ExitCode.USAGE, remedy=_AGAIN)


def _refused(archive: Path, words: str) -> LabError:
    return LabError(f"{archive} is refused: {words}", ExitCode.USAGE, remedy="take bundles from people you trust only")


class Writer:
    """Writes a bundle member by member, the manifest last; a context manager."""

    def __init__(self, output: IO[bytes], told: Told = quiet) -> None:
        self._zip = zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._members: dict[str, dict[str, Any]] = {}
        self._told = told

    def __enter__(self) -> Writer:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the archive; after an error it is worth nothing, and that error is the one to be told."""
        with suppress(OSError, ValueError):
            self._zip.close()

    def add(self, name: str, path: Path) -> None:
        """Add a file, or a symbolic link as such."""
        self._told(name)
        information = zipfile.ZipInfo(name)
        information.compress_type = zipfile.ZIP_DEFLATED
        if path.is_symlink():
            target = os.readlink(path)  # noqa: PTH115 - as it is written, not as a path
            self._zip.writestr(information, target)
            self._members[name] = vars(Member(0, "", False, 0, target))
            return
        status = path.stat()
        program = bool(status.st_mode & stat.S_IXUSR)
        information.external_attr = (stat.S_IFREG | (0o755 if program else 0o644)) << 16
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as source, self._zip.open(information, "w", force_zip64=True) as target_file:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target_file.write(chunk)
        self._members[name] = vars(Member(size, digest.hexdigest(), program, int(status.st_mtime), ""))

    def finish(self, header: dict[str, Any]) -> None:
        """Write the manifest and the archive's directory."""
        text = json.dumps({"form": FORM, **header, "members": self._members}, indent=0, sort_keys=True)
        self._zip.writestr(MANIFEST, text, compress_type=zipfile.ZIP_DEFLATED)
        self._zip.close()


# What a header tells as text, beside the sources.
_TEXTS = ("lab", "architecture", "glibc", "python", "compiler", "environment", "machine", "firmware")


def _need_header(header: dict[str, Any]) -> None:
    """Check that a header has all that an import asks for.

    Raises:
        TypeError: it has not.
    """
    texts = [header.get(name) for name in _TEXTS]
    for name in SOURCES:
        texts += [header["sources"][name].get(fact) for fact in SOURCE_FACTS]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("its header lacks something")


# No file is from later: in seconds, some 34,000 years.
_LATEST = 1 << 40


def _need_types(member: Member) -> None:
    """Check that a member's facts, as the manifest has them, are what they are declared to be.

    Raises:
        TypeError: one has another type.
        ValueError: one has no meaning.
    """
    if type(member.size) is not int or type(member.time) is not int or not isinstance(member.program, bool):
        raise TypeError("size and time of a member are numbers, and it is a program or not")
    if not isinstance(member.sha256, str) or not isinstance(member.link, str):
        raise TypeError("SHA-256 and link of a member are texts")
    if member.size < 0 or abs(member.time) > _LATEST:
        raise ValueError("size and time of a member are what a file can have")
    member.link.encode()  # half of a surrogate pair is no name


class Bundle:
    """A bundle to read; a context manager.

    Its names were checked when it is open, its contents are checked as they are read.
    """

    def __init__(self, archive: Path) -> None:
        """Open it.

        Raises:
            LabError: there is no such file, it is no bundle, it is damaged, or it wants to write where it must not.
        """
        self.archive = archive
        try:
            self._zip = zipfile.ZipFile(archive)
            names = self._zip.namelist()
            if MANIFEST not in names:
                raise LabError(f"{archive} is no bundle: it has no {MANIFEST}", ExitCode.USAGE)
            self.header: dict[str, Any] = json.loads(self._zip.read(MANIFEST))
            if self.header["form"] != FORM:
                raise LabError(
                    f"{archive} has form {self.header['form']} of bundles, and this lab reads form {FORM}",
                    ExitCode.USAGE,
                    remedy="import it with the checkout that it carries: python3 FILE",
                )
            _need_header(self.header)
            self.members = {name: Member(**facts) for name, facts in self.header.pop("members").items()}
            for member in self.members.values():
                _need_types(member)
        except OSError as error:
            raise LabError(f"{archive}: {error.strerror}", ExitCode.USAGE) from error
        except (*_BROKEN, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(archive, f"its directory cannot be read ({error})") from error
        self._check_names(names)

    def __enter__(self) -> Bundle:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._zip.close()

    def _check_names(self, names: list[str]) -> None:
        twice = {name for name in names if names.count(name) > 1} if len(set(names)) != len(names) else set()
        if twice:
            raise _refused(self.archive, f"two members have the name {sorted(twice)[0]}")
        unlike = set(names) - {MANIFEST} ^ set(self.members)
        if unlike:
            raise _damaged(self.archive, f"{sorted(unlike)[0]} is in the archive or in its manifest, not in both")
        links = {name for name, member in self.members.items() if member.link}
        for name, member in self.members.items():
            pure = PurePosixPath(name)
            if name != STARTER and not (_inside(name) and pure.parts[0] in PARTS and len(pure.parts) > 1):
                raise _refused(self.archive, f"the name {name!r} leads out of the bundle's folders")
            if any(str(above) in links for above in pure.parents):
                raise _refused(self.archive, f"{name} lies behind a symbolic link")
            if member.link and not _inside_after(pure, member.link):
                raise _refused(self.archive, f"the symbolic link {name} leads out of its folder, to {member.link}")
            if member.link and _through(pure, member.link, links):
                raise _refused(self.archive, f"the symbolic link {name} leads through another one, to {member.link}")

    def names(self, part: str) -> list[str]:
        """The members of a part."""
        return [name for name in self.members if name.startswith(f"{part}/")]

    def size(self, *parts: str) -> int:
        """How many bytes these parts have, unpacked."""
        return sum(self.members[name].size for part in parts for name in self.names(part))

    def _content(self, name: str) -> Iterator[bytes]:
        """The content of a member, piece by piece.

        Raises:
            LabError: it is not what the manifest says, which shows at its end.
        """
        member = self.members[name]
        digest, size = hashlib.sha256(), 0
        try:
            with self._zip.open(name) as source:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    if size > member.size and not member.link:
                        break
                    yield chunk
        except _BROKEN as error:
            raise _damaged(self.archive, f"{name} cannot be read ({error})") from error
        if not member.link and (size, digest.hexdigest()) != (member.size, member.sha256):
            raise _damaged(self.archive, f"{name} is not what the manifest says")

    def verify(self, told: Told = quiet) -> None:
        """Read every member and compare it with the manifest.

        Raises:
            LabError: one differs.
        """
        for name in self.members:
            told(name)
            link = b"".join(self._content(name)) if self.members[name].link else None
            if link is not None and link != self.members[name].link.encode():
                raise _damaged(self.archive, f"{name} is not what the manifest says")
            if link is None:
                for _chunk in self._content(name):
                    pass

    def unpack(self, part: str, target: Path, told: Told = quiet, only: Iterable[str] | None = None) -> None:
        """Write the members of a part below a folder, which only the caller uses.

        Args:
            only: of the part's names these, as the bundle has them.
        Raises:
            LabError: one is not what the manifest says.
        """
        for name in self.names(part) if only is None else only:
            told(name)
            member = self.members[name]
            path = target / PurePosixPath(name).relative_to(part)
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.link:
                path.symlink_to(member.link)
                continue
            with path.open("xb") as output:
                for chunk in self._content(name):
                    output.write(chunk)
            path.chmod(0o755 if member.program else 0o644)
            os.utime(path, (member.time, member.time))


def _inside(name: str) -> bool:
    """Whether a name goes downwards only."""
    parts = name.split("/")
    return "\\" not in name and "\0" not in name and not any(part in ("", ".", "..") for part in parts)


def _through(place: PurePosixPath, link: str, links: set[str]) -> bool:
    """Whether a link goes on behind another one, where ".." is not what it is by the words alone.

    One that ends at another link does not: that is checked for itself.
    """
    walked = list(place.parts[:-1])
    for part in (part for part in link.split("/") if part not in ("", ".")):
        if "/".join(walked) in links:
            return True
        if part == "..":
            walked.pop()
        else:
            walked.append(part)
    return False


def _inside_after(place: PurePosixPath, link: str) -> bool:
    """Whether a link at a place of the bundle ends in the part that it lies in."""
    if link.startswith("/") or "\\" in link or "\0" in link:
        return False
    depth = len(place.parts) - 2  # folders between the part's own and the link
    for part in link.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return False
    return True
