# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Machine and firmware in the cache: whatever is wrong with them, the next command runs sound ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts import cache, paths
from build_scripts.builds import firmware_build, qemu_build
from build_scripts.builds.firmware_build import Firmware, build_firmware
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.errors import LabError
from build_scripts.sources import sources

KEPT = (*firmware_build.FILES, firmware_build.MODULES)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of its own, a source that needs no fetching."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "locate", lambda name: sources.Tree(tmp_path, "1", "test", f"{name}-1"))
    monkeypatch.setattr(sources, "edk2_dir", lambda: tmp_path)


class Builder:
    """Stands for ninja or stuart: writes files, and counts how often it is asked to."""

    def __init__(self, *files: str) -> None:
        self.files = files
        self.built = 0

    def __call__(self, folder: Path) -> None:
        self.built += 1
        for name in self.files:
            (folder / name).write_bytes(name.encode() * 1000)
            (folder / name).chmod(0o755)


def _unlink(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _forbid(path: Path) -> None:
    path.chmod(0o644)


@pytest.mark.parametrize("harm", [_unlink, _truncate, _zero, _forbid])
def test_damaged_machine_is_built_again(harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is missing, cut short, zeroed or not executable is not run."""
    builder = Builder(qemu_build.BINARY)
    monkeypatch.setattr(qemu_build, "_build", lambda folder, _sanitize: builder(folder))
    binary = extended_qemu()
    sound = binary.read_bytes()
    harm(binary)
    assert extended_qemu() == binary and builder.built == 2
    assert binary.read_bytes() == sound and binary.stat().st_mode & 0o111
    assert extended_qemu() == binary and builder.built == 2


@pytest.mark.parametrize("harm", [_unlink, _truncate, _zero])
@pytest.mark.parametrize("name", KEPT)
def test_damaged_firmware_is_built_again(
    name: str, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a firmware of which any file is, such as the variable store that each boot copies."""
    builder = Builder(*KEPT)
    monkeypatch.setattr(firmware_build, "_build", lambda _target, folder, _log: builder(folder))
    firmware = build_firmware()
    harm(firmware.code.with_name(name))
    assert build_firmware() == firmware == Firmware.in_folder(firmware.code.parent)
    assert builder.built == 2
    assert firmware.code.with_name(name).read_bytes() == name.encode() * 1000


def test_log_of_a_failed_build_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next build in the same tree, of whichever checkout, writes the tree's log anew."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    log = paths.cache_dir() / "build.log"

    def make(_folder: Path) -> None:
        log.write_text("what the compiler said")
        raise LabError("the build failed", log=log)

    with pytest.raises(LabError) as caught:
        cache.obtain("machines", lambda: "key", make, "the machine")
    log.write_text("another build")
    assert caught.value.log is not None and caught.value.log.read_text() == "what the compiler said"
