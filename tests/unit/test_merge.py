# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Results of shares, merged, are the result of the whole; what does not fit is one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from build_scripts import cli
from build_scripts.commands import conformance
from build_scripts.conformance import parts
from build_scripts.conformance.engine import Evidence
from build_scripts.conformance.image_run import parse_log
from build_scripts.conformance.image_table import Image
from build_scripts.conformance.rules import load
from build_scripts.conformance.shards import Shard
from build_scripts.errors import ExitCode
from build_scripts.model import campaign

RULES = list(load("dual-monitor").rules)
MACHINE = "QEMU 10.0.13"


def _evidence(numbers: list[int]) -> Evidence:
    """Of made-up images: each checks some rules, every seventh fails one, one hangs."""
    evidence = Evidence()
    for number in numbers:
        named = RULES[number::11]
        lines = [f"CHECK id={rule} name=n{number} result=pass detail=x" for rule in named]
        if number % 7 == 3:
            lines[0] = lines[0].replace("pass", "fail")
        failures = sum("fail" in line for line in lines)
        lines += [f"SKIP id={RULES[number]} name=s reason=not-offered", f"MSR index=0x48{number % 10} value=0x{number}"]
        lines.append(f"END checks={len(named)} failures={failures}")
        status = None if number == 5 else 0x23 if failures else 0x21
        evidence.add(Image(f"image-{number}", ("t.c",), at_least=0), parse_log("\n".join(lines), status))
    return evidence


def _written(path: Path, facts: dict[str, Any]) -> str:
    path.write_text(json.dumps(facts), encoding="utf-8")
    return str(path)


def _part(folder: Path, index: int, count: int, suite: str = "dual-monitor", machine: str = MACHINE) -> str:
    shard = Shard(index, count)
    facts = parts.as_json(suite, machine, shard, _evidence(list(shard.of(range(11)))))
    return _written(folder / f"{suite}-{index}-{count}.json", facts)


def _model(folder: Path, index: int, count: int, seeds: int = 100, processors: int = 1) -> str:
    result = campaign.Result(sequences=10 * index, operations=100, differences=[])
    result.reached.update({"in stm": index, f"VMfail {index}": 1})
    facts = campaign.as_json(result, MACHINE, 0, seeds, Shard(index, count), processors)
    return _written(folder / f"model-{index}-{count}-{seeds}-{processors}.json", facts)


def test_shares_merged_are_the_whole(tmp_path: Path) -> None:
    """To the byte, with rules that failed, were skipped, or have no check, and an image that hangs."""
    whole, merged = tmp_path / "whole.json", tmp_path / "merged.json"
    code = conformance.report("dual-monitor", MACHINE, _evidence(list(range(11))), whole, None)
    files = [_part(tmp_path, index, 3) for index in (2, 3, 1)]
    assert cli.main(["conformance", "merge", *files, "--json", str(merged)]) == code == ExitCode.EXPECTATION_FAILED
    assert merged.read_bytes() == whole.read_bytes()
    statuses = {rule["status"] for rule in json.loads(whole.read_text())["rules"]}
    assert statuses >= {"passed", "failed", "untestable", "unconfirmed"}


def test_one_share_is_not_the_whole(tmp_path: Path) -> None:
    """The comparison above can fail."""
    whole, part = tmp_path / "whole.json", tmp_path / "part.json"
    conformance.report("dual-monitor", MACHINE, _evidence(list(range(11))), whole, None)
    conformance.report("dual-monitor", MACHINE, _evidence([0, 3, 6, 9]), part, None)
    assert part.read_bytes() != whole.read_bytes()


def test_model_merged(tmp_path: Path) -> None:
    """Counts are added."""
    merged = tmp_path / "merged.json"
    files = [_model(tmp_path, index, 2) for index in (1, 2)]
    assert cli.main(["conformance", "merge", *files, "--json", str(merged)]) == ExitCode.OK
    facts = json.loads(merged.read_text())
    assert (facts["sequences"], facts["operations"], facts["shard"]) == (30, 200, "1/1")
    assert facts["reached"] == {"VMfail 1": 1, "VMfail 2": 1, "in stm": 3}


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([(1, 3), (3, 3)], "share 2/3 is missing"),
        ([(1, 2), (2, 2), (2, 2)], "share 2/2 is there twice"),
        ([(1, 2), (2, 3)], "shares of 2 and of 3 do not belong together"),
        ([], "nothing to merge"),
    ],
)
def test_shares_that_make_no_whole(
    shares: list[tuple[int, int]], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and its remedy, for both kinds of results."""
    for make in (_part, _model):
        files = [make(tmp_path, index, count) for index, count in shares]
        assert cli.main(["conformance", "merge", *files]) == ExitCode.USAGE
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 2 and "remedy: name the file of every share" in error


def test_files_of_different_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Suites, machines and campaigns do not mix."""
    for files, said in (
        ([_part(tmp_path, 1, 2), _part(tmp_path, 2, 2, suite="vmx")], "differ in their suite: dual-monitor and vmx"),
        ([_part(tmp_path, 1, 2), _model(tmp_path, 2, 2)], "differ in their suite"),
        ([_model(tmp_path, 1, 2), _model(tmp_path, 2, 2, seeds=200)], "differ in their asked: 100 and 200"),
        ([_model(tmp_path, 1, 2), _model(tmp_path, 2, 2, processors=2)], "differ in their processors: 1 and 2"),
        ([_part(tmp_path, 1, 2), _part(tmp_path, 2, 2, machine="QEMU 9")], "differ in their machine"),
    ):
        assert cli.main(["conformance", "merge", *files]) == ExitCode.USAGE
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"suite": "model"}', "not json", '{"schema_version": 2}'])
def test_files_that_are_no_results(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said of the file by name."""
    bad = tmp_path / "bad.json"
    bad.write_text(text, encoding="utf-8")
    assert cli.main(["conformance", "merge", str(bad)]) == ExitCode.USAGE
    assert f"{bad} is no result of a share" in capsys.readouterr().err
    assert cli.main(["conformance", "merge", str(tmp_path / "none.json")]) == ExitCode.USAGE
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"shard": "0/1"}, {"shard": "3/2"}, {"msrs": {"xyz": "0x1"}}])
def test_numbers_that_are_none(change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A share that no run has, and an MSR without an index, of an otherwise good file."""
    good = Path(_part(tmp_path, 1, 1))
    bad = _written(tmp_path / "bad.json", json.loads(good.read_text(encoding="utf-8")) | change)
    assert cli.main(["conformance", "merge", bad]) == ExitCode.USAGE
    assert f"{bad} is no result of a share" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--suite", "vmx"], ["--shard", "1/2"], ["--page", "x.rst"]])
def test_merge_takes_no_options_of_a_run(option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files say which suite and shares; an option beside them would be without effect."""
    assert cli.main(["conformance", "merge", _part(tmp_path, 1, 1), *option]) == ExitCode.USAGE
    assert f"conformance merge takes no {option[0]}" in capsys.readouterr().err


def test_a_share_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Without one nothing would be left of the work."""
    assert cli.main(["conformance", "--suite", "vmx", "--shard", "1/2"]) == ExitCode.USAGE
    assert "--shard needs --json FILE" in capsys.readouterr().err
    assert cli.main(["conformance"]) == ExitCode.USAGE
    assert "--suite vmx or --suite dual-monitor" in capsys.readouterr().err
