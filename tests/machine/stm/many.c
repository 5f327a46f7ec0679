/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Loader, firmware and phases of several processors, and the scenes of their sessions. */
#include "many.h"

#define MANY_AT   0x8000u
#define ICR_HIGH  0xFEE00310u
#define ICR_LOW   0xFEE00300u
#define ICR_INIT  0x4500u
#define ICR_SIPI  0x4600u
#define ICR_SMI   0x4200u
#define APIC_BASE_MSR    0x1Bu
#define APIC_BASE_X2APIC 0x400u
#define X2APIC_SVR       0x80Fu
#define X2APIC_ICR       0x830u
#define SMIS      2u
#define FLAT_SMIS 12u
#define COME_LATE 0x7000u /* memory where the test says so; LATE in test_many.py */

#define MANY_SMBASE(cpu)  (TSEG_BASE + 0x100000u + (cpu) * 0x20000u)
#define MANY_PSD(cpu)     (MANY_SMBASE(cpu) + 0xFB00u)
#define MANY_GDT(cpu)     (MANY_SMBASE(cpu) + 0x10000u)
#define MANY_TSS(cpu)     (MANY_SMBASE(cpu) + 0x10100u)
#define MANY_STACK(cpu)   (MANY_SMBASE(cpu) + 0x18000u)
#define SEL_HANDLER_TSS   0x58u

extern uint8_t many_block[], many_block_end[], many_stub[], many_stub_end[];
extern uint8_t many_entry[], many_setup[], many_teardown[];
extern volatile uint64_t many_stack, many_number;
extern volatile uint32_t many_setups, many_teardowns;

void many_main(uint32_t cpu);
void many_handler(uint64_t cpu);

struct processor processors[PROCESSORS];
void (*volatile many_hook)(uint32_t cpu);

static uint8_t stacks[PROCESSORS][8192] __attribute__((aligned(16)));
static uint32_t moving;                     /* whose SMBASE moves now */
static volatile uint32_t psd_of, psd_write; /* what the next handler does */
static volatile uint32_t together;
volatile uint32_t nmi_count; /* of the handler in firmware.c, which is not used here */

static uint32_t call_with(uint32_t number, uint64_t page)
{
    uint32_t status = number, ebx = (uint32_t)page, ecx = page >> 32, edx = 0;

    __asm__ volatile("vmcall"
                     : "+a"(status), "+b"(ebx), "+c"(ecx), "+d"(edx)
                     :
                     : "cc", "memory");
    return status;
}

uint32_t many_call(uint32_t number)
{
    return call_with(number, 0);
}

#ifdef WIDE
static void send(uint32_t cpu, uint32_t icr)
{
    wrmsr(X2APIC_ICR, (uint64_t)cpu << 40 | icr);
}

static void apic_enable(void)
{
    wrmsr(APIC_BASE_MSR, rdmsr(APIC_BASE_MSR) | APIC_BASE_X2APIC);
    wrmsr(X2APIC_SVR, 0x1FF);
}
#else
static void send(uint32_t cpu, uint32_t icr)
{
    write32(ICR_HIGH, cpu << 24);
    write32(ICR_LOW, icr);
}

static void apic_enable(void)
{
    write32(0xFEE000F0, 0x1FF);
}
#endif

void wait_for(volatile uint32_t *what, uint32_t value)
{
    while (*what < value) {
        __asm__ volatile("pause" : : : "memory");
    }
}

void send_smi(uint32_t cpu)
{
    send(cpu, ICR_SMI);
}

void one_smi(uint32_t cpu)
{
    uint32_t before = processors[cpu].smis;

    send(cpu, ICR_SMI);
    while (processors[cpu].smis == before) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* In the STM's guest. */
void many_handler(uint64_t cpu)
{
    void (*hook)(uint32_t);

    if (SCENE == SCENE_COST) {
        cost_handler(cpu);
        return;
    }
    hook = many_hook;
    if (hook) {
        hook((uint32_t)cpu);
    }
    if (psd_write) {
        psd_write = 0;
        write32(MANY_PSD(psd_of), read32(MANY_PSD(psd_of)) ^ 1);
    }
    processors[cpu].smis++;
}

void many_activation(uint32_t cpu)
{
    vmclear(processors[cpu].activation);
    vmptrld(processors[cpu].activation);
    vmwrite_flags(VMCS_EXIT_CONTROLS,
                  controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
}

/* A call that must end with STM_SUCCESS. */
static bool good(uint32_t cpu, uint32_t number)
{
    uint32_t status = many_call(number);

    if (status != STM_SUCCESS) {
        processors[cpu].wrong++;
        processors[cpu].wrong_status = status;
    }
    return status == STM_SUCCESS;
}

/*
 * INITIALIZE_PROTECTION; refused while a session ends, and then tried again.
 * Each second round goes without START.
 */
static void round_of(uint32_t cpu, uint32_t number)
{
    uint32_t status;

    for (;;) {
        many_activation(cpu);
        status = many_call(API_INITIALIZE);
        if (status != STM_STOPPED) {
            break;
        }
        processors[cpu].refused++;
    }
    if (status != STM_SUCCESS) {
        processors[cpu].wrong++;
        processors[cpu].wrong_status = status;
        return;
    }
    if (number % 2 == 0 && good(cpu, API_START)) {
        for (unsigned i = 0; i < SMIS; i++) {
            one_smi(cpu);
        }
    }
    if (good(cpu, API_STOP)) {
        processors[cpu].rounds++;
    }
}

/* ---- what a processor does in phase N of a scene ---- */

static void rounds(uint32_t cpu)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        round_of(cpu, i);
    }
}

static void start(uint32_t cpu)
{
    many_activation(cpu);
    processors[cpu].wrong_status = many_call(API_START);
}

static void stop(uint32_t cpu)
{
    processors[cpu].wrong_status = many_call(API_STOP);
}

static void crash(uint32_t cpu)
{
    __atomic_add_fetch(&together, 1, __ATOMIC_SEQ_CST);
    wait_for(&together, PROCESSORS);
    one_smi(cpu);
}

static void smis(uint32_t cpu)
{
    for (unsigned i = 0; i < FLAT_SMIS; i++) {
        one_smi(cpu);
        /* Out of step with the machine's turns, one of which could fall into each SMI. */
        for (volatile unsigned wait = 0; wait < 97 * i; wait++) {
        }
    }
}

static void late(uint32_t cpu)
{
    many_activation(cpu);
    wait_for((volatile uint32_t *)COME_LATE, 1);
    processors[cpu].wrong_status = many_call(API_INITIALIZE);
}

static void initialize(uint32_t cpu)
{
    many_activation(cpu);
    processors[cpu].wrong_status = many_call(API_INITIALIZE);
}

static void go(uint32_t cpu)
{
    processors[cpu].wrong_status = many_call(API_START);
}

static void makes(uint32_t cpu)
{
    if (processors[cpu].activates) {
        many_activation(cpu);
    }
    processors[cpu].wrong_status = call_with(processors[cpu].number, processors[cpu].page);
}

static void (*const phases[])(uint32_t cpu) = {
    [PHASE_ROUNDS] = rounds, [PHASE_START] = start, [PHASE_STOP] = stop, [PHASE_CRASH] = crash,
    [PHASE_SMIS] = smis, [PHASE_LATE] = late, [PHASE_INITIALIZE] = initialize, [PHASE_GO] = go,
    [PHASE_SMI] = one_smi, [PHASE_WRITES] = writes, [PHASE_MAKES] = makes,
};

static void prepare(uint32_t cpu)
{
    uint32_t before;

    idt_load();
    apic_enable();
    if (!(rdmsr(MSR_FEATURE_CONTROL) & 1)) {
        wrmsr(MSR_FEATURE_CONTROL, 5);
    }
    write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
    write_cr4((read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED1));
    before = smi_count;
    send(cpu, ICR_SMI); /* moves SMBASE */
    wait_for(&smi_count, before + 1);
    processors[cpu].wrong = vmxon(processors[cpu].vmxon) != 0;
}

void many_main(uint32_t cpu)
{
    struct processor *own = &processors[cpu];

    prepare(cpu);
    own->done = 1;
    for (uint32_t seen = 0;;) {
        while (own->phase == seen) {
            __asm__ volatile("pause" : : : "memory");
        }
        seen = own->phase;
        phases[seen & 0xFF](cpu);
        own->done = seen;
    }
}

/* ---- loader and firmware ---- */

static void move_smbase(void)
{
    write32(DEFAULT_SMBASE + 0xFF00, MANY_SMBASE(moving));
    wrmsr(0x9B, MSEG_BASE | 1);
#ifdef COPIED
    wrmsr(0x1F2, TSEG_BASE | 6); /* SMRR, by which alone the STM finds SMRAM */
    wrmsr(0x1F3, (0xFFFFFFFFu & ~(TSEG_SIZE - 1)) | 0x800);
#endif
}

static void write_psd(uint32_t cpu)
{
    uint64_t psd = MANY_PSD(cpu), table = MANY_GDT(cpu), state = MANY_TSS(cpu);

    memset((void *)(uintptr_t)psd, 0, 0x89);
    memcpy((void *)(uintptr_t)psd, "TXTPSSIG", 8);
    write32(psd + 0x0C, cpu);
    write32(psd + 0x10, 0x000F);
    write32(psd + 0x14, SEL_CODE64 | SEL_DATA64 << 16);
    write32(psd + 0x18, SEL_DATA64 | SEL_DATA64 << 16);
    write32(psd + 0x1C, SEL_HANDLER_TSS);
    write64(psd + 0x20, HANDLER_TABLES);
    write64(psd + 0x28, phys(many_setup));
    write64(psd + 0x30, phys(many_teardown));
    write64(psd + 0x38, phys(many_entry));
    write64(psd + 0x40, MANY_STACK(cpu));
    write64(psd + 0x48, table);
    write32(psd + 0x50, SEL_HANDLER_TSS + 16);
    write32(psd + 0x54, 0x20064);
    memcpy((void *)(uintptr_t)table, gdt, SEL_HANDLER_TSS);
    write64(table + SEL_HANDLER_TSS,
            0x67 | (state & 0xFFFFFF) << 16 | 0x89ull << 40 | (state >> 24) << 56);
    write64(table + SEL_HANDLER_TSS + 8, 0);
    write64(MANY_STACK(cpu), cpu);
#ifdef HANDLER32
    begin_in_32_bits(psd);
#endif
    memcpy((void *)(uintptr_t)(MANY_SMBASE(cpu) + 0x8000), many_stub,
           (size_t)(many_stub_end - many_stub));
}

static void firmware(void)
{
    load_stm(ANNOUNCED);
    for (uint32_t cpu = 0; cpu < PROCESSORS; cpu++) {
        write_psd(cpu);
        processors[cpu].vmxon = vmcs_alloc();
        processors[cpu].activation = vmcs_alloc();
    }
    memcpy((void *)(uintptr_t)MANY_AT, many_block, (size_t)(many_block_end - many_block));
    smi_hook = move_smbase;
    /*
     * This processor last: before another one is in x2APIC mode, what is sent to
     * identifier 0 goes to it, too, if its own ends in 00H.
     */
    apic_enable();
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        moving = cpu;
        many_number = cpu;
        many_stack = phys(stacks[cpu]) + sizeof(stacks[cpu]);
        send(cpu, ICR_INIT);
        send(cpu, ICR_SIPI | MANY_AT >> 12);
        wait_for(&processors[cpu].done, 1);
        check_eq("FW", "vmxon", processors[cpu].wrong, 0);
    }
    moving = 0;
    prepare(0);
    check_eq("FW", "smbase-moved", smi_count, PROCESSORS);
    smi_hook = NULL;
    tseg_close();
}

/* Phases differ from one to the next. */
void begin(uint32_t cpu, uint32_t phase)
{
    static uint32_t number;

    number += 0x100;
    processors[cpu].phase = number | phase;
}

void wait_for_end(uint32_t cpu)
{
    wait_for(&processors[cpu].done, processors[cpu].phase);
}

uint32_t ask(uint32_t cpu, uint32_t phase)
{
    begin(cpu, phase);
    wait_for_end(cpu);
    return processors[cpu].wrong_status;
}

uint32_t call_on(uint32_t cpu, bool activates, uint32_t number, uint64_t page)
{
    processors[cpu].activates = activates;
    processors[cpu].number = number;
    processors[cpu].page = page;
    if (cpu != 0) {
        return ask(cpu, PHASE_MAKES);
    }
    makes(cpu);
    return processors[cpu].wrong_status;
}

static void scene_rounds(void)
{
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        begin(cpu, PHASE_ROUNDS);
    }
    rounds(0);
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        wait_for_end(cpu);
    }
    for (uint32_t cpu = 0; cpu < PROCESSORS; cpu++) {
        /* What it tells is how often the processor was refused. */
        check("MANY", "rounds", processors[cpu].rounds == ROUNDS, "%d", processors[cpu].refused);
        check_eq("MANY", "wrong", processors[cpu].wrong, 0);
        check_eq("MANY", "wrong-status", processors[cpu].wrong_status, 0);
        check_eq("MANY", "smis", processors[cpu].smis, (ROUNDS + 1) / 2 * SMIS);
    }
    check_eq("MANY", "setups", many_setups, (ROUNDS + 1) / 2 * PROCESSORS);
    check_eq("MANY", "teardowns", many_teardowns, (ROUNDS + 1) / 2 * PROCESSORS);
}

void open_session(void)
{
    many_activation(0);
    check_eq("MANY", "initialize", many_call(API_INITIALIZE), STM_SUCCESS);
    check_eq("MANY", "start-0", many_call(API_START), STM_SUCCESS);
}

/* ANNOUNCED are served, whichever they are; another one is when one has stopped. */
static void scene_room(void)
{
    open_session();
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("MANY", "start", ask(cpu, PHASE_START),
                 cpu < ANNOUNCED ? STM_SUCCESS : STM_OUT_OF_RESOURCES);
    }
    check_eq("MANY", "again", ask(PROCESSORS - 1, PHASE_START), STM_OUT_OF_RESOURCES);
    check_eq("MANY", "stop-1", ask(1, PHASE_STOP), STM_SUCCESS);
    check_eq("MANY", "start-instead", ask(PROCESSORS - 1, PHASE_START), STM_SUCCESS);
    check_eq("MANY", "no-room-for-1", ask(1, PHASE_START), STM_OUT_OF_RESOURCES);
    check_eq("MANY", "stop-last", ask(PROCESSORS - 1, PHASE_STOP), STM_SUCCESS);
    one_smi(0);
    check_eq("MANY", "stop-0", many_call(API_STOP), STM_SUCCESS);
}

/* Its PSD is broken a while, by the handler of another processor. */
static void scene_fails(void)
{
    open_session();
    psd_of = 1;
    psd_write = 1;
    one_smi(0);
    for (unsigned i = 0; i < 200; i++) {
        if (ask(1, PHASE_START) != STM_UNSPECIFIED) {
            break;
        }
    }
    check_eq("MANY", "start-fails", processors[1].wrong_status, STM_UNSPECIFIED);
    check_eq("MANY", "start-2", ask(2, PHASE_START), STM_SUCCESS);
    psd_write = 1;
    one_smi(0);
    check_eq("MANY", "start-1", ask(1, PHASE_START), STM_SUCCESS);
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("MANY", "stop", ask(cpu, PHASE_STOP), STM_SUCCESS);
    }
    check_eq("MANY", "start-at-the-end", ask(1, PHASE_START), STM_SUCCESS);
    check_eq("MANY", "stop-at-the-end", ask(1, PHASE_STOP), STM_SUCCESS);
    check_eq("MANY", "stop-0", many_call(API_STOP), STM_SUCCESS);
    check_eq("MANY", "over", ask(1, PHASE_START), STM_UNSPECIFIED);
}

static void scene_crash(void)
{
    open_session();
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("MANY", "start", ask(cpu, PHASE_START), STM_SUCCESS);
    }
    for (uint32_t cpu = PROCESSORS; cpu-- > 0;) { /* its own PSD last */
        psd_of = cpu;
        psd_write = 1;
        one_smi(0);
    }
    expect_shutdown("CRASH", "the STM resets the platform");
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        begin(cpu, PHASE_CRASH);
    }
    crash(0);
    panic("the STM survived");
}

static void scene_flat(void)
{
    open_session();
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("MANY", "start", ask(cpu, PHASE_START), STM_SUCCESS);
    }
    smis(0);
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        ask(cpu, PHASE_SMIS);
    }
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("MANY", "stop", ask(cpu, PHASE_STOP), STM_SUCCESS);
    }
    check_eq("MANY", "stop-0", many_call(API_STOP), STM_SUCCESS);
}

/*
 * The only member has stopped, and is held in MSEG by the test; meanwhile another
 * processor calls. When the first is out, the session of the second begins.
 */
static void scene_late(void)
{
    write32(COME_LATE, 0);
    open_session();
    begin(1, PHASE_LATE);
    check_eq("MANY", "stop-0", many_call(API_STOP), STM_SUCCESS);
    wait_for_end(1);
    check_eq("MANY", "session-over", processors[1].wrong_status, STM_STOPPED);
    check_eq("MANY", "again", ask(1, PHASE_LATE), STM_SUCCESS);
    check_eq("MANY", "stop-1", ask(1, PHASE_STOP), STM_SUCCESS);
}

void run_tests(void)
{
    static void (*const scenes[])(void) = {
        scene_rounds, scene_room, scene_fails, scene_crash, scene_flat, scene_late,
        scene_guard, scene_fetch, scene_absent,
#ifdef ORDERS
        scene_orders,
#else
        NULL,
#endif
        scene_shadows, scene_opened, scene_copies, scene_full,
        scene_cost, scene_ports,
#ifdef STANDBY
        scene_standby,
#endif
    };

    firmware();
    scenes[SCENE]();
}
