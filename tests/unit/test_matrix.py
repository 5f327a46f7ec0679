# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``matrix``: patches tried one by one, names looked for, versions chosen, and what cannot be had."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from build_scripts import cli, paths
from build_scripts.commands import matrix as command
from build_scripts.errors import ExitCode, LabError
from build_scripts.sources import sources
from build_scripts.sources.distribution import SourceFile
from build_scripts.versions import firmware_needs, matrix, newer
from build_scripts.versions.matrix import Row, Status
from build_scripts.versions.series import Fit, PatchResult, try_series

LINES = [f"line {number}" for number in range(20)]


def patch(folder: Path, name: str, old: str, new: str) -> Path:
    """A patch of one line of ``file.c``, with three lines around it."""
    at = LINES.index(old)
    before, after = LINES[at - 3 : at], LINES[at + 1 : at + 4]
    body = [f" {line}" for line in before] + [f"-{old}", f"+{new}"] + [f" {line}" for line in after]
    path = folder / name
    path.write_text(f"--- a/file.c\n+++ b/file.c\n@@ -{at - 2},7 +{at - 2},7 @@\n" + "\n".join(body) + "\n")
    return path


@pytest.mark.parametrize(
    ("lines", "fit"),
    [
        (LINES, Fit.CLEAN),
        (["more", *LINES], Fit.MOVED),
        ([*LINES[:7], "changed", *LINES[8:]], Fit.FUZZY),
        ([*LINES[:10], "changed", *LINES[11:]], Fit.FAILED),
    ],
)
def test_each_patch_is_told_by_itself(tmp_path: Path, lines: list[str], fit: Fit) -> None:
    """The second one is tried whatever became of the first, and nothing of the tree is written."""
    series = [patch(tmp_path, "0001-a.patch", "line 10", "ours"), patch(tmp_path, "0002-b.patch", "line 16", "ours")]
    tree = tmp_path / "tree"
    tree.mkdir()
    text = "\n".join(lines) + "\n"
    (tree / "file.c").write_text(text)
    first, second = try_series(tree, series)
    assert (first.fit, first.passed) == (fit, fit in (Fit.CLEAN, Fit.MOVED))
    assert second.passed
    assert (first.complaints != ()) == (fit is Fit.FAILED)
    assert all(complaint.startswith("file.c: ") for complaint in first.complaints)
    assert (tree / "file.c").read_text() == text


def test_a_file_that_is_gone_fails(tmp_path: Path) -> None:
    (result,) = try_series(tmp_path, [patch(tmp_path, "0001-a.patch", "line 10", "ours")])
    assert result.fit is Fit.FAILED and result.complaints


def test_the_pinned_sources_pass() -> None:
    """The series is the one that the lab builds, so this is what the other rows are to be compared with."""
    edk2, qemu = sources.locate("edk2"), sources.locate("qemu")
    assert matrix.try_qemu(qemu.version, qemu.path, True).status is Status.PASSED
    row = matrix.try_edk2(edk2.version, edk2.path, True)
    assert row.missing == () and row.status is Status.PASSED
    assert "UefiCpuPkg/PiSmmCpuDxeSmm/PiSmmCpuDxeSmm.inf" in firmware_needs.named_files(paths.CHECKOUT)


def test_what_an_edk2_lacks_is_named(tmp_path: Path) -> None:
    row = matrix.try_edk2("1", tmp_path, False)
    assert row.status is Status.FAILED
    assert "no OvmfPkg/OvmfPkgX64.dsc" in row.missing and "no <Register/Intel/StmApi.h>" in row.missing


def offer(version: str, package: str = "qemu") -> SourceFile:
    return SourceFile(package, version, f"{package}_{version}+ds.orig.tar.xz", "0" * 64)


def test_the_newest_of_each_later_series_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sources.PINS["qemu"], "version", "10.0.13")
    offers = [offer(version) for version in ("11.1.2", "10.2.2", "11.1.10", "10.0.20", "9.2.0")]
    assert [[one.version for one in found] for found in newer.choose("qemu", offers)] == [
        ["10.2.2"],
        ["11.1.10", "11.1.2"],
    ]
    monkeypatch.setitem(sources.PINS["edk2"], "version", "edk2-stable202502")
    offers = [offer(version, "edk2") for version in ("2025.02", "2025.05", "2026.08")]
    assert [[one.version for one in found] for found in newer.choose("edk2", offers)] == [["2025.05"], ["2026.08"]]


def test_what_cannot_be_had_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object) -> list[newer.Offer]:
        raise LabError("no index from the mirror")

    monkeypatch.setattr(newer, "offered", fails)
    rows = matrix.matrix({})
    refused = [row for row in rows if row.status is Status.REFUSED]
    assert [(row.name, row.version) for row in refused] == [("qemu", "newer"), ("edk2", "newer")]
    assert all("no index from the mirror" in row.reason for row in refused)


def test_a_mirror_behind_its_index_gives_the_version_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unpacked(one: newer.Offer, *_arguments: object) -> Path:
        if one.version == "11.1.3":
            raise LabError("downloading failed:\n404")
        return tmp_path

    offers = [newer.Offer(version, offer(version)) for version in ("11.1.3", "11.1.2")]
    monkeypatch.setattr(newer, "offered", lambda *_arguments: [offers])
    monkeypatch.setattr(newer, "unpacked", unpacked)
    rows = [row for row in matrix.matrix({}) if not row.pinned]
    assert [(row.name, row.version) for row in rows] == [("qemu", "11.1.2"), ("edk2", "11.1.2")]
    monkeypatch.setattr(newer, "offered", lambda *_arguments: [offers[:1]])
    refused = [row for row in matrix.matrix({}) if not row.pinned]
    assert {(row.status, row.reason) for row in refused} == {(Status.REFUSED, "11.1.3: downloading failed")}


@pytest.mark.parametrize(("name", "mark"), [("qemu", "VERSION"), ("edk2", "MdePkg/MdePkg.dec")])
def test_a_tree_that_is_none_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, mark: str
) -> None:
    """One sentence and the code for a bad option, before any source is looked for."""
    monkeypatch.setattr(sources, "locate", lambda _name: pytest.fail("a source was looked for first"))
    assert cli.main(["matrix", f"--{name}", str(tmp_path)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"stmlab: {tmp_path} is no tree of {name}: it has no {mark}\nremedy: ")


ROWS = [
    Row("qemu", "10.0.13", True, Status.PASSED, patches=(PatchResult("0001-a.patch", Fit.CLEAN),)),
    Row("qemu", "10.2.2", False, Status.FAILED, "1 of 1", (PatchResult("0001-a.patch", Fit.FAILED, ("f.c: no",)),)),
    Row("edk2", "newer", False, Status.REFUSED, "no network"),
]


@pytest.mark.parametrize("pinned", [Status.PASSED, Status.FAILED])
def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pinned: Status
) -> None:
    """What newer versions lack is no failure of the command; what the pinned one lacks is."""
    rows = [Row("qemu", "10.0.13", True, pinned), *ROWS[1:]]
    monkeypatch.setattr(matrix, "matrix", lambda trees: rows)
    path = tmp_path / "matrix.json"
    status = command.matrix([], [], path)
    assert status == (ExitCode.OK if pinned is Status.PASSED else ExitCode.EXPECTATION_FAILED)
    text = capsys.readouterr().out
    assert "10.0.13 (pinned)" in text and "0001-a.patch: fails" in text and "f.c: no" in text
    schema = json.loads((paths.SCHEMAS / "matrix-1.json").read_text())
    jsonschema.validate(json.loads(path.read_text()), schema)
