# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler asks the STM to map MSEG."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, answered

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have MAP_ADDRESS_RANGE map MSEG",
    steps=("write:8:page2:mseg write:8:page2+8:mseg write:8:page2+10:ffffffff00000001 hit=smm.vmcall:1:page2:0:0"),
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_STM_FUNCTION_NOT_SUPPORTED",
    reason="without the STM there is nobody to call: #UD",
)
