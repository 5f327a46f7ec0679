# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The image and the TPM: measured, no TPM, or failed; and the loader runs at the end of DXE whatever the TPM does."""

from __future__ import annotations

import ctypes

import pytest

from tests.host.conftest import Build

YES, NO_TPM, FAILED = 1, 2, 3
BEFORE, AT_THE_END = 1, 2


class Image(ctypes.Structure):
    _fields_ = [("file", ctypes.c_void_p), ("size", ctypes.c_uint64), ("source", ctypes.c_int)]


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library("measure", "tests/host/measure_stub.c")


@pytest.mark.parametrize(
    ("tpm", "hob", "driver", "refuses", "dispatched", "measured"),
    [
        (False, False, False, False, BEFORE | AT_THE_END, NO_TPM),
        (True, False, True, False, BEFORE | AT_THE_END, YES),
        (True, False, True, True, BEFORE | AT_THE_END, FAILED),
        (True, True, False, False, BEFORE | AT_THE_END, FAILED),
        (True, False, False, False, AT_THE_END, FAILED),
    ],
    ids=["no TPM", "measured", "digest refused", "failed in PEI", "driver failed in DXE"],
)
def test_what_becomes_of_the_measurement(
    library: ctypes.CDLL, tpm: bool, hob: bool, driver: bool, refuses: bool, dispatched: int, measured: int
) -> None:
    states = {"Instance": tpm, "ErrorHob": hob, "Driver": driver, "Refuses": refuses}
    for name, state in states.items():
        ctypes.c_uint8.in_dll(library, f"Test{name}").value = state
    assert library.TestBoot() == dispatched
    # The end of DXE locks SMRAM: for a protocol that comes so late drivers have to be dispatched once more.
    assert ctypes.c_uint32.in_dll(library, "TestDispatched").value == (dispatched == AT_THE_END)
    image = Image(0x1234_5678, 0x1_0000, 1)
    told = [ctypes.c_uint64.in_dll(library, f"TestMeasured{name}") for name in ("At", "Size")]
    for word in told:
        word.value = 0
    assert library.MeasureImage(ctypes.byref(image)) == measured
    assert [word.value for word in told] == ([image.file, image.size] if measured == YES else [0, 0])
    assert measured != YES or ctypes.c_uint32.in_dll(library, "TestMeasuredPcr").value == 0
