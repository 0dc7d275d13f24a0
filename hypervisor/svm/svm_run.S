/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enter a guest once. System V calling convention (the C side declares it so).
 *
 *   void svm_run(uint64_t vmcb_spa, uint64_t gpr[16], int in_shadow)
 *
 * GIF is 0 and RFLAGS.IF is 1 before and after. RAX and RSP of the guest travel in the VMCB, the rest in gpr[].
 * With in_shadow, VMRUN follows an STI so that the guest's first instruction is in an interrupt shadow: VMRUN itself does
 * not load int_state on every CPU.
 */
	.text
	.globl svm_run
svm_run:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rsi
	mov %rdi, %rax
	mov %edx, %edx
	test %edx, %edx
	mov 0x08(%rsi), %rcx
	mov 0x10(%rsi), %rdx
	mov 0x18(%rsi), %rbx
	mov 0x28(%rsi), %rbp
	mov 0x38(%rsi), %rdi
	mov 0x40(%rsi), %r8
	mov 0x48(%rsi), %r9
	mov 0x50(%rsi), %r10
	mov 0x58(%rsi), %r11
	mov 0x60(%rsi), %r12
	mov 0x68(%rsi), %r13
	mov 0x70(%rsi), %r14
	mov 0x78(%rsi), %r15
	mov 0x30(%rsi), %rsi
	jnz 1f
	vmrun %rax
	jmp 2f
1:	cli
	sti
	vmrun %rax
2:	mov (%rsp), %rax
	mov %rcx, 0x08(%rax)
	mov %rdx, 0x10(%rax)
	mov %rbx, 0x18(%rax)
	mov %rbp, 0x28(%rax)
	mov %rsi, 0x30(%rax)
	mov %rdi, 0x38(%rax)
	mov %r8, 0x40(%rax)
	mov %r9, 0x48(%rax)
	mov %r10, 0x50(%rax)
	mov %r11, 0x58(%rax)
	mov %r12, 0x60(%rax)
	mov %r13, 0x68(%rax)
	mov %r14, 0x70(%rax)
	mov %r15, 0x78(%rax)
	pop %rax
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* Lets physical interrupts and NMIs in for a moment: void svm_interrupt_window(void) */
	.globl svm_interrupt_window
svm_interrupt_window:
	stgi
	nop
	clgi
	ret

/* Waits for the next physical interrupt. What was pending before is taken at once, none is lost: void svm_idle(void) */
	.globl svm_idle
svm_idle:
	cli
	stgi
	sti
	hlt
	clgi
	ret
