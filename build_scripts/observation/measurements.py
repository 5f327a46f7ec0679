# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the firmware measured: the log of events, and the registers of the TPM that it must lead to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from build_scripts.observation.events import Stream

# TCG PC Client Platform Firmware Profile: types of events. The first is told and not extended.
NO_ACTION = 0x3
_TYPES = {
    0x1: "POST code",
    NO_ACTION: "no action",
    0x4: "separator",
    0x5: "action",
    0x7: "contents of the CRTM",
    0x8: "version of the CRTM",
    0x8000_0001: "variable",
    0x8000_0002: "variable of the boot",
    0x8000_0003: "boot application",
    0x8000_0007: "action of the firmware",
    0x8000_0008: "firmware volume",
    0x8000_0009: "tables",
    0x8000_000A: "firmware",
    0x8000_000B: "tables",
    0x8000_00E0: "variable of authority",
}
IMAGE = b"STM image"


@dataclass(frozen=True)
class Measurement:
    """One event of the log.

    Attributes:
        pcr: the register.
        type: of the event, TCG's number.
        sha256: its digest, in hexadecimal.
        data: the first bytes of what the log says about it.
    """

    pcr: int
    type: int
    sha256: str
    data: bytes

    @property
    def about_the_image(self) -> bool:
        """Whether it is the measurement of the STM image: a described piece of firmware."""
        return self.data[:1] == bytes([len(IMAGE)]) and self.data[1:].startswith(IMAGE)

    @property
    def words(self) -> str:
        """What was measured, for people."""
        if self.about_the_image:
            return IMAGE.decode("ascii")
        return _TYPES.get(self.type, f"type {self.type:#x}")

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``measurement``."""
        return {"pcr": self.pcr, "type": self.type, "sha256": self.sha256, "image": self.about_the_image}


def measurements(stream: Stream) -> tuple[Measurement, ...]:
    """The log as TpmLog.efi told it.

    Raises:
        RecordError: a record lacks a number.
    """
    return tuple(
        Measurement(
            record.number("pcr"),
            record.number("type"),
            record.text("sha256"),
            bytes.fromhex(record.text("data").strip("-")),
        )
        for record in stream.of("APP", "measured")
    )


def registers(stream: Stream) -> dict[int, str]:
    """Register to contents, as the TPM told TpmLog.efi."""
    return {record.number("pcr"): record.text("sha256") for record in stream.of("APP", "pcr")}


def replayed(log: tuple[Measurement, ...]) -> dict[int, str]:
    """The registers that a log leads to: each event extends its own by its digest, from zeros.

    A register that no event extends is not there.
    """
    found: dict[int, bytes] = {}
    for event in log:
        if event.type != NO_ACTION:
            before = found.get(event.pcr, bytes(32))
            found[event.pcr] = hashlib.sha256(before + bytes.fromhex(event.sha256)).digest()
    return {pcr: value.hex() for pcr, value in sorted(found.items())}
