# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An audit tool of the field in the machine's Linux: chipsec's modules about SMM report what is so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.linux import kernel
from build_scripts.linux.boot import boot_linux
from build_scripts.machine.processors import DUAL_MONITOR_CPU
from tests.support import audit

pytestmark = [pytest.mark.boot, pytest.mark.long]

TIMEOUT_SECONDS = 900.0
# Keeps the lock off MSR 4E0H (StmTestHandler.h).
UNLOCKED = "opt/org.stmlab/test-smm-unlocked=1"
SMRR, CODE_CHECK, MEMORY_LOCK = "common.smrr", "common.smm_code_chk", "common.memlock"


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """What Linux has beside the lab's own."""
    try:
        yield audit.files(tmp_path_factory.mktemp("audit"))
    except audit.NoChipsec as error:
        # Whoever asked for these tests by name is not to take silence for a pass.
        pytest.fail(f"chipsec could not be obtained from PyPI: {error}")


def audited(beside: dict[str, bytes], properties: str, words: tuple[str, ...]) -> dict[str, str]:
    run = boot_linux(
        extended_qemu(),
        build_firmware(),
        kernel.locate(kernel.DEFAULT),
        program=audit.FOLDER / "audit.py",
        beside=beside,
        cpu=DUAL_MONITOR_CPU + properties,
        timeout=TIMEOUT_SECONDS,
        words=words,
    )
    assert run.failure() is None, run.failure()
    found = audit.results(run.program_output())
    assert set(found) == {SMRR, CODE_CHECK, MEMORY_LOCK}, run.program_output()
    return found


@pytest.mark.parametrize(
    ("properties", "words", "smrr", "code_check"),
    [
        (",vmx-smrr-tseg=on", (), "Passed", "Passed"),
        (",vmx-smrr-tseg=on", (UNLOCKED,), "Passed", "Failed"),
        (",vmx-smrr-tseg=on,vmx-smm-code-check=off", (), "Passed", "Warning"),
        ("", (), "Failed", "Warning"),
    ],
    ids=["locked", "unlocked", "no-check", "no-smrr"],
)
def test_modules_report_what_is_so(
    beside: dict[str, bytes], properties: str, words: tuple[str, ...], smrr: str, code_check: str
) -> None:
    """All as the firmware leaves it, and each lock taken away.

    MSR 2E7H, by which memory would be locked, reads as 0, and the tool says so.
    """
    found = audited(beside, properties, words)
    assert found == {SMRR: smrr, CODE_CHECK: code_check, MEMORY_LOCK: "Failed"}
