/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Does what a batch says that was made outside and placed in RAM: VM entries
 * with the fields and the memory of the batch, and VMX instructions on its
 * pointers.  Every outcome is one line; the judge is outside (vmcs_batch.py).
 *
 * The guest lives in memory of its own (AREA), which every operation gets
 * fresh.  The last check proves that the machine goes on.
 */
#include "vmx.h"

#define BLOB         0x2000000u
#define BLOB_MAGIC   0x4843544142434D56ull
#define AREA         0x3000000u
#define STEPS        6u
#define FIELD_LIMIT  0x10000u /* keys from here on are physical addresses */
#define KEY_RBX      0xFF01u  /* no fields: registers of the guest */
#define KEY_RCX      0xFF03u

#define LPC_RCBA     0xF0u
#define MCH_PCIEXBAR 0x60u
#define VGA          1u
#define VGA_BAR0     0xE1000000u
#define VGA_BAR2     0xE0000000u
#define ECAM_BASE    0xB0000000u

struct blob {
    uint64_t magic, operations, pages, timer, racer;
    /* pages at BLOB + PAGE_SIZE, then the operations */
};

struct item {
    uint64_t key, value;
};

struct operation {
    uint64_t kind, count;
    struct item items[];
};

enum { /* vmcs_batch.py: Kind */
    KIND_ENTRY,
    KIND_VMPTRLD,
    KIND_VMCLEAR,
    KIND_VMXON,
    KIND_OPERAND,
    KIND_SHADOWED,
};

static const struct blob *const blob = (const struct blob *)(uintptr_t)BLOB;
static uint64_t region, good_cr0, good_cr4, good_efer;
static struct table_register good_gdtr;

/* NMIs and interrupts are the doing of a guest; what the host does itself is not. */
static bool swallow(struct fault_frame *frame)
{
    return frame->vector == 2 || frame->vector >= 32;
}

static void line(uint32_t index, const char *what, uint64_t flags)
{
    uint64_t error = flags == VMX_FAIL_VALID ? rd(VMCS_INSTRUCTION_ERROR) : 0;

    print("RESULT index=%d what=%s flags=%q error=%q\n", index, what, flags,
          error);
}

static void repair_processor(void)
{
    write_cr4(good_cr4);
    write_cr0(good_cr0);
    __asm__ volatile("lgdt %0" : : "m"(good_gdtr));
    wrmsr(MSR_EFER, good_efer);
    wrmsr(MSR_PAT, 0x0007040600070406ull);
    write_cr8(0);
    write_dr7(0x400);
    fault_hook = swallow;
    idt_load();
}

static void fresh_vmcs(void)
{
    memset((void *)(region + 4), 0, PAGE_SIZE - 4);
    if (vmclear(region) || vmptrld(region)) {
        panic("vmclear, vmptrld");
    }
}

static void fresh_area(void)
{
    const uint64_t *from = (const uint64_t *)(uintptr_t)(BLOB + PAGE_SIZE);
    void *to = (void *)(uintptr_t)AREA;
    uint64_t count = blob->pages * PAGE_SIZE / 8;

    __asm__ volatile("rep movsq"
                     : "+D"(to), "+S"(from), "+c"(count)
                     :
                     : "memory");
}

/* Exits that report the length of an instruction of the guest's code. */
static bool skippable(uint32_t reason)
{
    return reason >= VMX_REASON_CPUID && reason != 33 && reason != 34 &&
           reason != VMX_REASON_MONITOR_TRAP_FLAG && reason != VMX_REASON_TPR_BELOW_THRESHOLD &&
           reason != VMX_REASON_APIC_ACCESS && reason != VMX_REASON_EPT_VIOLATION &&
           reason != VMX_REASON_EPT_MISCONFIGURATION && reason != VMX_REASON_PREEMPTION_TIMER;
}

static void enter(uint32_t index, const struct operation *operation)
{
    bool launch = true;
    uint32_t expired = 0;

    guest.rdx = 0x80; /* the port of nothing */
    for (uint64_t i = 0; i < operation->count; i++) {
        const struct item *item = &operation->items[i];

        if (item->key >= FIELD_LIMIT) {
            write64(item->key, item->value);
        } else if (item->key == KEY_RBX) {
            guest.rbx = item->value;
        } else if (item->key == KEY_RCX) {
            guest.rcx = item->value;
        } else if (vmwrite_flags(item->key, item->value)) {
            print("NOFIELD index=%d field=%q\n", index, item->key);
        }
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        uint64_t flags = vm_enter(&guest, launch);
        uint64_t failed = flags == VMX_FAIL_VALID;
        uint32_t reason = flags == VMX_EXITED ? (uint32_t)rd(VMCS_EXIT_REASON) : 0;

        print("ENTRY index=%d step=%d flags=%q error=%q reason=%x "
              "qualification=%q\n", index, step, flags,
              failed ? rd(VMCS_INSTRUCTION_ERROR) : 0, reason,
              flags == VMX_EXITED ? rd(VMCS_EXIT_QUALIFICATION) : 0);
        if (flags != VMX_EXITED || reason >> 31 ||
            reason == VMX_REASON_TRIPLE_FAULT || reason == VMX_REASON_VMCALL ||
            (reason == VMX_REASON_PREEMPTION_TIMER && ++expired == 2)) {
            return;
        }
        if (skippable(reason)) {
            guest_skip();
        }
        launch = false;
    }
}

struct operand {
    uint64_t address;
    uint64_t results[6];
};

/* VMX instructions whose memory operand is at a hostile address. */
static void use_operand(void *arg)
{
    struct operand *o = arg;
    uint64_t *p = (uint64_t *)(uintptr_t)o->address;

#define DO(n, text, ...)                                                       \
    __asm__ volatile(text "\n\tpushfq\n\tpopq %0"                             \
                     : "=r"(o->results[n])                                     \
                     : __VA_ARGS__                                             \
                     : "cc", "memory")
    DO(0, "vmptrst %1", "m"(*p));
    DO(1, "vmread %2, %1", "m"(*p), "r"((uint64_t)VMCS_HOST_RIP));
    DO(2, "vmwrite %1, %2", "m"(*p), "r"((uint64_t)VMCS_TSC_OFFSET));
    DO(3, "vmptrld %1", "m"(*p));
    DO(4, "invept %1, %2", "m"(*p), "r"(1ull));
    DO(5, "invvpid %1, %2", "m"(*p), "r"(1ull));
#undef DO
}

static void operands(uint32_t index, uint64_t address)
{
    struct operand o = {.address = address};
    uint32_t fault = try_call(use_operand, &o);

    print("OPERAND index=%d fault=%x", index, fault);
    for (unsigned i = 0; i < ARRAY_SIZE(o.results); i++) {
        print(" %q", o.results[i] & RFLAGS_ARITHMETIC);
    }
    print("\n");
}

/*
 * The chipset's root complex registers over the current VMCS: its content is
 * something else from one instruction to the next, and back again.
 */
static void shadowed(uint32_t index)
{
    uint64_t value = 0;

    wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    pci_write32(31, 0, LPC_RCBA, (uint32_t)(region & ~0x3FFFull) | 1);
    line(index, "vmread", vmread_flags(VMCS_HOST_CR3, &value));
    line(index, "vmwrite", vmwrite_flags(VMCS_PIN_CONTROLS, 0xFFFFFFFF));
    line(index, "vmlaunch", vmlaunch_plain());
    line(index, "vmresume", vmresume_plain());
    line(index, "vmptrld", vmptrld(region));
    line(index, "vmclear", vmclear(region));
    pci_write32(31, 0, LPC_RCBA, 0);
}

static void vmxon_at(uint32_t index, uint64_t address)
{
    uint64_t flags;

    vmxoff();
    flags = vmxon(address);
    print("RESULT index=%d what=vmxon flags=%q error=0x0\n", index, flags);
    if (!flags) {
        vmxoff();
    }
    if (vmxon(vmxon_region)) {
        panic("vmxon");
    }
}

static void guest_code(void)
{
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

static void one(uint32_t index, const struct operation *operation)
{
    uint64_t first = operation->count ? operation->items[0].value : 0;

    print("BEGIN index=%d\n", index);
    fresh_area();
    fresh_vmcs();
    vmcs_fill_guest(guest_code);
    wr(VMCS_PREEMPTION_TIMER_VALUE, blob->timer);
    wr(VMCS_HOST_IA32_EFER, good_efer); /* WRMSR does not clear reserved bits */
    switch (operation->kind) {
    case KIND_ENTRY:
        enter(index, operation);
        break;
    case KIND_VMPTRLD:
        line(index, "vmptrld", vmptrld(first));
        break;
    case KIND_VMCLEAR:
        line(index, "vmclear", vmclear(first));
        break;
    case KIND_VMXON:
        vmxon_at(index, first);
        break;
    case KIND_OPERAND:
        operands(index, first);
        break;
    case KIND_SHADOWED:
        shadowed(index);
        break;
    default:
        panic("kind=%q", operation->kind);
    }
    repair_processor();
}

/* A second processor that changes the guest's tables all the time. */
static void start_racer(void)
{
    extern const uint8_t racer_start[], racer_end[];

    memcpy((void *)0x8000, racer_start, (size_t)(racer_end - racer_start));
    write32(0xFEE00310, 1u << 24);
    write32(0xFEE00300, 0x4500); /* INIT */
    write32(0xFEE00310, 1u << 24);
    write32(0xFEE00300, 0x4608); /* SIPI: 8000H */
}

/* The places that the pointers of a batch may name. */
static void open_places(void)
{
    if (pci_read32(VGA, 0, 0) != 0xFFFFFFFF) {
        pci_write32(VGA, 0, 0x10, VGA_BAR0);
        pci_write32(VGA, 0, 0x18, VGA_BAR2);
        pci_write32(VGA, 0, 0x04, 2);
    }
    pci_write32(0, 0, MCH_PCIEXBAR + 4, 0);
    pci_write32(0, 0, MCH_PCIEXBAR, ECAM_BASE | 1);
    write64(0xFED00010, 1); /* the HPET counts */
    tseg_close();
}

static void capabilities(void)
{
    uint32_t r[4];

    cpuid(0x80000008, 0, r);
    print("CAPS width=%d", r[0] & 0xFF);
    print(" pin=%q proc=%q", rdmsr(MSR_VMX_TRUE_PIN), rdmsr(MSR_VMX_TRUE_PROC));
    print(" exit=%q entry=%q", rdmsr(MSR_VMX_TRUE_EXIT),
          rdmsr(MSR_VMX_TRUE_ENTRY));
    print(" proc2=%q ept=%q misc=%q", rdmsr(MSR_VMX_PROC2),
          rdmsr(MSR_VMX_EPT_VPID), rdmsr(MSR_VMX_MISC));
    print(" region=%q\n", region);
    print("CONTROL cr0=%q cr4=%q\n", read_cr0(), read_cr4());
}

void run_tests(void)
{
    const uint8_t *next = (const uint8_t *)(uintptr_t)(BLOB + PAGE_SIZE);
    uint64_t count = blob->magic == BLOB_MAGIC ? blob->operations : 0;

    /* Pages at a multiple of 16 KiB, which the chipset can shadow. */
    do {
        region = vmcs_alloc();
    } while (region & 0x3FFF);
    vmx_start();
    capabilities();
    open_places();
    good_cr0 = read_cr0();
    good_cr4 = read_cr4();
    good_gdtr = read_gdtr();
    good_efer = rdmsr(MSR_EFER);
    repair_processor();
    if (count && blob->racer) {
        start_racer();
    }
    next += blob->pages * PAGE_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        const struct operation *operation = (const void *)next;

        one(i, operation);
        next += sizeof(*operation) + operation->count * sizeof(struct item);
    }
    fresh_vmcs();
    vmcs_fill_guest(guest_code);
    check_eq("SDM-HOSTILE", "still-runs-a-guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_vmx("SDM-HOSTILE", "vmxoff", vmxoff(), SUCCESS);
}
