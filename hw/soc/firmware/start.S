/* SPDX-License-Identifier: MIT
 *
 * Start of execution, and the interrupts of picorv32: which ones came is kept in `nw_interrupts`.
 */
.macro getq rd, q
.insn r 0x0b, 0, 0, \rd, \q, x0
.endm
.macro setq q, rs
.insn r 0x0b, 0, 1, \q, \rs, x0
.endm
.macro retirq
.insn r 0x0b, 0, 2, x0, x0, x0
.endm
.macro maskirq rd, rs
.insn r 0x0b, 0, 3, \rd, \rs, x0
.endm
.macro waitirq rd
.insn r 0x0b, 0, 4, \rd, x0, x0
.endm
.macro timer rd, rs
.insn r 0x0b, 0, 5, \rd, \rs, x0
.endm

/* an illegal instruction, ebreak and a misaligned access stop the core */
.set TRAPS, (1 << 1) | (1 << 2)

.section .start, "ax"
.globl _start
_start:
    j reset

/* q1 has the interrupts, q2 and q3 (here by their numbers, x2 and x3) are free */
.balign 16
interrupt:
    setq x2, t0
    setq x3, t1
    la t0, saved
    sw t2, 0(t0)
    la t0, nw_interrupts
    lw t1, 0(t0)
    getq t2, x1
    or t1, t1, t2
    sw t1, 0(t0)
    la t0, saved
    lw t2, 0(t0)
    getq t0, x2
    getq t1, x3
    retirq

reset:
    la sp, __stack
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
/* data is copied, so that a reset finds it as it was at first */
2:  la t0, __data_start
    la t1, __data_end
    la t2, __data_source
3:  bgeu t0, t1, 4f
    lw t3, 0(t2)
    sw t3, 0(t0)
    addi t0, t0, 4
    addi t2, t2, 4
    j 3b
4:  li t0, TRAPS
    maskirq zero, t0
    call main
    /* the core stops */
    ebreak

.text
/* int nw_sleep(uint32_t clocks): until an interrupt, or for so many clocks; returns which came */
.globl nw_sleep
nw_sleep:
    /* masked, so that none comes between looking and waiting; waitirq ends all the same */
    li t0, -1
    maskirq zero, t0
    timer zero, a0
    la t1, nw_interrupts
    lw t2, 0(t1)
    bnez t2, 1f
    waitirq zero
1:  li t0, TRAPS
    maskirq zero, t0
    /* now the handler has run */
    nop
    nop
    timer zero, zero
    lw a0, 0(t1)
    ret

.bss
.balign 4
.globl nw_interrupts
nw_interrupts: .space 4
saved: .space 4
