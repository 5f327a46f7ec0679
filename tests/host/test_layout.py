# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The converter's layout constants and structures against the C headers, StmApi.h among them."""

from __future__ import annotations

from build_scripts.stm_image import layout
from tests.host.conftest import Probe

PROBE = """\
#include <Base.h>
#include <StmMsegLayout.h>
#include <StmRecord.h>
#include "StmMemory.h"

int printf (const char *Format, ...);

int main (void)
{{
{lines}
  return 0;
}}
"""


def facts(run_probe: Probe, expressions: list[str]) -> dict[str, int]:
    lines = [f'  printf ("%s %llu\\n", "{text}", (unsigned long long)({text}));' for text in expressions]
    output = run_probe(PROBE.format(lines="\n".join(lines)))
    return {name: int(value) for name, _, value in (line.rpartition(" ") for line in output.splitlines())}


def test_constants(run_probe: Probe) -> None:
    assert facts(run_probe, list(layout.CONSTANTS)) == layout.CONSTANTS


def test_structures(run_probe: Probe) -> None:
    """Size and offsets; StmFeatures is a bit-field structure, StmSmmRevID an array: both have offsets."""
    expected: dict[str, int] = {}
    for name, structure in layout.STRUCTURES.items():
        expected |= {f"OFFSET_OF ({name}, {member})": offset for member, offset in structure.offsets().items()}
        if name != "MSEG_HEADER":
            # The C type is padded to the 2 KB that the architecture reserves.
            expected[f"sizeof ({name})"] = structure.size()
    expected["sizeof (MSEG_HEADER)"] = layout.SOFTWARE_HEADER_OFFSET
    expected["OFFSET_OF (STM_HEADER, SwStmHdr)"] = layout.SOFTWARE_HEADER_OFFSET
    assert facts(run_probe, list(expected)) == expected


def test_feature_bits(run_probe: Probe) -> None:
    text = """\
#include <Base.h>
#include <StmMsegLayout.h>
int printf (const char *Format, ...);
int main (void)
{
  union {
    STM_FEAT Features;
    UINT32   Value;
  } Both;
  Both.Value = 0;
  Both.Features.Intel64ModeSupported = 1;
  Both.Features.EptSupported = 1;
  printf ("%u", Both.Value);
  return 0;
}
"""
    assert int(run_probe(text)) == layout.STM_FEATURES


def test_dynamic_area_parts_do_not_overlap() -> None:
    offsets = list(layout.DYNAMIC.values())
    assert offsets == sorted(set(offsets))
    assert offsets[0] == layout.LOADER_DATA_SIZE
    assert all(offset % layout.PAGE == 0 for offset in [*offsets[1:], layout.DYNAMIC_SHARED_SIZE])
    assert offsets[-1] < layout.DYNAMIC_SHARED_SIZE
    assert layout.DYNAMIC_NAMES.keys() == layout.DYNAMIC.keys()
