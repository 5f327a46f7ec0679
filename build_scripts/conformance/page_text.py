# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Writes docs/reference/conformance.rst from the capability MSRs and the verdicts of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from build_scripts.conformance.engine import Status
from build_scripts.conformance.rules import Rule, RuleTable
from build_scripts.pages import escaped, render

Row = tuple[Rule, str, str]

SUITE = "vmx"
COMMAND = "python3 -m build_scripts conformance --suite vmx --page docs/reference/conformance.rst"

_MISC, _PROC2, _EPT_VPID, _VMFUNC = 0x485, 0x48B, 0x48C, 0x491

# Word of controls: title, TRUE (or only) capability MSR, names of the bits.
_CONTROLS: tuple[tuple[str, int, dict[int, str]], ...] = (
    (
        "Pin-based VM-execution controls",
        0x48D,
        {
            0: "external-interrupt exiting",
            3: "NMI exiting",
            5: "virtual NMIs",
            6: "activate VMX-preemption timer",
            7: "process posted interrupts",
        },
    ),
    (
        "Primary processor-based VM-execution controls",
        0x48E,
        {
            2: "interrupt-window exiting",
            3: "use TSC offsetting",
            7: "HLT exiting",
            9: "INVLPG exiting",
            10: "MWAIT exiting",
            11: "RDPMC exiting",
            12: "RDTSC exiting",
            15: "CR3-load exiting",
            16: "CR3-store exiting",
            17: "activate tertiary controls",
            19: "CR8-load exiting",
            20: "CR8-store exiting",
            21: "use TPR shadow",
            22: "NMI-window exiting",
            23: "MOV-DR exiting",
            24: "unconditional I/O exiting",
            25: "use I/O bitmaps",
            27: "monitor trap flag",
            28: "use MSR bitmaps",
            29: "MONITOR exiting",
            30: "PAUSE exiting",
            31: "activate secondary controls",
        },
    ),
    (
        "Secondary processor-based VM-execution controls",
        _PROC2,
        {
            0: "virtualize APIC accesses",
            1: "enable EPT",
            2: "descriptor-table exiting",
            3: "enable RDTSCP",
            4: "virtualize x2APIC mode",
            5: "enable VPID",
            6: "WBINVD exiting",
            7: "unrestricted guest",
            8: "APIC-register virtualization",
            9: "virtual-interrupt delivery",
            10: "PAUSE-loop exiting",
            11: "RDRAND exiting",
            12: "enable INVPCID",
            13: "enable VM functions",
            14: "VMCS shadowing",
            15: "enable ENCLS exiting",
            16: "RDSEED exiting",
            17: "enable PML",
            18: "EPT-violation #VE",
            19: "conceal VMX from PT",
            20: "enable XSAVES/XRSTORS",
            22: "mode-based execute control for EPT",
            23: "sub-page write permissions for EPT",
            24: "Intel PT uses guest physical addresses",
            25: "use TSC scaling",
            26: "enable user wait and pause",
            28: "enable ENCLV exiting",
        },
    ),
    (
        "VM-exit controls",
        0x48F,
        {
            2: "save debug controls",
            9: "host address-space size",
            12: "load IA32_PERF_GLOBAL_CTRL",
            15: "acknowledge interrupt on exit",
            18: "save IA32_PAT",
            19: "load IA32_PAT",
            20: "save IA32_EFER",
            21: "load IA32_EFER",
            22: "save VMX-preemption timer value",
            23: "clear IA32_BNDCFGS",
            24: "conceal VMX from PT",
            28: "load CET state",
        },
    ),
    (
        "VM-entry controls",
        0x490,
        {
            2: "load debug controls",
            9: "IA-32e mode guest",
            10: "entry to SMM (with the dual-monitor treatment)",
            11: "deactivate dual-monitor treatment (with it)",
            13: "load IA32_PERF_GLOBAL_CTRL",
            14: "load IA32_PAT",
            15: "load IA32_EFER",
            16: "load IA32_BNDCFGS",
            17: "conceal VMX from PT",
            20: "load CET state",
        },
    ),
)

_EPT_VPID_BITS = {
    0: "execute-only pages",
    6: "page-walk length 4",
    8: "paging structures in UC memory",
    14: "paging structures in WB memory",
    16: "2-MByte pages",
    17: "1-GByte pages",
    20: "INVEPT",
    21: "accessed and dirty flags",
    22: "advanced exit information for EPT violations",
    25: "INVEPT, single context",
    26: "INVEPT, all contexts",
    32: "INVVPID",
    40: "INVVPID, individual address",
    41: "INVVPID, single context",
    42: "INVVPID, all contexts",
    43: "INVVPID, single context retaining globals",
}


@dataclass(frozen=True)
class ControlWord:
    """A word of controls as its capability MSR has it.

    Attributes:
        offered: bit, name and settings of each control.
        fixed: bits that are always 1 and have no name.
        missing: names of controls that are not offered.
    """

    title: str
    offered: list[tuple[str, str, str]]
    fixed: list[str]
    missing: list[str]


@dataclass(frozen=True)
class Area:
    """An area of the table of rules, with a row for each rule."""

    title: str
    rules: list[tuple[str, str, str, str]]


def _controls(msrs: Mapping[int, int]) -> Iterator[ControlWord]:
    for title, msr, names in _CONTROLS:
        allowed0, allowed1 = msrs.get(msr, 0) & 0xFFFF_FFFF, msrs.get(msr, 0) >> 32
        offered = [
            (str(bit), names.get(bit, "(without a name)"), "always 1" if allowed0 >> bit & 1 else "0 or 1")
            for bit in range(32)
            if allowed1 >> bit & 1 and (bit in names or not allowed0 >> bit & 1)
        ]
        fixed = [str(bit) for bit in range(32) if allowed0 >> bit & 1 and bit not in names]
        missing = [name for bit, name in names.items() if not allowed1 >> bit & 1]
        yield ControlWord(title, offered, fixed, missing)


def _capabilities(msrs: Mapping[int, int]) -> list[tuple[str, str]]:
    misc, ept = msrs.get(_MISC, 0), msrs.get(_EPT_VPID, 0)
    states = [name for bit, name in ((6, "HLT"), (7, "shutdown"), (8, "wait-for-SIPI")) if misc >> bit & 1]
    return [
        ("activity states besides active", ", ".join(states)),
        ("CR3-target values", str(misc >> 16 & 0x1FF)),
        ("entries of an MSR area, recommended", str(512 * ((misc >> 25 & 7) + 1))),
        ("VMX-preemption timer", f"counts at the rate of the time-stamp counter divided by {1 << (misc & 31)}"),
        ("VMWRITE to exit-information fields", "yes" if misc >> 29 & 1 else "no"),
        ("injection with instruction length 0", "yes" if misc >> 30 & 1 else "no"),
        ("EPT and VPID", ", ".join(name for bit, name in _EPT_VPID_BITS.items() if ept >> bit & 1)),
        ("VM functions", "EPTP switching" if msrs.get(_VMFUNC, 0) & 1 else "none"),
    ]


def _areas(table: RuleTable, rows: Sequence[Row]) -> Iterator[Area]:
    for area, title in table.areas.items():
        rules = [
            (rule.id, escaped(rule.text), escaped(rule.section), escaped(f"{status}: {reason}" if reason else status))
            for rule, status, reason in rows
            if rule.area == area
        ]
        yield Area(title, rules)


def page(
    table: RuleTable,
    suites: Mapping[str, Sequence[Row]],
    msrs: Mapping[int, int],
    left_out: Sequence[tuple[str, str]],
) -> str:
    """The whole page: the rules of `table`, one of the suites, and the totals of all.

    Each row is a rule, its status and the reason for it.
    """
    counts = {suite: Counter(status for _rule, status, _reason in rows) for suite, rows in suites.items()}
    return render(
        "conformance.rst.j2",
        command=COMMAND,
        statuses=[str(status) for status in Status],
        totals=[(suite, count.total(), *(str(count[status]) for status in Status)) for suite, count in counts.items()],
        controls=list(_controls(msrs)),
        capabilities=_capabilities(msrs),
        left_out=left_out,
        areas=list(_areas(table, suites[table.suite])),
        untested={
            suite: [(rule.id, escaped(rule.text)) for rule, status, _reason in rows if status == Status.UNTESTED]
            for suite, rows in suites.items()
        },
    )
