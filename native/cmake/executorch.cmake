# ExecuTorch from its Python wheel, which carries headers and shared libraries: the installed one, or else a copy that pip
# downloads into the build folder (always so when cross-compiling, for the target). Defines bittern_executorch (headers,
# definitions, runtime and thread pool), BITTERN_EXECUTORCH_INCLUDE and BITTERN_EXECUTORCH_BUNDLE, the shared libraries
# that must lie beside the engine.
set(BITTERN_EXECUTORCH_VERSION 1.5.1)

set(installed "")
set(executorch_platform "")
if(CMAKE_CROSSCOMPILING)
  set(executorch_platform --platform manylinux_2_28_${CMAKE_SYSTEM_PROCESSOR})
else()
  execute_process(
    COMMAND ${Python_EXECUTABLE} -c
            "import importlib.metadata as m; d = m.distribution('executorch'); print(d.version); print(d.locate_file('executorch'))"
    OUTPUT_VARIABLE installed
    OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET)
  string(REPLACE "\n" ";" installed "${installed}")
endif()
set(executorch_root "")
if(installed)
  list(GET installed 0 version)
  if(version MATCHES "^${BITTERN_EXECUTORCH_VERSION}([+].*)?$")
    list(GET installed 1 executorch_root)
  endif()
endif()

if(NOT executorch_root)
  set(fetched ${CMAKE_BINARY_DIR}/executorch-${BITTERN_EXECUTORCH_VERSION})
  set(executorch_root ${fetched}/executorch)
  if(NOT EXISTS ${executorch_root}/lib)
    message(STATUS "Downloading the ExecuTorch ${BITTERN_EXECUTORCH_VERSION} wheel")
    execute_process(
      COMMAND ${Python_EXECUTABLE} -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all:
              ${executorch_platform} --dest ${fetched} executorch==${BITTERN_EXECUTORCH_VERSION}
      RESULT_VARIABLE failed
      ERROR_VARIABLE reason)
    file(GLOB wheel ${fetched}/executorch-*.whl)
    if(failed OR NOT wheel)
      string(REGEX REPLACE "\n.*" "" reason "${reason}")
      if(CMAKE_CROSSCOMPILING)
        set(way_out "pip cannot download its wheel for ${CMAKE_SYSTEM_PROCESSOR}: ${reason}\nUnpack that into ${fetched}")
      else()
        set(way_out "it is not installed in ${Python_EXECUTABLE} and pip cannot download its wheel: ${reason}\n"
                    "Install it first: pip install --no-deps executorch==${BITTERN_EXECUTORCH_VERSION}")
      endif()
      message(FATAL_ERROR "There is no ExecuTorch ${BITTERN_EXECUTORCH_VERSION}: " ${way_out})
    endif()
    file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${fetched})
    file(REMOVE ${wheel})
  endif()
endif()

set(executorch_lib ${executorch_root}/lib)
set(BITTERN_EXECUTORCH_INCLUDE ${executorch_root}/include)
if(NOT EXISTS ${executorch_lib}/libexecutorch.so OR NOT EXISTS ${BITTERN_EXECUTORCH_INCLUDE}/executorch)
  message(FATAL_ERROR "The ExecuTorch wheel at ${executorch_root} has no C++ headers or libraries: only its Linux wheels for "
                      "x86-64 and aarch64 have them")
endif()

set(BITTERN_EXECUTORCH_BUNDLE "")
foreach(name IN ITEMS executorch executorch_threadpool executorch_backend_xnnpack executorch_kernels_optimized)
  set(library ${executorch_lib}/lib${name}.so)
  add_library(wheel::${name} SHARED IMPORTED)
  set_target_properties(wheel::${name} PROPERTIES IMPORTED_LOCATION ${library})
  list(APPEND BITTERN_EXECUTORCH_BUNDLE ${library})
endforeach()

add_library(bittern_executorch INTERFACE)
target_include_directories(
  bittern_executorch SYSTEM INTERFACE ${BITTERN_EXECUTORCH_INCLUDE}
                                      ${BITTERN_EXECUTORCH_INCLUDE}/executorch/runtime/core/portable_type/c10)
# Those of the libraries themselves: they decide the layout of classes in the headers.
target_compile_definitions(bittern_executorch INTERFACE C10_USING_CUSTOM_GENERATED_MACROS ET_EVENT_TRACER_ENABLED
                                                        ET_USE_THREADPOOL)
target_link_libraries(bittern_executorch INTERFACE wheel::executorch wheel::executorch_threadpool)
# Backends and operators register themselves when loaded. Nothing refers to them by name, so linkers would drop them.
target_link_options(bittern_executorch INTERFACE LINKER:--no-as-needed)
