/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microsoft calling convention. The return label lies in this image, which belongs to the firmware and later to nobody:
 * the guest never needs a byte of the hypervisor's own copy.
 */
	.text
	.globl launch_in_place
launch_in_place:
	mov %rcx, %rax
	mov %rdx, %rcx
	pushfq
	pop %r10
	cli
	mov %rsp, %r9
	sub $0x78, %rsp
	mov %rbx, 0x20(%rsp)
	mov %rbp, 0x28(%rsp)
	mov %rdi, 0x30(%rsp)
	mov %rsi, 0x38(%rsp)
	mov %r12, 0x40(%rsp)
	mov %r13, 0x48(%rsp)
	mov %r14, 0x50(%rsp)
	mov %r15, 0x58(%rsp)
	mov %r9, 0x60(%rsp)
	lea 1f(%rip), %r11
	mov %r11, 0x68(%rsp)
	mov %r10, 0x70(%rsp)
	lea 0x20(%rsp), %rdx
	mov %r10, %rbx
	call *%rax
	push %rbx
	popfq
	mov 0x20(%rsp), %rbx
	add $0x78, %rsp
	xor %eax, %eax
	ret
1:	mov $1, %eax
	ret

	.globl launch_on_stack
launch_on_stack:
	mov %rcx, %rax
	mov %rdx, %rcx
	mov %r8, %rsp
	and $-16, %rsp
	sub $0x20, %rsp
	xor %ebp, %ebp
	call *%rax
	ud2
