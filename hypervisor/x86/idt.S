/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt stubs. Interrupts come only inside a window (x86_cpu.in_window), and then a vector says nothing: an 8259 may
 * deliver 0..31, and those push no error code. Everything outside a window is an exception of the hypervisor's own.
 * C side: Microsoft calling convention.
 */
#define CPU_AREA_MASK 0x7fff
#include "x86/idt_offsets.h"

	.text
	.balign 16
	.globl idt_stubs
idt_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	pushq $vector
	jmp idt_entry
	.set vector, vector + 1
	.endr

	.balign 16
idt_entry:
	push %rax
	push %rcx
	push %rdx
	mov %rsp, %rcx
	or $CPU_AREA_MASK, %rcx
	mov -7(%rcx), %rcx			/* struct x86_cpu */
	cmpl $0, X86_CPU_IN_WINDOW(%rcx)
	je idt_exception
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	mov %rsp, %rbp
	movzbl 72(%rsp), %edx			/* vector: above nine pushes */
	and $-16, %rsp
	sub $32, %rsp
	call x86_interrupt
	mov %rbp, %rsp
	pop %rbp
	pop %rbx
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdx
	pop %rcx
	pop %rax
	add $8, %rsp
	iretq

/* A fault at one of the two MSR instructions below goes on at their failure exit. Stack: rdx rcx rax vector error rip ... */
idt_exception:
	cmpb $13, 24(%rsp)
	jne 1f
	lea rdmsr_at(%rip), %rdx
	cmp %rdx, 40(%rsp)
	je 2f
	lea wrmsr_at(%rip), %rdx
	cmp %rdx, 40(%rsp)
	je 2f
1:	movzbl 24(%rsp), %ecx
	lea 32(%rsp), %rdx
	cmp $8, %ecx
	je 3f
	cmp $10, %ecx
	jb 4f
	cmp $14, %ecx
	jbe 3f
	cmp $17, %ecx
	je 3f
4:	lea 24(%rsp), %rdx			/* no error code: the vector stands in its place */
3:	and $-16, %rsp
	sub $32, %rsp
	call x86_exception
	ud2
2:	lea msr_fault(%rip), %rdx
	mov %rdx, 40(%rsp)
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

/* bool cpu_rdmsr_safe(uint32_t msr, uint64_t *out_value) */
	.globl cpu_rdmsr_safe
cpu_rdmsr_safe:
	mov %rdx, %r8
rdmsr_at:
	rdmsr
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, (%r8)
	mov $1, %eax
	ret

/* bool cpu_wrmsr_safe(uint32_t msr, uint64_t value) */
	.globl cpu_wrmsr_safe
cpu_wrmsr_safe:
	mov %rdx, %rax
	shr $32, %rdx
wrmsr_at:
	wrmsr
	mov $1, %eax
	ret
msr_fault:
	xor %eax, %eax
	ret
