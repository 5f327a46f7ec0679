# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of the experiments that sleep: what a user sees after the wake."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table

from build_scripts.tables import compact_table


@dataclass(frozen=True)
class Morning:
    """One row of the table.

    Attributes:
        variant: how the machine slept.
        alive: whether the guest came back.
        monitor: whether the VMM is in control then; without meaning if the guest is not alive.
        served_by: who got the SMIs then; None if nobody was seen to.
        first_break: the first thing found broken; None if that was not seen.
    """

    variant: str
    alive: bool
    monitor: bool
    served_by: str | None
    first_break: str | None


def after_the_wake(mornings: Iterable[Morning]) -> Table:
    """The table."""
    table = compact_table(
        "After the wake",
        words=("Variant", "OS alive", "VMM in\ncontrol", "STM\nactive", "SMIs\nserved by", "First thing that breaks"),
        numbers=(),
    )
    for morning in mornings:
        table.add_row(
            morning.variant,
            "yes" if morning.alive else "no",
            "-" if not morning.alive else "yes" if morning.monitor else "no",
            "-" if not morning.alive else "yes" if morning.served_by == "stm" else "no",
            morning.served_by or "-",
            morning.first_break or "not seen",
        )
    return table
