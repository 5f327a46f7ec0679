/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Faults and EPT violations during the delivery of events: every type of event,
 * injected or raised by the guest, against every place where delivery can fail. */
#include "ept.h"
#include "vmx.h"

#define ABSENT   0x8000000000ull /* canonical, not mapped by the guest */
#define AREA     0x2000000ull    /* 2 MB with page-wise EPT entries */
#define IDT_AT   (AREA + 0x1000)
#define TSS_AT   (AREA + 0x2000)
#define STACK_AT (AREA + 0x3000) /* one page */
#define IST_AT   (AREA + 0x5000)
#define DF_BIT   (1u << 8)

static uint64_t eptp, ept_pt;

/* ---- events ---- */
#define RAISE(name, ...)                                                       \
    void name(void);                                                           \
    __asm__(".globl " #name "\n" #name ":\n\t" __VA_ARGS__ "\n1:\tvmcall\n\tjmp 1b\n")

RAISE(raise_none, "nop");
RAISE(raise_ud, "ud2");
RAISE(raise_de, "xor %ecx, %ecx\n\tdiv %ecx");
RAISE(raise_gp, "mov $0x58, %eax\n\tmov %eax, %ds");
RAISE(raise_pf, "movabs $0x8000400123, %rax\n\tmovb $1, (%rax)");
RAISE(raise_int3, "int3");
RAISE(raise_int, "int $0x41");
RAISE(raise_int1, ".byte 0xF1");

enum first { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static const struct event {
    const char *name;
    void (*raise)(void); /* NULL: the event is injected only */
    uint32_t info, error, length;
    enum first first;
    uint32_t skip; /* bytes before the raising instruction */
} events[] = {
    {"external", NULL, 0x80000040, 0, 0, BENIGN, 0},
    {"nmi", NULL, 0x80000202, 0, 0, BENIGN, 0},
    {"de", raise_de, 0x80000300, 0, 0, CONTRIBUTORY, 2},
    {"ud", raise_ud, 0x80000306, 0, 0, BENIGN, 0},
    {"df", NULL, 0x80000B08, 0, 0, DOUBLE_FAULT, 0},
    {"np", NULL, 0x80000B0B, 0x60, 0, CONTRIBUTORY, 5},
    {"gp", raise_gp, 0x80000B0D, 0x58, 0, CONTRIBUTORY, 5},
    {"pf", raise_pf, 0x80000B0E, 2, 0, PAGE_FAULT, 10},
    {"int-n", raise_int, 0x80000441, 0, 2, BENIGN, 0},
    {"int1", raise_int1, 0x80000501, 0, 1, BENIGN, 0},
    {"int3", raise_int3, 0x80000603, 0, 1, BENIGN, 0},
};

/* ---- places ---- */
enum place { SHORT_IDT, IDT, TSS, STACK, PLACES };
static const char *const place_names[] = {"short-idt", "idt", "tss", "stack"};

static void prepare(const struct event *event, bool injected)
{
    memcpy((void *)IDT_AT, (void *)read_idtr().base, PAGE_SIZE);
    memset((void *)TSS_AT, 0, PAGE_SIZE);
    memcpy((void *)TSS_AT, tss, 0x68);
    write64(TSS_AT + 0x24, IST_AT + PAGE_SIZE);
    vmcs_fill_guest(injected ? raise_none : event->raise);
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    wr(VMCS_GUEST_IDTR_BASE, IDT_AT);
    wr(VMCS_GUEST_IDTR_LIMIT, 0xFFF);
    wr(VMCS_GUEST_BASE(SEG_TR), TSS_AT);
    wr(VMCS_GUEST_RSP, STACK_AT + PAGE_SIZE);
    if (injected) {
        wr(VMCS_ENTRY_INTERRUPTION_INFO, event->info);
        wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error);
        wr(VMCS_ENTRY_INSTRUCTION_LENGTH, event->length);
    }
}

static void use_ist(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        *(uint8_t *)(IDT_AT + 16 * vector + 4) = 1;
    }
}

/* Delivery fails there with #GP or #PF. */
static void break_by_fault(enum place place)
{
    switch (place) {
    case SHORT_IDT:
        wr(VMCS_GUEST_IDTR_LIMIT, 0);
        break;
    case IDT:
        wr(VMCS_GUEST_IDTR_BASE, ABSENT);
        break;
    case TSS:
        use_ist();
        wr(VMCS_GUEST_BASE(SEG_TR), ABSENT);
        break;
    default:
        wr(VMCS_GUEST_RSP, ABSENT + PAGE_SIZE);
        break;
    }
}

static uint32_t second_of(enum place place)
{
    return place == SHORT_IDT ? 13 : 14;
}

static bool doubles(enum first first, uint32_t second)
{
    return (first == CONTRIBUTORY && second == 13) || first == PAGE_FAULT;
}

struct want {
    const char *rule;
    uint32_t reason, intr, error, vectoring;
};

static void run(const struct event *event, enum place place, bool injected,
                uint32_t bitmap, const struct want *want, uint64_t region)
{
    uint32_t vectoring, vectoring_error;
    uint64_t rip, rsp;
    bool ok;

    vmclear(region);
    vmptrld(region);
    prepare(event, injected);
    break_by_fault(place);
    wr(VMCS_EXCEPTION_BITMAP, bitmap);
    rip = rd(VMCS_GUEST_RIP) + (injected ? 0 : event->skip);
    rsp = rd(VMCS_GUEST_RSP);
    guest_run(LAUNCH);
    vectoring = (uint32_t)rd(VMCS_IDT_VECTORING_INFO);
    vectoring_error = (uint32_t)rd(VMCS_IDT_VECTORING_ERROR_CODE);
    ok = last_exit.reason == want->reason && last_exit.intr == want->intr &&
         (!(want->intr & 0x800) || (last_exit.error & ~1u) == want->error) &&
         (want->vectoring ? vectoring == want->vectoring : !(vectoring >> 31));
    check(want->rule, event->name, ok,
          "place:%s,injected:%d,bitmap:%x,reason:%d,intr:%x,error:%x,vectoring:%x,"
          "want:%d,%x,%x,%x",
          place_names[place], injected, bitmap, last_exit.reason, last_exit.intr,
          last_exit.error, vectoring, want->reason, want->intr, want->error,
          want->vectoring);
    if (!ok || !want->vectoring) {
        return;
    }
    if (event->info & 0x800) {
        check("VMX-INF-22", event->name, vectoring_error == event->error,
              "place:%s,injected:%d,error:%x", place_names[place], injected,
              vectoring_error);
    }
    if (event->length) {
        check("VMX-INF-25", event->name, last_exit.length == event->length,
              "place:%s,injected:%d,length:%d", place_names[place], injected,
              last_exit.length);
    }
    check("VMX-INF-26", event->name, last_exit.rip == rip && rd(VMCS_GUEST_RSP) == rsp,
          "place:%s,injected:%d,rip:%q,want:%q", place_names[place], injected,
          last_exit.rip, rip);
    if (want->intr == 0x80000B0E && place != STACK) {
        check("VMX-INF-03", "delivery", last_exit.qualification >> 12 == ABSENT >> 12,
              "qualification:%q", last_exit.qualification);
    }
}

static void test_faults(const struct event *event, enum place place, bool injected,
                        uint64_t region)
{
    uint32_t second = second_of(place), vector = event->info & 0xFF;
    struct want want = {0};

    /* The bitmap selects the second exception. */
    want.rule = injected ? "VMX-EVT-12" : "VMX-INF-22";
    want.intr = 0x80000B00 | second;
    /* TCG leaves EXT of the error code 0. */
    want.error = second == 13 ? vector * 8 + 2 : place == STACK ? 2 : 0;
    want.vectoring = event->info;
    if (injected || vector != second) { /* else the first would exit */
        run(event, place, injected, 1u << second, &want, region);
    }

    /* Else it becomes #DF, at once or because the second fails as well. */
    if (event->first == DOUBLE_FAULT) {
        want = (struct want){"VMX-INF-24", VMX_REASON_TRIPLE_FAULT, 0, 0, 0};
        run(event, place, injected, DF_BIT, &want, region);
        return;
    }
    want = (struct want){"VMX-INT-50", VMX_REASON_EXCEPTION_NMI, 0x80000B08, 0, 0};
    run(event, place, injected, DF_BIT, &want, region);
    want = (struct want){injected ? "VMX-EVT-14" : "VMX-INT-48", VMX_REASON_TRIPLE_FAULT, 0, 0, 0};
    run(event, place, injected, 0, &want, region);
    /* #DF does not depend on bit 8 where the bitmap selects the second first. */
    if (doubles(event->first, second) && (injected || vector != 27 - second)) {
        want = (struct want){"VMX-INF-24", VMX_REASON_EXCEPTION_NMI, 0x80000B08, 0, 0};
        run(event, place, injected, DF_BIT | 1u << (27 - second), &want, region);
    }
}

/* ---- EPT violations ---- */
static void make_ept(void)
{
    uint64_t directory;

    eptp = ept_identity(&directory);
    ept_pt = ept_split(directory, AREA);
}

static void test_violation(const struct event *event, enum place place, bool injected,
                           uint64_t region)
{
    static const uint64_t pages[] = {0, IDT_AT, TSS_AT, STACK_AT};
    uint64_t page = pages[place], slot = ept_pt + 8 * ((page - AREA) >> 12), old = read64(slot);
    uint64_t access = place == STACK ? 2 : 1, descriptor[2] = {0, 0};
    uint64_t rip;
    bool ok;

    vmclear(region);
    vmptrld(region);
    prepare(event, injected);
    if (place == TSS) {
        use_ist();
    }
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, eptp);
    rip = rd(VMCS_GUEST_RIP) + (injected ? 0 : event->skip);
    write64(slot, 0);
    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(2ull) : "cc", "memory");
    guest_run(LAUNCH);
    ok = last_exit.reason == VMX_REASON_EPT_VIOLATION && rd(VMCS_IDT_VECTORING_INFO) == event->info &&
         (last_exit.qualification & 0x1BF) == (0x180 | access) &&
         (rd(VMCS_GUEST_PHYSICAL_ADDRESS) & ~0xFFFull) == page;
    check(injected ? "VMX-EVT-13" : "VMX-INF-23", event->name, ok,
          "place:%s,reason:%d,vectoring:%x,qualification:%q,physical:%q", place_names[place],
          last_exit.reason, (uint32_t)rd(VMCS_IDT_VECTORING_INFO), last_exit.qualification,
          rd(VMCS_GUEST_PHYSICAL_ADDRESS));
    if (ok) {
        check("VMX-INF-26", event->name, last_exit.rip == rip, "place:%s,rip:%q,want:%q",
              place_names[place], last_exit.rip, rip);
        if (event->length) {
            check_eq("VMX-INF-25", event->name, last_exit.length, event->length);
        }
        if (event->info & 0x800) {
            check_eq("VMX-INF-22", event->name, rd(VMCS_IDT_VECTORING_ERROR_CODE), event->error);
        }
    }
    write64(slot, old);
    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(2ull) : "cc", "memory");
}

void run_tests(void)
{
    uint64_t region;

    vmx_start();
    region = vmcs_new();
    make_ept();
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        for (unsigned injected = 0; injected < 2; injected++) {
            if (!injected && !events[i].raise) {
                continue;
            }
            for (enum place place = SHORT_IDT; place < PLACES; place++) {
                test_faults(&events[i], place, injected, region);
                if (place != SHORT_IDT) {
                    test_violation(&events[i], place, injected, region);
                }
            }
        }
    }
    vmclear(region);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
