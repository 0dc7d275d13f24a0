# SPDX-License-Identifier: Apache-2.0
# Dynamic memory alone, over the one-channel rig of the integration components.
foreach(name dm page_set)
  add_executable(vsp_${name}_test ${CMAKE_CURRENT_LIST_DIR}/dm/${name}_test.c)
  target_include_directories(vsp_${name}_test PRIVATE ${CMAKE_CURRENT_LIST_DIR}/../..)
  target_link_libraries(vsp_${name}_test PRIVATE dm vsp_ic_rig)
  add_test(NAME unit_vsp_${name} COMMAND vsp_${name}_test)
  set_tests_properties(unit_vsp_${name} PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
