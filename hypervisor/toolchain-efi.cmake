# SPDX-License-Identifier: Apache-2.0
# mingw-w64 as a freestanding PE32+ compiler for undercroft.efi.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_ASM_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_OBJCOPY x86_64-w64-mingw32-objcopy)
set(CMAKE_SIZE x86_64-w64-mingw32-size)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(HV_TARGET efi)
set(CMAKE_C_FLAGS_INIT "-std=gnu11 -O2 -g -ffreestanding -fno-stack-protector -mno-red-zone -mgeneral-regs-only -mno-stack-arg-probe -mno-ms-bitfields -fno-asynchronous-unwind-tables -fno-ident -fno-strict-aliasing -Wframe-larger-than=2048")
set(CMAKE_ASM_FLAGS_INIT "-g")
