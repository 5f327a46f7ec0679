# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Writes docs/reference/conformance.rst from the capability MSRs and the verdicts of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from build_scripts.conformance.engine import Status
from build_scripts.conformance.rules import Rule, RuleTable

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


def _title(text: str, underline: str) -> list[str]:
    return [text, underline * len(text), ""]


def _table(headings: Sequence[str], widths: Sequence[int], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in [headings, *rows]:
        for index, cell in enumerate(row):
            # A backslash or an asterisk would be markup.
            text = cell.replace("\\", "\\\\").replace("*", "\\*")
            lines.append(f"   {'* -' if index == 0 else '  -'} {text}".rstrip())
    return [*lines, ""]


def _controls(msrs: Mapping[int, int]) -> Iterator[str]:
    for title, msr, names in _CONTROLS:
        allowed0, allowed1 = msrs.get(msr, 0) & 0xFFFF_FFFF, msrs.get(msr, 0) >> 32
        rows = [
            (str(bit), names.get(bit, "(without a name)"), "always 1" if allowed0 >> bit & 1 else "0 or 1")
            for bit in range(32)
            if allowed1 >> bit & 1 and (bit in names or not allowed0 >> bit & 1)
        ]
        fixed = [str(bit) for bit in range(32) if allowed0 >> bit & 1 and bit not in names]
        yield from _title(title, "^")
        yield from _table(("Bit", "Control", "Settings"), (8, 72, 20), rows)
        if fixed:
            yield f"Always 1 and without a name: {', '.join(fixed)}."
            yield ""
        missing = [name for bit, name in names.items() if not allowed1 >> bit & 1]
        if missing:
            yield f"Not offered: {', '.join(missing)}."
            yield ""


def _other(msrs: Mapping[int, int]) -> Iterator[str]:
    misc, ept = msrs.get(_MISC, 0), msrs.get(_EPT_VPID, 0)
    states = [name for bit, name in ((6, "HLT"), (7, "shutdown"), (8, "wait-for-SIPI")) if misc >> bit & 1]
    rows = [
        ("activity states besides active", ", ".join(states)),
        ("CR3-target values", str(misc >> 16 & 0x1FF)),
        ("entries of an MSR area, recommended", str(512 * ((misc >> 25 & 7) + 1))),
        ("VMX-preemption timer", f"counts at the rate of the time-stamp counter divided by {1 << (misc & 31)}"),
        ("VMWRITE to exit-information fields", "yes" if misc >> 29 & 1 else "no"),
        ("injection with instruction length 0", "yes" if misc >> 30 & 1 else "no"),
        ("EPT and VPID", ", ".join(name for bit, name in _EPT_VPID_BITS.items() if ept >> bit & 1)),
        ("VM functions", "EPTP switching" if msrs.get(_VMFUNC, 0) & 1 else "none"),
    ]
    yield from _table(("Capability", "Value"), (35, 65), rows)


def _rules(table: RuleTable, rows: Sequence[Row]) -> Iterator[str]:
    for area, title in table.areas.items():
        yield from _title(title, "^")
        cells = [
            (rule.id, rule.text, rule.section, f"{status}: {reason}" if reason else status)
            for rule, status, reason in rows
            if rule.area == area
        ]
        yield from _table(("Rule", "Statement", "SDM volume 3", "Status"), (14, 46, 22, 18), cells)


def _totals(suites: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    counts = {suite: Counter(status for _rule, status, _reason in rows) for suite, rows in suites.items()}
    cells = [(suite, str(count.total()), *(str(count[status]) for status in Status)) for suite, count in counts.items()]
    yield from _table(("Suite", "Rules", *Status), (25, *[15] * (1 + len(Status))), cells)


def _untested(suites: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    for suite, rows in suites.items():
        yield from _title(f"Suite {suite}", "^")
        cells = [(rule.id, rule.text) for rule, status, _reason in rows if status == Status.UNTESTED]
        if cells:
            yield from _table(("Rule", "Statement"), (20, 80), cells)
        else:
            yield from ("None.", "")


def page(
    table: RuleTable,
    suites: Mapping[str, Sequence[Row]],
    msrs: Mapping[int, int],
    left_out: Sequence[tuple[str, str]],
) -> str:
    """The whole page: the rules of `table`, one of the suites, and the totals of all.

    Each row is a rule, its status and the reason for it.
    """
    lines = [
        # REUSE-IgnoreStart
        ".. SPDX-License-Identifier: BSD-2-Clause-Patent",
        # REUSE-IgnoreEnd
        "",
        f".. Generated: {COMMAND}",
        "",
        *_title("What the machine implements", "="),
        "This page comes from the capability MSRs and a run of the test images. Regenerate it with::",
        "",
        f"    {COMMAND}",
        "",
        *_totals(suites),
        "``passed``: at least one check named the rule and all that did passed.",
        "``failed``: one of them failed, or the run made none.",
        "``untestable``: no image can see it, or the machine does not offer it.",
        "``unconfirmed``: the manual leaves it open; a check, if there is one, records this machine's choice.",
        "``untested``: no check of it has been written.",
        "",
        "What differs from a real processor is in :doc:`differences`.",
        "",
        *_title("Controls", "-"),
        "The names are the SDM's. What is not in a table is refused by VM entry.",
        "",
        *_controls(msrs),
        *_title("Other capabilities", "-"),
        *_other(msrs),
        *_title("Left out on purpose", "-"),
        "Not advertised, hence refused by VM entry, and without rules below.",
        "",
        *_table(("Part", "Controls and instructions"), (35, 65), left_out),
        *_title("Rules of plain VMX", "-"),
        *_rules(table, suites[table.suite]),
        *_title("Untested", "-"),
        *_untested(suites),
    ]
    return "\n".join(lines).rstrip() + "\n"
