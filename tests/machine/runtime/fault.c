/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* IDT and the decision what an exception does to the running test. */
#include "runtime.h"

#define STUB_SIZE 16

struct gate {
    uint16_t offset_low, selector, flags, offset_mid;
    uint32_t offset_high, reserved;
};

extern uint8_t fault_stubs[];
extern uint8_t fault_recover[];
extern volatile uint64_t recover_rsp;

static struct gate idt[256] __attribute__((aligned(16)));

volatile struct fault_frame last_fault;
volatile uint32_t fault_count;
bool (*fault_hook)(struct fault_frame *frame);

void idt_load(void)
{
    struct table_register idtr = {sizeof(idt) - 1, phys(idt)};

    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void idt_init(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t entry = phys(fault_stubs) + i * STUB_SIZE;

        idt[i].offset_low = (uint16_t)entry;
        idt[i].offset_mid = (uint16_t)(entry >> 16);
        idt[i].offset_high = (uint32_t)(entry >> 32);
        idt[i].selector = SEL_CODE64;
        idt[i].flags = i == USER_RETURN ? 0xEE00 : 0x8E00;
        idt[i].reserved = 0;
    }
    idt_load();
}

void fault_handler(struct fault_frame *frame);

void fault_handler(struct fault_frame *frame)
{
    last_fault = *frame;
    fault_count++;
    if (fault_hook && fault_hook(frame)) {
        return;
    }
    if (!recover_rsp) {
        panic("vector=%d error=%q rip=%q rsp=%q cr2=%q", (uint32_t)frame->vector,
              frame->error, frame->rip, frame->rsp, read_cr2());
    }
    frame->rip = phys(fault_recover);
    frame->rsp = recover_rsp;
    frame->cs = SEL_CODE64;
    frame->ss = SEL_DATA64;
    frame->rflags = 2;
    frame->rax = frame->vector;
}

struct msr_access {
    uint32_t msr;
    uint64_t value;
};

static void do_rdmsr(void *arg)
{
    struct msr_access *access = arg;

    access->value = rdmsr(access->msr);
}

static void do_wrmsr(void *arg)
{
    const struct msr_access *access = arg;

    wrmsr(access->msr, access->value);
}

/* NO_FAULT or the vector; *value is changed only without a fault. */
uint32_t try_rdmsr(uint32_t msr, uint64_t *value)
{
    struct msr_access access = {msr, 0};
    uint32_t vector = try_call(do_rdmsr, &access);

    if (vector == NO_FAULT && value) {
        *value = access.value;
    }
    return vector;
}

uint32_t try_wrmsr(uint32_t msr, uint64_t value)
{
    struct msr_access access = {msr, value};

    return try_call(do_wrmsr, &access);
}
