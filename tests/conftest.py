# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What every test may use, and the marker that each folder's tests carry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import find_machine
from build_scripts.errors import LabError
from tests.support.busy import pytest_addoption, pytest_runtestloop

# What pytest finds here and asks for.
__all__ = ["pytest_addoption", "pytest_runtestloop"]

ROOT = Path(__file__).resolve().parents[1]
# A deadline would make the speed of the machine part of a test.
settings.register_profile("stmlab", deadline=None)
settings.load_profile("stmlab")
# Also the order of a session: what is quick first; then what boots, in large pieces; last the many small images, which
# fill what is left of every processor.
FOLDER_MARKERS = ("unit", "host", "boot", "linux", "tutorial", "machine")
FILLING = "machine/test_machine.py"
NEED_MACHINE = ("boot", "linux", "tutorial", "machine")
NEED_FIRMWARE = ("boot", "linux", "tutorial", "machine/stm")
# What is in those folders and looks at sources and records only.
BOOT_NOTHING = (
    "machine/test_checks.py",
    "machine/test_robustness.py::test_judge_",
    "machine/test_rules.py",
    "machine/test_runner.py",
    "tutorial/test_report_page.py",
    "tutorial/test_site.py",
    "tutorial/test_wheel.py",
)
# Files in tests/boot that share the demonstration's boots, each made once a session, or build trees of the cache and
# their logs: they go to one process. Every other file has what it boots to itself.
TOGETHER = (
    "test_compile_commands.py",
    "test_documented_addresses.py",
    "test_errors.py",
    "test_rebuild.py",
    "test_run.py",
    "test_stm_image.py",
    "test_stuart.py",
)
# Files whose tests have nothing in common but the code that runs them.
SEPARABLE = ("test_machine.py", "test_mutation.py", "test_docs.py")
# Tests that run only if -m names them.
ON_DEMAND = ("sanitize", "mutation", "long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks each test by its folder, so that no file can forget it, and leaves out what nobody asked for."""
    for item in items:
        parts = item.path.relative_to(ROOT / "tests").parts
        if parts[0] in FOLDER_MARKERS:
            item.add_marker(parts[0])
    unwanted = [
        item
        for item in items
        for name in ON_DEMAND
        if item.get_closest_marker(name) and name not in config.option.markexpr
    ]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]
    items.sort(key=lambda item: rank(item.path))


def group_of(test: str) -> str:
    """What goes to one worker process together with a test.

    Args:
        test: its node id.
    """
    path = test.partition("::")[0].removeprefix("tests/")
    folder, _, name = path.rpartition("/")
    if folder == "boot" and name in TOGETHER:
        return folder
    return test if name in SEPARABLE else path


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Groups of tests to workers, as they become free.

    Not by xdist's own marker: pytest 9.2 no longer takes the node ids that it changes.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """For ``--dist loadgroup``, which the command ``test`` asks for."""
    return GroupScheduling(config, log) if config.getoption("dist") == "loadgroup" else None


def prepare(tests: list[str]) -> None:
    """Builds what the chosen tests boot, with progress shown, before the first of them waits for it in silence.

    Args:
        tests: their node ids.
    """
    names = [name for name in (test.removeprefix("tests/") for test in tests) if not name.startswith(BOOT_NOTHING)]
    try:
        if any(name.startswith(NEED_MACHINE) for name in names):
            find_machine()
        # An STM that is named needs no firmware around it.
        need = NEED_FIRMWARE if "STMLAB_MSEG" not in os.environ else NEED_FIRMWARE[:-1]
        if any(name.startswith(need) for name in names):
            build_firmware()
    except LabError as error:
        pytest.exit(f"stmlab: {error}", returncode=int(error.code))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without worker processes: this one runs the tests."""
    alone = not hasattr(session.config, "workerinput") and not getattr(session.config.option, "numprocesses", None)
    if alone and not session.config.option.collectonly:
        prepare([item.nodeid for item in session.items])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    """With workers: here in their controller, while they wait for their first test."""
    prepare(ids)


def rank(path: Path) -> tuple[int, bool]:
    """Where the tests of a file come in a session: by folder, and those that fill last."""
    name = path.relative_to(ROOT / "tests")
    folder = name.parts[0]
    place = FOLDER_MARKERS.index(folder) if folder in FOLDER_MARKERS else len(FOLDER_MARKERS)
    return place, name.as_posix() == FILLING


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout under test."""
    return ROOT


@pytest.fixture(scope="session")
def session_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same temporary folder in every process of the session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base
