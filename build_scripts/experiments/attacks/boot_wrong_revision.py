# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An STM image whose MSEG revision is not the processor's."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, refused_by_firmware


def _change(image: bytes) -> bytes:
    """Revision 1 in the MSEG header."""
    return b"\1\0\0\0" + image[4:]


ATTACK = Attack(
    attacker=Attacker.BOOT,
    goal="have the processor activate an image with another MSEG revision",
    steps="look=read:8:page",
    judge=refused_by_firmware("mseg-revision"),
    expects=(NONE, BLOCKED, NONE),
    stopped_by="the firmware compares the revision with IA32_VMX_MISC",
    reason="an image that the firmware does not load never runs",
    place=Place.NATIVE,
    image=_change,
)
