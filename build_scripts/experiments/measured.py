# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``measured``: the STM image goes into a TPM before it is used, and the log leads to what is there."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from build_scripts.experiments.experiment import Expectation, Request
from build_scripts.experiments.shell_experiment import (
    Course,
    ShellExperiment,
    ShellSeen,
    script_expectations,
    tell_boots,
)
from build_scripts.machine import tpm
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.events import Stream
from build_scripts.observation.measurements import Measurement, measurements, registers, replayed

SCRIPT = ("TpmLog.efi", "StmStatus.efi", "reset -s")

_HOW = """\
Anyone who trusts the TPM and holds the log can tell which STM image this machine loaded: hash the images that you \
know, and replay the log. The register holds nothing of an image that was not measured, and what was measured cannot \
be taken out of it again."""


class Measured(ShellExperiment):
    """Boot with a TPM, read its registers and the firmware's log, and replay the log."""

    name = "measured"
    title = "the STM image in a TPM: measured before its use, the log replayed"
    page = "tutorial/measured"

    def courses(self, request: Request) -> tuple[Course, ...]:
        """One boot beside a new TPM, on the distribution's QEMU: the lab's is built without TPMs."""
        return (Course(Configuration.STOCK, SCRIPT, tpm=True),)

    def check(self, request: Request) -> None:
        """Also look for the TPM's program, before anything is built."""
        super().check(request)
        tpm.program()

    def story(self, seen: ShellSeen, out: Console) -> None:
        """What happened, then the log and the registers."""
        tell_boots(seen, lambda booted: "the firmware measures:", out)
        (booted,) = seen.boots
        out.print("What was measured, in order, each with its SHA-256:")
        for event in measurements(booted.stream):
            show.tell(out, f"PCR {event.pcr}: {event.words}\n    {event.sha256}")
        out.print("\nWhat the registers hold:")
        for pcr, contents in registers(booted.stream).items():
            show.tell(out, f"PCR {pcr}: {contents}")
        out.print()
        show.tell(out, _HOW)

    def expectations(self, seen: ShellSeen) -> list[Expectation]:
        """The image is in the log, by its hash, and the log leads to the registers."""
        found = script_expectations(seen)
        if seen.request.script is not None:
            return found
        (booted,) = seen.boots
        stream = booted.stream
        log = measurements(stream)
        status = stream.first("FW", "status")
        truncated = [record.number("truncated") for record in stream.of("APP", "tpm-log")]
        return [
            *found,
            Expectation.equal("the log is whole", 0, truncated[0] if truncated else None),
            Expectation.equal("measurements of the STM image", 1, len(_images(log)) or None),
            Expectation.equal(
                "digest of the image, as the firmware reports it",
                status.text("image_sha256") if status is not None else "a status",
                _images(log)[0].sha256 if _images(log) else None,
            ),
            Expectation.nothing_wrong("registers that the log leads to", _wrong(stream, log), len(registers(stream))),
        ]

    def facts(self, seen: ShellSeen) -> dict[str, Any]:
        """Those of the one boot, the log and the registers."""
        (booted,) = seen.boots
        return {
            **booted.report().as_json(),
            "measurements": [event.as_json() for event in measurements(booted.stream)],
            "registers": [{"pcr": pcr, "sha256": value} for pcr, value in registers(booted.stream).items()],
        }


def _images(log: tuple[Measurement, ...]) -> list[Measurement]:
    return [event for event in log if event.about_the_image]


def _wrong(stream: Stream, log: tuple[Measurement, ...]) -> list[str]:
    """A complaint for each register that the TPM told and the log does not lead to, or the other way round."""
    told, wanted = registers(stream), replayed(log)
    return [
        f"PCR {pcr}: the log leads to {wanted.get(pcr, '0' * 64)}, the TPM has {told.get(pcr, 'told nothing')}"
        for pcr in sorted({*told, *wanted})
        if told.get(pcr) != wanted.get(pcr, "0" * 64)
    ]
