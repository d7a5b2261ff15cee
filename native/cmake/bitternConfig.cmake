# find_package(bittern): the target bittern::bittern is ExecuTorch with Bittern's operators and XNNPACK, to run model files
# from C++ (docs/arm.md). Everything lies beside this file, in the folder that `cmake --install` or a wheel made.
get_filename_component(_bittern_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET bittern::bittern)
  add_library(bittern::bittern INTERFACE IMPORTED)
  foreach(_bittern_name IN ITEMS bittern_operators executorch executorch_threadpool executorch_backend_xnnpack
                                 executorch_kernels_optimized)
    add_library(bittern::${_bittern_name} SHARED IMPORTED)
    set_target_properties(bittern::${_bittern_name} PROPERTIES IMPORTED_LOCATION
                                                               "${_bittern_prefix}/lib/lib${_bittern_name}.so")
    target_link_libraries(bittern::bittern INTERFACE bittern::${_bittern_name})
  endforeach()
  target_compile_features(bittern::bittern INTERFACE cxx_std_17)
  target_include_directories(
    bittern::bittern SYSTEM INTERFACE "${_bittern_prefix}/include"
                                      "${_bittern_prefix}/include/executorch/runtime/core/portable_type/c10")
  # Those of the libraries themselves: they decide the layout of classes in the headers.
  target_compile_definitions(bittern::bittern INTERFACE C10_USING_CUSTOM_GENERATED_MACROS ET_EVENT_TRACER_ENABLED
                                                        ET_USE_THREADPOOL)
  # Backends and operators register themselves when loaded. Nothing refers to them by name, so linkers would drop them.
  target_link_options(bittern::bittern INTERFACE LINKER:--no-as-needed)
endif()
