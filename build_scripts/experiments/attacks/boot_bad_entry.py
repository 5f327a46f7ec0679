# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An STM image whose entry point lies outside."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, refused_by_firmware

ENTRY = 0x14  # EIP in the MSEG header: "MSEG header", SDM "Format of MSEG Header"


def _change(image: bytes) -> bytes:
    """An entry point of FFFFFFF0H."""
    return image[:ENTRY] + b"\xf0\xff\xff\xff" + image[ENTRY + 4 :]


ATTACK = Attack(
    attacker=Attacker.BOOT,
    goal="have the processor enter the STM outside its image",
    steps="look=read:8:page",
    judge=refused_by_firmware("image-malformed"),
    expects=(NONE, BLOCKED, NONE),
    stopped_by="the firmware checks the MSEG header",
    reason="an image that the firmware does not load never runs",
    place=Place.NATIVE,
    image=_change,
)
