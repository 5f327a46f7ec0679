# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The files around the code say what is so: workflow, hooks, versions, editor settings."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from build_scripts import __version__

# Their blanks and line ends are part of what they hold.
VERBATIM_SUFFIXES = (".patch", ".nsh")
VERBATIM_FOLDERS = ("LICENSES",)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _tracked(checkout: Path) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=True)
    files = [checkout / name for name in listed.stdout.split("\0") if name and (checkout / name).is_file()]
    assert files
    return files


def test_workflow_runs_the_suite_and_nothing_else(checkout: Path) -> None:
    jobs = _yaml(checkout / ".github/workflows/ci.yml")["jobs"]
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    calls = [
        line.strip() for script in scripts for line in script.splitlines() if "build_scripts" in line or "ci/" in line
    ]
    assert calls == [".ci/run"]


def test_workflow_caches_what_the_lab_keeps(checkout: Path) -> None:
    steps = _yaml(checkout / ".github/workflows/ci.yml")["jobs"]["suite"]["steps"]
    cache = next(step["with"] for step in steps if step.get("uses", "").startswith("actions/cache@"))
    suite = next(step for step in steps if ".ci/run" in step.get("run", ""))
    assert cache["path"] == suite["env"]["XDG_CACHE_HOME"] + "/stmlab"
    for pattern in re.findall(r"'([^']+)'", cache["key"]):
        assert list(checkout.glob(pattern)), f"the key names {pattern}, which is nowhere"


def test_ci_calls_the_test_command_of_the_readme(checkout: Path) -> None:
    commands = [line for line in (checkout / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert commands[-1] == 'exec python3 -m build_scripts test "$@"'
    assert "$ python3 -m build_scripts test\n" in (checkout / "README.md").read_text()


def test_hooks_run_the_suite(checkout: Path) -> None:
    hooks = [hook for repo in _yaml(checkout / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert hooks
    for hook in hooks:
        words = hook["entry"].split()
        assert words[:4] == ["python3", "-m", "build_scripts", "test"], hook["id"]
        for name in (word for word in words[4:] if "/" in word):
            assert (checkout / name).exists(), hook["entry"]


def test_container_needs_only_python_and_git(checkout: Path) -> None:
    container = json.loads((checkout / ".devcontainer/devcontainer.json").read_text())
    assert container["onCreateCommand"].split()[-2:] == ["git", "python3"]
    assert container["postCreateCommand"].startswith("python3 -m build_scripts ")


def test_versions_agree(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    released = re.findall(r"^## (\d+\.\d+\.\d+) ", (checkout / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released, "the changelog names no release"
    assert {project["version"], _yaml(checkout / "CITATION.cff")["version"], released[0]} == {__version__}


@pytest.mark.parametrize("name", ["LICENSES", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "CITATION.cff"])
def test_readme_names_what_helps_people(name: str, checkout: Path) -> None:
    assert (checkout / name).exists()
    assert f"({name}" in (checkout / "README.md").read_text()


def test_text_files_are_as_the_editor_settings_say(checkout: Path) -> None:
    assert "trim_trailing_whitespace = true" in (checkout / ".editorconfig").read_text()
    untidy = []
    for path in _tracked(checkout):
        if path.suffix in VERBATIM_SUFFIXES or path.parent.name in VERBATIM_FOLDERS:
            continue
        text = path.read_bytes()
        if text and (not text.endswith(b"\n") or re.search(rb"[ \t]$|\r", text, re.MULTILINE)):
            untidy.append(str(path.relative_to(checkout)))
    assert untidy == []


def test_what_the_documented_commands_leave_is_ignored(checkout: Path) -> None:
    """Builds, environments and caches; nothing of what is tracked."""
    left = [".venv/bin/python", "build/lib/x.py", "dist/x.whl", "Build/OvmfStm/x.obj", "Conf/target.txt"]
    left += ["stm_lab.egg-info/PKG-INFO", "compile_commands.json", "build_scripts/__pycache__/x.pyc", "docs/_build/x"]
    left += [".pytest_cache/x", ".mypy_cache/x", ".ruff_cache/x", ".hypothesis/x"]
    command = ["git", "check-ignore", "--no-index", *left]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines() == left
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout == ""


def test_every_page_of_the_docs_begins_with_its_title(checkout: Path) -> None:
    """Sphinx takes a page without one, and gives it none in its lists."""
    for page in sorted((checkout / "docs").rglob("*.rst")):
        text = [line for line in page.read_text(encoding="utf-8").splitlines() if line and not line.startswith("..")]
        assert text[1] == "=" * len(text[0]), page


def test_changelog_tells_each_thing_once(checkout: Path) -> None:
    """In the sections of Keep a Changelog, each once a version, in one order."""
    order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    text = (checkout / "CHANGELOG.md").read_text(encoding="utf-8")
    for version in text.split("\n## ")[1:]:
        sections = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert sections == [name for name in order if name in sections]
        # What it is about stands in front.
        heads = [entry[:30] for entry in re.findall(r"^\* (.+)$", version, re.MULTILINE)]
        assert len(heads) > 4 and [head for head in heads if heads.count(head) > 1] == []
