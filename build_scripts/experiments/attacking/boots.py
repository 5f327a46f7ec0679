# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which boots a set of attacks needs: as few as there are columns, and one for each attack that ends the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from build_scripts.experiments.attacking.attack import Attack, Column, Place, Step, Trace
from build_scripts.observation import outcome
from build_scripts.observation.events import Record, Stream

# QEMU's educational device, which reads and writes memory where it is told to; its own default are 28 address bits.
MACHINE = (
    *("-fw_cfg", "name=opt/org.stmlab/test-handler,string=1"),
    *("-device", "edu,dma_mask=0xffffffff"),
)
# The firmware's handler of protection exceptions: without one, each ends the platform.
_SETUP = "Attack.efi setup smm.catch"
_END = "reset -s"


@dataclass(frozen=True)
class Boot:
    """One boot: a column, and what is tried in it.

    Attributes:
        attacks: names, in order.
        script: the Shell's commands.
        alone: the attack may end the platform.
        image: the attack whose changed STM image the firmware gets.
    """

    column: Column
    attacks: tuple[str, ...]
    script: tuple[str, ...]
    alone: bool = False
    image: str | None = None

    @property
    def title(self) -> str:
        """For the progress."""
        what = self.attacks[0] if self.alone or self.image else f"{len(self.attacks)} attacks"
        return f"{self.column.value}: {what}"


def boots_for(attacks: Mapping[str, Attack]) -> tuple[Boot, ...]:
    """The boots, column by column."""
    found: list[Boot] = []
    for column in Column:
        applying = {name: attack for name, attack in attacks.items() if attack.applies(column)}
        together = {n: a for n, a in applying.items() if a.image is None and column not in a.crashes}
        if together:
            found.append(Boot(column, tuple(_in_order(together)), _script(column, together)))
        for name, attack in applying.items():
            if name not in together:
                script = _script(column, {name: attack})
                found.append(Boot(column, (name,), script, column in attack.crashes, name if attack.image else None))
    return tuple(found)


def trace_of(name: str, boot: Boot, stream: Stream) -> Trace | None:
    """What an attack left in a boot; None if it never began."""
    begun = [record for record in stream.of("APP", "attack-begin") if record.text("name") == name]
    if not begun:
        return None
    start = begun[0].t
    ends = [record for record in stream.of("APP", "attack-end") if record.t >= start]
    end = ends[0].t if ends else None
    steps = tuple(
        Step.of(record)
        for record in stream.of("APP", "attack-step")
        if start <= record.t and (end is None or record.t <= end)
    )
    crash = outcome.crash_record(stream) if end is None or boot.alone else None
    return Trace(steps, end is not None, crash, stream.first("FW", "status"), _of_the_stm(stream))


def _of_the_stm(stream: Stream) -> tuple[Record, ...]:
    return tuple(record for record in stream.records if record.source == "STM")


def _in_order(attacks: Mapping[str, Attack]) -> list[str]:
    return [name for place in Place for name, attack in attacks.items() if attack.place is place]


def _script(column: Column, attacks: Mapping[str, Attack]) -> tuple[str, ...]:
    """Attacks in the place each wants; `Place` is in the order in which a boot goes through them."""
    lines = [_SETUP]
    for place in Place:
        mine = [
            " ".join(("Attack.efi", name, *attack.words(column)))
            for name, attack in attacks.items()
            if attack.place is place
        ]
        if mine:
            lines += mine if place is Place.NATIVE else [_start(column, place), *mine, "ExecMon.efi stop"]
        lines += [line for attack in attacks.values() if attack.place is place for line in attack.then]
    return (*lines, _END)


def _start(column: Column, place: Place) -> str:
    words = ["ExecMon.efi start"]
    words += ["-no-stm"] if column is Column.DEFAULT else []
    words += ["-root"] if place is Place.ROOT else []
    return " ".join(words)
