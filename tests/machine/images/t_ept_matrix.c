/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * EPT: every permission of the last entry, by access, page size, final access
 * or walk of the guest's tables, with and without accessed and dirty flags.
 * What has to happen is computed from the rules.
 */
#include "vmx.h"

#define EPT_R      1u
#define EPT_W      2u
#define EPT_X      4u
#define EPT_RWX    7u
#define EPT_WB     (6u << 3)
#define EPT_LARGE  (1u << 7)
#define EPT_A      (1u << 8)
#define EPT_D      (1u << 9)
#define EPTP_WB4   0x1Eu
#define EPTP_AD    (1u << 6)
#define PDE_A      (1u << 5)
#define PDE_D      (1u << 6)

/* Guest-physical 1 GiB and up is host-physical 0 and up, for a page of any
 * size; the rest is identity. */
#define GIGABYTE   0x40000000ull
#define TARGET     0x2000000ull       /* host-physical */
#define TARGET_GPA (GIGABYTE + TARGET)
#define OFFSET     0x123
#define PD_OFFSET  0x3000             /* a page directory of the guest there */
#define WINDOW     0x80000000ull      /* linear; translated by that directory */
#define WINDOW_RAM 0x2400000ull

enum access { READ, WRITE, FETCH };
enum size { SIZE_4K, SIZE_2M, SIZE_1G };

struct combination {
    uint32_t permission;
    enum access access;
    enum size size;
    bool walk;      /* the page holds a table of the guest */
    bool ad;        /* accessed and dirty flags for EPT */
    bool flags_set; /* walk: the guest's own flags are already set */
};

struct expectation {
    uint32_t reason;
    uint64_t qualification, physical, linear;
    bool dirty; /* with accessed and dirty flags: D of the page's entry */
};

static uint64_t pml4, pdpt, pd_low, pd_high, pt;
static bool execute_only;

static struct expectation expect(const struct combination *c)
{
    static const uint32_t bit_of[] = {EPT_R, EPT_W, EPT_X};
    uint32_t p = c->permission, needed, reported;
    struct expectation e = {.reason = VMX_REASON_VMCALL, .dirty = true};

    e.physical = c->walk ? TARGET_GPA + PD_OFFSET : TARGET_GPA + OFFSET;
    e.linear = c->walk ? WINDOW + OFFSET : TARGET_GPA + OFFSET;
    /* 28.2.3.1: writable without readable; execute-only, unless supported. */
    if ((p & (EPT_R | EPT_W)) == EPT_W || (p == EPT_X && !execute_only)) {
        e.reason = VMX_REASON_EPT_MISCONFIGURATION;
        return e;
    }
    if (!c->walk) {
        needed = reported = bit_of[c->access];
        e.dirty = c->access == WRITE;
    } else if (c->ad) {
        /* 28.2.3.2: accesses to the guest's tables are writes, and Table 27-7:
         * reported as both. */
        needed = EPT_W;
        reported = EPT_R | EPT_W;
    } else if (!(p & EPT_R)) {
        needed = reported = EPT_R;
    } else if (!c->flags_set) {
        /* Setting a flag reads and writes the entry. */
        needed = EPT_W;
        reported = EPT_R | EPT_W;
    } else {
        needed = 0;
        reported = 0;
    }
    if (needed & ~p) {
        e.reason = VMX_REASON_EPT_VIOLATION;
        e.qualification = reported | p << 3 | 1u << 7 | (c->walk ? 0 : 1u << 8);
    }
    return e;
}

static void make_ept(void)
{
    pml4 = phys(page_alloc());
    pdpt = phys(page_alloc());
    pd_low = phys(page_alloc());
    pd_high = phys(page_alloc());
    pt = phys(page_alloc());
    write64(pml4, pdpt | EPT_RWX);
    write64(pdpt, pd_low | EPT_RWX);
    for (uint64_t i = 2; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | EPT_RWX | EPT_WB | EPT_LARGE);
    }
    for (uint64_t i = 0; i < 512; i++) {
        write64(pd_low + 8 * i, i << 21 | EPT_RWX | EPT_WB | EPT_LARGE);
        write64(pd_high + 8 * i, i << 21 | EPT_RWX | EPT_WB | EPT_LARGE);
        write64(pt + 8 * i, TARGET | i << 12 | EPT_RWX | EPT_WB);
    }
}

/* Sets the page's entry; returns where it is. */
static uint64_t set_entry(const struct combination *c, uint32_t permission)
{
    uint64_t offset = c->walk ? PD_OFFSET : 0;
    uint64_t entry, value = permission | EPT_WB;

    write64(pdpt + 8, pd_high | EPT_RWX);
    write64(pd_high + 8 * (TARGET >> 21), pt | EPT_RWX);
    switch (c->size) {
    case SIZE_4K:
        entry = pt + 8 * (offset >> 12);
        value |= TARGET + offset;
        break;
    case SIZE_2M:
        entry = pd_high + 8 * (TARGET >> 21);
        value |= TARGET | EPT_LARGE;
        break;
    default:
        entry = pdpt + 8;
        value |= EPT_LARGE;
        break;
    }
    write64(pt + 8 * (PD_OFFSET >> 12), (TARGET + PD_OFFSET) | EPT_RWX | EPT_WB);
    write64(pt, TARGET | EPT_RWX | EPT_WB);
    write64(entry, value);
    invept_all();
    return entry;
}

static void g_read(void)
{
    __asm__ volatile("mov (%%rbx), %%al\n\tvmcall" : : : "memory");
}

static void g_write(void)
{
    __asm__ volatile("mov %%cl, (%%rbx)\n\tvmcall" : : : "memory");
}

static void g_fetch(void)
{
    __asm__ volatile("call *%%rbx\n\tvmcall" : : : "memory");
}

static void name_of(const struct combination *c, char *name)
{
    static const char *const accesses[] = {"read", "write", "fetch"};
    static const char *const sizes[] = {"4k", "2m", "1g"};
    const char *parts[] = {c->walk ? c->flags_set ? "walk" : "walk-flags" : "final",
                           sizes[c->size], accesses[c->access],
                           c->ad ? "ad" : "no-ad"};

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        for (const char *s = parts[i]; *s; s++) {
            *name++ = *s;
        }
        *name++ = '-';
    }
    *name++ = c->permission & EPT_R ? 'r' : '_';
    *name++ = c->permission & EPT_W ? 'w' : '_';
    *name++ = c->permission & EPT_X ? 'x' : '_';
    *name = 0;
}

static void test(const struct combination *c)
{
    static void (*const code[])(void) = {g_read, g_write, g_fetch};
    struct expectation want = expect(c);
    uint64_t directory = TARGET + PD_OFFSET, entry, flags;
    uint64_t region = vmcs_new_guest(code[c->access]);
    uint64_t target = c->walk ? WINDOW_RAM : TARGET;
    char name[64];
    bool ok;

    name_of(c, name);
    write64(directory, WINDOW_RAM | 0x83 | (c->flags_set ? PDE_A | PDE_D : 0));
    *(volatile uint8_t *)(target + OFFSET) = 0xC3;
    entry = set_entry(c, c->permission);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, pml4 | EPTP_WB4 | (c->ad ? EPTP_AD : 0));
    guest.rbx = c->walk ? WINDOW + OFFSET : TARGET_GPA + OFFSET;
    guest.rcx = 0xC3;

    guest_run(LAUNCH);
    ok = last_exit.reason == want.reason;
    if (ok && want.reason != VMX_REASON_VMCALL) {
        ok = rd(VMCS_GUEST_PHYSICAL_ADDRESS) == want.physical;
    }
    if (ok && want.reason == VMX_REASON_EPT_VIOLATION) {
        ok = last_exit.qualification == want.qualification &&
             rd(VMCS_GUEST_LINEAR_ADDRESS) == want.linear;
    }
    check(want.reason == VMX_REASON_EPT_MISCONFIGURATION ? "VMX-EPT-09"
          : c->walk ? "VMX-EPT-07"
                    : "VMX-EPT-04",
          name, ok,
          "reason:%d,want:%d,qualification:%q,want:%q,physical:%q,want:%q",
          last_exit.reason, want.reason, last_exit.qualification,
          want.qualification, rd(VMCS_GUEST_PHYSICAL_ADDRESS), want.physical);

    flags = read64(entry) & (EPT_A | EPT_D);
    if (want.reason == VMX_REASON_VMCALL) {
        check_eq(c->ad ? "VMX-EPT-11" : "VMX-EPT-13", name, flags,
                 !c->ad ? 0 : EPT_A | (want.dirty ? EPT_D : 0));
    } else {
        check_eq("VMX-EPT-11", name, flags & EPT_D, 0);
        /* The access goes through once the page is there. */
        set_entry(c, EPT_RWX);
        check_eq("VMX-EPT-08", name, guest_run(RESUME), VMX_REASON_VMCALL);
    }
    if (c->walk) {
        uint64_t done = PDE_A | (c->access == WRITE ? PDE_D : 0);

        check_eq("VMX-EPT-14", name, read64(directory) & done, done);
    }
    vmclear(region);
}

void run_tests(void)
{
    struct combination c;
    uint64_t window_entry = phys(page_tables) + PAGE_SIZE + 8 * (WINDOW >> 30);

    vmx_start();
    execute_only = rdmsr(MSR_VMX_EPT_VPID) & 1;
    make_ept();
    /* Linear WINDOW: by the directory in the page under test. */
    write64(window_entry, (TARGET_GPA + PD_OFFSET) | 7 | PDE_A);
    for (unsigned i = 0; i < 8 * 3 * 3 * 2 * 3; i++) {
        c.permission = i & 7;
        c.access = (enum access)(i / 8 % 3);
        c.size = (enum size)(i / 24 % 3);
        c.ad = i / 72 % 2;
        c.walk = i / 144 != 0;
        c.flags_set = i / 144 == 2;
        test(&c);
    }
    write64(window_entry, (phys(page_tables) + 4 * PAGE_SIZE) | 7);
}
