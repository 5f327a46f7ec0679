# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every check names itself: of VM entries, VMX instructions, the treatment's activation and returns, and VMX aborts.

The images have a rule for each defect that they plant, taken from the manual and
not from the machine. Here the machine's own word for it, the trace event
vmx_refusal, is held against that rule. Console and trace go to one stream, so that
each check is preceded by the refusals of what it did.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import qemu_arguments
from build_scripts.conformance.image_table import TABLE
from build_scripts.conformance.rules import known_rules

ENTRIES = (
    "checks",
    "checks-no-eptad",
    "checks-vmx",
    "control-bits-vmx",
    "guest-checks-vmx",
    "host-checks-vmx",
    "host32",
    "inject",
    "loading-vmx",
    "pae",
    "perf-global",
    "return-err",
    "segment-checks-vmx",
    "smm-entries",
    "unrestricted",
)
INSTRUCTIONS = (
    "a20",
    "deact",
    "ept-more",
    "no-ept",
    "no-ia32e",
    "stm",
    "vmcall-err",
    "vmfunc",
    "vmx-insn",
    "vmx-insn-vmx",
)
ABORTS = (
    "shutdown-exit-load-9bh",
    "shutdown-exit-store-9eh",
    "shutdown-smm-exit-store",
    "shutdown-stm-made-32-bit",
    "shutdown-exit-load-fs-base",
    "shutdown-exit-store-x2apic",
    "shutdown-host32-pdpte",
    "shutdown-stm32-pdpte",
)
IMAGES = ENTRIES + INSTRUCTIONS
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
    "DM-RET-38": ("VMX-GST-40", "VMX-INS-40"),
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
    # The same check by the name that it has for the treatment, in SMM, or among the flags of VMfail.
    "DM-ACT-03": ("VMX-INS-15",),
    "DM-ACT-04": ("VMX-INS-14",),
    "DM-ACT-08": ("DM-ACT-07",),
    "DM-ACT-20": ("DM-ACT-15", "DM-ACT-16"),
    "DM-ACT-66": ("VMX-INS-40",),
    "DM-CTL-05": ("DM-CTL-04",),
    "DM-DEA-02": ("DM-CTL-02",),
    "DM-DEA-04": ("DM-RET-09",),
    "DM-DEA-17": ("DM-ACT-12",),
    "DM-DEA-20": ("DM-DEA-19",),
    "DM-DEA-23": ("VMX-INS-15",),
    "DM-EXI-30": ("VMX-INS-29",),
    "DM-EXI-49": ("VMX-EXI-30",),
    "DM-EXI-52": ("VMX-EXI-27",),
    "DM-INT-02": ("VMX-INS-02",),
    "DM-INT-04": ("VMX-INS-07",),
    "DM-INT-06": ("VMX-INS-24",),
    "DM-INT-07": ("VMX-INS-20",),
    "DM-INT-10": ("VMX-INS-34",),
    "DM-INT-27": ("VMX-INS-07",),
    "DM-INT-47": ("DM-RET-08",),
    "DM-RET-02": ("VMX-INS-32", "VMX-INS-38", "VMX-INS-39", "VMX-INS-41"),
    "DM-RET-07": ("DM-RET-03",),
    "DM-RET-70": ("DM-RET-08",),
    "DM-STM-01": ("VMX-INS-28",),
    "DM-STM-02": ("DM-DEA-19",),
    "DM-STM-03": ("VMX-INS-07",),
    "DM-STM-04": ("DM-ACT-05",),
    "DM-STM-14": ("DM-CTL-09",),
    "DM-STM-15": ("DM-CTL-10",),
    "DM-STM-16": ("VMX-GST-61",),
    "DM-STM-24": ("VMX-INS-20", "VMX-INS-24"),
    "DM-STM-26": ("VMX-INS-40",),
    "VMX-INS-11": ("VMX-INS-13",),
    "VMX-INS-13": ("DM-ACT-01",),
    "VMX-INS-17": ("VMX-INS-19", "VMX-INS-23"),
    "VMX-INS-38": ("VMX-INS-32",),  # the harness writes host RSP first
    "VMX-INS-42": ("DM-ACT-06",),
    # Memory and MSRs as they are after a failure.
    "VMX-ENT-16": ("VMX-ENT-17",),
    "VMX-ENT-20": ("VMX-GST-40",),
    "VMX-EXI-28": ("VMX-INS-39",),
    # Reasons of VMFUNC are rules of their own.
    "VMX-CTL-19": ("VMX-CTL-20", "VMX-FUN-01"),
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

REFUSAL = re.compile(
    r"vmx_refusal cpu=\d+ t=\d+ insn=(?P<instruction>[A-Z]+|-) result=(?P<result>\S+) rule=(?P<rule>\S+) "
    r"field=(?P<field>[][.A-Z0-9_]+) encoding=(?:0x(?P<encoding>[0-9a-f]+)|-) value=0x[0-9a-f]+ "
    r"demand=(?P<demand>.+) section=(?P<section>.+) \((?P<number>[0-9.]+)\)"
)
CHECK = re.compile(r"CHECK id=(?P<rule>\S+) name=(?P<name>\S+) .*detail=(?P<detail>.*)")
SHUTDOWN = re.compile(r"EXPECT-SHUTDOWN id=(\S+)")
ABORT = re.compile(r"vmx_abort cpu=\d+ vmcs=0x[0-9a-f]+ indicator=(\d+)")
WANT = re.compile(r"outcome:\w+,want:0x(?P<want>[0-9a-f]+),")


@dataclass
class Row:
    """One check and the rules of the refusals before it."""

    rule: str
    name: str
    detail: str
    refused: list[str] = field(default_factory=list)


@dataclass
class Run:
    """What one image and the machine said."""

    rows: list[Row]
    refusals: list[re.Match[str]]
    vmfails: int  # events vmx_vmfail
    aborts: list[int]  # indicators
    shutdown: str | None = None  # the rule that it announced
    left: list[str] = field(default_factory=list)  # refusals after the last row


def _run(qemu: Path, name: str) -> Run:
    image = next(image for image in TABLE if image.name == name)
    rom = build_image(image.sources, image.defines).rom
    tracing = [word for event in ("vmx_refusal", "vmx_vmfail", "vmx_abort") for word in ("-trace", event)]
    arguments = qemu_arguments(qemu, rom, Path("/dev/stderr"), image.cpu, (*image.extra, *tracing))
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    run = Run([], [], 0, [])
    for line in done.stderr.splitlines():
        if line.startswith("vmx_refusal"):
            match = REFUSAL.fullmatch(line)
            assert match, f"malformed: {line}"
            run.refusals.append(match)
            run.left.append(match["rule"])
        elif line.startswith("vmx_vmfail"):
            run.vmfails += 1
        elif match := ABORT.match(line):
            run.aborts.append(int(match[1]))
        elif match := CHECK.match(line):
            run.rows.append(Row(match["rule"], match["name"], match["detail"], run.left))
            run.left = []
        elif match := SHUTDOWN.match(line):
            run.shutdown = match[1]
    return run


@pytest.fixture(scope="session")
def runs(qemu: Path) -> dict[str, Run]:
    return {name: _run(qemu, name) for name in IMAGES + ABORTS}


def _is_of(refused: str, rule: str) -> bool:
    return refused == rule or refused in ALSO.get(rule, ())


@pytest.mark.parametrize("name", IMAGES)
def test_rule_is_that_of_the_check(runs: dict[str, Run], name: str) -> None:
    """What the image planted is what the machine says."""
    rows = runs[name].rows
    assert any(row.refused for row in rows)
    wrong = [row for row in rows if not all(_is_of(rule, row.rule) for rule in row.refused)]
    assert not wrong


@pytest.mark.parametrize("name", ["checks", "checks-vmx", "guest-checks-vmx", "host-checks-vmx", "segment-checks-vmx"])
def test_one_defect_one_refusal(runs: dict[str, Run], name: str) -> None:
    """A row with one defect is refused once; one without any is not refused."""
    found = [(row, int(match["want"], 16)) for row in runs[name].rows if (match := WANT.match(row.detail))]
    assert len(found) > 10
    for row, want in found:
        assert len(row.refused) == (want != 0), row


@pytest.mark.parametrize("name", ABORTS)
def test_abort_is_explained(runs: dict[str, Run], name: str) -> None:
    """The last word before the shutdown is the rule that the image announced, with the indicator."""
    run = runs[name]
    assert run.shutdown is not None and run.left
    assert _is_of(run.left[-1], run.shutdown)
    last = run.refusals[-1]
    assert (last["instruction"], last["result"]) == ("-", f"VMX-abort-{run.aborts[-1]}")
    assert len(run.aborts) == 1


def test_every_failure_has_its_refusal(runs: dict[str, Run]) -> None:
    """No VMfail and no abort without one."""
    total = 0
    for name, run in runs.items():
        results = [match["result"] for match in run.refusals]
        assert sum(result.startswith("VMfail") for result in results) == run.vmfails, name
        assert sum(result.startswith("VMX-abort") for result in results) == len(run.aborts), name
        total += run.vmfails
    assert total > 500


def test_results_and_instructions(runs: dict[str, Run]) -> None:
    """Every way in which a failure shows, and every VMX instruction that can fail."""
    pairs = {(match["instruction"], match["result"]) for run in runs.values() for match in run.refusals}
    numbers = (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 28)
    results = {"VMfailInvalid", "#UD", "#GP(0)", "exit-reason-33", "exit-reason-34"}
    results |= {f"VMfailValid-{number}" for number in numbers} | {f"VMX-abort-{number}" for number in (1, 2, 4, 6)}
    assert {result for _, result in pairs} == results
    instructions = "VMCALL VMCLEAR VMLAUNCH VMPTRLD VMPTRST VMREAD VMRESUME VMWRITE VMXOFF VMXON INVEPT INVVPID VMFUNC"
    assert {instruction for instruction, _ in pairs} == {*instructions.split(), "-"}
    some = {("VMXON", "#GP(0)"), ("VMLAUNCH", "VMfailValid-4"), ("VMCALL", "VMfailValid-22"), ("VMFUNC", "#UD")}
    assert some <= pairs


def _said(checkout: Path) -> set[str]:
    """The rules that the machine's sources name."""
    sources = sorted((checkout / "Platform" / "QemuVmx" / "vmx").glob("*.c"))
    return set(re.findall(r'"((?:VMX|DM)-[A-Z]+-\d+)"', "".join(path.read_text("utf-8") for path in sources)))


def test_every_check_was_seen(runs: dict[str, Run], checkout: Path) -> None:
    """All that the machine's sources can say has been said."""
    seen = {match["rule"] for run in runs.values() for match in run.refusals}
    assert len(seen) > 180
    assert seen == _said(checkout)


def test_section_is_that_of_the_rule(runs: dict[str, Run]) -> None:
    """By the titles of the rules' tables; pages of single instructions are of one section. One number a title."""
    known = known_rules()
    numbers: dict[str, str] = {}
    for match in [match for run in runs.values() for match in run.refusals]:
        title = known[match["rule"]].section
        assert match["section"] == ("VMX Instructions" if "\u2014" in title else title), match["rule"]
        assert numbers.setdefault(match["section"], match["number"]) == match["number"]


def test_each_refusal_names_its_field(runs: dict[str, Run], checkout: Path) -> None:
    """The name in the trace is that of the encoding, in the words of the layout."""
    layout = (checkout / "Platform" / "QemuVmx" / "vmx" / "vmcs-layout.h").read_text("utf-8")
    names = {int(code, 16): name for name, code in re.findall(r"VMCS_(\w+) += 0x([0-9a-f]{4}),", layout)}
    matches = [match for run in runs.values() for match in run.refusals if match["encoding"]]
    found = {(match["field"], int(match["encoding"], 16)) for match in matches}
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
