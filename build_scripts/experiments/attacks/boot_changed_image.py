# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An STM image that differs from the firmware's own by one byte."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import NONE, SUCCEEDED, refused_by_firmware

UNUSED = 0xFF0  # in the page of the headers


def _change(image: bytes) -> bytes:
    """Another byte at a place that nothing reads."""
    return image[:UNUSED] + b"\x55" + image[UNUSED + 1 :]


ATTACK = Attack(
    attacker=Attacker.BOOT,
    goal="have the firmware load an STM image that somebody has changed",
    steps="look=read:8:page",
    judge=refused_by_firmware("image-malformed"),
    expects=(NONE, SUCCEEDED, NONE),
    reason="the firmware measures the image and publishes its hash; to compare it is for whoever trusts it",
    place=Place.NATIVE,
    image=_change,
)
