# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where in memory everything of a boot was, and what each of the four may do there.

The four are the guest, the executive monitor, the STM and the SMM guest, which is the SMI handler under the STM. What a
place grants is the rule of the code that grants it; the names of the attacks that try it stand beside, and a test holds
each rule against what those attacks saw.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from build_scripts.machine.machine import command_of
from build_scripts.observation.events import Kind, Stream
from build_scripts.observation.report import Report
from build_scripts.stm_image import layout

VIEWERS = ("guest", "executive monitor", "STM", "SMM guest")
NOTHING = "---"
# The resident part of the executive monitor fills pages of this size (StmPkg/ExecutiveMonitor/Loader/Load.c).
EXECUTIVE_PAGE = 2 << 20
MSEG_FILE = "Stm.mseg"
_UNITS = {"": 1 << 20, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Rule:
    """What a kind of place grants.

    Attributes:
        access: letters of ``rwx`` for each of `VIEWERS`, in their order.
        why: who sees to it, a clause.
        attacks: that try it.
    """

    access: tuple[str, str, str, str]
    why: str
    attacks: tuple[str, ...] = ()


RULES = {
    "guest": Rule(
        ("rwx", "rwx", NOTHING, "rw-"),
        "the STM maps nothing outside TSEG but one page at a time, while it looks at it; its EPT lets the handler "
        "execute nothing outside the handler's SMRAM, and read and write what nobody protects",
        ("handler-runs-outside", "handler-reads-guest"),
    ),
    "executive": Rule(
        (NOTHING, "rwx", NOTHING, "rw-"),
        "the executive monitor's EPT does not map it for the guest; the SMI handler reaches it unless the executive "
        "monitor has it protected",
        ("guest-reads-executive", "guest-writes-executive", "handler-reads-executive"),
    ),
    "smram": Rule(
        (NOTHING, NOTHING, "rw-", "rwx"),
        "the chipset closes TSEG outside SMM; in the STM's page tables it is data",
        ("guest-reads-tseg", "guest-writes-tseg", "executive-writes-tseg"),
    ),
    "read-only": Rule(
        (NOTHING, NOTHING, "r--", NOTHING),
        "measured at each activation; the STM's page tables have no write permission, the handler's EPT has no MSEG",
        ("handler-reads-mseg", "handler-writes-mseg"),
    ),
    "text": Rule(
        (NOTHING, NOTHING, "r-x", NOTHING),
        "the only pages that the STM executes; nothing in its page tables is both writable and executable",
        ("handler-reads-mseg", "handler-writes-mseg"),
    ),
    "data": Rule(
        (NOTHING, NOTHING, "rw-", NOTHING),
        "the STM's own data; the handler's EPT has no MSEG",
        ("handler-reads-mseg", "handler-writes-mseg"),
    ),
}


@dataclass(frozen=True)
class Place:
    """A range of physical addresses with one meaning.

    Attributes:
        base: first address.
        size: in bytes.
        rule: a key of `RULES`.
    """

    name: str
    base: int
    size: int
    rule: str

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.base + self.size


@dataclass(frozen=True)
class Places:
    """The map in three scales; in each the places follow each other without a gap.

    Attributes:
        memory: of the whole machine below TOLUD.
        tseg: of TSEG.
        mseg: of MSEG.
        state: names of what lies in a processor's own SMRAM, with its address.
    """

    memory: tuple[Place, ...]
    tseg: tuple[Place, ...]
    mseg: tuple[Place, ...]
    state: tuple[tuple[str, int], ...] = ()

    @property
    def scales(self) -> tuple[tuple[str, tuple[Place, ...]], ...]:
        """The three with their titles."""
        return (("memory of the machine", self.memory), ("TSEG", self.tseg), ("MSEG", self.mseg))


def _argument(command: list[str], option: str) -> str | None:
    return command[command.index(option) + 1] if option in command[:-1] else None


def _memory_size(command: list[str]) -> int | None:
    match = re.fullmatch(r"(\d+)([MG]?)", _argument(command, "-m") or "")
    return int(match[1]) * _UNITS[match[2]] if match is not None else None


def _tseg_size(command: list[str]) -> int | None:
    match = re.search(r"mch\.extended-tseg-mbytes=(\d+)", "\n".join(command))
    return int(match[1]) << 20 if match is not None else None


def _image(run_dir: Path, command: list[str], sha256: str) -> bytes | None:
    """The STM image that ran: the one with the digest that the firmware told."""
    code = re.search(r"readonly=on,file=(.+)", "\n".join(command))
    folders = [run_dir, *([Path(code[1]).parent] if code is not None else [])]
    for path in (folder / MSEG_FILE for folder in folders):
        if path.is_file() and hashlib.sha256(data := path.read_bytes()).hexdigest() == sha256:
            return data
    return None


def executive_block(stream: Stream) -> tuple[int, int] | None:
    """Base and size of the pages that hold what the records show of the executive monitor's resident part."""
    known = [record.number("region") for record in stream.of("EXEC", "vmxon")]
    known += [record.number("vmcs") for record in stream.of("EXEC", "launch")]
    known += [event.rip for event in stream.transitions if event.kind is Kind.ACTIVATE]
    if not known:
        return None
    base = min(known) & -EXECUTIVE_PAGE
    return base, (max(known) & -EXECUTIVE_PAGE) + EXECUTIVE_PAGE - base


def _filled(parts: list[tuple[str, int, str]], base: int, end: int, rest: tuple[str, str]) -> tuple[Place, ...]:
    """Parts one behind the other, and what is left to the end."""
    found = []
    for name, size, rule in parts:
        if size > 0:
            found.append(Place(name, base, size, rule))
            base += size
    if base < end:
        found.append(Place(rest[0], base, end - base, rest[1]))
    return tuple(found)


def _activation_tables(gb: int) -> list[tuple[str, int, str]]:
    """The loader's page tables, which become the STM's own: of the six, three are walked, and the rest is memory.

    Args:
        gb: that of MSEG, 0 to 3.
    """
    memory = "activation: directories that nobody walks, as memory"
    return [
        ("activation: top page table, and in its other half the VMCS database", layout.PAGE, "data"),
        ("activation: page of pointers", layout.PAGE, "text"),
        (memory, gb * layout.PAGE, "data"),
        ("activation: page directory", layout.PAGE, "read-only"),
        (memory, (3 - gb) * layout.PAGE, "data"),
    ]


def mseg_parts(data: bytes, base: int, size: int, processors: int) -> tuple[Place, ...]:
    """The parts of MSEG with an image of ours in it; one of another author has its static part only.

    Args:
        data: the image file.
        base: of MSEG.
        size: of MSEG.
        processors: for how many the loader made room.
    """
    software = layout.read_software_header(data)
    static = layout.pages(software.static_image_size)
    lab = layout.read_lab_header(data)
    if lab is None:
        parts = [("STM image", static, "data")]
        return _filled(parts, base, base + size, ("the STM's memory", "data"))
    text = layout.pages(lab.text_size)
    parts = [
        ("headers and GDT", lab.text_offset, "read-only"),
        ("text of the STM", text, "text"),
        ("read-only data of the STM", static - lab.text_offset - text, "read-only"),
        *_activation_tables(base >> 30),
        ("loader's data, shared data, bitmaps", layout.DYNAMIC_SHARED_SIZE, "data"),
        (f"stack and two VMCSs for each processor ({processors})", processors * layout.BLOCK_SIZE, "data"),
    ]
    return _filled(
        parts, base, base + size, ("at its end the ring of records, page tables, the EPT of the SMI handler", "data")
    )


def read_places(run_dir: Path, report: Report, stream: Stream) -> Places | None:
    """The map of a boot; None if its firmware set no MSEG aside, or an image is there no longer.

    Raises:
        RecordError: a record lacks a number that it must have.
        OSError: the run's files cannot be read.
    """
    status = report.status
    if status is None or not (run_dir / "command").is_file():
        return None
    command = command_of(run_dir)
    memory, tseg = _memory_size(command), _tseg_size(command)
    base, size = status.number("mseg_base"), status.number("mseg_size")
    data = _image(run_dir, command, status.text("image_sha256"))
    if memory is None or tseg is None or data is None or not size:
        return None
    end = base + size
    tseg_base = end - tseg
    parts: list[tuple[str, int, str]] = []
    executive = executive_block(stream)
    if executive is not None:
        parts = [("guest", executive[0], "guest"), ("executive monitor", executive[1], "executive")]
        parts.append(("guest", tseg_base - sum(executive), "guest"))
    else:
        parts = [("guest", tseg_base, "guest")]
    parts.append(("TSEG", tseg, "smram"))
    smbases = {record.number("cpu"): record.number("smbase") for record in stream.of("STM", "init")}
    state = [(f"SMBASE of processor {cpu}", smbase) for cpu, smbase in sorted(smbases.items())]
    return Places(
        memory=_filled(parts, 0, memory, ("guest", "guest")),
        tseg=_filled([("SMRAM of the firmware", base - tseg_base, "smram")], tseg_base, end, ("MSEG", "data")),
        mseg=mseg_parts(data, base, size, status.number("processors")),
        state=tuple(state),
    )
