# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``test``: which call of pytest it makes."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.commands.test import MOST_WORKERS, pytest_command
from tests import conftest
from tests.conftest import BOOT_NOTHING, group_of, prepare
from tests.support.browser import started


def test_every_processor_has_a_worker() -> None:
    command = pytest_command(["-m", "unit"], 2)
    assert command[1:7] == ["-m", "pytest", "-n", "2", "--dist", "loadgroup"]
    assert command[-2:] == ["-m", "unit"]


def test_workers_are_few() -> None:
    assert pytest_command([], 64)[4] == str(MOST_WORKERS)


@pytest.mark.parametrize("arguments", [["-n0"], ["-n", "0"], ["--pdb"], ["-s"], ["--collect-only"], ["-p", "no:xdist"]])
def test_user_decides(arguments: list[str]) -> None:
    assert pytest_command(arguments, 2)[3:] == arguments


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/boot/test_run.py::test_run_succeeds[stock]", "boot"),
        ("tests/boot/test_stuart.py::test_flash", "boot"),
        ("tests/boot/test_standby.py::test_monitor_returns", "boot/test_standby.py"),
        ("tests/linux/test_kvm.py::test_two_processors", "linux/test_kvm.py"),
        ("tests/machine/stm/test_stm.py::test_crash[a::b/c]", "machine/stm/test_stm.py"),
        ("tests/machine/test_machine.py::test_image[ept]", "tests/machine/test_machine.py::test_image[ept]"),
        (
            "tests/tutorial/test_docs.py::test_commands_of_page[README.md]",
            "tests/tutorial/test_docs.py::test_commands_of_page[README.md]",
        ),
        ("tests/unit/test_cli.py::test_version", "unit/test_cli.py"),
    ],
)
def test_boots_are_shared(test: str, group: str) -> None:
    assert group_of(test) == group


def test_groups_stay_together(tmp_path: Path) -> None:
    """Two workers: the tests of two files that share boots run in one process, those of another file in the other."""
    (tmp_path / "tests" / "boot").mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text(
        "import pytest\n"
        f"import sys; sys.path.insert(0, {str(paths.CHECKOUT)!r})\n"
        "from tests.conftest import pytest_xdist_make_scheduler\n"
    )
    for name in ("run", "errors", "standby"):
        (tmp_path / "tests" / "boot" / f"test_{name}.py").write_text(
            "import pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_it(n): pass\n"
        )
    command = [*pytest_command(["-v", str(tmp_path)], 2), "--rootdir", str(tmp_path), "-c", "/dev/null"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    ran = re.findall(r"^\[(gw\d)\].* PASSED tests/boot/test_(\w+)\.py", result.stdout, re.MULTILINE)
    assert len(ran) == 12, result.stdout + result.stderr
    workers = {name: {worker for worker, where in ran if where == name} for name in ("run", "errors", "standby")}
    assert len(workers["run"]) == 1 and workers["run"] == workers["errors"], "files that share boots were split"
    assert workers["standby"].isdisjoint(workers["run"]), "everything went to one worker"


def test_small_images_come_last(checkout: Path) -> None:
    """Each is a group of its own, so they level what longer groups leave uneven."""
    names = [
        "machine/test_machine.py",
        "machine/test_vmcs_fuzz.py",
        "tutorial/test_docs.py",
        "machine/stm/test_many.py",
    ]
    names += ["benchmarks/test_benchmarks.py", "boot/test_run.py", "unit/test_cli.py", "linux/test_kvm.py"]
    paths = [checkout / "tests" / name for name in names]
    assert all(path.is_file() for path in paths)
    ordered = [str(path.relative_to(checkout / "tests")) for path in sorted(paths, key=conftest.rank)]
    assert ordered[:4] == ["unit/test_cli.py", "boot/test_run.py", "linux/test_kvm.py", "tutorial/test_docs.py"]
    assert set(ordered[4:6]) == {"machine/test_vmcs_fuzz.py", "machine/stm/test_many.py"}
    assert ordered[6:] == ["machine/test_machine.py", "benchmarks/test_benchmarks.py"]


def test_one_processor_needs_no_workers() -> None:
    assert pytest_command(["-x"], 1)[3:] == ["-x"]


@pytest.mark.parametrize(
    ("tests", "built"),
    [
        (["tests/unit/test_cli.py::test_version", "tests/host/test_log.py::test_ring"], []),
        (
            ["tests/machine/test_rules.py::test_table[vmx]", "tests/machine/test_robustness.py::test_judge_refuses[]"],
            [],
        ),
        (["tests/machine/test_robustness.py::test_hostile_pointers[0]"], ["machine"]),
        (["tests/unit/test_cli.py::test_version", "tests/machine/test_machine.py::test_image[ept]"], ["machine"]),
        (["tests/machine/stm/test_stm.py::test_crash[x]"], ["machine", "firmware"]),
        (
            ["tests/tutorial/test_wheel.py::test_doctor_names_it", "tests/boot/test_run.py::test_it"],
            ["machine", "firmware"],
        ),
    ],
)
def test_only_what_boots_is_built(tests: list[str], built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(conftest, "find_machine", lambda: made.append("machine"))
    monkeypatch.setattr(conftest, "build_firmware", lambda: made.append("firmware"))
    prepare(tests)
    assert made == built


@pytest.mark.parametrize("name", BOOT_NOTHING)
def test_what_is_said_to_boot_nothing_does_not(name: str, checkout: Path) -> None:
    """It takes none of the fixtures that give a machine or a firmware."""
    path, _, prefix = name.partition("::")
    text = (checkout / "tests" / path).read_text(encoding="utf-8")
    parameters = re.findall(rf"^def {prefix or 'test_'}\w*\(([^)]*)\)", text, re.MULTILINE)
    assert parameters
    assert not re.search(r"\b(qemu|firmware|mseg|good|evidence|boot|boot_script)\b", ",".join(parameters))


def test_a_skip_is_listed_at_the_end(tmp_path: Path, checkout: Path) -> None:
    """With the suite's own options, with workers, and however quiet: what was skipped, and why."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\ndef test_it():\n    pytest.skip('fuzzing needs clang')\n\ndef test_other(): pass\n"
    )
    options = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    command = pytest_command(["-q", str(tmp_path)], 2)
    command[command.index("loadgroup")] = "load"
    result = subprocess.run(
        [*command, *options.split(), "--rootdir", str(tmp_path), "-c", "/dev/null"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    summary = result.stdout.partition("short test summary info")[2]
    assert "SKIPPED [1] test_it.py:4: fuzzing needs clang" in summary, result.stdout + result.stderr
    assert "1 passed, 1 skipped" in summary


def test_only_the_fuzzing_is_skipped(checkout: Path) -> None:
    """Whatever else is missing fails, here and in CI alike; CONTRIBUTING says so, and CI's workflow installs clang."""
    calls = re.compile(r"pytest\.(?:skip|importorskip)\(|mark\.skip|unittest\.skip")
    found = [path for path in (checkout / "tests").rglob("*.py") if calls.search(path.read_text(encoding="utf-8"))]
    # This file's own tests write such a test.
    assert {path.relative_to(checkout / "tests").as_posix() for path in found} == {
        "host/test_fuzz.py",
        "unit/test_test_command.py",
    }
    text = " ".join((checkout / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert "Only the tests of fuzzing are skipped" in text
    for workflow in ("ci", "campaign"):
        steps = (checkout / f".github/workflows/{workflow}.yml").read_text(encoding="utf-8")
        assert (".ci/run" in steps) == ("clang libclang-rt-dev" in steps)


def test_without_a_browser_its_tests_fail_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not skipped: green without it would say that somebody has looked at the pages."""
    monkeypatch.setattr("tests.support.browser.shutil.which", lambda _name: None)
    with (
        pytest.raises(pytest.fail.Exception, match="no chromium: 'python3 -m build_scripts test' installs it"),
        started(),
    ):
        pass
