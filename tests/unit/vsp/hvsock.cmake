# SPDX-License-Identifier: Apache-2.0
# Hyper-V sockets under the real server and the model guest: each hvsock/*_test.c is one program.
foreach(name hvsock hvsock_hostile hvsock_listener)
  add_executable(vsp_${name}_test ${CMAKE_CURRENT_LIST_DIR}/hvsock/${name}_test.c
    ${CMAKE_CURRENT_LIST_DIR}/hvsock/hvsock_rig.c)
  target_compile_definitions(vsp_${name}_test PRIVATE _GNU_SOURCE)
  target_include_directories(vsp_${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(vsp_${name}_test PRIVATE vsp_test_parts hvsock vmbus)
  add_test(NAME unit_vsp_${name} COMMAND vsp_${name}_test)
  set_tests_properties(unit_vsp_${name} PROPERTIES LABELS unit TIMEOUT 120)
endforeach()
