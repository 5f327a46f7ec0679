# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of VMCS fields agrees with itself: what an encoding says, where a field is listed, and what it is called.

SDM volume 3, "VMREAD, VMWRITE, and Encodings of VMCS Fields" 25.11.2: bit 0 is
the access type, bits 9:1 the index, bits 11:10 the type, bits 14:13 the width,
and all others are 0. Whoever writes a wrong digit writes a field of another
section, a second one of the same index, or one out of the order of its kin.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

WIDTHS = ("16-bit", "64-bit", "32-bit", "Natural-width")
TYPES = ("control", "read-only data", "guest-state", "host-state")
# No 16-bit field is read-only.
SECTIONS = {f"{width} {kind} fields" for width in WIDTHS for kind in TYPES} - {"16-bit read-only data fields"}
LAST_OF_ENCODING = 0x7FFF
RESERVED = 1 << 12 | 1  # bit 0: the access type, 1 only for the high half of a 64-bit field
SEGMENTS = ("ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR")
# Fields of the guest whose names do not begin with it, and the other way round.
GUEST_STATE = {"VMCS link pointer", "VMX-preemption timer value"}
READ_ONLY = {"Guest-physical address", "Guest-linear address"}

Table = dict[str, dict[int, str]]


def index(encoding: int) -> int:
    """Which of the fields of its width and type."""
    return encoding >> 1 & 0x1FF


def section_of(encoding: int) -> str:
    """The title of the section that lists a field, from its encoding."""
    return f"{WIDTHS[encoding >> 13 & 3]} {TYPES[encoding >> 10 & 3]} fields"


def problems(table: Table) -> list[str]:
    """What does not fit, a line each."""
    found = []
    for section, fields in table.items():
        for encoding, name in fields.items():
            if encoding > LAST_OF_ENCODING or encoding & RESERVED:
                found.append(f"{name}: {encoding:#06x} has reserved bits")
            if section_of(encoding) != section:
                found.append(f"{name}: {encoding:#06x} is one of the {section_of(encoding)}")
            if name.startswith("Host ") != ("host-state" in section):
                found.append(f"{name} among the {section}")
            guest = name in GUEST_STATE or (name.startswith("Guest") and name not in READ_ONLY)
            if guest != ("guest-state" in section):
                found.append(f"{name} among the {section}")
        if list(fields) != sorted(fields):
            found.append(f"{section}: not in the order of the encodings")
    names = [name for fields in table.values() for name in fields.values()]
    found += [f"{name} twice" for name in sorted({name for name in names if names.count(name) > 1})]
    return found + _families(table)


def _families(table: Table) -> list[str]:
    """Fields of which there is one for each segment register, bitmap, target or PDPTE: neighbours in that order."""
    place = {name: encoding for fields in table.values() for encoding, name in fields.items()}
    rows = [
        *(
            [f"Guest {register} {part}" for register in SEGMENTS]
            for part in ("selector", "limit", "access rights", "base")
        ),
        [f"Host {register} selector" for register in SEGMENTS if register != "LDTR"],
        [f"Host {register} base" for register in ("FS", "GS", "TR", "GDTR", "IDTR")],
        *([f"{side} {register}" for register in ("CR0", "CR3", "CR4")] for side in ("Guest", "Host")),
        [f"Guest PDPTE{number}" for number in range(4)],
        [f"CR3-target value {number}" for number in range(4)],
        ["CR0 guest/host mask", "CR4 guest/host mask", "CR0 read shadow", "CR4 read shadow"],
        ["I/O RCX", "I/O RSI", "I/O RDI", "I/O RIP"],
        ["Address of I/O bitmap A", "Address of I/O bitmap B", "Address of MSR bitmaps"],
        *([f"{side} IA32_SYSENTER_ESP", f"{side} IA32_SYSENTER_EIP"] for side in ("Guest", "Host")),
        *([f"{side} RSP", f"{side} RIP"] for side in ("Guest", "Host")),
        *([f"{side} IA32_PAT", f"{side} IA32_EFER", f"{side} IA32_PERF_GLOBAL_CTRL"] for side in ("Guest", "Host")),
    ]
    found = []
    for row in rows:
        if missing := [name for name in row if name not in place]:
            found.append(f"missing: {', '.join(missing)}")
            continue
        first = place[row[0]]
        found += [
            f"{name}: {place[name]:#06x}, not {first + 2 * number:#06x}"
            for number, name in enumerate(row)
            if place[name] != first + 2 * number
        ]
    return found


@pytest.fixture(scope="module")
def table(checkout: Path) -> Table:
    text = (checkout / "tests/unit/vmcs_fields.toml").read_text(encoding="utf-8")
    fields: dict[str, dict[str, str]] = tomllib.loads(text)["fields"]
    return {section: {int(code, 16): name for code, name in rows.items()} for section, rows in fields.items()}


def test_every_section_is_there(table: Table) -> None:
    assert set(table) == SECTIONS
    assert sum(map(len, table.values())) > 130


def test_encodings_sections_and_names_agree(table: Table) -> None:
    assert problems(table) == []


# A section, an encoding there, what is written in its place, and what is said about it.
FAULTS = {
    "width": ("32-bit control fields", 0x4000, 0x6000, "is one of the Natural-width control fields"),
    "type": ("64-bit guest-state fields", 0x2800, 0x2C00, "is one of the 64-bit host-state fields"),
    "access type": ("64-bit control fields", 0x2010, 0x2011, "has reserved bits"),
    "bit 12": ("64-bit control fields", 0x2010, 0x3010, "has reserved bits"),
    "bit 15": ("64-bit control fields", 0x2010, 0xA010, "has reserved bits"),
    "a digit": ("32-bit guest-state fields", 0x481E, 0x482C, "0x482c, not 0x481e"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_wrong_encoding_is_found(fault: str, table: Table) -> None:
    section, right, wrong, words = FAULTS[fault]
    fields = dict(table[section])
    fields[wrong] = fields.pop(right)
    assert any(words in line for line in problems(table | {section: dict(sorted(fields.items()))}))


@pytest.mark.parametrize(("one", "other"), [(0x080C, 0x080E), (0x6802, 0x6804), (0x6C14, 0x6C16)])
def test_names_that_changed_places_are_found(one: int, other: int, table: Table) -> None:
    fields = dict(table[section_of(one)])
    fields[one], fields[other] = fields[other], fields[one]
    assert problems(table | {section_of(one): fields}) != []


def test_name_in_the_wrong_section_is_found(table: Table) -> None:
    section = "32-bit read-only data fields"
    assert problems(table | {section: table[section] | {0x4410: "Host exit reason"}}) != []
    assert problems(table | {section: table[section] | {0x4410: "Exit reason"}}) != []
