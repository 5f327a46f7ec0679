# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which boots a set of attacks needs: as few as there are columns, and one for each attack that ends the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from build_scripts.experiments.attacking.attack import Attack, Column, Place, Step, Trace
from build_scripts.experiments.attacking.words import EDU
from build_scripts.observation import outcome
from build_scripts.observation.events import Record, Stream

# QEMU's educational device, which reads and writes memory where it is told to; its own default are 28 address bits.
MACHINE = (
    *("-fw_cfg", "name=opt/org.stmlab/test-handler,string=1"),
    # Before any device that is to be behind it.
    *("-device", "intel-iommu"),
    *("-device", f"edu,dma_mask=0xffffffff,addr={EDU >> 3:#x}"),
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
        processors: of the machine.
        policy: optional policies of the STM that are on: fw_cfg names and contents.
    """

    column: Column
    attacks: tuple[str, ...]
    script: tuple[str, ...]
    alone: bool = False
    image: str | None = None
    processors: int = 1
    policy: tuple[tuple[str, str], ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """What it takes of QEMU besides `MACHINE`."""
        return tuple(word for name, text in self.policy for word in ("-fw_cfg", f"name={name},string={text}"))

    @property
    def title(self) -> str:
        """For the progress."""
        what = self.attacks[0] if self.alone or self.image else f"{len(self.attacks)} attacks"
        machine = f", {self.processors} processors" if self.processors > 1 else ""
        machine += "".join(f", {name.rpartition('/')[2]}" for name, _text in self.policy)
        return f"{self.column.value}: {what}{machine}"


def boots_for(attacks: Mapping[str, Attack]) -> tuple[Boot, ...]:
    """The boots, column by column."""
    found: list[Boot] = []
    for column in Column:
        applying = {name: attack for name, attack in attacks.items() if attack.applies(column)}
        together = {n: a for n, a in applying.items() if a.image is None and column not in a.crashes}
        machines = {name: _machine(attack, column) for name, attack in together.items()}
        for processors, policy in sorted(set(machines.values())):
            there = {name: attack for name, attack in together.items() if machines[name] == (processors, policy)}
            script = _script(column, there)
            found.append(Boot(column, tuple(_in_order(there)), script, processors=processors, policy=policy))
        for name, attack in applying.items():
            if name not in together:
                image = name if attack.image else None
                script = _script(column, {name: attack})
                found.append(Boot(column, (name,), script, column in attack.crashes, image, *_machine(attack, column)))
    return tuple(found)


def _machine(attack: Attack, column: Column) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Processors and policies."""
    return attack.processors, tuple(sorted(attack.policy_in(column).items()))


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
    return Trace(steps, end is not None, crash, stream.first("FW", "status"), _of_monitors(stream))


def _of_monitors(stream: Stream) -> tuple[Record, ...]:
    return tuple(record for record in stream.records if record.source != "APP")


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
        then = [line for attack in attacks.values() if attack.place is place for line in attack.then]
        if mine and place is not Place.NATIVE:
            lines += [_start(column, place), *mine, *then, "ExecMon.efi stop"]
        else:
            lines += [*mine, *then]
    return (*lines, _END)


def _start(column: Column, place: Place) -> str:
    words = ["ExecMon.efi start"]
    words += ["-no-stm"] if column is Column.DEFAULT else []
    words += ["-root"] if place is Place.ROOT else []
    return " ".join(words)
