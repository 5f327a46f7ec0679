# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of test images: sources, processor model and how the run ends."""

from __future__ import annotations

from dataclasses import dataclass

STOCK_CPU = "max,vendor=GenuineIntel,-svm,-la57"
VMX_CPU = f"{STOCK_CPU},+vmx"
DUAL_CPU = f"{VMX_CPU},vmx-dual-monitor=on"


@dataclass(frozen=True)
class Image:
    """One run: `sources` of images/ built with `defines`, on the model `cpu`.

    at_least is the smallest number of checks that the run must make, so that
    a test that silently skips its checks fails.  With ends_in_shutdown the
    image announces a shutdown of the processor and must not get beyond it.
    """

    name: str
    sources: tuple[str, ...]
    cpu: str = DUAL_CPU
    defines: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    at_least: int = 1
    ends_in_shutdown: bool = False


VGA = ("-device", "VGA,romfile=")  # something behind the legacy SMRAM window


def _defect(number: int, *sources: str, extra: tuple[str, ...] = (), at_least: int) -> Image:
    return Image(
        f"defect-{number}",
        ("t_defects.c", *sources),
        STOCK_CPU,
        (f"DEFECT={number}",),
        extra,
        at_least,
    )


TABLE = (
    Image("platform-stock", ("t_platform.c",), STOCK_CPU, at_least=18),
    _defect(1, "real16.asm", extra=VGA, at_least=4),
    _defect(2, at_least=24),
    _defect(12, at_least=5),
)
