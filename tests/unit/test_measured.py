# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A log of measurements replayed, what the experiment makes of one that does not fit, and a TPM that is not there."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import pytest

from build_scripts import cli
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import measured
from build_scripts.machine import tpm
from build_scripts.observation.events import read_stream
from build_scripts.observation.measurements import Measurement, measurements, registers, replayed
from build_scripts.processes import Terminated
from tests.support.left import processes_in

from .streams import Logs

ONE, TWO = "11" * 32, "22" * 32
IMAGE = bytes([9]) + b"STM image" + bytes(16)


def extended(*digests: str) -> str:
    value = bytes(32)
    for digest in digests:
        value = hashlib.sha256(value + bytes.fromhex(digest)).digest()
    return value.hex()


def run(folder: Path, register: str, image: bytes = IMAGE) -> Logs:
    logs = Logs(folder)
    logs.app("measured", f"pcr=0 type=0x8 sha256={ONE} size=0 data=-")
    logs.app("measured", f"pcr=0 type=0x8000000a sha256={TWO} size=26 data={image.hex()}")
    logs.app("measured", f"pcr=0 type=0x3 sha256={ONE} size=4 data=00000000")
    logs.app("pcr", f"pcr=0 sha256={register}")
    return logs


def test_replay() -> None:
    """Each register from zeros, in order; what is only told extends nothing."""
    log = (
        Measurement(0, 8, ONE, b""),
        Measurement(1, 8, TWO, b""),
        Measurement(0, 3, TWO, b""),
        Measurement(0, 8, TWO, b""),
    )
    assert replayed(log) == {0: extended(ONE, TWO), 1: extended(TWO)}
    assert replayed(()) == {}


def test_log_of_a_run(tmp_path: Path) -> None:
    stream = read_stream(run(tmp_path, extended(ONE, TWO)).write())
    log = measurements(stream)
    assert [event.about_the_image for event in log] == [False, True, False]
    assert log[1].words == "STM image" and log[0].words == "version of the CRTM"
    assert measured._wrong(stream, log) == []
    assert registers(stream) == {0: extended(ONE, TWO)}


@pytest.mark.parametrize("register", ["00" * 32, extended(ONE), extended(TWO, ONE)])
def test_register_that_the_log_does_not_lead_to(tmp_path: Path, register: str) -> None:
    """An event left out, none at all, another order."""
    stream = read_stream(run(tmp_path, register).write())
    (complaint,) = measured._wrong(stream, measurements(stream))
    assert complaint.startswith("PCR 0: the log leads to ") and register in complaint


def test_register_that_nobody_told(tmp_path: Path) -> None:
    logs = run(tmp_path, extended(ONE, TWO))
    logs.app("measured", f"pcr=7 type=0x4 sha256={ONE} size=4 data=00000000")
    stream = read_stream(logs.write())
    (complaint,) = measured._wrong(stream, measurements(stream))
    assert complaint.startswith("PCR 7: ") and complaint.endswith("the TPM has told nothing")


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("build_scripts.machine.tpm.shutil.which", lambda _name: None)
    with pytest.raises(LabError) as caught, tpm.Tpm(tmp_path):
        pass
    assert caught.value.code == ExitCode.MISSING_PACKAGES
    assert caught.value.remedy is not None and "swtpm" in caught.value.remedy


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of swtpm, which the test fills."""
    script = tmp_path / "swtpm"
    script.touch(mode=0o755)
    monkeypatch.setattr(tpm, "program", lambda: str(script))
    return script


@pytest.mark.parametrize("lines", ["exit 0", "exec sleep 600"], ids=["ends", "hangs"])
def test_a_tpm_that_does_not_answer(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """A program that is none: one error, and no process is left."""
    program.write_text(f"#!/bin/sh\n{lines}\n")
    monkeypatch.setattr(tpm, "_SECONDS", 0.5)
    run_dir = tmp_path / "run"
    with pytest.raises(LabError, match="TPM"), tpm.Tpm(run_dir):
        pass
    assert processes_in(run_dir) == []


@pytest.mark.parametrize("ending", [KeyboardInterrupt, Terminated(signal.SIGTERM)], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_while_it_starts(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    """Before the block of the `with` begins nobody else would end the program."""
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    run_dir = tmp_path / "run"
    seen: list[list[str]] = []

    def interrupted(_seconds: float) -> None:
        seen.append(processes_in(run_dir))
        raise ending

    monkeypatch.setattr(tpm.Tpm, "_manufacture", lambda _tpm: None)
    monkeypatch.setattr("build_scripts.machine.tpm.time.sleep", interrupted)
    with pytest.raises(type(ending) if isinstance(ending, BaseException) else ending), tpm.Tpm(run_dir):
        pass
    assert len(seen) == 1 and len(seen[0]) == 1, "it did not run yet"
    assert processes_in(run_dir) == []
    assert not (run_dir / "tpm.sock").exists()


def test_the_program_is_looked_for_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("build_scripts.machine.tpm.shutil.which", lambda _name: None)
    monkeypatch.setattr(
        "build_scripts.experiments.shell_experiment.find_firmware", lambda _image: pytest.fail("it was built")
    )
    assert cli.main(["run", "measured"]) == ExitCode.MISSING_PACKAGES
    assert "apt-get install --no-install-recommends swtpm" in capsys.readouterr().err
