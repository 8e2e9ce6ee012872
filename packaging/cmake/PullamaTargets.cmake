# Warnings, hardening and sanitizers for every target of ours, through one interface target.
add_library(pullama_flags INTERFACE)
target_include_directories(pullama_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(pullama_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wold-style-cast -Wnull-dereference -Wimplicit-fallthrough -Werror
  -fstack-protector-strong -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives of these in its own library headers once it inlines under sanitizers or at -O2.
  target_compile_options(pullama_flags INTERFACE -Wno-maybe-uninitialized -Wno-null-dereference -Wno-restrict
    -Wno-stringop-overflow -Wno-array-bounds)
endif()
target_compile_definitions(pullama_flags INTERFACE _FILE_OFFSET_BITS=64)
if(NOT PULLAMA_SANITIZE)
  target_compile_options(pullama_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
else()
  target_compile_options(pullama_flags INTERFACE -fsanitize=${PULLAMA_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(pullama_flags INTERFACE -fsanitize=${PULLAMA_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND PULLAMA_SANITIZE MATCHES "thread")
    # atomic_thread_fence inside the standard library and Asio; TSan says it does not model fences.
    target_compile_options(pullama_flags INTERFACE -Wno-tsan)
  endif()
endif()
if(PULLAMA_FUZZ)
  # libFuzzer follows the code of ours that its programs run.
  target_compile_options(pullama_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)
include(CheckPIESupported)
check_pie_supported()

# pullama_library(<target> SOURCES a.cpp … [LINK other targets])
function(pullama_library target)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${target} STATIC ${arg_SOURCES})
  target_link_libraries(${target} PUBLIC pullama_flags ${arg_LINK} PRIVATE ${arg_PRIVATE_LINK})
endfunction()

# What the tests themselves do wrong ASan shows; UBSan and the optimiser would take half of the time of their build.
add_library(pullama_test_flags INTERFACE)
if(PULLAMA_SANITIZE AND NOT PULLAMA_FUZZ)
  target_compile_options(pullama_test_flags INTERFACE -O0 -fno-sanitize=undefined)
endif()

# What `-L threads` runs is built by the target threaded_tests: TSan has nothing to say of the rest.
add_custom_target(threaded_tests)

# pullama_test(<target> [THREADS] [LABEL label] SOURCES a_test.cpp … [LINK targets]): one doctest program, ctest label
# "unit" or that; with THREADS the label "threads" too.
function(pullama_test target)
  cmake_parse_arguments(arg "THREADS" "LABEL" "SOURCES;LINK" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  if(arg_THREADS)
    list(APPEND arg_LABEL threads)
    add_dependencies(threaded_tests ${target})
  endif()
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE pullama_flags pullama_test_flags pullama_doctest_main ${arg_LINK})
  add_test(NAME ${target} COMMAND ${target})
  set_tests_properties(${target} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT 600)
endfunction()
