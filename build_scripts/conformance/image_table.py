# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of test images: sources, processor model and how the run ends."""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.machine import processors

STOCK_CPU = processors.BASE_CPU
VMX_CPU = processors.VMX_CPU
DUAL_CPU = processors.DUAL_MONITOR_CPU


@dataclass(frozen=True)
class Image:
    """One run: `sources` of images/ built with `defines`, on the model `cpu`.

    at_least is the smallest number of checks that the run must make, so that
    a test that silently skips its checks fails.  With ends_in_shutdown the
    image announces a shutdown of the processor and must not get beyond it.
    deviations names checks ("rule name") that this machine is known to fail.
    """

    name: str
    sources: tuple[str, ...]
    cpu: str = DUAL_CPU
    defines: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    at_least: int = 1
    ends_in_shutdown: bool = False
    deviations: tuple[str, ...] = ()


VGA = ("-device", "VGA,romfile=")  # gives the legacy SMRAM window something to cover


def _defect(number: int, *sources: str, extra: tuple[str, ...] = (), at_least: int) -> Image:
    return Image(
        f"defect-{number}",
        ("t_defects.c" if number in (1, 2, 12) else "t_defects_more.c", *sources),
        STOCK_CPU,
        (f"DEFECT={number}",),
        extra,
        at_least,
    )


# The rows of t_shutdown.c.
SHUTDOWNS = (
    "rsm-vmxe",
    "rsm-reserved-cr4",
    "rsm-pg-without-pe",
    "rsm-nw-without-cd",
    "exit-load-9bh",
    "exit-store-9eh",
    "smm-exit-store",
    "stm-triple-fault",
    "stm-made-32-bit",
    "exit-load-fs-base",
    "exit-store-x2apic",
)
# Processors with less: what is not offered must be refused, and the rest must work.
LESS = {
    "reduced": "ept vpid mtf preemption-timer vnmi vnmi-pending flexpriority apicv-xapic",
    "minimal": "secondary-ctls intr-exit nmi-exit vintr-pending",
    "no-msrs": "exit-save-pat exit-load-pat exit-load-efer exit-save-efer entry-load-efer entry-load-pat "
    "exit-load-perf-global-ctrl entry-load-perf-global-ctrl",
    "no-true": "true-ctls",
}
ICOUNT = ("-icount", processors.ICOUNT)
MULTI = ("-accel", "tcg,thread=multi")

TABLE = (
    # The machine without VMX: as stock, without the stock defects.
    Image("platform-stock", ("t_platform.c",), STOCK_CPU, at_least=18),
    _defect(1, "real16.asm", extra=VGA, at_least=4),
    _defect(2, at_least=24),
    _defect(3, at_least=2),
    _defect(4, extra=("-smp", "2"), at_least=2),
    _defect(5, at_least=1),
    _defect(12, at_least=5),
    _defect(13, at_least=4),
    Image("smi-sources", ("t_smi_sources.c",), STOCK_CPU, at_least=24),
    Image("smi-sources-icount", ("t_smi_sources.c",), STOCK_CPU, extra=ICOUNT, at_least=24),
    Image("shadow", ("t_shadow.c",), STOCK_CPU, ("WHERE=0",), at_least=3),
    *(
        Image(f"wait-sipi{suffix}", ("t_wait_sipi.c", "ap.asm"), STOCK_CPU, extra=("-smp", "2", *extra), at_least=42)
        for suffix, extra in (("", ()), ("-multi", MULTI))
    ),
    Image("patched", ("t_patched.c", "smp.asm"), VMX_CPU, extra=("-smp", "2", *MULTI), at_least=1),
    Image("fxrstor", ("t_fxrstor.c", "smp.asm"), VMX_CPU, extra=("-smp", "2", *MULTI), at_least=3),
    Image("accessed", ("t_accessed.c", "accessed.asm"), STOCK_CPU, extra=("-smp", "2"), at_least=41),
    # VMX without the dual-monitor treatment.
    Image("shadow-root", ("t_shadow.c",), VMX_CPU, ("WHERE=1",), at_least=3),
    Image("shadow-guest", ("t_shadow.c",), VMX_CPU, ("WHERE=2",), at_least=4),
    Image("bus", ("t_bus.c",), VMX_CPU, at_least=29),
    Image("pending-debug", ("t_pending_debug.c",), VMX_CPU, at_least=32),
    Image("perf-global", ("t_perf_global.c", "entry_check.c"), VMX_CPU, at_least=11),
    Image("mwait", ("t_mwait.c",), VMX_CPU, at_least=11),
    Image("stack-fault", ("t_stack_fault.c",), VMX_CPU, at_least=31),
    Image("msr-vmx", ("t_msr.c",), VMX_CPU, ("DUAL=0",), at_least=81),
    Image("capabilities-vmx", ("t_capabilities.c",), VMX_CPU, at_least=31),
    Image("no-ept", ("t_no_ept.c",), f"{VMX_CPU},-vmx-ept,-vmx-vpid", at_least=6),
    Image("loading-vmx", ("t_loading.c", "entry_check.c"), VMX_CPU, at_least=98),
    Image("vmx-insn-vmx", ("t_vmx_insn.c", "compat.asm"), VMX_CPU, at_least=184),
    Image("exits-vmx", ("t_exits.c",), VMX_CPU, at_least=197),
    Image("checks-vmx", ("t_checks.c", "entry_check.c"), VMX_CPU, at_least=93),
    Image("checks-no-eptad", ("t_checks.c", "entry_check.c"), f"{VMX_CPU},-vmx-eptad", at_least=92),
    Image("host-checks-vmx", ("t_host_checks.c", "entry_check.c"), VMX_CPU, at_least=48),
    Image("control-bits-vmx", ("t_control_bits.c", "entry_check.c"), VMX_CPU, at_least=31),
    Image("guest-checks-vmx", ("t_guest_checks.c", "entry_check.c"), VMX_CPU, at_least=93),
    Image("segment-checks-vmx", ("t_segment_checks.c", "entry_check.c"), VMX_CPU, at_least=139),
    Image("priority", ("t_priority.c", "entry_check.c"), VMX_CPU, at_least=80),
    Image("exit-info", ("t_exit_info.c", "entry_check.c"), VMX_CPU, at_least=44),
    Image("delivery", ("t_delivery.c",), VMX_CPU, at_least=511),
    Image(
        "inject-more",
        ("t_inject_more.c", "entry_check.c"),
        VMX_CPU,
        at_least=95,
    ),
    Image("apic", ("t_apic.c", "entry_check.c"), VMX_CPU, at_least=105),
    Image("apic-icount", ("t_apic.c", "entry_check.c"), VMX_CPU, extra=ICOUNT, at_least=105),
    Image(
        "ept-rest",
        ("t_ept_rest.c",),
        VMX_CPU,
        at_least=40,
    ),
    Image(
        "sipi",
        ("t_sipi.c", "entry_check.c", "ap.asm"),
        VMX_CPU,
        ("RACES=20",),
        extra=("-smp", "2"),
        at_least=22,
    ),
    Image(
        "sipi-multi",
        ("t_sipi.c", "entry_check.c", "ap.asm"),
        VMX_CPU,
        ("RACES=200",),
        extra=("-smp", "2", *MULTI),
        at_least=22,
    ),
    Image("host32", ("t_host32.c", "entry_check.c", "host32.asm"), VMX_CPU, at_least=19),
    Image(
        "shutdown-host32-pdpte",
        ("t_host32.c", "entry_check.c", "host32.asm"),
        VMX_CPU,
        ("ABORT=1",),
        at_least=0,
        ends_in_shutdown=True,
    ),
    Image("legacy", ("t_legacy.c", "entry_check.c"), VMX_CPU, at_least=117),
    Image("exceptions", ("t_exceptions.c", "entry_check.c"), VMX_CPU, at_least=102),
    *(
        Image(f"smp{suffix}", ("t_smp.c", "smp.asm"), VMX_CPU, extra=("-smp", "2", *extra), at_least=27)
        for suffix, extra in (("", ()), ("-multi", MULTI), ("-icount", ICOUNT))
    ),
    *(
        Image(f"tlb-smp{suffix}", ("t_tlb_smp.c", "smp.asm"), VMX_CPU, extra=("-smp", "2", *extra), at_least=54)
        for suffix, extra in (("", ()), ("-multi", MULTI))
    ),
    Image("inject-vmx", ("t_inject.c",), VMX_CPU, at_least=83),
    Image("default-vmx", ("t_default.c",), VMX_CPU, at_least=52),
    Image("default-more", ("t_default_more.c",), VMX_CPU, at_least=44),
    Image("default-more-icount", ("t_default_more.c",), VMX_CPU, extra=ICOUNT, at_least=44),
    Image("enabling-vmx", ("t_enabling.c",), VMX_CPU, ("DUAL=0",), at_least=7),
    # With it, before it is active.
    Image("enabling", ("t_enabling.c",), defines=("DUAL=1",), at_least=40),
    Image("smm-init", ("t_smm_init.c",), at_least=28),
    Image("smrr", ("t_smrr.c",), at_least=20),
    Image("smrr-tseg", ("t_smrr_tseg.c",), f"{DUAL_CPU},vmx-smrr-tseg=on", at_least=9),
    Image("smm-code", ("t_smm_code.c",), at_least=14),
    Image("smm-code-violation", ("t_smm_code.c",), defines=("VIOLATION",), at_least=10, ends_in_shutdown=True),
    Image("smm-code-off", ("t_smm_code.c",), f"{DUAL_CPU},vmx-smm-code-check=off", ("ABSENT",), at_least=1),
    Image("platform", ("t_platform.c",), at_least=18),
    Image("msr", ("t_msr.c",), at_least=106),
    Image("vmx-insn", ("t_vmx_insn.c", "compat.asm"), at_least=183),
    Image("exits", ("t_exits.c",), at_least=197),
    Image("exits-icount", ("t_exits.c",), extra=ICOUNT, at_least=197),
    Image("checks", ("t_checks.c", "entry_check.c"), at_least=95),
    Image("host-checks", ("t_host_checks.c", "entry_check.c"), at_least=48),
    Image("inject", ("t_inject.c",), at_least=79),
    Image("controls", ("t_controls.c",), at_least=66),
    Image("control-bits", ("t_control_bits.c", "entry_check.c"), at_least=31),
    Image("vectoring", ("t_vectoring.c",), at_least=19),
    Image("debug", ("t_debug.c",), at_least=34),
    Image("vmx-events", ("t_vmx_events.c",), VMX_CPU, at_least=60),
    Image("vmx-events-icount", ("t_vmx_events.c",), VMX_CPU, extra=ICOUNT, at_least=60),
    Image("ept-more", ("t_ept_more.c",), at_least=32),
    Image("default", ("t_default.c",), at_least=52),
    Image("vmcall-err", ("t_vmcall_err.c",), at_least=30),
    # The dual-monitor treatment.
    Image("activate", ("t_activate.c",), at_least=91),
    Image("activate32", ("t_activate32.c", "exec32.asm"), at_least=36),
    Image(
        "shutdown-stm32-pdpte",
        ("t_activate32.c", "exec32.asm"),
        defines=("ABORT",),
        at_least=0,
        ends_in_shutdown=True,
    ),
    Image("abort", ("t_abort.c",), extra=("-action", "reboot=reset"), at_least=4),
    Image("roundtrip", ("t_roundtrip.c",), at_least=7),
    Image("roundtrip-icount", ("t_roundtrip.c",), extra=ICOUNT, at_least=7),
    Image("smi-exit", ("t_smi_exit.c",), at_least=127),
    Image("smm-exit-more", ("t_smm_exit_more.c",), at_least=36),
    Image("smm-exit-more-icount", ("t_smm_exit_more.c",), extra=ICOUNT, at_least=36),
    Image("smm-events", ("t_smm_events.c",), at_least=32),
    Image("smi-exit-icount", ("t_smi_exit.c",), extra=ICOUNT, at_least=127),
    Image("modes", ("t_modes.c", "modes.asm"), at_least=64),
    Image("events", ("t_events.c",), at_least=28),
    Image("smm-msrs", ("t_smm_msrs.c",), at_least=13),
    Image("iosmi", ("t_iosmi.c",), at_least=43),
    Image("iosmi-icount", ("t_iosmi.c",), extra=ICOUNT, at_least=43),
    Image("stm", ("t_stm.c",), at_least=55),
    Image("return", ("t_return.c",), at_least=43),
    Image("return-more", ("t_return_more.c",), at_least=23),
    Image("smm-entries", ("t_smm_entries.c",), at_least=37),
    Image("smm-timer", ("t_smm_timer.c",), extra=ICOUNT, at_least=12),
    Image("smm-mix", ("t_smm_mix.c",), at_least=28),
    Image("smm-pae", ("t_smm_pae.c",), at_least=14),
    Image("a20", ("t_a20.c", "a20.asm"), at_least=6),
    *(
        Image(f"dual-smp{suffix}", ("t_dual_smp.c", "smp.asm"), extra=("-smp", "2", *extra), at_least=40)
        for suffix, extra in (("", ()), ("-multi", MULTI))
    ),
    Image("no-ia32e", ("no_ia32e.asm",), f"{DUAL_CPU},-lm", at_least=4),
    Image("holds", ("t_holds.c",), at_least=23),
    Image("choices", ("t_choices.c",), at_least=16),
    Image("return-err", ("t_return_err.c",), at_least=133),
    Image("deact", ("t_deact.c",), at_least=50),
    Image("ept", ("t_ept.c",), at_least=60),
    Image("async-default", ("t_async.c",), defines=("DUAL=0",), at_least=14),
    Image("async", ("t_async.c",), defines=("DUAL=1",), at_least=14),
    Image("async-icount", ("t_async.c",), defines=("DUAL=1",), extra=ICOUNT, at_least=14),
    Image("tlb", ("t_tlb.c",), at_least=22),
    Image("misc", ("t_misc.c",), at_least=25),
    Image("reset", ("t_reset.c",), extra=("-action", "reboot=reset"), at_least=12),
    Image("state", ("t_state.c", "state.asm"), at_least=253),
    Image("hostile-smm", ("t_hostile_smm.c",), at_least=110),
    Image("hostile-smm-icount", ("t_hostile_smm.c",), extra=ICOUNT, at_least=110),
    *(Image(f"fuzz-{seed}", ("t_fuzz.c",), defines=(f"SEED={seed}",), at_least=4) for seed in (1, 2)),
    *(Image(f"fuzz-smm-{seed}", ("t_fuzz_smm.c",), defines=(f"SEED={seed}",), at_least=3) for seed in (1, 2)),
    *(
        Image(f"shutdown-{name}", ("t_shutdown.c",), defines=(f"CASE={case}",), at_least=0, ends_in_shutdown=True)
        for case, name in enumerate(SHUTDOWNS)
    ),
    # Without the TRUE capability MSRs, which software may read only if IA32_VMX_BASIC says so.
    Image("activate-no-true", ("t_activate.c",), f"{DUAL_CPU},-vmx-true-ctls", at_least=91),
    Image("smi-exit-no-true", ("t_smi_exit.c",), f"{DUAL_CPU},-vmx-true-ctls", at_least=127),
    Image("return-no-true", ("t_return.c",), f"{DUAL_CPU},-vmx-true-ctls", at_least=43),
    *(
        Image(
            f"control-bits-{name}",
            ("t_control_bits.c", "entry_check.c"),
            ",".join((VMX_CPU, *(f"-vmx-{feature}" for feature in less.split()))),
            # Six are about secondary controls.
            at_least=25 if "secondary-ctls" in less.split() else 31,
        )
        for name, less in LESS.items()
    ),
    # Group "mmu": address translation, paging modes, and what belongs to them.
    Image("ept-walk", ("t_ept_walk.c",), VMX_CPU, at_least=148),
    Image("ept-walk-icount", ("t_ept_walk.c",), VMX_CPU, extra=ICOUNT, at_least=148),
    Image("pae", ("t_pae.c", "pae.asm"), VMX_CPU, at_least=120),
    Image("unrestricted", ("t_unrestricted.c", "unrestricted.asm"), VMX_CPU, at_least=252),
    Image("unrestricted-icount", ("t_unrestricted.c", "unrestricted.asm"), VMX_CPU, extra=ICOUNT, at_least=252),
    Image("insn-controls", ("t_insn_controls.c",), VMX_CPU, at_least=107),
    Image("insn-controls-icount", ("t_insn_controls.c",), VMX_CPU, extra=ICOUNT, at_least=107),
    Image("insn-controls-stock", ("t_insn_controls.c",), STOCK_CPU, defines=("STOCK",), at_least=3),
    Image("vmfunc", ("t_vmfunc.c",), VMX_CPU, at_least=66),
    Image("ept-matrix", ("t_ept_matrix.c",), VMX_CPU, at_least=1440),
    Image("xsaves", ("t_xsaves.c",), f"{VMX_CPU},+xsavec,+xsaves", at_least=76),
    Image("wrmsr", ("t_wrmsr.c",), VMX_CPU, at_least=44),
    Image("ltr", ("t_ltr.c",), STOCK_CPU, at_least=10),
    # A width of 57 bits, which VMX does not go with.
    Image("ltr-la57", ("t_ltr.c",), "max,vendor=GenuineIntel,-svm", ("LA57",), at_least=11),
    *(
        Image(f"fuzz-guest-{seed}", ("t_fuzz_guest.c",), VMX_CPU, (f"SEED={seed}",), ICOUNT, at_least=4)
        for seed in (1, 2)
    ),
    # End of group "mmu".
)
