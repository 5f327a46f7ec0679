# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every experiment: its declaration, what it refuses, and that no expectation holds of a boot that recorded nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from build_scripts.commands import run
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import document
from build_scripts.experiments.attacking.boots import boots_for
from build_scripts.experiments.attacking.catalogue import all_attacks
from build_scripts.experiments.attacking.experiment import Attacks, AttacksSeen
from build_scripts.experiments.catalogue import EXPERIMENTS, NAMES, find
from build_scripts.experiments.experiment import COMMON, DEFAULT_EXPERIMENT, OPTIONS, Expectation, Experiment, Request
from build_scripts.experiments.kvm import Kvm, KvmSeen
from build_scripts.experiments.linux_guest import LinuxExperiment, LinuxSeen
from build_scripts.experiments.linux_mle import LinuxMle, MleSeen
from build_scripts.experiments.linux_standby import VARIANTS, LinuxStandby, LinuxStandbySeen, Slept
from build_scripts.experiments.shell import Result
from build_scripts.experiments.shell_experiment import ShellExperiment
from build_scripts.linux.boot import LinuxRun
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import Stream

from .seen import GOOD_END, booted, seen
from .streams import Logs, good_run

# A value of each option, as a user would give it.
GIVEN: dict[str, Any] = {
    "json": Path("j"),
    "trace": Path("t"),
    "script": Path("s"),
    "timeout": 9.0,
    "processors": 2,
    "verbose": True,
    "configuration": Configuration.STOCK,
    "fw_cfg": ("opt/a=1",),
    "stm_image": Path("m"),
    "kvm_args": ("ept=0",),
    "kernel": "generic",
    "kernel_args": ("quiet",),
    "program": Path("p"),
    "attack": "handler-reads-page",
    "rst": Path("r"),
}


def nothing_seen(experiment: Experiment[Any], folder: Path) -> Any:
    """Boots of the experiment that powered off and recorded nothing."""
    request = Request(experiment=experiment.name)
    if isinstance(experiment, ShellExperiment):
        courses = experiment.courses(request)
        boots = [booted(Logs(folder / str(index)), course.configuration) for index, course in enumerate(courses)]
        return seen(folder, *boots, request=request)
    if isinstance(experiment, Kvm):
        return KvmSeen(request, LinuxRun(folder, GOOD_END, ()))
    if isinstance(experiment, LinuxExperiment):
        run = LinuxRun(folder, GOOD_END, ())
        return LinuxSeen(request, experiment.processors, run, run, Stream(()))
    if isinstance(experiment, LinuxStandby):
        run = LinuxRun(folder, GOOD_END, ())
        slept = tuple(Slept(variant, run, Stream(())) for variant in VARIANTS)
        return LinuxStandbySeen(request, experiment.processors, slept)
    if isinstance(experiment, LinuxMle):
        return MleSeen(request, experiment.processors, LinuxRun(folder, GOOD_END, ()), Stream(()))
    if isinstance(experiment, Attacks):
        result = Result(folder, GOOD_END, Stream(()))
        return AttacksSeen(request, all_attacks(), tuple((boot, result) for boot in boots_for(all_attacks())))
    raise AssertionError(f"say what nothing is for {experiment.name}")


every = pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)


@every
def test_declaration(experiment: Experiment[Any], checkout: Path) -> None:
    """A name for the command line, a title for the list, a page that tells of it and shows how to call it."""
    assert re.fullmatch(r"[a-z][a-z0-9-]+", experiment.name)
    assert experiment.title and not experiment.title.endswith(".") and len(experiment.title) <= 70
    assert experiment.processors >= 1 and experiment.timeout > 0
    assert set(experiment.takes) <= set(OPTIONS) - set(COMMON)
    assert set(experiment.refuses) <= set(COMMON) - {"json", "verbose"}
    page = (checkout / "docs" / f"{experiment.page}.rst").read_text(encoding="utf-8")
    call = "run" if experiment.name == DEFAULT_EXPERIMENT else f"run {experiment.name}"
    assert re.search(rf"^   \$ python3 -m build_scripts {call}( |$)", page, re.MULTILINE)
    index = (checkout / "docs" / "index.rst").read_text(encoding="utf-8")
    assert f"   {experiment.page}\n" in index
    reference = (checkout / "docs" / "reference" / "experiments.rst").read_text(encoding="utf-8")
    assert f"``{experiment.name}``" in reference and f":doc:`/{experiment.page}`" in reference


def test_names_are_unique_and_in_the_schema() -> None:
    schema = json.loads(document.SCHEMA_FILE.read_text())
    assert len(set(NAMES)) == len(NAMES)
    assert sorted(schema["properties"]["experiment"]["enum"]) == sorted(NAMES)
    described = [rule["if"]["properties"]["experiment"]["const"] for rule in schema["allOf"]]
    assert sorted(described) == sorted(NAMES)


@every
def test_nothing_seen_meets_no_expectation(experiment: Experiment[Any], tmp_path: Path) -> None:
    """One that holds although nothing happened would assert nothing. The document is complete all the same."""
    nothing = nothing_seen(experiment, tmp_path)
    expectations = experiment.expectations(nothing)
    names = [expectation.name for expectation in expectations]
    assert len(names) == len(set(names)) > 1
    assert [expectation.name for expectation in expectations if expectation.passed] == []
    made = document.compose(experiment.name, 1, experiment.facts(nothing), expectations, ExitCode.EXPECTATION_FAILED)
    document.validate(made)


@every
@pytest.mark.parametrize("field", OPTIONS)
def test_options_are_taken_or_refused_with_a_sentence(experiment: Experiment[Any], field: str) -> None:
    request = Request(experiment=experiment.name, **{field: GIVEN[field]})
    assert request.given() == [field]
    if field in experiment.takes or (field in COMMON and field not in experiment.refuses):
        experiment.check_options(request)
        return
    with pytest.raises(LabError) as caught:
        experiment.check_options(request)
    assert caught.value.code == ExitCode.USAGE
    assert OPTIONS[field] in caught.value.message and experiment.name in caught.value.message


def test_options_are_those_of_the_command_line() -> None:
    """Each field of a request has a name there, but the experiment itself."""
    assert set(OPTIONS) == set(GIVEN) == {field for field in vars(Request()) if field != "experiment"}


@pytest.mark.parametrize(
    ("expectation", "passed", "complaint"),
    [
        (Expectation.equal("a", 2, 2), True, ""),
        (Expectation.equal("a", 2, 3), False, "a: expected 2, saw 3"),
        (Expectation.equal("a", 2, None), False, "a: expected 2, saw nothing"),
        (Expectation.equal("a", None, None), False, "a: expected nothing, saw nothing"),
        (Expectation.equal("a", ["x"], ["x", "y"]), False, "a: expected x, saw x; y"),
        (Expectation.at_least("a", 2000, 2000), True, ""),
        (Expectation.at_least("a", 2000, 1999), False, "a: expected at least 2,000, saw 1,999"),
        (Expectation.at_least("a", 2, None), False, "a: expected at least 2, saw nothing"),
        (Expectation.nothing_wrong("a", [], 1), True, ""),
        (Expectation.nothing_wrong("a", [], 0), False, "a: expected no complaint, saw nothing"),
        (Expectation.nothing_wrong("a", ["b is c", "d is e"], 7), False, "a:\n    b is c\n    d is e"),
    ],
)
def test_expectation(expectation: Expectation, passed: bool, complaint: str) -> None:
    assert expectation.passed == passed
    assert passed or expectation.complaint() == complaint
    definitions = json.loads(document.SCHEMA_FILE.read_text())["$defs"]
    jsonschema.validate(expectation.as_json(), {"$defs": definitions, "$ref": "#/$defs/expectation"})


@every
def test_failed_expectations_are_named(
    experiment: Experiment[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On the screen and in JSON, with exit code 7; the table says the same in 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    nothing = nothing_seen(experiment, tmp_path)
    monkeypatch.setattr(type(experiment), "boot", lambda _self, _request: nothing)
    monkeypatch.setattr(type(experiment), "failure", lambda _self, _seen: None)
    path = tmp_path / "out.json"
    assert run.run(Request(experiment=experiment.name, json=path)) == ExitCode.EXPECTATION_FAILED
    said = capsys.readouterr()
    made = json.loads(path.read_text())
    assert made["exit_status"] == 7 and made["experiment"] == experiment.name
    assert made["processors"] == experiment.processors
    assert made["expectations"] and not any(expectation["passed"] for expectation in made["expectations"])
    assert f"the experiment {experiment.name} did not show what it should:" in said.err
    for expectation in made["expectations"]:
        assert f"\n  {expectation['name']}:" in said.err
    assert f"Expectations: 0 of {len(made['expectations'])} met" in said.out
    table = said.out[said.out.index("Expectations:") :].partition("logs:")[0]
    assert max(len(line) for line in table.splitlines() if not line.startswith(("machine:", "console of"))) <= 80


def test_version_one_keeps_its_members(tmp_path: Path) -> None:
    """At the top of the document of first-light, and under the same names in each boot of plain-vmm."""
    members = {"configuration", "firmware", "smis", "smi_count", "variables", "activations", "stm_events", "domains"}
    good = seen(tmp_path, booted(good_run(tmp_path)))
    first = find("first-light").facts(good)
    assert set(first) == members
    assert first["firmware"]["mseg_base"] == 0x1FE00000 and first["smi_count"] == 321
    assert [set(boot) for boot in find("plain-vmm").facts(good)["boots"]] == [members]


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 1},
        {"exit_status": 1},
        {"surprise": 1},
        {"smi_count": -1},
        {"smis": [{}]},
        {"experiment": "third-light"},
        {"experiment": "kvm"},
        {"expectations": []},
        {"expectations": [{"name": "a", "expected": 1, "seen": 1}]},
        {"processors": 0},
    ],
)
def test_schema_refuses(tmp_path: Path, change: dict[str, Any]) -> None:
    experiment = find("first-light")
    good = seen(tmp_path, booted(good_run(tmp_path)))
    made = document.compose("first-light", 1, experiment.facts(good), experiment.expectations(good), 0)
    document.write(tmp_path / "out.json", made)
    assert json.loads((tmp_path / "out.json").read_text()) == made
    with pytest.raises(jsonschema.ValidationError):
        document.validate({**made, **change})


def test_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(document.SCHEMA_FILE.read_text()))


def test_schema_enumerates_the_reasons_of_the_header(checkout: Path) -> None:
    text = (checkout / "StmPkg/Include/Guid/StmStatusTable.h").read_text()
    schema = json.loads(document.SCHEMA_FILE.read_text())
    firmware = schema["$defs"]["firmware"]["properties"]
    for kind in ("State", "Reason"):
        quoted = re.findall(rf'^ +Stm{kind}\w+ += \d+,? +///< "([^"]+)"', text, re.MULTILINE)
        assert quoted and sorted(quoted) == sorted(firmware[kind.lower()]["enum"])
