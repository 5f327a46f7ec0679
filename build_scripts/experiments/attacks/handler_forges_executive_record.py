# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes a record that looks like the executive monitor's."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, forged
from build_scripts.experiments.attacking.words import forged_record, text

_LINE = forged_record("handler-as-executive", "EXEC")

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="write a record to the executive monitor's port",
    steps=f"{text('area', _LINE)} smm.outs:404:area:{len(_LINE):x}",
    judge=forged("handler-as-executive"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="the port is open to everybody: nothing that the STM is judged by comes from there",
)
