# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Comments of the machine's own files cite rules that the repository holds, and say what they are about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
RULE = re.compile(r"\bDM-[A-Z]+-\d+\b")
# A rule id, short forms after it (-29, 04), and the words of a list.
LIST = re.compile(r"\bDM-[A-Z]+-\d+\b|(?<!\w)-?\d{2}\b|\b(?:and|to|or)\b|[\s,;.*/]")
# Names of tables, matrices and decisions in notes that are not part of the repository.
ELSEWHERE = re.compile(r"\b[MTG]-?\d{1,2}\b")


def _faults(text: str, rules: set[str]) -> list[str]:
    """What is wrong with the comments of a file."""
    found = []
    for comment in COMMENT.findall(text):
        cited = set(RULE.findall(comment))
        found += [f"{rule} is no rule of ours" for rule in sorted(cited - rules)]
        found += [f"{name} is held nowhere" for name in ELSEWHERE.findall(comment)]
        if cited and not LIST.sub("", comment):
            found.append(f"no phrase beside {comment}")
    return found


@pytest.fixture(scope="module")
def rules(checkout: Path) -> set[str]:
    return set(RULE.findall((checkout / "tests" / "machine" / "rules" / "dual-monitor.toml").read_text("utf-8")))


def test_comments_cite_what_is_here(checkout: Path, rules: set[str]) -> None:
    cited = 0
    for path in sorted((checkout / "Platform" / "QemuVmx" / "vmx").iterdir()):
        text = path.read_text("utf-8")
        cited += len(RULE.findall(text))
        assert _faults(text, rules) == [], path.name
    assert cited > 100


@pytest.mark.parametrize(
    "comment",
    [
        "/* DM-EXI-12 */",
        "/* DM-ACT-24 to DM-ACT-26 */",
        "/* DM-ENA-27, -29 */",
        "/* Step 2 of matrix M4. */",
        "/* Rule table T13 */",
        "/* As decided in G-01. */",
        "/* The pointer becomes current (DM-EXI-999). */",
    ],
)
def test_planted_comment_is_found(rules: set[str], comment: str) -> None:
    assert _faults(f"    {comment}\n    call();\n", rules) != []


def test_phrase_is_enough(rules: set[str]) -> None:
    assert _faults("/* The pointer becomes current (DM-EXI-12). */\nx = T1;\n", rules) == []
    assert _faults("/*\n * NMIs are blocked\n * (DM-EXI-55).\n */\n", rules) == []
