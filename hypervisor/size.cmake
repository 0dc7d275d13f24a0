# SPDX-License-Identifier: Apache-2.0
# Prints how large the hypervisor is, and fails when it outgrows its promise of 1 MB.
file(SIZE ${EFI} bytes)
execute_process(COMMAND ${SIZE_TOOL} ${EFI} OUTPUT_VARIABLE table OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REGEX REPLACE ".*\n *([0-9]+)[ \t]+([0-9]+)[ \t]+([0-9]+)[ \t]+([0-9]+).*" "\\4" resident "${table}")
math(EXPR kib "(${bytes} + 1023) / 1024")
math(EXPR resident_kib "(${resident} + 1023) / 1024")
message("undercroft.efi: file ${kib} KiB, resident image (text, data, bss) ${resident_kib} KiB; limit 1024 KiB each")
if(bytes GREATER 1048576 OR resident GREATER 1048576)
  message(FATAL_ERROR "undercroft.efi is over 1 MB")
endif()
