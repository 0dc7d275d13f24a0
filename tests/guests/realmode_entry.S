/* SPDX-License-Identifier: Apache-2.0 */
/* Long mode -> compatibility mode -> 16-bit protected mode -> real mode, and all the way back. */
#include "lib/layout.h"

#define MSR_EFER    0xc0000080
#define EFER_LME    0x100
#define COM1        0x3f8
#define UNUSED_PORT 0x5f0

/* struct exchange of realmode.c */
#define X_LEAF       0
#define X_EAX        4
#define X_EBX        8
#define X_ECX        12
#define X_EDX        16
#define X_INTERRUPTS 20
#define X_PORT_IN    24
#define X_DONE       28
#define X_CR0        32
#define X_FAULTS     36
#define STACK_TOP    0x1000			/* of the page at LOW_DATA_GPA */

	.text
	.code64
	.globl realmode_visit
realmode_visit:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, realmode_stack
	ljmpl	*realmode_leave
	.code32
realmode_leave_32:
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax		/* paging off */
	movl	%eax, %cr0
	movl	$MSR_EFER, %ecx
	rdmsr
	andl	$~EFER_LME, %eax
	wrmsr
	movl	$SELECTOR_DATA_16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	ljmpl	$SELECTOR_CODE_16, $LOW_CODE_GPA + realmode_protected - realmode_code

realmode_back_32:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %ss
	movl	realmode_stack, %esp
	call	enter_long_mode_32
	ljmpl	$SELECTOR_CODE_64, $realmode_back
	.code64
realmode_back:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movq	realmode_stack, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* Copied to LOW_CODE_GPA. */
	.code16
	.globl realmode_code, realmode_code_end, realmode_interrupt, realmode_invalid_opcode
realmode_code:
realmode_protected:
	movl	%cr0, %eax
	andl	$~1, %eax
	movl	%eax, %cr0
	ljmp	$LOW_CODE_GPA >> 4, $realmode_real - realmode_code
realmode_real:
	movw	$LOW_DATA_GPA >> 4, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$STACK_TOP, %esp
	lidtl	%cs:realmode_idt_pointer - realmode_code
	movl	%cr0, %eax
	movl	%eax, X_CR0

	movl	X_LEAF, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%eax, X_EAX
	movl	%ebx, X_EBX
	movl	%ecx, X_ECX
	movl	%edx, X_EDX

	/* A port, and a text by REP OUTSB from a segment that is not at 0. */
	movw	$UNUSED_PORT, %dx
	xorl	%eax, %eax
	outb	%al, %dx
	inb	%dx, %al
	movl	%eax, X_PORT_IN
1:	movw	$COM1 + 5, %dx			/* an empty transmitter takes 16 bytes at once */
	inb	%dx, %al
	testb	$0x40, %al
	jz	1b
	movw	$COM1, %dx
	movw	$realmode_text - realmode_code, %si
	movw	$realmode_text_end - realmode_text, %cx
	cld
	rep outsb %cs:(%si), %dx

	vmmcall					/* the handler skips it */

	/* Until the timer. */
2:	sti
	hlt
	cli
	cmpl	$0, X_INTERRUPTS
	je	2b

	movl	$0x600d, X_DONE
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	realmode_gdt_pointer - realmode_code
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$SELECTOR_CODE_32, $realmode_back_32

realmode_interrupt:
	incl	X_INTERRUPTS
	iretw
realmode_invalid_opcode:
	incw	X_FAULTS
	pushw	%bp
	movw	%sp, %bp
	addw	$3, 2(%bp)
	popw	%bp
	iretw

realmode_text:
	.ascii "    real mode\r\n"
realmode_text_end:
	.balign 4
realmode_idt_pointer:
	.word 0x3ff
	.long 0
realmode_gdt_pointer:
	.word 0x4f
	.long boot_gdt
realmode_code_end:

	.data
	.balign 8
realmode_leave:
	.long realmode_leave_32
	.word SELECTOR_CODE_32
	.balign 8
realmode_stack:
	.quad 0
	.section .note.GNU-stack, "", @progbits
