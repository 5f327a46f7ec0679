# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The expectations of first-light: a good run meets them, and what is wrong fails the one that is about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.experiments.first_light import FirstLight
from build_scripts.machine.processors import Configuration

from .seen import booted, complaints, seen
from .streams import Logs, good_run


def failing(logs: Logs, configuration: Configuration = Configuration.DUAL_MONITOR) -> str:
    return complaints(FirstLight().expectations(seen(logs.folder, booted(logs, configuration))))


def test_good_run(tmp_path: Path) -> None:
    assert failing(good_run(tmp_path)) == ""


def test_unfinished_smi(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    logs.app("smi-begin", "cause=hlt")
    logs.transition("smm-exit", "guest", "stm", 6)
    logs.transition("handler-entry", "stm", "handler")
    logs.app("smi-end")
    assert failing(logs) == "every SMI ends:\n    SMI 20 (hlt)"


def test_lost_variable(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    logs.app("variable", "written=1 read_back=0")
    assert failing(logs) == "UEFI variables that read back as written: expected 5, saw 4"


def test_changed_mseg(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    logs.stm("init", f"cpu=0 mseg_sha256={'cd' * 32}")
    assert "each activation finds MSEG as the loader left it:" in failing(logs) and "cdcd" in failing(logs)


def test_one_activation_too_many(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    logs.activation()
    assert failing(logs) == "activations of the STM: expected 2, saw 3"


def test_transition_too_many(tmp_path: Path) -> None:
    """Not explained by an exit of the handler."""
    logs = good_run(tmp_path)
    logs.app("smi-begin", "cause=port-b2")
    logs.transition("smm-exit", "guest", "stm", 5)
    logs.transition("handler-entry", "stm", "handler")
    logs.transition("handler-entry", "stm", "handler")
    logs.transition("handler-exit", "handler", "stm", 17)
    logs.transition("smm-return", "stm", "guest")
    logs.app("smi-end")
    assert failing(logs) == "a plain SMI takes four transitions:\n    SMI 20 (port-b2) took 5"


@pytest.mark.parametrize("wanted", [Configuration.NO_DUAL_MONITOR, Configuration.STOCK])
def test_other_processor(tmp_path: Path, wanted: Configuration) -> None:
    """A run with the treatment is no good run of a processor without it."""
    text = failing(good_run(tmp_path), wanted)
    assert f"the firmware's status: expected unavailable, {EXPECTED[wanted]}, saw enabled, none" in text


EXPECTED = {Configuration.NO_DUAL_MONITOR: "no-dual-monitor", Configuration.STOCK: "no-vmx"}


def test_stock_run(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.app("script", "line=1 cmd=ExecMon.efi%20start")
    logs.status("unavailable", "no-vmx")
    logs.record("executive.log", "EXEC", "unavailable", "reason=no-vmx")
    logs.app("smi-begin", "cause=variable")
    logs.app("variable", "written=1 read_back=1")
    logs.app("smi-end")
    logs.app("smi-count", "value=300")
    assert failing(logs, Configuration.STOCK) == ""
    assert "treatments under which SMIs were served" in failing(logs, Configuration.NO_DUAL_MONITOR)
