# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every check of VM entry names itself.

The images have a rule for each defect that they plant, taken from the manual and
not from the machine. Here the machine's own word for it, the trace event
vmx_refusal, is held against that rule. Console and trace go to one stream, so that
each check is preceded by the refusals of its entries.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import qemu_arguments
from build_scripts.conformance.image_table import TABLE

IMAGES = (
    "checks",
    "checks-vmx",
    "control-bits-vmx",
    "guest-checks-vmx",
    "host-checks-vmx",
    "host32",
    "pae",
    "perf-global",
    "return-err",
    "segment-checks-vmx",
    "unrestricted",
)

# Checks that are about more than the refusal, or about one that has a rule of its own.
ALSO: dict[str, tuple[str, ...]] = {
    # Both bits are wrong outside SMM; one is looked at first.
    "DM-CTL-03": ("DM-CTL-01",),
    # The rule is that of plain VMX.
    "DM-CTL-11": ("VMX-GST-56",),
    "DM-CTL-12": ("VMX-GST-61",),
    "DM-RET-29": ("VMX-GST-59", "VMX-GST-60"),
    # The checks of an ordinary entry, on the VMCS that the rule names.
    "DM-RET-12": ("VMX-CTL-01",),
    "DM-RET-16": ("VMX-CTL-21",),
    "DM-RET-22": ("VMX-HST-02", "VMX-HST-09"),
    "DM-RET-26": ("VMX-GST-02", "VMX-GST-03"),
    # The return is to root operation, where no event but one may be injected.
    "DM-RET-17": ("DM-RET-18",),
    # What a failed entry leaves behind, whatever made it fail.
    "DM-DEA-03": ("VMX-CTL-01",),
    "DM-DEA-05": ("VMX-GST-02",),
    "DM-RET-38": ("VMX-GST-40",),
    "VMX-CTL-36": ("VMX-CTL-01",),
    "VMX-ENT-24": ("VMX-GST-65", "VMX-HST-16"),
    "VMX-GST-64": ("VMX-GST-40", "VMX-GST-59"),
    # A control that is allowed and not enough by itself.
    "VMX-CTL-21": ("VMX-CTL-22", "VMX-HST-12"),
    "VMX-CTL-26": ("VMX-GST-62",),
    # Not offered by this processor, which is looked at first.
    "VMX-CTL-11": ("VMX-CTL-03",),
    "VMX-HST-14": ("VMX-HST-02",),
    # Several defects in the rows behind one check.
    "VMX-CTL-30": ("VMX-CTL-33",),
    "VMX-GST-01": ("VMX-GST-02", "VMX-GST-04"),
    "VMX-GST-25": ("VMX-GST-26",),
    "VMX-GST-32": ("VMX-GST-34",),
    # Unrestricted guests are what these rules are about.
    "VMX-URG-01": (
        "VMX-GST-01",
        "VMX-GST-02",
        "VMX-GST-04",
        "VMX-GST-18",
        "VMX-GST-21",
        "VMX-GST-25",
        "VMX-GST-41",
    ),
}

# No image of this list reaches them.
UNSEEN = {
    "DM-CTL-04": "both bits in SMM",
    "DM-CTL-09": "an entry to SMM without blocking by SMI",
    "DM-CTL-10": "an entry to SMM into wait-for-SIPI",
    "VMX-CTL-16": "the processor offers accessed and dirty flags",
}

REFUSAL = re.compile(
    r"vmx_refusal cpu=\d+ t=\d+ rule=(?P<rule>\S+) field=(?P<field>[A-Z0-9_]+) encoding=0x(?P<encoding>[0-9a-f]+) "
    r"value=0x[0-9a-f]+ demand=(?P<demand>.+)"
)
CHECK = re.compile(r"CHECK id=(?P<rule>\S+) name=(?P<name>\S+) .*detail=(?P<detail>.*)")
WANT = re.compile(r"outcome:\w+,want:0x(?P<want>[0-9a-f]+),")


@dataclass
class Row:
    """One check and the rules of the refusals before it."""

    rule: str
    name: str
    detail: str
    refused: list[str] = field(default_factory=list)


def _rows(qemu: Path, name: str) -> Iterator[Row]:
    image = next(image for image in TABLE if image.name == name)
    rom = build_image(image.sources, image.defines).rom
    arguments = qemu_arguments(qemu, rom, Path("/dev/stderr"), image.cpu, (*image.extra, "-trace", "vmx_refusal"))
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    pending: list[str] = []
    for line in done.stderr.splitlines():
        if line.startswith("vmx_refusal"):
            match = REFUSAL.fullmatch(line)
            assert match, f"malformed: {line}"
            pending.append(match["rule"])
        elif match := CHECK.match(line):
            yield Row(match["rule"], match["name"], match["detail"], pending)
            pending = []


@pytest.fixture(scope="session")
def rows(qemu: Path) -> dict[str, list[Row]]:
    return {name: list(_rows(qemu, name)) for name in IMAGES}


@pytest.mark.parametrize("name", IMAGES)
def test_rule_is_that_of_the_check(rows: dict[str, list[Row]], name: str) -> None:
    """What the image planted is what the machine says."""
    assert any(row.refused for row in rows[name])
    wrong = [row for row in rows[name] if set(row.refused) - {row.rule, *ALSO.get(row.rule, ())}]
    assert not wrong


@pytest.mark.parametrize("name", ["checks", "checks-vmx", "guest-checks-vmx", "host-checks-vmx", "segment-checks-vmx"])
def test_one_defect_one_refusal(rows: dict[str, list[Row]], name: str) -> None:
    """A row with one defect is refused once; one without any is not refused."""
    found = [(row, int(match["want"], 16)) for row in rows[name] if (match := WANT.match(row.detail))]
    assert len(found) > 10
    for row, want in found:
        assert len(row.refused) == (want != 0), row


def test_every_check_was_seen(rows: dict[str, list[Row]], checkout: Path) -> None:
    """All that the machine's sources can say has been said, but for what is listed with a reason."""
    sources = sorted((checkout / "Platform" / "QemuVmx" / "vmx").glob("vmx-checks*.c"))
    said = set(re.findall(r'"((?:VMX|DM)-[A-Z]+-\d+)"', "".join(path.read_text("utf-8") for path in sources)))
    assert len(said) > 90
    seen = {rule for found in rows.values() for row in found for rule in row.refused}
    assert seen <= said
    assert said - seen == set(UNSEEN)


def test_each_refusal_names_its_field(checkout: Path, qemu: Path, tmp_path: Path) -> None:
    """The name in the trace is that of the encoding, in the words of the layout."""
    layout = (checkout / "Platform" / "QemuVmx" / "vmx" / "vmcs-layout.h").read_text("utf-8")
    names = {int(code, 16): name for name, code in re.findall(r"VMCS_(\w+) += 0x([0-9a-f]{4}),", layout)}
    image = next(image for image in TABLE if image.name == "segment-checks-vmx")
    rom = build_image(image.sources, image.defines).rom
    log, trace = tmp_path / "log", tmp_path / "trace"
    arguments = qemu_arguments(qemu, rom, log, image.cpu, (*image.extra, "-trace", "vmx_refusal", "-D", str(trace)))
    subprocess.run(arguments, capture_output=True, timeout=120, check=False)
    found = {(match["field"], int(match["encoding"], 16)) for match in REFUSAL.finditer(trace.read_text("ascii"))}
    assert {"GUEST_TR_ACCESS_RIGHTS", "GUEST_FS_BASE", "GUEST_LDTR_SELECTOR", "GUEST_CS_LIMIT"} <= {n for n, _ in found}
    segments = ("ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR")
    for name, encoding in found:
        # The layout lists the first of eight registers, and the others where the machine needs them.
        first = next(
            (code for code, known in names.items() if known.startswith("GUEST_ES_") and 0 <= encoding - code < 16), None
        )
        if first is None:
            assert names[encoding] == name
        else:
            register = segments[(encoding - first) // 2]
            assert name == names[first].replace("_ES_", f"_{register}_")
