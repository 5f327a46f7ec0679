# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Fuzz targets: a few thousand inputs of each, the same ones every time; and what is said when one fails."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from build_scripts import cli
from build_scripts.commands import fuzz
from build_scripts.errors import ExitCode, LabError
from build_scripts.fuzzing import campaign, seeds, targets, tools
from build_scripts.fuzzing.build import CompileError, build
from build_scripts.fuzzing.campaign import Campaign, Effort
from build_scripts.fuzzing.targets import Target
from build_scripts.sources import sources
from build_scripts.stm_image import inspect_image

TARGETS = targets.load()
RUNS = 1500
# A target that asks for what its input says: three bytes without an x, then without a division by 0.
PLANTED = """
#include "fuzz/fuzz.h"
int LLVMFuzzerTestOneInput (CONST UINT8 *Data, UINTN Size) {
  FUZZ_INPUT Input = { Data, Data + Size };
  FuzzCalls += 2;
  REQUIRE (FuzzTake (&Input, 1) != 'x');
  return (int)(FuzzTake (&Input, 2) / (Size > 1 ? FuzzTake (&Input, 1) : 1)) * 0;
}
"""


@pytest.fixture(scope="session")
def clang() -> None:
    """The one thing that tests are skipped for (CONTRIBUTING.md): too large to be installed without a word."""
    if missing := tools.lacking():
        pytest.skip(f"fuzzing needs {missing}")


@pytest.fixture(scope="module")
def programs(clang: None) -> Path:
    return tools.built()


@pytest.mark.parametrize("name", TARGETS)
def test_smoke(programs: Path, name: str, tmp_path: Path) -> None:
    """No input of a short run breaks an invariant or alarms a sanitizer, and the calls are made."""
    started = Campaign(programs, tmp_path)
    (result,) = started.fuzz([TARGETS[name]], Effort(runs=RUNS, seed=1))
    assert result.cause == "", f"{result.cause}\nagain: fuzz {name} --input {result.failing}"
    assert result.runs >= RUNS
    assert result.calls >= RUNS
    assert result.inputs > len(seeds.of(name)), "random inputs reach nothing that the seeds do not reach"


def test_seeds(programs: Path) -> None:
    """They are in the archives, no two alike, and fit the longest input."""
    for name, target in TARGETS.items():
        made = seeds.of(name)
        assert len(set(made)) == len(made) >= 2
        assert max(map(len, made)) <= target.length
        with zipfile.ZipFile(programs / f"{name}_seed_corpus.zip") as archive:
            assert [archive.read(entry) for entry in archive.namelist()] == made
        assert (programs / f"{name}.options").read_text() == f"[libfuzzer]\nmax_len = {target.length}\n"
        assert (programs / f"{name}.dict").is_file() == (target.dictionary is not None)


def test_seed_of_an_image_is_one() -> None:
    assert inspect_image(seeds.image_file()).problems == ()


@pytest.fixture(scope="module")
def planted(clang: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a target with two faults."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "planted.c").write_text(PLANTED, encoding="ascii")
    kit = targets.Tools("clang", "clang++", tools.FLAGS_OF_CLANG, tools.ENGINE, sources.edk2_dir())
    objects = []
    for source in (folder / "planted.c", targets.FOLDER / "fuzz.c"):
        objects.append(folder / f"{source.stem}.o")
        subprocess.run(targets.compile_command(kit, source, objects[-1]), check=True)
    subprocess.run(targets.link_command(kit, objects, folder / "planted"), check=True)
    return folder


@pytest.mark.parametrize(
    ("seed", "cause"),
    [(b"xab", "does not hold: FuzzTake (&Input, 1) != 'x'"), (b"aab\0", "runtime error: division by zero")],
    ids=["invariant", "sanitizer"],
)
def test_failure_is_told(planted: Path, tmp_path: Path, seed: bytes, cause: str) -> None:
    """Cause, input, and how to see it again."""
    with zipfile.ZipFile(planted / "planted_seed_corpus.zip", "w") as archive:
        archive.writestr("seed", seed)
    target = Target("planted", "", "", 16, ())
    started = Campaign(planted, tmp_path)
    (result,) = started.fuzz([target], Effort(runs=100, seed=1))
    assert cause in result.cause
    assert result.failing is not None and result.failing.read_bytes() == seed
    assert result.as_json()["failing"] == str(result.failing)
    status, text = campaign.replay(planted, target, result.failing)
    assert status != 0 and cause in campaign.cause_of(text)
    harmless = tmp_path / "harmless"
    harmless.write_bytes(b"abc\1")
    assert campaign.replay(planted, target, harmless)[0] == 0


def test_calls_end_a_campaign(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds go on until enough calls were made, and a target that fails leaves."""
    monkeypatch.setattr(campaign, "_ROUND_SECONDS", 1)
    with zipfile.ZipFile(planted / "planted_seed_corpus.zip", "w") as archive:
        archive.writestr("seed", b"x")
    started = Campaign(planted, tmp_path)
    results = list(started.fuzz([Target("planted", "", "", 16, ())], Effort(calls=10**9)))
    assert len(results) == 1 and results[0].cause


def test_a_target_that_does_not_compile(clang: None, tmp_path: Path) -> None:
    kit = targets.Tools("clang", "clang++", tools.FLAGS_OF_CLANG, tools.ENGINE, tmp_path)
    with pytest.raises(CompileError, match=r"Base\.h"):
        build(kit, [TARGETS["page_map"]], tmp_path)


@pytest.mark.parametrize(
    ("names", "file", "message"),
    [
        (["nothing"], None, "there is no fuzz target nothing"),
        (["walk", "api"], Path("x"), "--input belongs to one target"),
        (["walk"], Path("/nowhere/x"), "/nowhere/x is no file"),
    ],
)
def test_refusals(names: list[str], file: Path | None, message: str, request: pytest.FixtureRequest) -> None:
    if file is not None and len(names) == 1:
        request.getfixturevalue("programs")
    with pytest.raises(LabError, match=message) as refused:
        fuzz.fuzz(names, Effort(runs=1), None, file)
    assert refused.value.code is ExitCode.USAGE


def test_without_clang(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence that says what to install."""
    monkeypatch.setattr(tools, "version", lambda: "")
    with pytest.raises(LabError) as refused:
        tools.built()
    assert refused.value.code is ExitCode.MISSING_PACKAGES
    assert "clang" in refused.value.message and "apt-get install clang" in refused.value.remedy


def test_layout_of_clusterfuzzlite(checkout: Path) -> None:
    """The same build, with edk2 of the same tag; what runs there is what runs here."""
    folder = checkout / ".clusterfuzzlite"
    project = yaml.safe_load((folder / "project.yaml").read_text())
    assert project["fuzzing_engines"] == ["libfuzzer"] and set(project["sanitizers"]) == {"address", "undefined"}
    lines = (folder / "build.sh").read_text().splitlines()
    assert lines[0] == "#!/bin/bash -eu" and lines[-1].startswith("python3 -m build_scripts.fuzzing.build ")
    assert f"--branch {sources.locate('edk2').version} " in (folder / "Dockerfile").read_text()


def test_page_names_every_target(checkout: Path) -> None:
    """docs/guide/fuzzing.rst has a row for each."""
    page = " ".join((checkout / "docs/guide/fuzzing.rst").read_text(encoding="utf-8").split())
    for target in TARGETS.values():
        assert f"* - ``{target.name}`` - {target.what} - {target.calls}" in page, target.name


def test_commands_of_the_page(checkout: Path) -> None:
    """The suite cannot run a campaign; the page's command lines are ones that the grammar takes."""
    page = (checkout / "docs/guide/fuzzing.rst").read_text(encoding="utf-8")
    lines = re.findall(r"^    python3 -m build_scripts (fuzz.*)$", page, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        assert cli.parser().parse_args(line.split()).function is not None
