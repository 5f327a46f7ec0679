# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Words for the firmware on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import fw_cfg


def test_values_and_files(tmp_path: Path) -> None:
    file = tmp_path / "a,b"
    file.write_text("x")
    given = ("opt/org.stmlab/test-handler=1", "opt/x/y=a=b,c", f"opt/x/z=@{file}")
    assert fw_cfg.arguments(given) == (
        *("-fw_cfg", "name=opt/org.stmlab/test-handler,string=1"),
        *("-fw_cfg", "name=opt/x/y,string=a=b,,c"),
        *("-fw_cfg", f"name=opt/x/z,file={str(file).replace(',', ',,')}"),
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["opt/x/y"], "not of the form NAME=VALUE or NAME=@FILE"),
        (["opt/x/y="], "not of the form"),
        (["opt/x/y=@"], "not of the form"),
        (["=1"], "must begin with opt/"),
        (["opt/=1"], "must begin with opt/"),
        (["etc/e820=1"], "must begin with opt/"),
        (["opt/\u00e4=1"], "must be ASCII"),
        (["opt/" + "x" * 52 + "=1"], "at most 55 characters"),
        (["opt/org.stmlab/script=reset"], "use --script"),
        (["opt/x/y=1", "opt/x/y=2"], "given twice"),
        (["opt/x/y=@absent"], "no such file: absent"),
    ],
)
def test_refused(given: list[str], words: str) -> None:
    with pytest.raises(LabError, match="--fw-cfg") as caught:
        fw_cfg.arguments(given)
    assert caught.value.code == ExitCode.USAGE and words in str(caught.value)


def test_longest_name() -> None:
    name = "opt/" + "x" * 51
    assert fw_cfg.arguments([f"{name}=1"]) == ("-fw_cfg", f"name={name},string=1")
