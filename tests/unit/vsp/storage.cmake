# SPDX-License-Identifier: Apache-2.0
# Storage: disks and SCSI alone, the protocol over channels without rings, and all of it under the model guest.
add_library(storage_test_parts STATIC ${CMAKE_CURRENT_LIST_DIR}/block/block_host.c ${CMAKE_CURRENT_LIST_DIR}/block/block_memory.c
  ${CMAKE_CURRENT_LIST_DIR}/block/power_file.c ${CMAKE_CURRENT_LIST_DIR}/block/fault_file.c)
target_compile_definitions(storage_test_parts PUBLIC _GNU_SOURCE)
target_include_directories(storage_test_parts PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(storage_test_parts PUBLIC storvsp block PkgConfig::CMOCKA)

# storage_test(name part source...)
function(storage_test name part)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/)
  add_executable(vsp_${name}_test ${ARGN})
  target_link_libraries(vsp_${name}_test PRIVATE ${part})
  add_test(NAME unit_vsp_${name} COMMAND vsp_${name}_test)
  set_tests_properties(unit_vsp_${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

storage_test(block storage_test_parts block/block_test.c)
storage_test(vhd storage_test_parts block/vhd_test.c)
target_sources(storage_test_parts PRIVATE ${CMAKE_CURRENT_LIST_DIR}/block/disk_model.c
  ${CMAKE_CURRENT_LIST_DIR}/block/memory_file.c)
storage_test(vhdx storage_test_parts block/vhdx_test.c)
storage_test(vhdx_online storage_test_parts block/vhdx_online_test.c)
storage_test(vhdx_crash storage_test_parts block/vhdx_crash_test.c)
set_tests_properties(unit_vsp_vhdx unit_vsp_vhdx_online unit_vsp_vhdx_crash PROPERTIES TIMEOUT 300)
# Hundreds of images go to files for qemu-img: in memory, where there is such a place.
if(IS_DIRECTORY /dev/shm)
  set_tests_properties(unit_vsp_vhd unit_vsp_vhdx unit_vsp_vhdx_online unit_vsp_vhdx_crash PROPERTIES WORKING_DIRECTORY /dev/shm)
endif()
storage_test(scsi storage_test_parts storvsp/scsi_test.c)
storage_test(scsi_fault storage_test_parts storvsp/scsi_fault_test.c)
storage_test(storvsp storage_test_parts storvsp/storvsp_test.c storvsp/storvsp_channel.c)
storage_test(storvsp_guest vsp_test_parts storvsp/storvsp_guest_test.c)
target_include_directories(vsp_storvsp_guest_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(vsp_storvsp_guest_test PRIVATE storvsp block vmbus)
