# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rules that the checks of the images name: ``tests/machine/rules/*.toml``, one file a suite."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from build_scripts import paths

RULES = paths.CHECKOUT / "tests" / "machine" / "rules"
SUITES = ("vmx", "dual-monitor")

# Parts of VMX that the machine leaves out on purpose: not advertised, refused by VM entry, without rules.
LEFT_OUT = (
    ("Posted interrupts", "process posted interrupts"),
    ("Virtual-interrupt delivery", "virtual-interrupt delivery, APIC-register virtualization, virtualize x2APIC mode"),
    ("VMCS shadowing", "VMCS shadowing, VMREAD and VMWRITE bitmaps, shadow VMCSs"),
    ("Page-modification logging", "enable PML"),
    ("EPT-violation #VE and sub-page permissions", "EPT-violation #VE, sub-page write permissions for EPT"),
    ("Control-flow enforcement", "load CET state"),
    ("Safer mode extensions", "GETSEC, VMXON in SMX operation"),
    ("Software guard extensions", "ENCLS exiting, enclave interruption"),
    ("Processor trace", "conceal VMX from PT, Intel PT uses guest-physical addresses"),
    ("Performance monitoring", "save IA32_PERF_GLOBAL_CTRL, PMU interrupts and counters"),
)


@dataclass(frozen=True)
class Rule:
    """One rule of a table.

    untestable says why no image can see it; unconfirmed what the manual leaves
    open, so that a check of it says nothing about other processors, and choice
    what this machine does there; untested that there is no check yet.
    """

    id: str
    area: str
    section: str
    text: str
    untestable: str = ""
    unconfirmed: str = ""
    untested: bool = False
    choice: str = ""


@dataclass(frozen=True)
class RuleTable:
    """A suite: the titles of its areas and its rules, both in the file's order."""

    suite: str
    areas: dict[str, str]
    rules: dict[str, Rule]


def load(suite: str) -> RuleTable:
    """Reads the table of a suite.

    Raises:
        ValueError: an id is there twice, in the wrong area, or marked without being a rule.
    """
    with (RULES / f"{suite}.toml").open("rb") as file:
        data = tomllib.load(file)
    rules: dict[str, Rule] = {}
    for section in data["section"]:
        area = section["area"]
        untestable, unconfirmed = section.get("untestable", {}), section.get("unconfirmed", {})
        untested, choices = section.get("untested", []), section.get("choice", {})
        if choices.keys() != unconfirmed.keys():
            raise ValueError(f"left open or chosen, but not both: {sorted(choices.keys() ^ unconfirmed.keys())}")
        if stray := {*untestable, *unconfirmed, *untested} - {*section["rules"]}:
            raise ValueError(f"marked, but no rule of that section: {sorted(stray)}")
        for name, text in section["rules"].items():
            if name in rules or name.split("-")[1] != area or area not in data["areas"]:
                raise ValueError(f"{name} does not belong in area {area}, or is there twice")
            marks = (untestable.get(name, ""), unconfirmed.get(name, ""), name in untested, choices.get(name, ""))
            rules[name] = Rule(name, area, section["title"], text, *marks)
    return RuleTable(suite, data["areas"], rules)


def known_rules() -> dict[str, Rule]:
    """The rules of all suites by id."""
    return {name: rule for suite in SUITES for name, rule in load(suite).rules.items()}
