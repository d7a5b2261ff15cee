# The one table of instruction sets: compiler flags of the files that use them. A kernel's file is named
# <cpu>_<feature>.cc; everything else is compiled for the baseline of the target.
set(BITTERN_ISA_FLAGS_x86_avx2 -mavx2)
# Tuned for a server core: GCC's generic tuning keeps pointers in vector registers while tiles need them.
set(BITTERN_ISA_FLAGS_x86_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
                                 -mtune=icelake-server)
set(BITTERN_ISA_FLAGS_x86_avx512_vpopcntdq ${BITTERN_ISA_FLAGS_x86_avx512} -mavx512vpopcntdq)

# Adds the kernels under `directory` to `target`: for other targets than x86-64 without the x86 files.
function(bittern_add_kernels target directory)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${directory}/*.cc)
  foreach(source IN LISTS sources)
    get_filename_component(isa ${source} NAME_WE)
    if(isa MATCHES "^x86_" AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
      continue()
    endif()
    target_sources(${target} PRIVATE ${source})
    if(DEFINED BITTERN_ISA_FLAGS_${isa})
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${BITTERN_ISA_FLAGS_${isa}}")
    elseif(isa MATCHES "^x86_")
      message(FATAL_ERROR "cmake/isa.cmake has no flags for ${source}")
    endif()
  endforeach()
endfunction()
