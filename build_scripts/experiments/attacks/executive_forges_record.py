# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor writes a record that looks like the STM's."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, forged
from build_scripts.experiments.attacking.words import forged_record, text


def steps(who: str) -> str:
    """What writes a record in which `who` shows."""
    record = forged_record(who)
    return f"{text('area', record)} outs:403:area:{len(record):x}"


ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="write a record to the STM's port",
    steps=steps("executive"),
    judge=forged("executive"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the machine: its debug console for the STM takes only what code in SMM writes",
    reason="the console is closed to everybody outside SMM, STM or not",
)
