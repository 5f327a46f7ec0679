# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs fuzz targets, counts their calls, and says what a failure was and how to see it again."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.fuzzing import tools
from build_scripts.fuzzing.targets import Target
from build_scripts.processes import ends_with_parent

# libFuzzer's own limit for one input; a walk or a list that does not end is a failure.
_INPUT_SECONDS = 20
_ROUND_SECONDS = 20
_CALLS = re.compile(r"^stmlab-calls: (\d+)$", re.MULTILINE)
_RUNS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)$", re.MULTILINE)
_COVERED = re.compile(r"cov: (\d+)")
_CAUSES = (
    re.compile(r"^(?:.*/)?(\S+:\d+: does not hold: .*)$", re.MULTILINE),
    re.compile(r"^(?:.*/)?(\S+:\d+:\d+: runtime error: .*)$", re.MULTILINE),
    re.compile(r"^SUMMARY: (.*)$", re.MULTILINE),
)


@dataclass
class Result:
    """What became of one target.

    Attributes:
        name: of the target.
        runs: inputs that were tried.
        calls: of the code under test, all inputs together.
        covered: edges of the program that some input has reached.
        inputs: of the corpus at the end.
        cause: of a failure; empty if there was none.
        failing: the input that failed.
        log: of the last run.
    """

    name: str
    runs: int = 0
    calls: int = 0
    covered: int = 0
    inputs: int = 0
    cause: str = ""
    failing: Path | None = None
    log: Path | None = None

    def as_json(self) -> dict[str, object]:
        """Its facts."""
        facts: dict[str, object] = {
            name: getattr(self, name) for name in ("name", "runs", "calls", "covered", "inputs", "cause")
        }
        return facts | {"failing": str(self.failing) if self.failing else None}


@dataclass(frozen=True)
class Effort:
    """How long to fuzz, of three ways exactly one.

    Attributes:
        runs: inputs for each target.
        calls: of all targets together, by rounds of the same time for each.
        seed: of libFuzzer's random numbers; 0 for another one each time.
    """

    runs: int = 0
    calls: int = 0
    seed: int = 0


@dataclass
class Campaign:
    """Targets of this checkout, their corpora, and a folder for logs and failing inputs."""

    programs: Path
    folder: Path
    results: dict[str, Result] = field(default_factory=dict)

    def _corpus(self, target: Target) -> Path:
        corpus = self.folder / f"corpus-{target.name}"
        if not corpus.is_dir():
            corpus.mkdir()
            with zipfile.ZipFile(self.programs / f"{target.name}_seed_corpus.zip") as seeds:
                seeds.extractall(corpus)
        return corpus

    def _command(self, target: Target, *limits: str) -> list[str]:
        command = [str(self.programs / target.name), f"-max_len={target.length}", f"-timeout={_INPUT_SECONDS}"]
        command += ["-print_final_stats=1", f"-artifact_prefix={self.folder}/{target.name}-", *limits]
        dictionary = self.programs / f"{target.name}.dict"
        return [*command, f"-dict={dictionary}"] if dictionary.is_file() else command

    def run(self, target: Target, *limits: str) -> Result:
        """One process of a target, added to what is known of it.

        Args:
            limits: further options of libFuzzer.
        """
        result = self.results.setdefault(target.name, Result(target.name))
        corpus = self._corpus(target)
        result.log = self.folder / f"{target.name}.log"
        with result.log.open("wb") as output:
            ended = subprocess.run(
                [*self._command(target, *limits), str(corpus)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=tools.environment(),
                preexec_fn=ends_with_parent(),
                check=False,
            )
        text = result.log.read_text(encoding="utf-8", errors="replace")
        result.runs += sum(map(int, _RUNS.findall(text)))
        result.calls += sum(map(int, _CALLS.findall(text)))
        result.covered = max([result.covered, *map(int, _COVERED.findall(text))])
        result.inputs = len(list(corpus.iterdir()))
        if ended.returncode != 0:
            result.cause = cause_of(text)
            kept = sorted(self.folder.glob(f"{target.name}-*-*"), key=lambda path: path.stat().st_mtime)
            result.failing = kept[-1] if kept else None
        return result

    def fuzz(self, targets: list[Target], effort: Effort) -> Iterator[Result]:
        """Fuzz, and tell of each target when it has had a turn. A target that failed has no other turn."""
        if effort.calls == 0:
            for target in targets:
                yield self.run(target, f"-runs={effort.runs}", f"-seed={effort.seed}")
            return
        going = list(targets)
        while going and sum(result.calls for result in self.results.values()) < effort.calls:
            for target in list(going):
                result = self.run(target, f"-max_total_time={_ROUND_SECONDS}", f"-seed={effort.seed}")
                yield result
                if result.cause:
                    going.remove(target)


def cause_of(text: str) -> str:
    """The line of a target's output that says why it failed."""
    for pattern in _CAUSES:
        if found := pattern.search(text):
            return found[1]
    return "it ended without a word"


def replay(programs: Path, target: Target, file: Path) -> tuple[int, str]:
    """Give one input to a target.

    Returns:
        Its exit status and what it said.
    Raises:
        LabError: there is no such file.
    """
    if not file.is_file():
        raise LabError(f"--input: {file} is no file", ExitCode.USAGE)
    command = [str(programs / target.name), f"-timeout={_INPUT_SECONDS}", str(file)]
    ended = subprocess.run(
        command, env=tools.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def prepare() -> Campaign:
    """Targets built, and a fresh folder.

    Raises:
        LabError: they cannot be built.
    """
    programs = tools.built()
    return Campaign(programs, paths.new_run_dir("fuzz"))
