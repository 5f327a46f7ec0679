# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An STM image that is cut short."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, refused_by_firmware


def _change(image: bytes) -> bytes:
    """Half of it."""
    return image[: len(image) // 2]


ATTACK = Attack(
    attacker=Attacker.BOOT,
    goal="have the firmware load an image that is cut short",
    steps="look=read:8:page",
    judge=refused_by_firmware("image-malformed"),
    expects=(NONE, BLOCKED, NONE),
    stopped_by="the firmware checks the image's sizes",
    reason="an image that the firmware does not load never runs",
    place=Place.NATIVE,
    image=_change,
)
