# SPDX-License-Identifier: Apache-2.0
# Network: each netvsp/*_test.c is one program. netvsp_bench.c has the VMBus server's function names, so it is part of the
# programs that want it and of no library; the last program runs under the real server and the model guest.
function(netvsp_test name)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/netvsp/)
  add_executable(vsp_netvsp_${name}_test ${ARGN})
  target_compile_definitions(vsp_netvsp_${name}_test PRIVATE _GNU_SOURCE)
  target_include_directories(vsp_netvsp_${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(vsp_netvsp_${name}_test PRIVATE netvsp PkgConfig::CMOCKA)
  add_test(NAME unit_vsp_netvsp_${name} COMMAND vsp_netvsp_${name}_test)
  set_tests_properties(unit_vsp_netvsp_${name} PROPERTIES LABELS unit TIMEOUT 60)
endfunction()

foreach(name control hostile rx tx)
  netvsp_test(${name} netvsp_${name}_test.c netvsp_rig.c netvsp_bench.c netvsp_bench_guest.c)
endforeach()
netvsp_test(offload netvsp_offload_test.c)
netvsp_test(guest netvsp_guest_test.c)
target_link_libraries(vsp_netvsp_guest_test PRIVATE vsp_test_parts netvsp vmbus)
