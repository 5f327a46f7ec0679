# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The ten chapters: in order, of one form, with exercises, and with links into our own code that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts.exercises import tree
from build_scripts.exercises.catalogue import EXERCISES

CHAPTERS = (
    "smi-by-itself",
    "plain-vmm",
    "mseg-header",
    "activation",
    "one-smi",
    "rsm",
    "exit-handler",
    "attack-it",
    "standby",
    "real-hypervisors",
)
SECTIONS = (
    "Predict",
    "Run it",
    "What you see",
    "The picture",
    "How it works",
    "Break it",
    "A question for class",
    "Where silicon differs",
)
_HEADING = re.compile(r"^(.+)\n(?:=+|-+)$", re.MULTILINE)
_SOURCE = re.compile(r"``((?:StmPkg|tests|build_scripts|docs|Platform)/[\w./-]+)``")


def page(checkout: Path, name: str) -> str:
    return (checkout / f"docs/tutorial/{name}.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CHAPTERS)
def test_form(checkout: Path, name: str) -> None:
    text = page(checkout, name)
    title, *sections = _HEADING.findall(text)
    assert title.startswith(f"{CHAPTERS.index(name) + 1}. ")
    assert [section for section in sections if section in SECTIONS] == list(SECTIONS)
    assert "*You will understand*" in text and "*You need*" in text
    # One command, and an exercise whose symptom and mend are hidden, as the answer is.
    assert "$ python3 -m build_scripts" in text[text.index("\nRun it\n") : text.index("\nThe picture\n")]
    for hidden in ("The symptom", "The mend", "Answer"):
        assert f".. dropdown:: {hidden}" in text, hidden
    assert [exercise for exercise in EXERCISES if exercise.page == f"tutorial/{name}"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_links_into_our_code(checkout: Path, name: str) -> None:
    """A file that is there, or one that an exercise's solution makes."""
    patches = "".join(path.read_text(encoding="utf-8") for path in tree.PATCHES.iterdir())
    named = _SOURCE.findall(page(checkout, name))
    assert named
    assert [path for path in named if not (checkout / path).exists() and f"+++ b/{path}\n" not in patches] == []


def test_the_index_has_them_in_order(checkout: Path) -> None:
    """As a list, and as the menu; and exercises come in the order of their chapters."""
    index = (checkout / "docs/index.rst").read_text(encoding="utf-8")
    assert re.findall(r"^#\. :doc:`tutorial/([\w-]+)`", index, re.MULTILINE) == list(CHAPTERS)
    menu = re.findall(r"^   tutorial/([\w-]+)$", index, re.MULTILINE)
    assert tuple(menu[1 : 1 + len(CHAPTERS)]) == CHAPTERS
    order = [CHAPTERS.index(exercise.page.removeprefix("tutorial/")) for exercise in EXERCISES]
    assert order == sorted(order)


def test_the_table_of_exercises(checkout: Path) -> None:
    """A row for each, in order, with its chapter, its title, and what checks it."""
    text = (checkout / "docs/reference/exercises.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^   \* - ``(.+)``\n     - :doc:`/(.+)`\n     - (.+)\n     - (.+)$", text, re.MULTILINE)
    checks = [
        "the file of answers" if each.answers else f"``bare {each.program}``" if each.program else "a boot"
        for each in EXERCISES
    ]
    expected = [(each.name, each.page, each.title) for each in EXERCISES]
    assert rows == [(*row, check) for row, check in zip(expected, checks, strict=True)]


def test_the_class_page_has_every_chapter_with_its_exercises(checkout: Path) -> None:
    """A row for each chapter, in order: a command that the chapter shows, and all of its exercises."""
    text = (checkout / "docs/guide/class.rst").read_text(encoding="utf-8")
    rows = re.findall(r"   \* - :doc:`/tutorial/([\w-]+)`\n     - (.+)\n     - (.+)\n", text)
    assert tuple(name for name, _, _ in rows) == CHAPTERS
    for name, commands, exercises in rows:
        own = [exercise.name for exercise in EXERCISES if exercise.page == f"tutorial/{name}"]
        assert re.findall(r"``([\w-]+)``", exercises) == own
        shown = page(checkout, name)
        for command in re.findall(r"``(.+?)``", commands):
            assert f"python3 -m build_scripts {command}" in shown, (name, command)
