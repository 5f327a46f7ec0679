/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Controls of single instructions: RDRAND, RDSEED, RDPID, INVPCID, PAUSE. */
#include "vmx.h"

#define EXCEPTION_UD     0x80000306u
#define EXCEPTION_GP     0x80000B0Du

static void invpcid_probe(void *unused)
{
    uint64_t descriptor[2] = {0, 0};

    (void)unused;
    __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(2ull) : "memory");
}

static bool cpuid_7_ebx(unsigned bit)
{
    uint32_t r[4];

    cpuid(7, 0, r);
    return r[1] >> bit & 1;
}

static uint32_t cpuid_d_eax(void)
{
    uint32_t r[4];

    cpuid(0xD, 1, r);
    return r[0];
}

#ifdef STOCK
/* Without VMX the processor is what it was. */
void run_tests(void)
{
    check_eq("VMX-NRB-17", "no-invpcid", cpuid_7_ebx(10), 0);
    check_eq("VMX-NRB-17", "ud", try_call(invpcid_probe, NULL), FAULT_UD);
    check_eq("VMX-NRB-18", "no-xsavec-xsaves", cpuid_d_eax() & 0xA, 0);
}
#else

static uint64_t new_guest(void (*code)(void), uint32_t proc, uint32_t proc2)
{
    uint64_t region = vmcs_new_guest(code);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS | proc));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, proc2));
    return region;
}

/* ---- RDRAND, RDSEED ---- */
static void g_random(void)
{
    __asm__ volatile("rdrand %%ax\n\trdrand %%r9d\n\trdrand %%r15\n\t"
                     "rdseed %%si\n\trdseed %%ebx\n\trdseed %%r8\n\tvmcall"
                     :
                     :
                     : "memory");
}

static const struct {
    const char *name;
    uint32_t length, information; /* Table 27-12 */
} random_rows[] = {
    {"ax", 4, 0 << 3 | 0 << 11},   {"r9d", 4, 9 << 3 | 1 << 11},
    {"r15", 4, 15 << 3 | 2 << 11}, {"si", 4, 6 << 3 | 0 << 11},
    {"ebx", 3, 3 << 3 | 1 << 11},  {"r8", 4, 8 << 3 | 2 << 11},
};

static void test_random(uint32_t proc2)
{
    uint64_t region = new_guest(g_random, 0, proc2);
    bool launch = LAUNCH;

    for (unsigned i = 0; i < ARRAY_SIZE(random_rows); i++) {
        const char *name = random_rows[i].name;
        bool seed = i >= 3;

        if (!(proc2 & (seed ? VMX_CPU2_RDSEED : VMX_CPU2_RDRAND))) {
            continue;
        }
        check_eq("VMX-INT-40", name, guest_run(launch),
                 seed ? VMX_REASON_RDSEED : VMX_REASON_RDRAND);
        check_eq("VMX-INF-27", name, last_exit.length, random_rows[i].length);
        check_eq("VMX-INF-33", name, rd(VMCS_EXIT_INSTRUCTION_INFO) & 0x1878,
                 random_rows[i].information);
        check_eq("VMX-INF-12", name, last_exit.qualification, 0);
        launch = RESUME;
        guest_skip();
    }
    check_eq("VMX-INT-40", "rest-executes", guest_run(launch), VMX_REASON_VMCALL);
    vmclear(region);
}

/* RDPID goes with "enable RDTSCP". */
static void g_rdpid(void)
{
    __asm__ volatile("rdpid %%rax\n\tvmcall" : : : "rax", "memory");
}

static void test_rdpid(void)
{
    uint64_t region = new_guest(g_rdpid, 0, 0);

    if (!cpuid_7_ebx(0)) { /* FSGSBASE: as new as RDPID on this machine */
        panic("processor model");
    }
    wr(VMCS_EXCEPTION_BITMAP, 1u << FAULT_UD);
    check_eq("VMX-NRB-16", "rdpid-ud", guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-NRB-16", "rdpid-ud", last_exit.intr, EXCEPTION_UD);
    vmclear(region);
    region = new_guest(g_rdpid, 0, VMX_CPU2_RDTSCP);
    check_eq("VMX-NRB-16", "rdpid", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
}

/* ---- INVPCID ---- */
struct invpcid {
    uint64_t type, descriptor[2];
};

static void do_invpcid(void *arg)
{
    const struct invpcid *i = arg;

    __asm__ volatile("invpcid %0, %1"
                     :
                     : "m"(i->descriptor), "r"(i->type)
                     : "memory");
}

static uint32_t try_invpcid(uint64_t type, uint64_t pcid, uint64_t address)
{
    struct invpcid i = {type, {pcid, address}};

    return try_call(do_invpcid, &i);
}

static void test_invpcid_faults(void)
{
    static const struct {
        const char *name;
        uint64_t type, pcid, address;
        uint32_t fault;
    } rows[] = {
        {"address", 0, 0, 0x1000, NO_FAULT},
        {"single", 1, 0, 0, NO_FAULT},
        {"all", 2, 0, 0, NO_FAULT},
        {"all-but-global", 3, 0, 0, NO_FAULT},
        {"type-4", 4, 0, 0, FAULT_GP},
        {"type-high", 1ull << 32, 0, 0, FAULT_GP},
        {"reserved", 1, 1u << 12, 0, FAULT_GP},
        {"reserved-all", 2, 1ull << 63, 0, FAULT_GP},
        /* CR4.PCIDE is 0. */
        {"pcid-0", 0, 1, 0, FAULT_GP},
        {"pcid-1", 1, 1, 0, FAULT_GP},
        {"pcid-2", 2, 1, 0, NO_FAULT},
        {"not-canonical", 0, 0, 0x800000000000, FAULT_GP},
        {"not-canonical-1", 1, 0, 0x800000000000, NO_FAULT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_eq("VMX-NRB-17", rows[i].name,
                 try_invpcid(rows[i].type, rows[i].pcid, rows[i].address),
                 rows[i].fault);
    }
    check_eq("VMX-NRB-17", "user", user_call(invpcid_probe, NULL), FAULT_GP);
}

/* Every type makes a changed entry visible. */
static void test_invpcid_effect(void)
{
    const uint64_t window = 0x80000000, a = 0x2000000, b = 0x2200000;
    uint64_t entry = phys(page_tables) + 4 * PAGE_SIZE;
    uint64_t old = read64(entry);

    write64(a, 0xAAAA);
    write64(b, 0xBBBB);
    for (uint64_t type = 0; type < 4; type++) {
        write64(entry, a | 0xE7);
        try_invpcid(type, 0, window);
        check_eq("VMX-NRB-17", "first", read64(window), 0xAAAA);
        write64(entry, b | 0xE7);
        try_invpcid(type, 0, window);
        check_eq("VMX-NRB-17", "second", read64(window), 0xBBBB);
    }
    write64(entry, old);
    write_cr3(read_cr3());
}

static void g_invpcid(void)
{
    static const uint64_t descriptor[2];

    __asm__ volatile("invpcid 0x20(%0,%1,4), %2\n\tvmcall"
                     :
                     : "b"(phys(descriptor) - 0x20), "c"(0ull), "d"(2ull)
                     : "memory");
}

static void g_invpcid_user(void)
{
    user_call(invpcid_probe, NULL);
}

static void test_invpcid_guest(void)
{
    uint64_t region = new_guest(g_invpcid, 0, 0);

    /* 25.3: #UD comes before every other exception. */
    wr(VMCS_EXCEPTION_BITMAP, 1u << FAULT_UD | 1u << FAULT_GP);
    check_eq("VMX-NRB-09", "invpcid-ud", guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-NRB-09", "invpcid-ud", last_exit.intr, EXCEPTION_UD);
    vmclear(region);
    region = new_guest(g_invpcid_user, VMX_CPU_INVLPG, 0);
    wr(VMCS_EXCEPTION_BITMAP, 1u << FAULT_UD | 1u << FAULT_GP);
    check_eq("VMX-NRB-09", "invpcid-ud-cpl-3", guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-NRB-09", "invpcid-ud-cpl-3", last_exit.intr, EXCEPTION_UD);
    vmclear(region);
    /* 25.1.1: #GP for the privilege level comes before the exit. */
    region = new_guest(g_invpcid_user, VMX_CPU_INVLPG, VMX_CPU2_INVPCID);
    wr(VMCS_EXCEPTION_BITMAP, 1u << FAULT_UD | 1u << FAULT_GP);
    check_eq("VMX-INT-01", "invpcid-cpl-3", guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-INT-01", "invpcid-cpl-3", last_exit.intr, EXCEPTION_GP);
    vmclear(region);
    region = new_guest(g_invpcid, 0, VMX_CPU2_INVPCID);
    check_eq("VMX-NRB-09", "invpcid", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
    region = new_guest(g_invpcid, VMX_CPU_INVLPG, VMX_CPU2_INVPCID);
    check_eq("VMX-INT-41", "invpcid", guest_run(LAUNCH), VMX_REASON_INVPCID);
    check_eq("VMX-INF-05", "displacement", last_exit.qualification, 0x20);
    check_eq("VMX-INF-27", "invpcid-length", last_exit.length, 7);
    /* Table 27-9: scaling 4, 64-bit address, DS, index RCX, base RBX, Reg2. */
    check_eq("VMX-INF-30", "invpcid", rd(VMCS_EXIT_INSTRUCTION_INFO) & 0xFFFFFBFF,
             2u | 2u << 7 | 3u << 15 | 1u << 18 | 3u << 23 | 2u << 28);
    guest_skip();
    check_eq("VMX-INT-41", "invpcid-next", guest_run(RESUME), VMX_REASON_VMCALL);
    vmclear(region);
}

/* ---- PAUSE ---- */
static volatile uint32_t pauses;

static void g_pause(void)
{
    for (pauses = 0; pauses < 100; pauses++) {
        __asm__ volatile("pause");
    }
    __asm__ volatile("vmcall" : : : "memory");
}

static void user_pauses(void *unused)
{
    (void)unused;
    for (pauses = 0; pauses < 100; pauses++) {
        __asm__ volatile("pause");
    }
}

static void g_pause_user(void)
{
    user_call(user_pauses, NULL);
    __asm__ volatile("vmcall" : : : "memory");
}

static uint64_t pause_guest(void (*code)(void), uint32_t proc, uint32_t gap,
                            uint32_t window)
{
    uint64_t region = new_guest(code, proc, VMX_CPU2_PAUSE_LOOP);

    wr(VMCS_PLE_GAP, gap);
    wr(VMCS_PLE_WINDOW, window);
    return region;
}

static void test_pause(void)
{
    uint64_t region = pause_guest(g_pause, 0, UINT32_MAX, 0);

    /* 25.1.3: the first PAUSE after an entry begins a loop. */
    check_eq("VMX-INT-24", "loop", guest_run(LAUNCH), VMX_REASON_PAUSE);
    check_eq("VMX-INT-24", "loop-second", pauses, 1);
    check_eq("VMX-INF-27", "loop-length", last_exit.length, 2);
    check_eq("VMX-INT-24", "entry", guest_run(RESUME), VMX_REASON_PAUSE);
    check_eq("VMX-INT-24", "entry-first", pauses, 2);
    guest_skip();
    check_eq("VMX-INT-24", "skipped", guest_run(RESUME), VMX_REASON_PAUSE);
    check_eq("VMX-INT-24", "skipped", pauses, 4);
    vmclear(region);
    /* Every PAUSE is the first of a loop. */
    region = pause_guest(g_pause, 0, 0, 0);
    check_eq("VMX-INT-24", "gap", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
    /* No loop is as long as that. */
    region = pause_guest(g_pause, 0, UINT32_MAX, UINT32_MAX);
    check_eq("VMX-INT-24", "window", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-INT-24", "window", pauses, 100);
    vmclear(region);
    region = pause_guest(g_pause_user, 0, UINT32_MAX, 0);
    check_eq("VMX-INT-24", "cpl-3", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-INT-24", "cpl-3", pauses, 100);
    vmclear(region);
    region = pause_guest(g_pause, VMX_CPU_PAUSE, 0, UINT32_MAX);
    check_eq("VMX-INT-24", "pause-exiting", guest_run(LAUNCH), VMX_REASON_PAUSE);
    check_eq("VMX-INT-24", "pause-exiting", pauses, 0);
    vmclear(region);
}

void run_tests(void)
{
    uint32_t wanted = VMX_CPU2_PAUSE_LOOP | VMX_CPU2_RDRAND | VMX_CPU2_INVPCID | VMX_CPU2_RDSEED;

    vmx_start();
    check_eq("VMX-CAP-14", "offered", rdmsr(MSR_VMX_PROC2) >> 32 & wanted, wanted);
    check_eq("VMX-NRB-17", "invpcid", cpuid_7_ebx(10), 1);
    /* Has to be asked for, see t_xsaves.c. */
    check_eq("VMX-NRB-18", "no-xsavec-xsaves", cpuid_d_eax() & 0xA, 0);
    check_eq("VMX-NRB-18", "no-xsaves", rdmsr(MSR_VMX_PROC2) >> 52 & 1, 0);
    test_random(VMX_CPU2_RDRAND | VMX_CPU2_RDSEED);
    test_random(VMX_CPU2_RDRAND);
    test_random(VMX_CPU2_RDSEED);
    test_random(0);
    test_rdpid();
    test_invpcid_faults();
    test_invpcid_effect();
    test_invpcid_guest();
    test_pause();
}
#endif
