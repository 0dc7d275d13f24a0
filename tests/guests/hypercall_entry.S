/* SPDX-License-Identifier: Apache-2.0 */
/* Callers of the hypercall page that C cannot be: ring 3, and 32-bit code. */
#include "lib/layout.h"

	.text
	.globl user_direct, user_page, user_page_back
user_direct:
	xorl	%esi, %esi
	xorl	%ecx, %ecx
1:	vmmcall
2:	int	$VECTOR_USER_RETURN
	.pushsection .fixups, "a"
	.quad 1b, 2b
	.popsection

user_page:
	xorl	%esi, %esi
	xorl	%ecx, %ecx
	call	*user_target
user_page_back:
	int	$VECTOR_USER_RETURN

	/* void compat_call(struct compat_registers *registers, const void *page): layout as in hypercall.c. */
	.globl compat_call
compat_call:
	pushq	%rbx
	pushq	%rbp
	movq	%rdi, %rbp
	movl	%esi, compat_page
	movl	0(%rbp), %eax
	movl	4(%rbp), %ebx
	movl	8(%rbp), %ecx
	movl	12(%rbp), %edx
	movl	16(%rbp), %esi
	movl	20(%rbp), %edi
	ljmpl	*compat_target
	.code32
compat_code:
	call	*compat_page
	ljmpl	$SELECTOR_CODE_64, $compat_back
	.code64
compat_back:
	movl	%eax, 0(%rbp)
	movl	%ebx, 4(%rbp)
	movl	%ecx, 8(%rbp)
	movl	%edx, 12(%rbp)
	movl	%esi, 16(%rbp)
	movl	%edi, 20(%rbp)
	popq	%rbp
	popq	%rbx
	ret

	.data
	.balign 8
	.globl user_target
user_target:
	.quad 0
compat_target:
	.long compat_code
	.word SELECTOR_CODE_32
	.balign 4
compat_page:
	.long 0
	.section .note.GNU-stack, "", @progbits
