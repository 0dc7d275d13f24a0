# SPDX-License-Identifier: Apache-2.0
# Integration components and keyboard alone: each ic/*_test.c is one program over ic/ic_rig.c, which stands in for the
# VMBus server with the server's own function names. So it is linked to these tests only.
add_library(vsp_ic_rig STATIC ${CMAKE_CURRENT_LIST_DIR}/ic/ic_rig.c)
target_include_directories(vsp_ic_rig PUBLIC ${CMAKE_CURRENT_LIST_DIR}/ic)
target_link_libraries(vsp_ic_rig PUBLIC ic keyboard PkgConfig::CMOCKA)

foreach(name ic_fcopy ic_heartbeat ic_kvp ic_shutdown ic_timesync ic_utf16 ic_vss keyboard)
  add_executable(vsp_${name}_test ${CMAKE_CURRENT_LIST_DIR}/ic/${name}_test.c)
  target_link_libraries(vsp_${name}_test PRIVATE vsp_ic_rig)
  add_test(NAME unit_vsp_${name} COMMAND vsp_${name}_test)
  set_tests_properties(unit_vsp_${name} PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
