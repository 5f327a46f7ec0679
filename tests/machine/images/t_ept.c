/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* EPT: page sizes, violations, misconfigurations, and EPT inside SMM. */
#include "stm.h"

#define EPT_R     1u
#define EPT_W     2u
#define EPT_X     4u
#define EPT_RWX   7u
#define EPT_WB    (6u << 3)
#define EPT_LARGE (1u << 7)
#define EPTP_WB4  0x1Eu /* WB, page-walk length 4 */

#define PROBE     0x2000000ull /* the page whose mapping a row changes */
#define PROBE_LINEAR (PROBE + 0x123)
#define ELSEWHERE 0x2400000ull

struct ept {
    uint64_t pml4, pdpt, pd, pt; /* pd: first GB; pt: 2 MB around PROBE */
};

static uint64_t ept_page(void)
{
    return phys(page_alloc());
}

/* Identity over 4 GB: first GB in 2-MB pages, the rest in 1-GB pages, the
 * 2 MB around PROBE in 4-KB pages. */
static struct ept ept_new(void)
{
    struct ept e = {ept_page(), ept_page(), ept_page(), ept_page()};

    write64(e.pml4, e.pdpt | EPT_RWX);
    write64(e.pdpt, e.pd | EPT_RWX);
    for (uint64_t i = 1; i < 4; i++) {
        write64(e.pdpt + 8 * i, i << 30 | EPT_RWX | EPT_WB | EPT_LARGE);
    }
    for (uint64_t i = 0; i < 512; i++) {
        write64(e.pd + 8 * i, i << 21 | EPT_RWX | EPT_WB | EPT_LARGE);
        write64(e.pt + 8 * i, PROBE | i << 12 | EPT_RWX | EPT_WB);
    }
    write64(e.pd + 8 * (PROBE >> 21), e.pt | EPT_RWX);
    return e;
}

static void use_ept(const struct ept *e)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, e->pml4 | EPTP_WB4);
}

static volatile uint64_t probe_value;

static void g_read(void)
{
    probe_value = read64(PROBE_LINEAR);
    __asm__ volatile("vmcall" : : : "memory");
}

static void g_write(void)
{
    write64(PROBE_LINEAR, 0x5A5A);
    __asm__ volatile("vmcall" : : : "memory");
}

static void g_fetch(void)
{
    ((void (*)(void))PROBE_LINEAR)();
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_capabilities(void)
{
    uint64_t capability = rdmsr(MSR_VMX_EPT_VPID);

    /* Contract: walk length 4, WB, 2-MB and 1-GB pages, INVEPT. */
    check_eq("VMX-CAP-24", "walk-length-4", capability >> 6 & 1, 1);
    check_eq("VMX-CAP-24", "wb", capability >> 14 & 1, 1);
    check_eq("VMX-CAP-24", "2m", capability >> 16 & 1, 1);
    check_eq("VMX-CAP-24", "1g", capability >> 17 & 1, 1);
}

/* Translation by pages of every size. */
static void test_sizes(void)
{
    struct ept e = ept_new();
    uint64_t region, address;

    write64(ELSEWHERE + 0x123, 0x4444);
    write64(PROBE_LINEAR, 0x1111);
    write64(e.pt, ELSEWHERE | EPT_RWX | EPT_WB);
    region = vmcs_new_guest(g_read);
    use_ept(&e);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-01", "4k", probe_value, 0x4444);
    check_eq("VMX-EPT-01", "4k-exit", last_exit.reason, VMX_REASON_VMCALL);
    vmclear(region);

    address = ELSEWHERE & ~0x1FFFFFull;
    write64(e.pd + 8 * (PROBE >> 21),
            address | EPT_RWX | EPT_WB | EPT_LARGE);
    invept_all();
    write64(address + 0x123, 0x2222);
    region = vmcs_new_guest(g_read);
    use_ept(&e);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-01", "2m", probe_value, 0x2222);
    vmclear(region);

    write64(e.pdpt, EPT_RWX | EPT_WB | EPT_LARGE);
    invept_all();
    region = vmcs_new_guest(g_read);
    use_ept(&e);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-01", "1g", probe_value, 0x1111);
    vmclear(region);
}

static const struct {
    const char *name;
    void (*guest)(void);
    uint64_t entry; /* of PROBE's page, besides the address */
    uint32_t reason;
    uint64_t qualification;
} rows[] = {
    /* Access in 2:0, permissions in 5:3, linear address
     * valid (7) and of the final access (8). */
    {"read-absent", g_read, 0, 48, 0x181},
    {"write-absent", g_write, 0, 48, 0x182},
    {"fetch-absent", g_fetch, 0, 48, 0x184},
    {"write-read-only", g_write, EPT_R | EPT_WB, 48, 0x18A},
    {"fetch-no-execute", g_fetch, EPT_R | EPT_W | EPT_WB, 48, 0x19C},
    {"read-allowed", g_read, EPT_R | EPT_WB, 18, 0},
    {"write-allowed", g_write, EPT_R | EPT_W | EPT_WB, 18, 0},
    /* 28.2.3.1 */
    {"write-only", g_read, EPT_W | EPT_WB, 49, 0},
    {"write-execute", g_write, EPT_W | EPT_X | EPT_WB, 49, 0},
    {"memory-type-2", g_read, EPT_RWX | 2u << 3, 49, 0},
    {"memory-type-7", g_read, EPT_RWX | 7u << 3, 49, 0},
    {"address-width", g_read, EPT_RWX | EPT_WB | 1ull << 45, 49, 0},
};

static void test_violations(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ept e = ept_new();
        uint64_t region = vmcs_new_guest(rows[i].guest);

        write64(e.pt, rows[i].entry ? PROBE | rows[i].entry : 0);
        use_ept(&e);
        guest_run(LAUNCH);
        check(rows[i].reason == 49 ? "VMX-EPT-09" : "VMX-EPT-04", rows[i].name, last_exit.reason == rows[i].reason,
              "reason:%d,want:%d,qualification:%q", last_exit.reason,
              rows[i].reason, last_exit.qualification);
        if (rows[i].reason != VMX_REASON_VMCALL) {
            check_eq("VMX-INF-15", rows[i].name, rd(VMCS_GUEST_PHYSICAL_ADDRESS) & ~0xFFFull,
                     PROBE);
        }
        if (rows[i].reason == VMX_REASON_EPT_VIOLATION) {
            check_eq("VMX-EPT-05", rows[i].name, last_exit.qualification,
                     rows[i].qualification);
            check_eq("VMX-INF-14", "guest-linear", rd(VMCS_GUEST_LINEAR_ADDRESS),
                     PROBE_LINEAR);
            /* The access goes through once the page is there. */
            write64(e.pt, PROBE | EPT_RWX | EPT_WB);
            if (rows[i].guest != g_fetch) {
                check_eq("VMX-EPT-08", rows[i].name, guest_run(RESUME),
                         VMX_REASON_VMCALL);
            }
        }
        vmclear(region);
    }
}

/* A violation while walking the guest's page tables: bit 8 is 0. */
static void test_walk(void)
{
    struct ept e = ept_new();
    uint64_t tables = PROBE + 0x5000;
    uint64_t region;

    memcpy((void *)tables, page_tables, PAGE_SIZE);
    region = vmcs_new_guest(g_read);
    write64(e.pt + 8 * 5, 0);
    use_ept(&e);
    wr(VMCS_GUEST_CR3, tables);
    guest_run(LAUNCH);
    check_eq("VMX-EPT-07", "walk-reason", last_exit.reason, VMX_REASON_EPT_VIOLATION);
    check_eq("VMX-EPT-06", "walk-bit-8", last_exit.qualification >> 7 & 3, 1);
    check_eq("VMX-EPT-07", "walk-physical", rd(VMCS_GUEST_PHYSICAL_ADDRESS) & ~0xFFFull,
             tables);
    write64(e.pt + 8 * 5, tables | EPT_RWX | EPT_WB);
    check_eq("VMX-EPT-08", "walk-resumed", guest_run(RESUME), VMX_REASON_VMCALL);
    vmclear(region);
}

static void test_eptp(void)
{
    static const struct {
        const char *name;
        uint64_t bits;
    } bad[] = {
        /* 26.2.1.1 */
        {"memory-type-1", 0x19},
        {"walk-length-3", 0x16},
        {"reserved-bit-7", 0x9E},
        {"width", 0x1E | 1ull << 45},
    };
    struct ept e = ept_new();
    uint64_t region = vmcs_new_guest(g_read);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        use_ept(&e);
        wr(VMCS_EPT_POINTER, e.pml4 | bad[i].bits);
        check_vmx("VMX-CTL-15", bad[i].name, vm_enter(&guest, LAUNCH),
                  VMX_ERROR_ENTRY_CONTROLS);
    }
    vmclear(region);
}

/* DM-INT-40: a guest of the STM under EPT that hides MSEG. */
static volatile uint64_t hidden_value;

static void sguest_reads_mseg(void)
{
    hidden_value = read32(MSEG_BASE + MSEG_SIGNATURE);
    __asm__ volatile("rsm" : : : "memory");
}

static void hide_mseg(void)
{
    uint64_t transfer = vmptrst();
    struct ept e = ept_new();
    uint64_t region = vmcs_new_guest(sguest_reads_mseg);

    write64(e.pd + 8 * (MSEG_BASE >> 21), 0);
    use_ept(&e);
    wr(VMCS_GUEST_CR3, phys(page_tables)); /* the STM's own are in MSEG */
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    guest_run(LAUNCH);
    check_eq("DM-INT-40", "reason", last_exit.reason, VMX_REASON_EPT_VIOLATION);
    check_eq("DM-INT-40", "physical", rd(VMCS_GUEST_PHYSICAL_ADDRESS),
             MSEG_BASE + MSEG_SIGNATURE);
    /* The STM itself still reads MSEG. */
    check_eq("DM-INT-40", "stm-reads",
             read32(MSEG_BASE + MSEG_SIGNATURE), MSEG_SIGNATURE_VALUE);
    write64(e.pd + 8 * (MSEG_BASE >> 21),
            MSEG_BASE | EPT_RWX | EPT_WB | EPT_LARGE);
    guest_run(RESUME);
    check_eq("DM-INT-40", "rsm", last_exit.reason, VMX_REASON_RSM);
    check_eq("DM-INT-40", "value", hidden_value, MSEG_SIGNATURE_VALUE);
    vmclear(region);
    vmptrld(transfer);
}

/* An SMI from a guest under EPT: exec's EPT is in force after the return. */
static void g_smi(void)
{
    smi_port_write(0);
    probe_value = read64(PROBE_LINEAR);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_smm(void)
{
    struct ept e = ept_new();
    uint64_t region;

    stm_call(hide_mseg);
    write64(e.pt, ELSEWHERE | EPT_RWX | EPT_WB);
    write64(PROBE_LINEAR, 0x1111);
    write64(ELSEWHERE + 0x123, 0x7777);
    region = vmcs_new_guest(g_smi);
    use_ept(&e);
    guest_run(LAUNCH);
    check_eq("DM-RET-50", "smi-reason", stm_log.reason, 0x00000005);
    check_eq("DM-RET-50", "vmcall", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("DM-RET-50", "ept-after-smi", probe_value, 0x7777);
    check_eq("DM-RET-50", "root-identity", read64(PROBE_LINEAR), 0x1111);
    vmclear(region);
}

void run_tests(void)
{
    stm_activate();
    *(volatile uint8_t *)PROBE_LINEAR = 0xC3;
    test_capabilities();
    test_sizes();
    test_violations();
    test_walk();
    test_eptp();
    test_smm();
}
