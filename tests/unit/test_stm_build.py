# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Objects of a build of the STM that did not end are not used by the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from build_scripts.builds import firmware_build, stm_build
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import Step
from build_scripts.sources import sources


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module's folder in a workspace of the test's own, whose builds need no edk2."""
    monkeypatch.setattr(firmware_build, "stuart", lambda target, edk2: (["stuart_build"], {}))
    monkeypatch.setattr(sources, "edk2_dir", lambda: tmp_path / "edk2")
    monkeypatch.setattr(stm_build, "_recipe_key", lambda tree, work: "recipe")
    return (
        tmp_path
        / firmware_build.OUTPUT
        / f"{stm_build.TARGET}_{firmware_build.TOOL_CHAIN}"
        / firmware_build.STM_OUTPUT.parent
    )


def test_failed_build_leaves_no_object(module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends leaves its objects, and the build after a failed one begins without."""
    found: list[bool] = []
    compiled = module / "OUTPUT" / "Activate.obj"

    def build(command: list[str], *_: Any, **__: Any) -> None:
        found.append(compiled.exists())
        compiled.parent.mkdir(parents=True, exist_ok=True)
        compiled.touch()
        if len(found) == 2:
            raise LabError("the STM's build failed", ExitCode.BUILD_FAILED)

    monkeypatch.setattr(stm_build, "run_logged", build)
    tree: Any = None  # only the recipe would look at it
    stm_build._compile(tree, tmp_path, tmp_path / "log", Step("building", None))
    with pytest.raises(LabError):
        stm_build._compile(tree, tmp_path, tmp_path / "log", Step("building", None))
    stm_build._compile(tree, tmp_path, tmp_path / "log", Step("building", None))
    assert found == [False, True, False]
