# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's KVM, unmodified, in the machine: what its guests see, with and without EPT."""

from __future__ import annotations

from itertools import pairwise

import pytest

from build_scripts.linux.boot import Finding, LinuxRun

from .conftest import VARIANTS, Boot
from .expected import IN_FORCE, LEFT_OUT, OTHER_TRACES, RELOADS, TRACES

PROGRAM_VARIANTS = [name for name in VARIANTS if name != "reloads"]
GUEST_VARIANTS = [name for name in PROGRAM_VARIANTS if name != "smis"]


def parameters(findings: list[Finding]) -> dict[str, str]:
    return {finding.fields["name"]: finding.fields["value"] for finding in findings}


def traces(findings: list[Finding], run: LinuxRun) -> dict[str, str]:
    names = [finding.fields["test"] for finding in findings]
    assert len(names) == len(set(names)), f"{run.run_dir}: {names}"
    return {finding.fields["test"]: finding.fields["trace"] for finding in findings}


def test_two_processors(boot: Boot) -> None:
    (found,) = boot("default").named("boot")
    assert found.fields["cpus"] == "2"


@pytest.mark.parametrize("variant", VARIANTS)
def test_modules_load(boot: Boot, variant: str) -> None:
    run = boot(variant)
    modules = [finding for finding in run.named("module") if finding.fields["name"] == "kvm-intel.ko"]
    assert len(modules) == (1 + len(RELOADS) if variant == "reloads" else 1), run.run_dir
    assert [finding.fields["error"] for finding in run.named("module") if finding.fields["error"] != "0"] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_log_has_no_warning(boot: Boot, variant: str) -> None:
    run = boot(variant)
    (log,) = run.named("log")
    assert [str(line) for line in run.named("log-line")] == [], run.run_dir
    assert log.fields["bad"] == "0" and int(log.fields["lines"]) > 100


@pytest.mark.parametrize("name", IN_FORCE)
def test_parameter_is_in_force(boot: Boot, name: str) -> None:
    run = boot("default")
    assert parameters(run.named("parameter"))[name] == IN_FORCE[name], run.run_dir


def test_pause_loops_are_seen(boot: Boot) -> None:
    assert int(parameters(boot("default").named("parameter"))["ple_gap"]) > 0


@pytest.mark.parametrize("name", LEFT_OUT)
def test_left_out(boot: Boot, name: str) -> None:
    """Not advertised: KVM goes on without."""
    assert parameters(boot("default").named("parameter"))[name] == "N"


@pytest.mark.parametrize("setting", ["ept", "unrestricted_guest"])
def test_parameter_is_off(boot: Boot, setting: str) -> None:
    variant = "no-ept" if setting == "ept" else "no-unrestricted-guest"
    found = parameters(boot(variant).named("parameter"))
    assert found[setting] == "N"
    assert found["ept"] == ("N" if setting == "ept" else "Y")


@pytest.mark.parametrize("variant", PROGRAM_VARIANTS)
@pytest.mark.parametrize("name", TRACES)
def test_guest_program(boot: Boot, variant: str, name: str) -> None:
    run = boot(variant)
    assert traces(run.named("kvm"), run)[name] == TRACES[name], run.run_dir


def test_every_program_has_an_expectation(boot: Boot) -> None:
    run = boot("default")
    assert set(traces(run.named("kvm"), run)) == set(TRACES)


@pytest.mark.parametrize("variant", GUEST_VARIANTS)
def test_linux_guest_reaches_its_init(boot: Boot, variant: str) -> None:
    run = boot(variant)
    lines = [finding.fields["text"] for finding in run.named("guest-line")]
    version = run.named("boot")[0].fields["kernel"]
    assert f"guest: kernel={version} cpus=1 hypervisor=KVMKVMKVM" in lines, run.run_dir
    assert [finding.fields["ended"] for finding in run.named("guest")] == ["shutdown"], run.run_dir


def test_smis_came_to_both_processors(boot: Boot) -> None:
    """The programs saw the same as without them; each SMI is counted by both processors."""
    before, after = boot("smis").named("smis")
    assert int(after.fields["raised"]) >= 100
    for count in ("count0", "count1"):
        assert int(after.fields[count]) - int(before.fields[count]) >= 100, count


@pytest.mark.parametrize("setting", RELOADS)
def test_programs_after_reload(boot: Boot, setting: str) -> None:
    run = boot("reloads")
    begins = [i for i, found in enumerate(run.findings) if found.name in ("reload", "log")]
    wanted = setting.replace(",", " ")
    for begin, end in pairwise(begins):
        if run.findings[begin].fields["parameters"] == wanted:
            section = list(run.findings[begin:end])
            seen = parameters([found for found in section if found.name == "parameter"])
            for word in wanted.split():
                name, value = word.split("=")
                assert seen[name] in (value, {"0": "N", "1": "Y"}[value]), run.run_dir
            programs = traces([found for found in section if found.name == "kvm"], run)
            assert programs == TRACES | OTHER_TRACES.get(setting, {}), run.run_dir
            return
    pytest.fail(f"{run.run_dir}: no reload with {wanted}")
