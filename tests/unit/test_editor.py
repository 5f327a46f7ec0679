# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The editor's tasks and launches name commands that there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from build_scripts import cli
from build_scripts.experiments import catalogue


def read(checkout: Path, name: str) -> Any:
    return json.loads((checkout / ".vscode" / name).read_text(encoding="utf-8"))


def accepted(words: list[str]) -> bool:
    """Whether the command line takes these words; those of `test` go to pytest."""
    if words[0] == "test":
        return True
    try:
        return bool(cli.parser().parse_args(words).function)
    except SystemExit:
        return False


def test_tasks(checkout: Path) -> None:
    tasks = read(checkout, "tasks.json")
    (chosen,) = tasks["inputs"]
    assert chosen["options"] == list(catalogue.NAMES)
    labels = [task["label"] for task in tasks["tasks"]]
    assert len(labels) == len(set(labels))
    for task in tasks["tasks"]:
        assert (task["command"], task["args"][:2]) == ("python3", ["-m", "build_scripts"])
        words = [chosen["options"][-1] if word == "${input:experiment}" else word for word in task["args"][2:]]
        assert accepted(words), task["label"]
    commands = {task["args"][2] for task in tasks["tasks"]}
    assert {"run", "test", "debug", "report", "shell", "exercise", "doctor"} <= commands


def test_launches(checkout: Path) -> None:
    for found in read(checkout, "launch.json")["configurations"]:
        assert (found["module"], found["request"]) == ("build_scripts", "launch")
        assert accepted(found["args"]), found["name"]


@pytest.mark.parametrize("words", [["no-such-command"], ["run", "no-such-experiment"]])
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    assert not accepted(words)
