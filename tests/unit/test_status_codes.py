# SPDX-License-Identifier: BSD-2-Clause-Patent
"""docs/reference/stm-status-codes.rst: every status code of the interface, with a test that reaches it or a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import stm_interface

_ROW = re.compile(r"^   \* - ``(\w+)``\n((?:     .*\n)+)", re.MULTILINE)
_TEST = re.compile(r"``(tests/[\w/.]+\.py)::(\w+)``")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
# Codes that only steer the STM's own work.
INTERNAL = {"ERROR_STM_BUFFER_TOO_SMALL"}


@pytest.fixture(scope="module")
def codes() -> dict[str, int]:
    """The header's codes and their values."""
    return stm_interface.statuses()


@pytest.fixture(scope="module")
def tables(checkout: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Rows of the two tables: what is returned, and what is not."""
    page = (checkout / "docs/reference/stm-status-codes.rst").read_text(encoding="utf-8")
    returned, _, others = page.partition(".. list-table:: Not returned")
    rows = [*_ROW.findall(returned), *_ROW.findall(others)]
    assert len({name for name, _ in rows}) == len(rows), "a code has two rows"
    return dict(_ROW.findall(returned)), dict(_ROW.findall(others))


def used(checkout: Path) -> set[str]:
    """Codes that the STM's sources use outside comments."""
    names: set[str] = set()
    for folder in ("StmPkg/Stm", "StmPkg/Library"):
        for path in sorted((checkout / folder).rglob("*.c")):
            code = _COMMENT.sub("", path.read_text(encoding="utf-8"))
            names |= set(re.findall(r"\b(?:ERROR_(?:STM|SMM|INVALID)_|STM_CRASH_|STM_SUCCESS|SMM_SUCCESS)\w*", code))
    return names


def test_every_code_has_a_row(codes: dict[str, int], tables: tuple[dict[str, str], dict[str, str]]) -> None:
    assert set(tables[0]) | set(tables[1]) == set(codes)


def test_every_row_has_its_number(codes: dict[str, int], tables: tuple[dict[str, str], dict[str, str]]) -> None:
    rows = {**tables[0], **tables[1]}
    numbers = {name: row.splitlines()[0].removeprefix("     - ") for name, row in rows.items()}
    assert numbers == {name: f"{code:08X}H" for name, code in codes.items()}


def test_rows_are_what_the_sources_say(
    codes: dict[str, int], tables: tuple[dict[str, str], dict[str, str]], checkout: Path
) -> None:
    """A code that the STM uses stands in the first table, and no other does."""
    assert used(checkout) & set(codes) - INTERNAL == set(tables[0])


def test_codes_are_reached(
    codes: dict[str, int], tables: tuple[dict[str, str], dict[str, str]], checkout: Path
) -> None:
    """Each test is there, and one of a code's files, or what it builds on, knows the code by name or value."""
    for name, row in tables[0].items():
        tests = _TEST.findall(row)
        assert tests, f"{name}: no test"
        texts = []
        for file, function in tests:
            text = (checkout / file).read_text(encoding="utf-8")
            assert f"def {function}(" in text, f"{name}: {file} has no {function}"
            images = [path.read_text(encoding="utf-8") for path in sorted((checkout / file).parent.glob("*.[ch]"))]
            models = [(checkout / file).with_name(each).read_text(encoding="utf-8") for each in _models(text)]
            texts += [text, *images, *models]
        # A panic has the firmware's reason in its last digit.
        value = f"{codes[name]:08x}".removesuffix("0" if name == "STM_CRASH_BIOS_PANIC" else "")
        short = re.sub(r"^(ERROR_STM|ERROR|STM_CRASH|STM)_", "", name)
        known = any(value in text.lower().replace("_", "") or re.search(rf"\b\w*{short}\b", text) for text in texts)
        assert known, f"{name}: none of its tests knows {value} or {short}"


def _models(text: str) -> list[str]:
    return [f"{name}.py" for name in re.findall(r"^from tests\.host import (\w+_model) as", text, re.MULTILINE)]


def test_reasons(tables: tuple[dict[str, str], dict[str, str]]) -> None:
    """A code that is not returned has a reason and no test."""
    for name, row in tables[1].items():
        _number, _, reason = row.partition("\n")
        assert len(reason.split()) >= 3 and not _TEST.search(row), name


def test_answers_to_a_launcher_have_the_headers_numbers(codes: dict[str, int], checkout: Path) -> None:
    """The launcher's page names an answer by its number and by words of the code's name."""
    page = (checkout / "docs/guide/launching.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^   \* - (8\w{7})H, (.+)$", page, re.MULTILINE)
    names = {f"{code:08X}": name.lower().split("_") for name, code in codes.items()}
    wrong = [(number, words) for number, words in rows if not set(words.lower().split()) <= set(names.get(number, ()))]
    assert len(rows) >= 8 and wrong == [("80010001", "the regions lie in SMRAM")]
