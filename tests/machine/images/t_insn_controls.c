/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Controls of single instructions: RDRAND, RDSEED, RDPID, INVPCID, PAUSE. */
#include "vmx.h"

#define PROC_INVLPG      (1u << 9)
#define PROC_PAUSE       (1u << 30)
#define PROC2_RDTSCP     (1u << 3)
#define PROC2_PLE        (1u << 10)
#define PROC2_RDRAND     (1u << 11)
#define PROC2_INVPCID    (1u << 12)
#define PROC2_RDSEED     (1u << 16)
#define REASON_PAUSE     40
#define REASON_RDRAND    57
#define REASON_INVPCID   58
#define REASON_RDSEED    61
#define F_PLE_GAP        0x4020
#define F_PLE_WINDOW     0x4022
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

    wr(F_PROC, controls(MSR_VMX_TRUE_PROC, PROC_SECONDARY | proc));
    wr(F_PROC2, controls(MSR_VMX_PROC2, proc2));
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

        if (!(proc2 & (seed ? PROC2_RDSEED : PROC2_RDRAND))) {
            continue;
        }
        check_eq("VMX-INT-40", name, guest_run(launch),
                 seed ? REASON_RDSEED : REASON_RDRAND);
        check_eq("VMX-INF-27", name, last_exit.length, random_rows[i].length);
        check_eq("VMX-INF-33", name, rd(F_INSTRUCTION_INFO) & 0x1878,
                 random_rows[i].information);
        check_eq("VMX-INF-12", name, last_exit.qualification, 0);
        launch = RESUME;
        guest_skip();
    }
    check_eq("VMX-INT-40", "rest-executes", guest_run(launch), REASON_VMCALL);
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
    wr(F_EXCEPTION_BITMAP, 1u << FAULT_UD);
    check_eq("VMX-NRB-16", "rdpid-ud", guest_run(LAUNCH), REASON_EXCEPTION);
    check_eq("VMX-NRB-16", "rdpid-ud", last_exit.intr, EXCEPTION_UD);
    vmclear(region);
    region = new_guest(g_rdpid, 0, PROC2_RDTSCP);
    check_eq("VMX-NRB-16", "rdpid", guest_run(LAUNCH), REASON_VMCALL);
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
    wr(F_EXCEPTION_BITMAP, 1u << FAULT_UD | 1u << FAULT_GP);
    check_eq("VMX-NRB-09", "invpcid-ud", guest_run(LAUNCH), REASON_EXCEPTION);
    check_eq("VMX-NRB-09", "invpcid-ud", last_exit.intr, EXCEPTION_UD);
    vmclear(region);
    region = new_guest(g_invpcid_user, PROC_INVLPG, 0);
    wr(F_EXCEPTION_BITMAP, 1u << FAULT_UD | 1u << FAULT_GP);
    check_eq("VMX-NRB-09", "invpcid-ud-cpl-3", guest_run(LAUNCH), REASON_EXCEPTION);
    check_eq("VMX-NRB-09", "invpcid-ud-cpl-3", last_exit.intr, EXCEPTION_UD);
    vmclear(region);
    /* 25.1.1: #GP for the privilege level comes before the exit. */
    region = new_guest(g_invpcid_user, PROC_INVLPG, PROC2_INVPCID);
    wr(F_EXCEPTION_BITMAP, 1u << FAULT_UD | 1u << FAULT_GP);
    check_eq("VMX-INT-01", "invpcid-cpl-3", guest_run(LAUNCH), REASON_EXCEPTION);
    check_eq("VMX-INT-01", "invpcid-cpl-3", last_exit.intr, EXCEPTION_GP);
    vmclear(region);
    region = new_guest(g_invpcid, 0, PROC2_INVPCID);
    check_eq("VMX-NRB-09", "invpcid", guest_run(LAUNCH), REASON_VMCALL);
    vmclear(region);
    region = new_guest(g_invpcid, PROC_INVLPG, PROC2_INVPCID);
    check_eq("VMX-INT-41", "invpcid", guest_run(LAUNCH), REASON_INVPCID);
    check_eq("VMX-INF-05", "displacement", last_exit.qualification, 0x20);
    check_eq("VMX-INF-27", "invpcid-length", last_exit.length, 7);
    /* Table 27-9: scaling 4, 64-bit address, DS, index RCX, base RBX, Reg2. */
    check_eq("VMX-INF-30", "invpcid", rd(F_INSTRUCTION_INFO) & 0xFFFFFBFF,
             2u | 2u << 7 | 3u << 15 | 1u << 18 | 3u << 23 | 2u << 28);
    guest_skip();
    check_eq("VMX-INT-41", "invpcid-next", guest_run(RESUME), REASON_VMCALL);
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
    uint64_t region = new_guest(code, proc, PROC2_PLE);

    wr(F_PLE_GAP, gap);
    wr(F_PLE_WINDOW, window);
    return region;
}

static void test_pause(void)
{
    uint64_t region = pause_guest(g_pause, 0, UINT32_MAX, 0);

    /* 25.1.3: the first PAUSE after an entry begins a loop. */
    check_eq("VMX-INT-24", "loop", guest_run(LAUNCH), REASON_PAUSE);
    check_eq("VMX-INT-24", "loop-second", pauses, 1);
    check_eq("VMX-INF-27", "loop-length", last_exit.length, 2);
    check_eq("VMX-INT-24", "entry", guest_run(RESUME), REASON_PAUSE);
    check_eq("VMX-INT-24", "entry-first", pauses, 2);
    guest_skip();
    check_eq("VMX-INT-24", "skipped", guest_run(RESUME), REASON_PAUSE);
    check_eq("VMX-INT-24", "skipped", pauses, 4);
    vmclear(region);
    /* Every PAUSE is the first of a loop. */
    region = pause_guest(g_pause, 0, 0, 0);
    check_eq("VMX-INT-24", "gap", guest_run(LAUNCH), REASON_VMCALL);
    vmclear(region);
    /* No loop is as long as that. */
    region = pause_guest(g_pause, 0, UINT32_MAX, UINT32_MAX);
    check_eq("VMX-INT-24", "window", guest_run(LAUNCH), REASON_VMCALL);
    check_eq("VMX-INT-24", "window", pauses, 100);
    vmclear(region);
    region = pause_guest(g_pause_user, 0, UINT32_MAX, 0);
    check_eq("VMX-INT-24", "cpl-3", guest_run(LAUNCH), REASON_VMCALL);
    check_eq("VMX-INT-24", "cpl-3", pauses, 100);
    vmclear(region);
    region = pause_guest(g_pause, PROC_PAUSE, 0, UINT32_MAX);
    check_eq("VMX-INT-24", "pause-exiting", guest_run(LAUNCH), REASON_PAUSE);
    check_eq("VMX-INT-24", "pause-exiting", pauses, 0);
    vmclear(region);
}

void run_tests(void)
{
    uint32_t wanted = PROC2_PLE | PROC2_RDRAND | PROC2_INVPCID | PROC2_RDSEED;

    vmx_start();
    check_eq("VMX-CAP-14", "offered", rdmsr(MSR_VMX_PROC2) >> 32 & wanted, wanted);
    check_eq("VMX-NRB-17", "invpcid", cpuid_7_ebx(10), 1);
    /* Has to be asked for, see t_xsaves.c. */
    check_eq("VMX-NRB-18", "no-xsavec-xsaves", cpuid_d_eax() & 0xA, 0);
    check_eq("VMX-NRB-18", "no-xsaves", rdmsr(MSR_VMX_PROC2) >> 52 & 1, 0);
    test_random(PROC2_RDRAND | PROC2_RDSEED);
    test_random(PROC2_RDRAND);
    test_random(PROC2_RDSEED);
    test_random(0);
    test_rdpid();
    test_invpcid_faults();
    test_invpcid_effect();
    test_invpcid_guest();
    test_pause();
}
#endif
