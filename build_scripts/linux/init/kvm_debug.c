/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Tests of a guest that is watched: preemption, single steps, breakpoints, writes to pages. */
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "kvm.h"
#include "lab.h"

static void nothing(int signal)
{
    (void)signal;
}

/* A guest that never exits by itself is interrupted by a signal. */
void test_spin(const char *name)
{
    struct vm vm;
    struct sigaction action = {.sa_handler = nothing};
    struct itimerval soon = {.it_value.tv_usec = 200000};

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        LOAD(&vm, GUEST_CODE, spin);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &soon, NULL);
        run(&vm, &vm.vcpu[0], NULL);
        finish(&vm, name);
    }
}

void test_step(const char *name)
{
    struct vm vm;
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        LOAD(&vm, GUEST_CODE, step);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        if (ioctl(vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &debug)) {
            trace(&vm, "refused");
        }
        run(&vm, &vm.vcpu[0], NULL);
        finish(&vm, name);
    }
}

/* Steps over the breakpoint's instruction by taking it away. */
static void take_away(struct vm *vm, struct vcpu *vcpu)
{
    struct kvm_guest_debug debug = {.control = 0};

    if (vcpu->run->exit_reason == KVM_EXIT_DEBUG && ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug)) {
        trace(vm, "refused");
    }
}

void test_breakpoint(const char *name)
{
    struct vm vm;
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        LOAD(&vm, GUEST_CODE, step);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        debug.arch.debugreg[0] = GUEST_CODE + 2;
        debug.arch.debugreg[7] = 0x2;
        if (ioctl(vm.vcpu[0].fd, KVM_SET_GUEST_DEBUG, &debug)) {
            trace(&vm, "refused");
        }
        run(&vm, &vm.vcpu[0], take_away);
        finish(&vm, name);
    }
}

static void dirty_pages(struct vm *vm, struct vcpu *vcpu)
{
    uint64_t bits[GUEST_MEMORY / 4096 / 64] = {0};
    struct kvm_dirty_log log = {.dirty_bitmap = bits};

    if (was_out(vcpu, 0x50)) {
        if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log)) {
            trace(vm, "refused");
        }
        trace(vm, "dirty:%llx:%llx", (unsigned long long)bits[4], (unsigned long long)bits[5]);
    }
}

void test_dirty(const char *name)
{
    struct vm vm;

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        struct kvm_userspace_memory_region region = {
            .memory_size = vm.size, .userspace_addr = (uintptr_t)vm.memory, .flags = KVM_MEM_LOG_DIRTY_PAGES};

        LOAD(&vm, GUEST_CODE, dirty);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        if (ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region)) {
            trace(&vm, "refused");
        }
        run(&vm, &vm.vcpu[0], dirty_pages);
        finish(&vm, name);
    }
}

/* A read-only slot at 8 MB that shows the memory at 1 MB: reads are memory, writes exit. */
void test_readonly(const char *name)
{
    struct vm vm;

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        struct kvm_userspace_memory_region region = {.slot = 1, .guest_phys_addr = 0x800000, .memory_size = 0x1000,
            .userspace_addr = (uintptr_t)vm.memory + 0x100000, .flags = KVM_MEM_READONLY};

        LOAD(&vm, GUEST_CODE, readonly);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        if (ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region)) {
            trace(&vm, "refused");
        }
        run(&vm, &vm.vcpu[0], NULL);
        finish(&vm, name);
    }
}
