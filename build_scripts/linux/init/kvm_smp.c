/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Two virtual processors in two threads. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "kvm.h"
#include "lab.h"

enum { HANDLERS = 0xa000, STRIDE = 64, FIRST = 0x70, COUNT = 2 };

struct second {
    struct vm vm; /* the second processor's own trace */
    volatile bool stop;
};

static void nothing(int signal)
{
    (void)signal;
}

static void *second_processor(void *argument)
{
    struct second *second = argument;

    while (!second->stop && run_once(&second->vm, &second->vm.vcpu[1])) {
    }
    return NULL;
}

void test_smp(const char *name)
{
    struct vm vm;
    struct second second;
    struct sigaction kick = {.sa_handler = nothing};
    pthread_t thread;

    if (!vm_open(&vm, name, GUEST_MEMORY, true)) {
        return;
    }
    LOAD(&vm, GUEST_CODE, smp);
    LOAD(&vm, GUEST_STARTUP, startup);
    LOAD(&vm, HANDLERS, smp_handlers);
    enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
    set_gates(&vm, FIRST, COUNT, HANDLERS, STRIDE);
    sigaction(SIGUSR1, &kick, NULL);
    if (!vcpu_open(&vm, 1)) {
        trace(&vm, "no-second-processor");
    } else {
        second = (struct second){.vm = vm};
        second.vm.trace[0] = '\0';
        pthread_create(&thread, NULL, second_processor, &second);
        run(&vm, &vm.vcpu[0], NULL);
        second.stop = true;
        vm.vcpu[1].run->immediate_exit = 1;
        pthread_kill(thread, SIGUSR1);
        pthread_join(thread, NULL);
        trace(&vm, "second:%s", second.vm.trace);
    }
    finish(&vm, name);
}
