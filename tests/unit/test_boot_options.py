# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every command that boots the firmware takes the same options for its machine, and they reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from build_scripts import cli
from build_scripts.commands import debug, shell
from build_scripts.errors import ExitCode
from build_scripts.experiments.shell import Result
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.observation.events import read_stream

from .seen import GOOD_END
from .streams import good_run

FILES = ["--fw-cfg", "opt/org.stmlab/a=1", "--fw-cfg", "opt/org.stmlab/b=2"]
EXTRA = ("-fw_cfg", "name=opt/org.stmlab/a,string=1", "-fw_cfg", "name=opt/org.stmlab/b,string=2")


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Guest]:
    """The machines that a command starts, without a build and without a boot."""
    started: list[Guest] = []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    image = tmp_path / "image"
    for module in (shell, debug):
        monkeypatch.setattr(module, "find_qemu", lambda _configuration: tmp_path / "qemu")
        monkeypatch.setattr(
            module,
            "find_firmware",
            lambda given: SimpleNamespace(code=image, variables=image, symbols=image, modules=None, override=given),
        )
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(shell, "sys", SimpleNamespace(stdin=terminal, stdout=terminal))

    def talk(guest: Guest, _run_dir: Path) -> int:
        started.append(guest)
        return 0

    @contextmanager
    def machine(guest: Guest, _run_dir: Path) -> Iterator[None]:
        started.append(guest)
        yield

    monkeypatch.setattr(shell, "talk", talk)
    monkeypatch.setattr(debug, "Machine", machine)
    monkeypatch.setattr(debug, "compiled_in", lambda _path: None)
    monkeypatch.setattr("build_scripts.machine.gdb.session", lambda *_arguments: 0)
    return started


@pytest.fixture
def first_boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `debug` boots to see where everything is loaded."""
    booted: list[dict[str, Any]] = []
    folder = good_run(tmp_path / "run").write()

    def boot(configuration: Configuration, *_arguments: object, **options: Any) -> Result:
        booted.append({"configuration": configuration, **options})
        return Result(folder, GOOD_END, read_stream(folder))

    monkeypatch.setattr(debug, "boot_configuration", boot)
    return booted


def test_shell(guests: list[Guest], tmp_path: Path) -> None:
    image = tmp_path / "Stm.mseg"
    assert cli.main(["shell", "--processors", "3", "--stm-image", str(image), *FILES]) == ExitCode.OK
    (guest,) = guests
    assert (guest.processors, guest.stm_image, guest.extra) == (3, image, EXTRA)
    assert guest.cpu == Configuration.DUAL_MONITOR.cpu and guest.script == ()


@pytest.mark.parametrize(
    ("words", "configuration"),
    [
        ([], Configuration.DUAL_MONITOR),
        (["--qemu", "extended"], Configuration.DUAL_MONITOR),
        (["--qemu", "stock"], Configuration.STOCK),
        (["--no-dual-monitor"], Configuration.NO_DUAL_MONITOR),
    ],
)
def test_shell_on_each_processor(guests: list[Guest], words: list[str], configuration: Configuration) -> None:
    assert cli.main(["shell", *words]) == ExitCode.OK
    (guest,) = guests
    assert (guest.cpu, guest.processors, bool(guest.trace)) == (configuration.cpu, 1, configuration.extended)


@pytest.mark.parametrize("command", ["run", "shell"])
def test_contradiction(command: str, guests: list[Guest], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--qemu", "stock", "--no-dual-monitor"]) == ExitCode.USAGE
    assert "has no VMX at all" in capsys.readouterr().err and guests == []


@pytest.mark.parametrize(("words", "processors"), [([], 1), (["--processors", "2"], 2)])
def test_debug(guests: list[Guest], first_boots: list[dict[str, Any]], words: list[str], processors: int) -> None:
    """The boot before the session has the same machine, so that everything is loaded where it will be."""
    assert cli.main(["debug", "stm", *words, *FILES]) == ExitCode.OK
    (guest,) = guests
    assert (guest.processors, guest.icount) == (processors, processors == 1)
    assert guest.extra[: len(EXTRA)] == EXTRA and guest.extra[len(EXTRA)] == "-gdb"
    assert first_boots == [{"configuration": Configuration.DUAL_MONITOR, "extra": EXTRA, "processors": processors}]


def test_debug_has_the_symbols_of_one_stm(guests: list[Guest], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["debug", "stm", "--stm-image", "Stm.mseg"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "the symbols of this checkout's STM, and none of Stm.mseg" in said and "run --stm-image" in said
    assert guests == []


def test_debug_refuses_what_is_no_fw_cfg_before_any_boot(
    guests: list[Guest], first_boots: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["debug", "--fw-cfg", "nonsense"]) == ExitCode.USAGE
    assert "NAME=VALUE" in capsys.readouterr().err and guests == [] and first_boots == []
