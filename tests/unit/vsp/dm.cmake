# SPDX-License-Identifier: Apache-2.0
# Dynamic memory alone, over the one-channel rig of the integration components.
add_library(vsp_dm_rig STATIC ${CMAKE_CURRENT_LIST_DIR}/dm/dm_rig.c)
target_include_directories(vsp_dm_rig PUBLIC ${CMAKE_CURRENT_LIST_DIR}/../..)
target_link_libraries(vsp_dm_rig PUBLIC dm vsp_ic_rig)

foreach(name dm dm_save page_set)
  add_executable(vsp_${name}_test ${CMAKE_CURRENT_LIST_DIR}/dm/${name}_test.c)
  target_link_libraries(vsp_${name}_test PRIVATE vsp_dm_rig)
  add_test(NAME unit_vsp_${name} COMMAND vsp_${name}_test)
  set_tests_properties(unit_vsp_${name} PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
