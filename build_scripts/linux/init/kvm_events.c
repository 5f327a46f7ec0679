/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Tests of interrupts and NMIs. */
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm.h"
#include "lab.h"

enum { HANDLERS = 0xa000, STRIDE = 32, FIRST = 0x40, COUNT = 64 };
enum { MESSAGE_PORT = 0x50, LINE_PORT = 0x51, PIC_PORT = 0x52, HALT_PORT = 0x53, NMI_PORT = 0x54 };

static void inject(struct vm *vm, struct vcpu *vcpu)
{
    struct kvm_interrupt interrupt = {.irq = FIRST};

    if (was_out(vcpu, MESSAGE_PORT)) {
        vcpu->run->request_interrupt_window = 1;
    } else if (vcpu->run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN) {
        vcpu->run->request_interrupt_window = 0;
        if (!vcpu->run->ready_for_interrupt_injection || ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt)) {
            trace(vm, "refused");
        }
    }
}

void test_interrupt(const char *name)
{
    struct vm vm;

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        LOAD(&vm, GUEST_CODE, interrupt);
        LOAD(&vm, HANDLERS, handlers);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        set_gates(&vm, FIRST, COUNT, HANDLERS, STRIDE);
        run(&vm, &vm.vcpu[0], inject);
        finish(&vm, name);
    }
}

static void send_nmi(struct vm *vm, struct vcpu *vcpu)
{
    static int sent;

    /* The second is sent while the first is being handled. */
    if (was_out(vcpu, MESSAGE_PORT)) {
        sent = 1;
    } else if (!was_out(vcpu, NMI_PORT) || sent++ != 1) {
        return;
    }
    if (ioctl(vcpu->fd, KVM_NMI)) {
        trace(vm, "refused");
    }
}

void test_nmi(const char *name)
{
    struct vm vm;
    enum { NMI = 2, NMI_HANDLER = 0xb000 };

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        LOAD(&vm, GUEST_CODE, nmi);
        LOAD(&vm, NMI_HANDLER, nmi_handler);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        set_gates(&vm, NMI, 1, NMI_HANDLER, STRIDE);
        run(&vm, &vm.vcpu[0], send_nmi);
        finish(&vm, name);
    }
}

static void message(struct vm *vm, uint32_t vector)
{
    struct kvm_msi msi = {.address_lo = 0xfee00000, .data = vector};

    if (ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) != 1) {
        trace(vm, "refused");
    }
}

static void pulse(struct vm *vm, uint32_t line)
{
    for (unsigned level = 2; level-- > 0;) {
        struct kvm_irq_level state = {.irq = line, .level = level};
        if (ioctl(vm->fd, KVM_IRQ_LINE, &state)) {
            trace(vm, "refused");
        }
    }
}

/* Wakes a processor that the kernel keeps halted. */
static void *wake(void *argument)
{
    usleep(50000);
    message(argument, FIRST + 8);
    return NULL;
}

static void raise_interrupt(struct vm *vm, struct vcpu *vcpu)
{
    static pthread_t waker;

    if (was_out(vcpu, MESSAGE_PORT)) {
        message(vm, FIRST + 6);
    } else if (was_out(vcpu, LINE_PORT)) {
        pulse(vm, 5);
    } else if (was_out(vcpu, PIC_PORT)) {
        pulse(vm, 3);
    } else if (was_out(vcpu, HALT_PORT) && pthread_create(&waker, NULL, wake, vm) == 0) {
        pthread_detach(waker);
    }
}

void test_irqchip(const char *name)
{
    struct vm vm;

    if (vm_open(&vm, name, GUEST_MEMORY, true)) {
        LOAD(&vm, GUEST_CODE, irqchip);
        LOAD(&vm, HANDLERS, handlers);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        set_gates(&vm, FIRST, COUNT, HANDLERS, STRIDE);
        run(&vm, &vm.vcpu[0], raise_interrupt);
        finish(&vm, name);
    }
}

void test_timer(const char *name)
{
    struct vm vm;
    enum { QUIET = 0x30, QUIET_HANDLER = 0xb000 };

    if (vm_open(&vm, name, GUEST_MEMORY, true)) {
        LOAD(&vm, GUEST_CODE, timer);
        LOAD(&vm, HANDLERS, handlers);
        LOAD(&vm, QUIET_HANDLER, quiet_handler);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        set_gates(&vm, FIRST, COUNT, HANDLERS, STRIDE);
        set_gates(&vm, QUIET, 1, QUIET_HANDLER, STRIDE);
        run(&vm, &vm.vcpu[0], NULL);
        finish(&vm, name);
    }
}
