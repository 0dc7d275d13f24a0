/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bzImage's three ways in (Documentation/arch/x86/boot.rst of Linux): 16-bit setup code behind a BIOS, the 32-bit entry
 * at the start of the code, the 64-bit entry 0x200 behind it. All of them end in guest_main(zero page) with our own GDT,
 * page tables (4 GiB identity) and stack, interrupts off.
 */
#include "layout.h"

#define MSR_EFER      0xc0000080
#define EFER_LME      0x100
#define CR0_VALUE     0x80010033		/* PG WP NE ET MP PE */
#define CR4_VALUE     0x620			/* OSXMMEXCPT OSFXSR PAE */
#define SMAP_MAGIC    0x534d4150
#define PAGE_BITS     0x7			/* present, writable, user: ring 3 may go everywhere */
#define PAGE_LARGE    0x80

	.section .setup, "ax"
	.code16
	.org 0x1f1
	.byte SETUP_SECTORS
	.word 0
	.long _code_paragraphs
	.word 0
	.word 0xffff				/* vid_mode: normal */
	.word 0
	.word 0xaa55
	.byte 0xeb, header_end - header_magic	/* 0x200: jump over the header, whose end it tells */
header_magic:
	.ascii "HdrS"
	.word 0x020f				/* protocol */
	.long 0
	.word 0
	.word guest_name - 0x200
	.byte 0
	.byte 1					/* loadflags: LOADED_HIGH */
	.word 0
	.long LOAD_GPA				/* code32_start */
	.long 0, 0				/* initrd */
	.long 0
	.word 0
	.byte 0, 0
	.long 0					/* cmd_line_ptr */
	.long 0x7fffffff			/* initrd_addr_max */
	.long 0x200000				/* kernel_alignment */
	.byte 0					/* not relocatable */
	.byte 12
	.word 1					/* xloadflags: XLF_KERNEL_64 */
	.long 2047				/* cmdline_size */
	.long 0
	.quad 0
	.long 0, 0
	.quad 0
	.quad LOAD_GPA				/* pref_address */
	.long _init_bytes			/* init_size */
	.long 0, 0
header_end:
	jmp setup_16

	/* Between here and the code lies the room for the memory map, which makes the setup sectors our own zero page. */
	.org ZERO_PAGE_E820 + E820_ENTRY_BYTES * E820_ENTRIES_MAX
guest_name:
	.asciz "undercroft micro-guest"

setup_16:
	cli
	cld
	movw	%ds, %ax
	pushw	%ax
	pushw	$1f
	lretw					/* CS := DS */
1:	movw	%ax, %es
	movw	%ax, %ss
	movl	$0xfff0, %esp
	movw	$0x2401, %ax			/* A20 */
	int	$0x15
	movb	$0, ZERO_PAGE_E820_COUNT
	movw	$ZERO_PAGE_E820, %di
	xorl	%ebx, %ebx
2:	movl	$0xe820, %eax
	movl	$E820_ENTRY_BYTES, %ecx
	movl	$SMAP_MAGIC, %edx
	int	$0x15
	jc	3f
	cmpl	$SMAP_MAGIC, %eax
	jne	3f
	addw	$E820_ENTRY_BYTES, %di
	incb	ZERO_PAGE_E820_COUNT
	cmpb	$E820_ENTRIES_MAX - 1, ZERO_PAGE_E820_COUNT
	je	3f
	testl	%ebx, %ebx
	jnz	2b
3:	cli
	xorl	%esi, %esi
	movw	%ds, %si
	shll	$4, %esi
	lgdtl	setup_gdt_pointer
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	movw	$SELECTOR_DATA, %ax
	movw	%ax, %ds
	ljmpl	$SELECTOR_CODE_32, $startup_32
setup_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt

	.section .entry, "ax"
	.code32
	.globl startup_32
startup_32:					/* ESI: zero page */
	cli
	lgdtl	boot_gdt_pointer
	ljmpl	$SELECTOR_CODE_32, $1f
1:	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ss
	movl	$boot_stack_top, %esp
	call	enter_long_mode_32
	ljmpl	$SELECTOR_CODE_64, $start_64

	.org ENTRY_64_OFFSET
	.code64
startup_64:					/* RSI: zero page */
	cli
	lgdt	boot_gdt_pointer
	movl	$boot_pml4, %eax
	movq	%rax, %cr3
	movl	$CR4_VALUE, %eax
	movq	%rax, %cr4
	movl	$CR0_VALUE, %eax
	movq	%rax, %cr0
	movl	$boot_stack_top, %esp
	pushq	$SELECTOR_CODE_64
	pushq	$start_64
	lretq

	.text
start_64:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%esi, %ebp
	cld
	movl	$_bss_start, %edi
	movl	$_bss_quads, %ecx
	rep stosq
	movl	$boot_stack_top, %esp
	movl	%ebp, %edi
	xorl	%ebp, %ebp
	call	guest_main
	ud2

	/* From flat protected mode without paging; keeps ESI, EDI, EBP. Returns in compatibility mode. */
	.code32
	.globl enter_long_mode_32
enter_long_mode_32:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	$CR4_VALUE, %eax
	movl	%eax, %cr4
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	$CR0_VALUE, %eax
	movl	%eax, %cr0
	ret

	/* Where an application processor begins: a copy of these bytes at LOW_CODE_GPA, CS:IP = LOW_CODE_GPA >> 4 : 0. */
	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	ap_gdt_pointer - ap_trampoline
	movl	%cr0, %eax
	andl	$0x1fffffff, %eax		/* caches on, as after any firmware */
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$SELECTOR_CODE_32, $ap_start_32
ap_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt
ap_trampoline_end:

	.code32
ap_start_32:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %ss
	movl	cpu_ap_stack_top, %esp
	call	enter_long_mode_32
	ljmpl	$SELECTOR_CODE_64, $ap_start_64
	.code64
ap_start_64:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	cpu_ap_stack_top, %esp
	xorl	%ebp, %ebp
	cld
	call	cpu_ap_main
	ud2

	.data
	.balign 16
	.globl boot_gdt, boot_gdt_pointer
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff		/* SELECTOR_CODE_64 */
	.quad 0x00cf93000000ffff		/* SELECTOR_DATA */
	.quad 0x00cf9b000000ffff		/* SELECTOR_CODE_32 */
	.quad 0x00cff3000000ffff		/* SELECTOR_USER_DATA */
	.quad 0x00affb000000ffff		/* SELECTOR_USER_CODE */
	.quad 0, 0				/* SELECTOR_TSS */
	.quad 0x00009b000000ffff		/* SELECTOR_CODE_16 */
	.quad 0x000093000000ffff		/* SELECTOR_DATA_16 */
boot_gdt_end:
boot_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.quad boot_gdt

	.balign 4096
	.globl boot_pml4, boot_pdpt, window_directory
boot_pml4:
	.quad boot_pdpt + PAGE_BITS
	.fill 511, 8, 0
boot_pdpt:
	.quad boot_directories + PAGE_BITS
	.quad boot_directories + 0x1000 + PAGE_BITS
	.quad boot_directories + 0x2000 + PAGE_BITS
	.quad boot_directories + 0x3000 + PAGE_BITS
	.quad window_directory + PAGE_BITS	/* 4 GiB: the window of paging.h */
	.fill 507, 8, 0
boot_directories:
	.set page, 0
	.rept 4 * 512
	.quad page * 0x200000 + PAGE_BITS + PAGE_LARGE
	.set page, page + 1
	.endr
window_directory:
	.fill 512, 8, 0

	.bss
	.balign 16
	.globl boot_stack_top
	.skip STACK_BYTES
boot_stack_top:
	.section .note.GNU-stack, "", @progbits
