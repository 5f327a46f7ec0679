# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Bundles: what goes in comes out elsewhere, and nothing does that is damaged, foreign, or leads astray."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build_scripts import bootstrap, cache, cli, paths, system
from build_scripts.builds import firmware_build, qemu_build
from build_scripts.builds.compiler import compiler_version
from build_scripts.bundles import archive, environment, host, starter
from build_scripts.bundling import exchange
from build_scripts.errors import ExitCode, LabError
from build_scripts.sources import sources
from tests.support.bundles import SMALL_CHECKOUT, elsewhere, nothing_left


def test_round_trip(bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a compiler and without sources the student's lab finds machine, firmware and edk2."""
    assert cli.main(["bundle", "import", str(bundle)]) == 0
    monkeypatch.setenv("PATH", str(bundle.parent / "no-programs"))
    machine = qemu_build.extended_qemu()
    assert machine.is_relative_to(bundle.parent / "student") and os.access(machine, os.X_OK)
    firmware = firmware_build.finished_firmware()
    assert firmware is not None and firmware.mseg.read_text() == "image Stm.mseg"
    tree = sources.edk2_dir()
    assert os.access(tree / sources.BASETOOLS / "bin/GenFw", os.X_OK)
    assert (tree / sources.BASETOOLS / "bin/Link").readlink() == Path("GenFw")
    assert not (tree / "Outside").is_symlink()
    assert sources.sound("edk2").path == tree, "its digest is that of what was unpacked"
    assert cli.main(["bundle", "import", str(bundle)]) == 0
    assert "was there already" in capsys.readouterr().out


def test_a_change_of_the_machine_wants_its_source(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange.bring(bundle)
    fetched: list[str] = []

    def fetch(name: str) -> sources.Tree:
        fetched.append(name)
        return sources.Tree(Path("x"), "", "", "")

    monkeypatch.setattr(sources, "_fetched", fetch)
    assert not sources.identify("qemu").path.exists() and fetched == []
    assert sources.sound("qemu").path == Path("x") and fetched == ["qemu"]


def test_without_a_compiler_a_build_names_the_packages(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange.bring(bundle)
    monkeypatch.setenv("PATH", str(bundle.parent))
    with pytest.raises(LabError, match="gcc") as caught:
        compiler_version()
    assert caught.value.code == ExitCode.MISSING_PACKAGES


def test_packages_that_a_bundle_makes_unnecessary(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names(*words: str) -> set[str]:
        return {need.package for need in bootstrap._needs([*words])}

    assert "gcc" in names("run") and names("bundle", "import", "x") == set()
    exchange.bring(bundle)
    assert names("run") == names("report") == set()
    assert names("exercise", "check") == names("bare", "smi") == {need.package for need in system.STM_NEEDS}
    assert "mtools" in names("run", "linux") and "gdb" in names("debug") and "gcc" in names("test")


def test_the_environment_is_set_up_at_its_new_place(bundle: Path) -> None:
    target = bundle.parent / "venv-2"
    with archive.Bundle(bundle) as opened:
        environment.make(opened, sys.executable, target, bootstrap.READY)
    said = subprocess.run([target / "bin/thing"], capture_output=True, text=True, check=False)
    assert said.stdout == "1\n", said.stderr
    assert (target / "bin/thing").read_text().startswith(f"#!{target}/bin/python\n")
    found = [path for path in target.rglob("thing.py")]
    assert [path.read_text() for path in found] == ["x = 1\n"] and (target / bootstrap.READY).is_file()


def test_it_starts_itself(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python finds in the archive is our starter, which unpacks the checkout that it carries."""
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda _program, command, _variables: started.append(command))
    monkeypatch.chdir(bundle.parent)
    starter.main(bundle, ["here"])
    assert started[0][-3:] == ["bundle", "import", str(bundle)]
    for name in SMALL_CHECKOUT:
        assert (bundle.parent / "here" / name).read_bytes() == (paths.CHECKOUT / name).read_bytes()
    assert starter.main(bundle, ["."]) == ExitCode.USAGE
    assert zipfile.ZipFile(bundle).read(archive.STARTER).decode() == starter.PROGRAM


def test_a_full_disk_at_its_start(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system names no file when a write fails; then it is the folder's disk that is full."""

    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.Bundle, "unpack", full)
    assert starter.main(bundle, [str(bundle.parent / "here")]) == ExitCode.BUILD_FAILED
    assert f"{bundle.parent / 'here'}: No space left on device" in capsys.readouterr().err
    assert not (bundle.parent / "here").exists()


def _other_lock(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    name = f"checkout/{bootstrap.LOCK_FILE.name}"
    members[name] = b"other==1\n"
    digest = hashlib.sha256(members[name]).hexdigest()
    manifest["members"][name] |= {"size": len(members[name]), "sha256": digest}


def _no_lock(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del members[f"checkout/{bootstrap.LOCK_FILE.name}"]
    del manifest["members"][f"checkout/{bootstrap.LOCK_FILE.name}"]


@pytest.mark.parametrize("change", [_other_lock, _no_lock])
def test_packages_of_another_checkout_are_not_taken(
    change: Callable[[dict[str, bytes], dict[str, Any]], None], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be found again under the name of this checkout's list, as if they were its own."""
    monkeypatch.setattr(bootstrap, "finished_environment", lambda: None)
    rewritten(bundle, change)
    for taken in (lambda: bootstrap.environment_of_bundle(sys.executable, bundle), lambda: exchange.bring(bundle)):
        with pytest.raises(LabError, match="holds the packages of another checkout") as caught:
            taken()
        assert caught.value.code == ExitCode.USAGE
        assert nothing_left(bundle.parent / "student")


def test_the_environment_comes_first(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none; its packages are those that this checkout lists, and nothing else is published before."""
    monkeypatch.setattr(bootstrap, "finished_environment", lambda: None)
    made: list[Path] = []

    def make(_bundle: archive.Bundle, _python: str, folder: Path, _ready: str) -> None:
        assert nothing_left(bundle.parent / "student")
        made.append(folder)

    monkeypatch.setattr(environment, "make", make)
    assert len(exchange.bring(bundle)) == 3
    assert made == [bootstrap.environment_dir(sys.executable)]


def _import_in_a_process(bundle: str) -> int:
    return len(exchange.bring(Path(bundle)))


def test_two_at_once(bundle: Path) -> None:
    """One brings all three parts, the other finds them there."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        added = pool.map(_import_in_a_process, [str(bundle)] * 2)
    assert sorted(added) == [0, 3]
    assert firmware_build.finished_firmware() is not None


def rewritten(bundle: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None]) -> None:
    """Write the bundle anew with other members or another manifest."""
    with zipfile.ZipFile(bundle) as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(members.pop(archive.MANIFEST))
    change(members, manifest)
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
        new.writestr(archive.MANIFEST, json.dumps(manifest))
    bundle.write_bytes(output.getvalue())


def evil(name: str, link: str = "") -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    """A member of that name, which the manifest lists as any other."""

    def change(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        members[name] = link.encode()
        digest = "" if link else "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        manifest["members"][name] = {"size": 0, "sha256": digest, "program": False, "time": 0, "link": link}

    return change


def _behind_a_link(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    evil("edk2/x", "BaseTools")(members, manifest)
    evil("edk2/x/y")(members, manifest)


def _other_byte(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
    members["firmware/Stm.mseg"] = b"Image Stm.mseg"


def _longer(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
    members["firmware/Stm.mseg"] += b"0"


def _gone(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
    del members["firmware/Stm.mseg"]


def _unlisted(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
    members["firmware/more"] = b""


def _along_links(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """By the words alone each stays in its folder."""
    evil("edk2/p/q/up", "../..")(members, manifest)
    evil("edk2/z", "p/q/up/../..")(members, manifest)


def fact(name: str, value: Any) -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    """The manifest tells something else of a member."""
    return lambda _members, manifest: manifest["members"]["firmware/Stm.mseg"].update({name: value})


def _part_gone(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    for name in [name for name in members if name.startswith("firmware/")]:
        del members[name], manifest["members"][name]


def _sealed_otherwise(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """A file of the firmware is missing from archive and manifest alike: the entry's own manifest tells."""
    del members["firmware/Stm.mseg"], manifest["members"]["firmware/Stm.mseg"]


def header(**changed: Any) -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    return lambda _members, manifest: manifest.update(changed)


REFUSALS = {
    "other-byte": (_other_byte, "firmware/Stm.mseg is not what the manifest says"),
    "longer": (_longer, "firmware/Stm.mseg is not what the manifest says"),
    "gone": (_gone, "not in both"),
    "unlisted": (_unlisted, "not in both"),
    "part-gone": (_part_gone, "the firmware in it is damaged"),
    "sealed-otherwise": (_sealed_otherwise, "Stm.mseg is missing"),
    "upwards": (evil("firmware/../../x"), "leads out of the bundle's folders"),
    "absolute": (evil("/tmp/x"), "leads out of the bundle's folders"),
    "other-folder": (evil("somewhere/x"), "leads out of the bundle's folders"),
    "backslash": (evil("firmware/..\\x"), "leads out of the bundle's folders"),
    "link-upwards": (evil("edk2/x", "../../x"), "leads out of its folder"),
    "link-absolute": (evil("edk2/x", "/etc/passwd"), "leads out of its folder"),
    "behind-a-link": (_behind_a_link, "lies behind a symbolic link"),
    "along-links": (_along_links, "leads through another one"),
    "size-text": (fact("size", "15"), "size and time of a member are numbers"),
    "size-below-0": (fact("size", -1), "what a file can have"),
    "time-fraction": (fact("time", 0.5), "size and time of a member are numbers"),
    "time-beyond": (fact("time", 10**30), "what a file can have"),
    "program-number": (fact("program", 1), "it is a program or not"),
    "digest-none": (fact("sha256", None), "are texts"),
    "link-number": (fact("link", 0), "are texts"),
    "link-unwritable": (fact("link", "\ud800"), "surrogates not allowed"),
    "architecture": (header(architecture="aarch64"), "is for aarch64"),
    "glibc": (header(glibc="9.99"), "needs glibc 9.99 or later"),
    "python": (header(python="cpython-399"), "holds packages for cpython-399"),
    "form": (header(form=2), "has form 2"),
    "other-checkout": (header(machine="0" * 20), "is of other sources than this checkout's"),
    "no-compiler-named": (lambda _members, manifest: manifest.pop("compiler"), "its header lacks something"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence each, and nothing is published."""
    change, words = REFUSALS[name]
    rewritten(bundle, change)
    assert cli.main(["bundle", "import", str(bundle)]) == ExitCode.USAGE
    assert words in capsys.readouterr().err
    assert nothing_left(bundle.parent / "student") and not (bundle.parent / "x").exists()


@pytest.mark.parametrize("part", ["cut", "flipped", "empty", "text", "missing", "folder"])
def test_files_that_are_no_bundle(part: str, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bundle.read_bytes()
    middle = data.index(b"machine/" + qemu_build.BINARY.encode()) + 50
    contents = {
        "cut": data[: len(data) // 2],
        "flipped": data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :],
        "empty": b"",
        "text": b"#!/bin/sh\n",
    }
    bundle.unlink()
    if part in contents:
        bundle.write_bytes(contents[part])
    elif part == "folder":
        bundle.mkdir()
    assert cli.main(["bundle", "import", str(bundle)]) == ExitCode.USAGE
    assert str(bundle) in capsys.readouterr().err
    assert nothing_left(bundle.parent / "student")


def test_a_full_disk(bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    usage = shutil.disk_usage(bundle.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=10 * 1024**2))
    assert cli.main(["bundle", "import", str(bundle)]) == ExitCode.BUILD_FAILED
    assert "10 MB free" in capsys.readouterr().err
    assert nothing_left(bundle.parent / "student")


def test_room_is_asked_for_what_is_still_to_be_unpacked(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for the environment, which is there; nor for anything when all is there."""
    with archive.Bundle(bundle) as opened:
        wanted = opened.size(archive.MACHINE, archive.FIRMWARE, archive.EDK2) + host._SPARE
        assert opened.size(archive.ENVIRONMENT) > 0
    usage = shutil.disk_usage(bundle.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=wanted - 1))
    with pytest.raises(LabError, match="MB free"):
        exchange.bring(bundle)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=wanted))
    assert len(exchange.bring(bundle)) == 3
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=0))
    assert exchange.bring(bundle) == []


def test_a_link_may_end_at_another(bundle: Path) -> None:
    """That is checked for itself."""

    def change(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        evil("edk2/a/b", "../BaseTools")(members, manifest)
        evil("edk2/c", "./a/../a/b")(members, manifest)

    rewritten(bundle, change)
    exchange.bring(bundle)
    tree = sources.edk2_dir()
    assert (tree / "c").resolve() == (tree / "BaseTools").resolve()


def test_a_machine_that_does_not_start(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last check that can fail comes before the first part is published."""
    checked = exchange._check_machine

    def without_library(folder: Path) -> None:
        (folder / qemu_build.BINARY).write_text("#!/bin/sh\necho no libglib >&2\nexit 127\n")
        checked(folder)

    monkeypatch.setattr(exchange, "_check_machine", without_library)
    assert cli.main(["bundle", "import", str(bundle)]) == ExitCode.MISSING_PACKAGES
    said = capsys.readouterr().err
    assert "no libglib" in said and "libglib2.0-0" in said
    assert nothing_left(bundle.parent / "student")


def test_a_shared_cache_is_read_and_never_written(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is found in the shared cache, whether a bundle filled it or a build; what is new goes to one's own."""
    exchange.bring(bundle)
    shared = paths.cache_dir()

    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in shared.rglob("*")}

    elsewhere(monkeypatch, bundle.parent / "own")
    monkeypatch.setenv("STMLAB_SHARED_CACHE", str(shared))
    monkeypatch.setattr(os, "utime", _read_only(shared))
    before = state()
    assert qemu_build.extended_qemu().is_relative_to(shared)
    firmware = firmware_build.finished_firmware()
    assert firmware is not None and firmware.code.is_relative_to(shared)
    assert sources.edk2_dir().is_relative_to(shared)
    surrounding = firmware_build.surrounding_firmware("DEBUG")
    assert surrounding is None, "the stand-in has no note of its inputs"
    made = cache.obtain("stm", lambda: "mine", lambda folder: (folder / "x").touch(), "mine", "mine")
    assert made.is_relative_to(bundle.parent / "own")
    assert state() == before


def _read_only(folder: Path) -> Callable[[Path], None]:
    """Stands for the system's `os.utime` where the folder is not one's own (root may do it anyway)."""
    true = os.utime

    def utime(path: Path, times: tuple[float, float] | None = None, **words: Any) -> None:
        if Path(path).is_relative_to(folder):
            raise PermissionError(1, "Operation not permitted", str(path))
        true(path, times, **words)

    return utime


def test_the_host_says_what_it_is() -> None:
    assert set(host.facts()) == {"architecture", "glibc", "python"}
    assert all(host.facts().values())
