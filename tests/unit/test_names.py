# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One name for one thing: StmPkg, the machine, its test runtime and Python call the processor's things alike."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from build_scripts.observation import report
from build_scripts.observation.names import EXIT_REASONS

# Patterns below the checkout.
SOURCES = {
    "StmPkg": "StmPkg/Include/Register/Vmx*.h",
    "machine": "Platform/QemuVmx/vmx/*.h",
    "runtime": "tests/machine/runtime/vmcs.h",
}
# #define NAME VALUE, or NAME = VALUE of an enum.
_DEFINED = re.compile(r"^(?:#define\s+|\s+)((?:VMCS|VMX)_\w+)(?:\s*=\s*|\s+)([^/\n]+?),?\s*(?:/[/*].*)?$", re.MULTILINE)
# What is about regions and encodings, not a field.
_FIELD = re.compile(r"VMCS_(?!WIDTH_|TYPE_|OFFSET_|ENC_|GROUP_|POINTER_|HIGHEST_)")
_BIT = re.compile(r"BIT(\d+)")
_NUMBER = re.compile(r"\(?(?:\(?(?:0x)?[0-9a-fA-F]+[uUlL]*\)?)(?: *<< *\d+)?\)?")
# Kinds of names that the sources share.
KINDS = (
    "VMX_REASON_",
    "VMX_ERROR_",
    "VMX_INTERRUPTION_",
    "VMX_BLOCKING_BY_",
    "VMX_ACTIVITY_",
    "VMX_PIN_",
    "VMX_CPU_",
    "VMX_CPU2_",
    "VMX_EXIT_",
    "VMX_ENTRY_",
)
# QEMU has names of its own for the control bits; the machine's stand for those, so that only the names can be compared.
_ALIAS = re.compile(r"^#define\s+(VMX_(?:PIN|CPU2?|EXIT|ENTRY)_\w+)\s+VMX_\w+$", re.MULTILINE)
# Combinations of bits and masks that only one source needs.
OWN = {"VMX_INTERRUPTION_RESERVED", "VMX_INTERRUPTION_NMI_UNBLOCKING", "VMX_INTERRUPTION_PENDING_MTF"}


def value_of(text: str) -> int | None:
    """The number that a C constant expression of these files stands for; None for anything else."""
    if found := _BIT.fullmatch(text.strip()):
        return int(1 << int(found[1]))
    if not _NUMBER.fullmatch(text.strip()):
        return None
    plain = re.sub(r"(?<=[0-9a-fA-F])[uUlL]+", "", text).strip("() ")
    left, _, right = plain.partition("<<")
    return int(left.strip("() "), 0) << int(right or "0")


def names(checkout: Path, source: str) -> dict[str, int]:
    """Every VMCS_ and VMX_ constant of a source."""
    found: dict[str, int] = {}
    for path in sorted(checkout.glob(SOURCES[source])):
        for match in _DEFINED.finditer(path.read_text(encoding="utf-8")):
            if (value := value_of(match[2])) is not None:
                found[match[1]] = value
    return found


def sdm_fields(checkout: Path) -> dict[int, str]:
    """Encoding to name, from the words of the SDM."""
    table = tomllib.loads((checkout / "tests/unit/vmcs_fields.toml").read_text(encoding="utf-8"))
    fields = {}
    for section in table["fields"].values():
        for encoding, words in section.items():
            for short in table["abbreviations"]:
                words = words.replace(short["words"], short["name"])
            fields[int(encoding, 16)] = "VMCS_" + re.sub(r"[-/ ]", "_", words.strip()).upper()
    return fields


@pytest.mark.parametrize(
    ("text", "value"), [("BIT31", 1 << 31), ("0x6C16", 0x6C16), ("(1u << 3)", 8), ("12", 12), ("f(x)", None)]
)
def test_values_are_read(text: str, value: int | None) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize("source", SOURCES)
def test_fields_bear_the_names_of_the_sdm(source: str, checkout: Path) -> None:
    expected = sdm_fields(checkout)
    fields = {name: value for name, value in names(checkout, source).items() if _FIELD.match(name)}
    assert len(fields) > 90
    assert {name: expected.get(value) for name, value in fields.items() if expected.get(value) != name} == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["machine", "runtime"])
def test_sources_agree(source: str, kind: str, checkout: Path) -> None:
    reference = {name: value for name, value in names(checkout, "StmPkg").items() if name.startswith(kind)}
    table = {name: value for name, value in names(checkout, source).items() if name.startswith(kind)}
    assert reference
    assert {name: value for name, value in table.items() if name not in OWN and reference.get(name) != value} == {}


def test_kinds_are_seen(checkout: Path) -> None:
    """The comparison is not between empty tables."""
    for source in ("machine", "runtime"):
        assert len({name for name in names(checkout, source) if name.startswith(("VMX_REASON_", "VMX_ERROR_"))}) > 50


def test_control_bits_of_the_machine_bear_the_same_names(checkout: Path) -> None:
    headers = [path.read_text(encoding="utf-8") for path in checkout.glob(SOURCES["machine"])]
    aliases = {name for text in headers for name in _ALIAS.findall(text)}
    assert len(aliases) > 50
    assert aliases - names(checkout, "StmPkg").keys() == set()


def test_python_knows_every_exit_reason(checkout: Path) -> None:
    """Whoever reads a crash line reads a name, whichever reason the firmware's header knows."""
    basic = {
        value
        for name, value in names(checkout, "StmPkg").items()
        if name.startswith("VMX_REASON_") and not name.endswith(("_MASK", "_COUNT")) and value < 1 << 16
    }
    assert len(basic) > 55
    assert basic - EXIT_REASONS.keys() == set()
    header = names(checkout, "StmPkg")
    for name in ("VMX_REASON_IO_SMI", "VMX_REASON_OTHER_SMI", "VMX_REASON_RSM"):
        assert getattr(report, name) == header[name]
