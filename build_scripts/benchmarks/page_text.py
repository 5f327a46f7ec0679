# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Writes the tables of docs/reference/performance.rst; the rest of that page is written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from build_scripts.pages import render, replace_generated

EPT = {"none": "no EPT", "2m": "EPT, 2-MByte pages", "4k": "EPT, 4-KByte pages"}
TRIPS = {
    "native-cpuid": "CPUID outside VMX operation",
    "native-flush": "MOV to CR3 outside VMX operation",
    "cpuid": "CPUID",
    "cpuid-vpid": "CPUID, with a VPID",
    "vmcall": "VMCALL",
    "violation": "EPT violation, the host maps the page",
    "interrupt": "External interrupt, stays pending",
    "mtf": "Monitor trap flag, one instruction",
    "smi-outside": "SMI, default treatment, outside VMX operation",
    "smi-root": "SMI, default treatment, in root operation",
    "smi-guest": "SMI, default treatment, in a guest",
    "smi-dual-root": "SMI, dual-monitor treatment, in root operation",
    "smi-dual-guest": "SMI, dual-monitor treatment, in a guest",
}
# Tables are searched for these; a loop without touched pages is the base of the others.
FLUSHED = "native-flush"
TOUCHED = "native-touch"
FLUSHES_PER_TRIP = 2


def _spread(values: dict[str, float], form: str) -> str:
    """Median, followed by the quartiles if there are any."""
    text = format(values["median"], form)
    if values["count"] == 1:
        return text
    return f"{text} ({format(values['low'], form)} … {format(values['high'], form)})"


def _microseconds(values: dict[str, float]) -> str:
    return _spread({name: value / 1000 if name != "count" else value for name, value in values.items()}, ".2f")


def _one(counts: list[int]) -> str:
    return " or ".join(f"{count:,}" for count in counts)


def _boots(facts: dict[str, Any]) -> list[list[str]]:
    plain, icount = facts["plain"], facts["icount"]

    def seconds(row: dict[str, Any]) -> list[str]:
        times = [_spread(row[f"{name}_seconds"], ".2f") for name in ("unpatched", "ours")]
        return [*times, f"**{row['cpu_ratio']['median']:.3f}** ({_range(row['cpu_ratio'])})"]

    instructions = [_one(icount[f"{name}_instructions"]) for name in ("unpatched", "ours")]
    same = "equal" if instructions[0] == instructions[1] else "different"
    return [
        ["Processor time of the host, s", *seconds(plain)],
        ["The same with instructions counted (``-icount``), s", *seconds(icount)],
        ["Wall-clock time", "", "", f"{plain['wall_ratio']['median']:.3f} ({_range(plain['wall_ratio'])})"],
        ["Instructions until the Shell's first command", *instructions, same],
    ]


def _range(values: dict[str, float]) -> str:
    return f"{values['low']:.3f} … {values['high']:.3f}"


def _compute(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [[f"{row['pages'] * 4} KByte", EPT[row["ept"]], _spread(row["speed"], ".3f")] for row in rows]


def _round_trips(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            TRIPS[row["name"]],
            EPT[row["ept"]] if not row["name"].startswith(("native", "smi")) else "",
            str(row["instructions"]),
            _microseconds(row["nanoseconds"]),
        ]
        for row in rows
        if row["pages"] == 0 and row["name"] in TRIPS
    ]


def flush_prices(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a round trip pays for the flushes: by EPT and number of pages that the guest reads between two exits.

    Returns:
        Rows with ``ept``, ``pages``, ``nanoseconds`` of a round trip, ``page`` (nanoseconds a page to find it again)
        and ``share`` (of the round trip that all flushes and refills take).
    """
    medians = {(row["name"], row["ept"], row["pages"]): row["nanoseconds"]["median"] for row in rows}
    flush = medians[FLUSHED, "none", 0]
    prices = []
    for (name, ept, pages), total in medians.items():
        if name not in ("cpuid", FLUSHED):
            continue
        touch = medians[TOUCHED, "none", pages] - medians[TOUCHED, "none", 0]
        refills = max(total - medians[name, ept, 0] - touch, 0.0)
        flushes = flush if name == FLUSHED else FLUSHES_PER_TRIP * flush
        prices.append(
            {
                "name": name,
                "ept": ept,
                "pages": pages,
                "nanoseconds": total,
                "page": refills / pages if pages else 0.0,
                "share": min((flushes + refills) / total, 1.0),
            }
        )
    return prices


def _flushes(rows: list[dict[str, Any]]) -> list[list[str]]:
    cells = []
    for price in flush_prices(rows):
        outside = price["name"] == FLUSHED
        cells.append(
            [
                "MOV to CR3" if outside else "CPUID exit",
                "" if outside else EPT[price["ept"]],
                str(price["pages"]),
                f"{price['nanoseconds'] / 1000:.2f}",
                f"{price['page']:.0f}" if price["pages"] else "",
                f"{price['share']:.0%}",
            ]
        )
    return cells


def generated(facts: dict[str, Any]) -> str:
    """The tables of one run."""
    return render(
        "performance.rst.j2",
        host=facts["host"],
        machine=facts["machine"],
        unpatched=facts["unpatched"],
        pairs=facts["firmware"]["plain"]["pairs"],
        boots=_boots(facts["firmware"]),
        compute=_compute(facts["compute"]),
        round_trips=_round_trips(facts["round_trips"]),
        flushes=_flushes(facts["round_trips"]),
    )


def stm_costs(facts: dict[str, Any]) -> str:
    """The tables of the STM's exact costs."""
    counts = ("protected", "transitions", "instructions", "vmreads", "vmwrites")
    return render(
        "stm-cost.rst.j2",
        machine=facts["machine"],
        image_bytes=facts["image_bytes"],
        smi=[[f"{row[name]:,}" for name in counts] for row in facts["smi"]],
        mseg=[[f"{row['processors']}", f"{row['bytes']:,}"] for row in facts["mseg"]],
        parts=[
            [part["part"][0].upper() + part["part"][1:], f"{part['bytes']:,}", part["per"]] for part in facts["parts"]
        ],
        gathered=_policies(facts["policies"]),
        touched=_touched(facts["policies"]),
    )


def _policies(rows: list[dict[str, Any]]) -> list[list[str]]:
    """SMIs of all processors and of one, without a policy and under rendezvous."""
    by_policy = {(row["policy"], row["processors"]): row for row in rows}
    cells = []
    for processors in sorted({row["processors"] for row in rows}):
        plain, together = (by_policy[name, processors] for name in ("none", "rendezvous"))
        cells.append(
            [
                f"{processors}",
                *(f"{row[smi]['instructions']:,}" for smi in ("all", "one") for row in (plain, together)),
            ]
        )
    return cells


def _touched(rows: list[dict[str, Any]]) -> list[list[str]]:
    """An SMI of one processor whose handler reads a page, reads two, reads one and writes one, under snapshot."""
    by_policy = {(row["policy"], row["processors"]): row["one"] for row in rows}
    names = ("snapshot-read", "snapshot-read-2", "snapshot-read-write")
    return [
        [
            f"{processors}",
            *(f"{by_policy[name, processors]['instructions']:,}" for name in names),
            ", ".join(f"{by_policy[name, processors]['transitions']}" for name in names),
        ]
        for processors in sorted({row["processors"] for row in rows})
    ]


def update(page: Path, facts: dict[str, Any]) -> None:
    """Replace the generated part of the page.

    Raises:
        LabError: there is no such page, or it has no such part.
    """
    replace_generated(page, generated(facts))
