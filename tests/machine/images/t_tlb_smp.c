/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a processor remembers of translations is its own: INVEPT and INVVPID of one
 * processor, the same VPID on two, and a change of mappings that is made known to
 * the other processor by an IPI while its guest runs.  Only the first processor
 * writes checks.
 */
#include "ept.h"
#include "smp.h"
#include "vmx.h"

#define WINDOW   0x3000000ull /* a 2-MByte page whose mapping changes; g_probe has the same */
#define FRAME_A  0x2000000ull
#define FRAME_B  0x2200000ull
#define MARK_A   0xAAAAull
#define MARK_B   0xBBBBull
#define FLAGS    0xE7u
#define TABLES   6u /* pages of the runtime's page tables */
#define VPID     5u
#define INVEPT_SINGLE  1u
#define INVEPT_ALL     2u
#define INVVPID_SHIFT  40 /* first type in IA32_VMX_EPT_VPID_CAP */
#define INVEPT_SHIFT   24 /* type 0, which no processor has */

/* Reads the window into RBX at every entry; the other one, again and again until the host says otherwise. */
void g_probe(void);
void g_watch(void);
volatile uint64_t watched;
volatile uint32_t rounds, watching;
__asm__("g_probe:\n\tmov 0x3000000, %rbx\n\tvmcall\n\tjmp g_probe\n"
        "g_watch:\n\tmov 0x3000000, %rbx\n\tmov %rbx, watched\n\tincl rounds\n\tpause\n\t"
        "cmpl $0, watching\n\tjne g_watch\n\tvmcall\n\tjmp g_watch\n");

/* How mappings are changed and made known. */
struct way {
    const char *rule, *name;
    bool ept;
    uint64_t type;
};

/* A processor and its guest. */
struct side {
    uint64_t vmxon, vmcs;
    struct vm_registers registers;
    bool launch;
    uint64_t found;
};

static struct side here, there;
static const struct way *way;
static uint64_t tables, other_tables, directory, eptp;

static void wait_for(volatile uint32_t *what, uint32_t value)
{
    for (uint32_t i = 0; *what < value; i++) {
        if (i > 200000000) {
            panic("waiting for %d, is %d", value, *what);
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

#include "second.h" /* uses wait_for() */

/* ---- mappings ---- */
static uint64_t copy_of_tables(uint64_t frame)
{
    uint64_t copy = phys(page_alloc());

    for (unsigned i = 1; i < TABLES; i++) {
        (void)page_alloc(); /* pages of the pool follow one another */
    }
    memcpy((void *)copy, page_tables, TABLES * PAGE_SIZE);
    write64(copy, (copy + PAGE_SIZE) | 7);
    for (unsigned i = 0; i < 4; i++) {
        write64(copy + PAGE_SIZE + 8 * i, (copy + (2 + i) * PAGE_SIZE) | 7);
    }
    write64(copy + 2 * PAGE_SIZE + 8 * (WINDOW >> 21), frame | FLAGS);
    return copy;
}

/* Of the guest's tables, or of EPT, in memory. */
static void map(uint64_t frame)
{
    write64(tables + 2 * PAGE_SIZE + 8 * (WINDOW >> 21), (way->ept ? WINDOW : frame) | FLAGS);
    write64(directory + 8 * (WINDOW >> 21), frame | EPT_LEAF);
}

static void invalidate(void)
{
    const uint64_t linear[2] = {VPID, WINDOW}, vpid[2] = {VPID, 0}, none[2] = {0, 0}, pointer[2] = {eptp, 0};
    const uint64_t *descriptor;

    if (way->ept) {
        descriptor = way->type == INVEPT_SINGLE ? pointer : none;
        __asm__ volatile("invept (%0), %1" : : "r"(descriptor), "r"(way->type) : "cc", "memory");
    } else {
        descriptor = way->type == 0 ? linear : way->type == 2 ? none : vpid;
        __asm__ volatile("invvpid (%0), %1" : : "r"(descriptor), "r"(way->type) : "cc", "memory");
    }
}

static void invalidate_all(void)
{
    const uint64_t none[2] = {0, 0};

    invept_all();
    __asm__ volatile("invvpid %0, %1" : : "m"(none), "r"(2ull) : "cc", "memory");
}

/* ---- guests ---- */
static void prepare(struct side *side, void (*code)(void), uint64_t cr3)
{
    uint32_t secondary = VMX_CPU2_VPID | (way->ept ? VMX_CPU2_EPT : 0);

    vmclear(side->vmcs);
    vmptrld(side->vmcs);
    vmcs_fill_guest(code);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI));
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, secondary));
    wr(VMCS_VPID, VPID);
    wr(VMCS_EPT_POINTER, eptp);
    wr(VMCS_GUEST_CR3, cr3);
    side->launch = LAUNCH;
    invalidate_all();
}

static void probe(struct side *side)
{
    if (vm_enter(&side->registers, side->launch) != VMX_EXITED || rd(VMCS_EXIT_REASON) != VMX_REASON_VMCALL) {
        panic("probe: reason=%q error=%q", rd(VMCS_EXIT_REASON), rd(VMCS_INSTRUCTION_ERROR));
    }
    side->launch = RESUME;
    side->found = side->registers.rbx;
    guest_skip();
}

static void enter_vmx(void)
{
    if (vmxon(there.vmxon)) {
        panic("vmxon there");
    }
}

static void prepare_there(void)
{
    prepare(&there, g_probe, tables);
}

static void prepare_with_other_tables(void)
{
    prepare(&there, g_probe, other_tables);
}

static void prepare_watch(void)
{
    prepare(&there, g_watch, tables);
}

static void probe_there(void)
{
    probe(&there);
}

static uint64_t found_there(void)
{
    run_there(probe_there);
    return there.found;
}

static uint64_t found_here(void)
{
    probe(&here);
    return here.found;
}

/* Its guest runs until somebody clears `watching`; an NMI says that mappings have changed. */
static volatile uint32_t shot_down;

static void watch(void)
{
    for (;;) {
        uint32_t reason;

        if (vm_enter(&there.registers, there.launch) != VMX_EXITED) {
            panic("watch: error=%q", rd(VMCS_INSTRUCTION_ERROR));
        }
        there.launch = RESUME;
        reason = (uint32_t)rd(VMCS_EXIT_REASON);
        if (reason != VMX_REASON_EXCEPTION_NMI) {
            break;
        }
        invalidate();
        shot_down++;
        iret_here();
    }
}

/* ---- checks ---- */
static void test_own(void)
{
    map(FRAME_A);
    prepare(&here, g_probe, tables);
    run_there(prepare_there);
    check_eq(way->rule, "before-here", found_here(), MARK_A);
    check_eq(way->rule, "before-there", found_there(), MARK_A);
    map(FRAME_B);
    invalidate();
    check_eq(way->rule, way->name, found_here(), MARK_B);
    check_eq("VMX-VPID-08", way->name, found_there(), MARK_A);
    run_there(invalidate);
    check_eq(way->rule, "there-too", found_there(), MARK_B);
}

static void test_shootdown(void)
{
    uint32_t exits = shot_down, before = done;

    map(FRAME_A);
    run_there(prepare_watch);
    watched = rounds = 0;
    watching = 1;
    command = watch;
    wait_for(&rounds, 100);
    check_eq("VMX-VPID-07", "before", watched, MARK_A);
    map(FRAME_B);
    send(OTHER, ICR_NMI);
    wait_for(&shot_down, exits + 1);
    rounds = 0;
    wait_for(&rounds, 100);
    check_eq("VMX-VPID-07", way->name, watched, MARK_B);
    watching = 0;
    wait_for(&done, before + 2);
    check_eq("VMX-VPID-07", "one-exit", shot_down, exits + 1);
}

static void test_same_vpid(void)
{
    static const struct way single = {"VMX-VPID-03", "single", false, 1};

    way = &single;
    map(FRAME_A);
    prepare(&here, g_probe, tables);
    run_there(prepare_with_other_tables);
    for (unsigned i = 0; i < 2; i++) {
        check_eq("VMX-VPID-06", "here", found_here(), MARK_A);
        check_eq("VMX-VPID-06", "there", found_there(), MARK_B);
    }
    invalidate();
    check_eq("VMX-VPID-06", "there-after-invvpid", found_there(), MARK_B);
    check_eq("VMX-VPID-06", "here-after-invvpid", found_here(), MARK_A);
}

static const struct way ways[] = {
    {"VMX-VPID-03", "invvpid-address", false, 0},
    {"VMX-VPID-03", "invvpid-single", false, 1},
    {"VMX-VPID-03", "invvpid-all", false, 2},
    {"VMX-VPID-03", "invvpid-single-but-globals", false, 3},
    {"VMX-VPID-02", "invept-single", true, INVEPT_SINGLE},
    {"VMX-VPID-02", "invept-all", true, INVEPT_ALL},
};

void run_tests(void)
{
    uint64_t offered;

    vmx_start();
    offered = rdmsr(MSR_VMX_EPT_VPID);
    write64(FRAME_A, MARK_A);
    write64(FRAME_B, MARK_B);
    tables = copy_of_tables(FRAME_A);
    other_tables = copy_of_tables(FRAME_B);
    eptp = ept_identity(&directory);
    here.vmcs = vmcs_alloc();
    there.vmcs = vmcs_alloc();
    there.vmxon = vmcs_alloc();
    smp_start();
    run_there(enter_vmx);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        way = &ways[i];
        if (!(offered >> (way->type + (way->ept ? INVEPT_SHIFT : INVVPID_SHIFT)) & 1)) {
            not_offered(way->rule, way->name);
            continue;
        }
        test_own();
        test_shootdown();
    }
    test_same_vpid();
}
