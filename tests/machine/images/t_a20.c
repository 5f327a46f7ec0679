/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A20M: VMXON refuses it, and in VMX operation, STM and guests it masks nothing. */
#include "stm.h"

#define A20_AT      0x7000u
#define EVEN        0x1000000ull
#define ODD         0x1100000ull
#define PORT_92     0x92u
#define PORT_92_A20 2u
#define LARGE       0xE7u

extern uint8_t a20_block[], a20_block_end[], a20_fault[];

/* See a20.asm. */
struct a20 {
    uint64_t cr3, vmxon, stack, wraps, vector;
    struct table_register gdtr;
    uint8_t pad1[6];
    struct table_register idtr;
    uint8_t pad2[6];
    uint64_t kept[6];
};
_Static_assert(offsetof(struct a20, idtr) == 0x38 && offsetof(struct a20, kept) == 0x48, "a20.asm");

/* Identity in 1-GB pages, a GDT and an IDT with #GP alone: nothing at odd megabytes. */
static struct a20 *make_world(void)
{
    uint64_t pml4 = phys(page_alloc()), pdpt = phys(page_alloc()), table = phys(page_alloc());
    uint64_t idt = phys(page_alloc()), stack = phys(page_alloc());
    uint64_t handler = A20_AT + (uint64_t)(a20_fault - a20_block);
    struct a20 *a = page_alloc();

    write64(pml4, pdpt | 7);
    for (uint64_t i = 0; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | LARGE);
    }
    memcpy((void *)table, gdt, 0x58);
    write64(idt + 16 * FAULT_GP, (handler & 0xFFFF) | (uint64_t)SEL_CODE64 << 16 | 0x8E00ull << 32 |
                                     (handler >> 16) << 48);
    a->cr3 = pml4;
    a->vmxon = vmxon_region;
    a->stack = stack + PAGE_SIZE;
    a->gdtr = (struct table_register){0x57, table};
    a->idtr = (struct table_register){0xFFF, idt};
    memcpy((void *)(uintptr_t)A20_AT, a20_block, (size_t)(a20_block_end - a20_block));
    return a;
}

static void test_vmxon(void)
{
    void (*run)(struct a20 *) = (void (*)(struct a20 *))(uintptr_t)A20_AT;
    struct a20 *a = make_world();

    if ((phys(a) | a->cr3 | vmxon_region) & 1u << 20) {
        panic("pages at an odd megabyte");
    }
    run(a);
    check_eq("DM-INT-05", "gate-masks-bit-20", a->wraps, 0x2222);
    check_eq("DM-INT-05", "vmxon-with-a20m", a->vector, FAULT_GP);
}

static uint64_t both(void)
{
    write32(EVEN, 0x1111);
    write32(ODD, 0x2222);
    return read32(EVEN) | (uint64_t)read32(ODD) << 32;
}

static volatile uint64_t seen_in_stm, seen_in_guest;

static void close_gate(void)
{
    outb(PORT_92, inb(PORT_92) & (uint8_t)~PORT_92_A20);
    seen_in_stm = both();
}

static void guest_code(void)
{
    smi_port_write(0x80);
    seen_in_guest = both();
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_inside(void)
{
    const uint64_t want = 0x222200001111;
    uint64_t region, seen;

    stm_hook = close_gate;
    smi_port_write(0x80);
    seen = both();
    region = vmcs_new_guest(guest_code);
    guest_run(LAUNCH);
    vmclear(region);
    check_eq("DM-INT-05", "gate-closed", inb(PORT_92) & PORT_92_A20, 0);
    outb(PORT_92, inb(PORT_92) | PORT_92_A20);
    check_eq("DM-INT-05", "in-the-stm", seen_in_stm, want);
    check_eq("DM-INT-05", "behind-the-return", seen, want);
    check_eq("DM-INT-05", "in-a-guest", seen_in_guest, want);
}

void run_tests(void)
{
    vmx_prepare();
    test_vmxon();
    stm_activate();
    test_inside();
}
