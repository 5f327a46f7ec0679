# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment kvm without a boot: what the options become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from build_scripts.commands import run
from build_scripts.errors import ExitCode
from build_scripts.experiments import kvm
from build_scripts.experiments.experiment import Request
from build_scripts.linux import kernel
from build_scripts.linux.boot import PROCESSORS, TIMEOUT_SECONDS, Finding, LinuxRun
from build_scripts.linux.kernel import Kernel

from .seen import GOOD_END

FINDINGS = (
    Finding("boot", {"kernel": "6.1.0-x", "cpus": "2"}),
    Finding("module", {"name": "kvm-intel.ko", "error": "0"}),
    Finding("parameter", {"name": "ept", "value": "Y"}),
    Finding("step", {"name": "kvm"}),
    Finding("kvm", {"test": "spin", "trace": "interrupted"}),
    Finding("step", {"name": "guest"}),
    Finding("guest", {"ended": "shutdown"}),
    Finding("log", {"lines": "700", "bad": "0"}),
    Finding("end", {"done": "1"}),
)


@pytest.fixture
def boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments of each boot, which leaves a good run behind."""
    made: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def boot(*arguments: Any, **named: Any) -> LinuxRun:
        made.append((arguments, named))
        return LinuxRun(tmp_path, GOOD_END, FINDINGS)

    monkeypatch.setattr(kvm, "extended_qemu", lambda: tmp_path / "qemu")
    monkeypatch.setattr(kvm, "build_firmware", lambda: "firmware")
    monkeypatch.setattr(kernel, "locate", lambda: Kernel(tmp_path / "vmlinuz", (), "6.1"))
    monkeypatch.setattr(kvm, "boot_linux", boot)
    return made


def test_own_defaults(boots: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
    assert run.run(Request(experiment="kvm")) == ExitCode.OK
    ((arguments, named),) = boots
    assert arguments[3:] == ((), None)
    assert named == {"timeout": TIMEOUT_SECONDS, "processors": PROCESSORS}


def test_options_reach_the_boot(boots: list[tuple[tuple[Any, ...], dict[str, Any]]], tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    request = Request(
        experiment="kvm", json=facts, timeout=9.0, processors=4, kvm_args=("ept=0", "vpid=0"), kernel_args=("quiet",)
    )
    # The findings are those of a boot with two.
    assert run.run(request) == ExitCode.EXPECTATION_FAILED
    ((arguments, named),) = boots
    assert arguments[3] == ("kvm_intel.ept=0", "kvm_intel.vpid=0", "quiet")
    assert named == {"timeout": 9.0, "processors": 4}
    made = json.loads(facts.read_text())
    assert made["processors"] == 4 and made["kernel"] == "6.1.0-x" and made["parameters"] == {"ept": "Y"}
    assert made["guest_programs"] == [{"name": "spin", "trace": ["interrupted"]}]
    assert made["linux_guests"] == ["shutdown"] and made["program"] is None
    failed = [expectation for expectation in made["expectations"] if not expectation["passed"]]
    assert failed == [{"name": "processors that Linux runs", "expected": 4, "seen": 2, "passed": False}]
