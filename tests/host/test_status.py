# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware's decision about the dual-monitor treatment, over all combinations of facts."""

from __future__ import annotations

import ctypes
import itertools

import pytest

from tests.host.conftest import Build

REASONS = [
    "none",
    "no-vmx",
    "vmx-locked-out",
    "no-dual-monitor",
    "mseg-revision",
    "no-mseg",
    "mseg-placement",
    "image-missing",
    "image-malformed",
    "image-too-large",
    "override-forbidden",
    "mseg-reachable",
    "image-modified",
    "resources-malformed",
    "resources-unprotectable",
    "resources-incomplete",
    "image-digest",
    "not-measured",
    "resources-too-long",
]
MEASUREMENTS = ["no", "yes", "no-tpm", "failed"]
SOURCES = ["none", "firmware-volume", "fw-cfg"]
REFUSED = {
    "mseg-revision",
    "image-missing",
    "image-malformed",
    "image-too-large",
    "override-forbidden",
    "image-modified",
    "resources-malformed",
    "resources-unprotectable",
    "resources-incomplete",
    "image-digest",
    "not-measured",
    "resources-too-long",
}
LOCK, VMX_OUTSIDE_SMX, DUAL_MONITOR = 1 << 0, 1 << 2, 1 << 49
REVISION = 1
VMCS_4K = 0x1000 << 32


class ProcessorFacts(ctypes.Structure):
    _fields_ = [
        ("vmx", ctypes.c_uint8),
        ("feature_control", ctypes.c_uint64),
        ("vmx_basic", ctypes.c_uint64),
        ("vmx_misc", ctypes.c_uint64),
    ]


class MemoryFacts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("mseg_base", "mseg_size", "tseg_base", "tseg_size")]


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    folder = "StmPkg/Firmware/StmStatusLib"
    loaded = build_library("status", f"{folder}/StmStatus.c")
    for name in ("StmStateName", "StmReasonName", "StmSourceName", "StmMeasurementName"):
        getattr(loaded, name).restype = ctypes.c_char_p
    return loaded


def reason(library: ctypes.CDLL, number: int) -> str:
    return str(library.StmReasonName(number).decode())


def test_names_and_states(library: ctypes.CDLL) -> None:
    for number, name in enumerate(REASONS):
        assert reason(library, number) == name
        state = library.StmStateName(library.StmStateOf(number)).decode()
        assert state == ("enabled" if name == "none" else "refused" if name in REFUSED else "unavailable")
    assert reason(library, len(REASONS)) == "?"
    assert [library.StmSourceName(number).decode() for number in range(4)] == [*SOURCES, "?"]
    assert [library.StmMeasurementName(number).decode() for number in range(5)] == [*MEASUREMENTS, "?"]


@pytest.mark.parametrize(("vmx", "control", "dual"), list(itertools.product((0, 1), range(8), (0, 1))))
def test_processor(library: ctypes.CDLL, vmx: int, control: int, dual: int) -> None:
    facts = ProcessorFacts(vmx, control, DUAL_MONITOR * dual | VMCS_4K, REVISION << 32)
    allowed = control & LOCK and control & VMX_OUTSIDE_SMX
    expected = "no-vmx" if not vmx else "vmx-locked-out" if not allowed else "none" if dual else "no-dual-monitor"
    assert reason(library, library.StmCheckProcessor(ctypes.byref(facts))) == expected


@pytest.mark.parametrize(
    ("base", "size", "expected"),
    [
        (0x1FE00000, 0x200000, "none"),
        (0x1F000000, 0x1000000, "none"),
        (0x1FE00000, 0, "no-mseg"),
        (0x1FE00800, 0x100000, "mseg-placement"),
        (0x1FF00000, 0x200000, "mseg-placement"),
        (0x1EE00000, 0x200000, "mseg-placement"),
        (0x11FE00000, 0x200000, "mseg-placement"),
        (0xFFFFF000, 0x200000, "mseg-placement"),
    ],
)
def test_memory(library: ctypes.CDLL, base: int, size: int, expected: str) -> None:
    facts = MemoryFacts(base, size, 0x1F000000, 0x1000000)
    assert reason(library, library.StmCheckMemory(ctypes.byref(facts))) == expected
