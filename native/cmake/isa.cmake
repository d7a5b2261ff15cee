# The one table of compiler flags by instruction set. A kernel's file is named <cpu>_<feature>.cc; everything else is
# compiled for the baseline of the target. GCC's default allocation of registers, by regions of equal pressure, copies
# counters and pointers in inner loops.
set(BITTERN_ISA_FLAGS_x86_avx2 -mavx2 -mfma $<$<CXX_COMPILER_ID:GNU>:-fira-region=all>)
# Tuned for a server core: GCC's generic tuning keeps pointers in vector registers while tiles need them.
set(BITTERN_ISA_FLAGS_x86_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
                                 -mtune=icelake-server $<$<CXX_COMPILER_ID:GNU>:-fira-region=all>)
set(BITTERN_ISA_FLAGS_x86_avx512_vpopcntdq ${BITTERN_ISA_FLAGS_x86_avx512} -mavx512vpopcntdq)
# NEON is in the baseline of aarch64.
set(BITTERN_ISA_FLAGS_arm_neon $<$<CXX_COMPILER_ID:GNU>:-fira-region=one>)
set(BITTERN_ISA_FLAGS_arm_neon_dotprod ${BITTERN_ISA_FLAGS_arm_neon} -march=armv8.2-a+dotprod)

# Prefix of the files for the target, whose name depends on the system.
set(BITTERN_CPU "none")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(BITTERN_CPU "x86")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(BITTERN_CPU "arm")
endif()

# Adds the kernels under `directory` to `target`: those for its CPU and those for any.
function(bittern_add_kernels target directory)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${directory}/*.cc)
  foreach(source IN LISTS sources)
    get_filename_component(isa ${source} NAME_WE)
    if(isa MATCHES "^(x86|arm)_" AND NOT isa MATCHES "^${BITTERN_CPU}_")
      continue()
    endif()
    target_sources(${target} PRIVATE ${source})
    if(DEFINED BITTERN_ISA_FLAGS_${isa})
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${BITTERN_ISA_FLAGS_${isa}}")
    elseif(isa MATCHES "^(x86|arm)_")
      message(FATAL_ERROR "cmake/isa.cmake has no flags for ${source}")
    endif()
  endforeach()
endfunction()
