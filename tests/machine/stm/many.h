/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Several processors under the real STM: each plays its executive monitor, all at
 * once.  The first one also plays loader and firmware, and is the only one that
 * makes checks: the others leave figures.
 *
 * PROCESSORS are there, ANNOUNCED are what the loader tells the STM.  What is done
 * with them: SCENE.  With WIDE their APIC identifiers are multiples of 256, for
 * which they are in x2APIC mode.
 */
#ifndef MANY_H
#define MANY_H

#include "orders.h"

/* What each processor has, and what it has seen. */
extern struct processor {
    uint64_t vmxon, activation;
    uint32_t rounds, refused, wrong, wrong_status;
    volatile uint32_t phase; /* what it shall do */
    volatile uint32_t done;  /* what it has done */
    volatile uint32_t smis;  /* served by its handler under the STM */
    uint64_t page;           /* of the call that it shall make */
    uint32_t number;
    bool activates;
} processors[PROCESSORS];

/* What the SMI handlers of a scene do, in the STM's guest. */
extern void (*volatile many_hook)(uint32_t cpu);

uint32_t many_call(uint32_t number);
void many_activation(uint32_t cpu);
void wait_for(volatile uint32_t *what, uint32_t value);
/* An SMI to itself, and its end; or to any, and no wait. */
void one_smi(uint32_t cpu);
void send_smi(uint32_t cpu);
/* A call of a processor, which makes an activation VMCS current before if `activates`. Returns EAX. */
uint32_t call_on(uint32_t cpu, bool activates, uint32_t number, uint64_t page);
/* The first processor opens the session and starts. */
void open_session(void);

/* A phase on another processor, to its end: its last status; or only its begin, and later its end. */
uint32_t ask(uint32_t cpu, uint32_t phase);
void begin(uint32_t cpu, uint32_t phase);
void wait_for_end(uint32_t cpu);

#define PHASE_ROUNDS     1
#define PHASE_START      2
#define PHASE_STOP       3
#define PHASE_CRASH      4
#define PHASE_SMIS       5
#define PHASE_LATE       6
#define PHASE_INITIALIZE 7
#define PHASE_GO         8 /* the second half of START: the STM is active there already */
#define PHASE_SMI        9
#define PHASE_WRITES     10
#define PHASE_MAKES      11

/* ---- scenes ---- */
void scene_guard(void);   /* many_changes.c: what is protected changes under the handler of another processor */
void scene_shadows(void);
void scene_opened(void);
void scene_ports(void);
void scene_fetch(void);   /* many_policies.c */
void scene_absent(void);
void scene_copies(void);
void scene_full(void);
void scene_cost(void);    /* SMIs of all processors and of one, for counts */
void cost_handler(uint64_t cpu);
#define SCENE_COST 14     /* its handlers do nothing else */
void scene_standby(void); /* many_s3.c: sessions before and behind standby; with STANDBY */
void scene_orders(void);  /* many_orders.c: each call in each state of two processors; with ORDERS */
void writes(uint32_t cpu);

/* many32.c: the PSD there becomes that of a handler that begins in 32-bit mode. */
void begin_in_32_bits(uint64_t psd);

#endif
