# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A log of measurements replayed, what the experiment makes of one that does not fit, and a TPM that is not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import measured
from build_scripts.machine import tpm
from build_scripts.observation.events import read_stream
from build_scripts.observation.measurements import Measurement, measurements, registers, replayed

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


def test_a_tpm_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is none: one error, and no process is left."""
    monkeypatch.setattr(tpm, "_program", lambda: "/bin/true")
    with pytest.raises(LabError, match="TPM"), tpm.Tpm(tmp_path):
        pass
