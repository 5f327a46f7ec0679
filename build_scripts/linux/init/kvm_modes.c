/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The state in which a guest's processor begins, and the tables that it needs. */
#include <string.h>
#include <sys/ioctl.h>

#include "kvm.h"

enum {
    CR0_PE = 1, CR0_MP = 2, CR0_ET = 0x10, CR0_NE = 0x20, CR0_PG = (int)0x80000000u,
    CR4_PAE = 0x20, CR4_OSFXSR = 0x200, CR4_OSXMMEXCPT = 0x400,
    EFER_LME = 0x100, EFER_LMA = 0x400,
    PRESENT_WRITABLE = 3, LARGE = 0x80,
    CODE64 = 0x08, DATA = 0x10, CODE32 = 0x18, TASK = 0x30,
};

static const uint64_t gdt[] = {
    0,
    0x00af9b000000ffff, /* 08H code, 64 bits */
    0x00cf93000000ffff, /* 10H data */
    0x00cf9b000000ffff, /* 18H code, 32 bits */
    0x00009b000000ffff, /* 20H code, 16 bits */
    0x000093000000ffff, /* 28H data, 16 bits */
    0x00008b0000000067, /* 30H TSS */
    0,
};

static void build_tables(struct vm *vm)
{
    uint64_t *root = (uint64_t *)(vm->memory + GUEST_TABLES);
    uint64_t *pointers = root + 512, *low = root + 1024, *high = root + 1536;
    uint64_t *pae = (uint64_t *)(vm->memory + GUEST_PAE);

    memcpy(vm->memory + GUEST_GDT, gdt, sizeof(gdt));
    root[0] = (GUEST_TABLES + 0x1000) | PRESENT_WRITABLE;
    pointers[0] = (GUEST_TABLES + 0x2000) | PRESENT_WRITABLE;
    pointers[3] = (GUEST_TABLES + 0x3000) | PRESENT_WRITABLE;
    for (uint64_t i = 0; i < 512; i++) {
        low[i] = i << 21 | LARGE | PRESENT_WRITABLE;
        high[i] = ((i << 21) + 0xc0000000u) | LARGE | PRESENT_WRITABLE;
    }
    pae[0] = (GUEST_TABLES + 0x2000) | 1;
    pae[3] = (GUEST_TABLES + 0x3000) | 1;
}

static struct kvm_segment segment(uint16_t selector)
{
    uint64_t entry = gdt[selector / 8];
    struct kvm_segment result = {
        .selector = selector,
        .limit = (uint32_t)(entry & 0xffff) | (entry >> 55 & 1 ? 0xffff0000u : 0),
        .type = entry >> 40 & 15,
        .s = entry >> 44 & 1,
        .present = 1,
        .l = entry >> 53 & 1,
        .db = entry >> 54 & 1,
        .g = entry >> 55 & 1,
    };
    return result;
}

static void real_segments(struct kvm_sregs *s)
{
    struct kvm_segment data = {.limit = 0xffff, .type = 3, .s = 1, .present = 1};

    s->ds = s->es = s->fs = s->gs = s->ss = data;
    s->cs = data;
    s->cs.type = 11;
}

void enter_mode(struct vm *vm, struct vcpu *vcpu, enum mode mode, uint64_t entry)
{
    struct kvm_sregs s;
    struct kvm_regs r = {.rip = entry, .rsp = GUEST_STACK, .rflags = 2};

    build_tables(vm);
    ioctl(vcpu->fd, KVM_GET_SREGS, &s);
    if (mode == MODE_REAL) {
        real_segments(&s);
    } else {
        s.cs = segment(mode == MODE_LONG ? CODE64 : CODE32);
        s.ds = s.es = s.fs = s.gs = s.ss = segment(DATA);
        s.tr = segment(TASK);
        s.tr.base = GUEST_DATA + 0x800;
        s.gdt.base = GUEST_GDT;
        s.gdt.limit = sizeof(gdt) - 1;
        s.idt.base = GUEST_IDT;
        s.idt.limit = 0xfff;
        s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
    }
    if (mode == MODE_PAE || mode == MODE_LONG) {
        s.cr0 |= 0x80000000u;
        s.cr3 = mode == MODE_LONG ? GUEST_TABLES : GUEST_PAE;
        s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    }
    s.efer = mode == MODE_LONG ? EFER_LME | EFER_LMA : 0;
    if (ioctl(vcpu->fd, KVM_SET_SREGS, &s) || ioctl(vcpu->fd, KVM_SET_REGS, &r)) {
        trace(vm, "no-registers");
    }
}

void set_gates(struct vm *vm, int first, int count, uint64_t stubs, int stride)
{
    for (int i = 0; i < count; i++) {
        uint64_t target = stubs + (uint64_t)(i * stride);
        uint64_t *gate = (uint64_t *)(vm->memory + GUEST_IDT) + 2 * (first + i);

        gate[0] = (target & 0xffff) | (uint64_t)CODE64 << 16 | 0x8e0000000000 | (target & 0xffff0000) << 32;
        gate[1] = 0;
    }
}
