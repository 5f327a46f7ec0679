# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler changes the STM between its load and its activation."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Column, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, survived

ATTACK = Attack(
    attacker=Attacker.BOOT,
    goal="change MSEG between the load of the STM and its activation",
    steps="smm.write:1:mseg+ff0:55",
    judge=survived("-"),
    expects=(NONE, BLOCKED, NONE),
    stopped_by="the STM compares the hash of MSEG with the loader's before anything else",
    reason="without an activation nobody runs what is there",
    place=Place.NATIVE,
    crashes={Column.UNPROTECTED: "image-modified"},
    then=("ExecMon.efi start",),
)
