# What `cmake --install` puts where, and the packages that CPack makes of it: a .deb whose dependencies dpkg-shlibdeps
# finds, and a .tar.gz with the same tree. The version is the project's.
include(GNUInstallDirs)
# Packaging builds nothing by itself: a package has no need of the tests.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

set(docs ${CMAKE_INSTALL_DATADIR}/doc/pullama)
set(made ${CMAKE_BINARY_DIR}/packaging)

# pullama_gzip(<source> <name>): the file, compressed without a time in it, as ${made}/<name>.gz.
find_program(PULLAMA_GZIP gzip REQUIRED)
function(pullama_gzip source name)
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(MAKE_DIRECTORY ${made})
  execute_process(COMMAND ${PULLAMA_GZIP} -9nc ${source} OUTPUT_FILE ${made}/${name}.gz COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(page pullama.1 pullamad.8 pullamad.conf.5)
  pullama_gzip(${CMAKE_SOURCE_DIR}/packaging/man/${page} ${page})
  string(REGEX MATCH "[0-9]$" chapter ${page})
  install(FILES ${made}/${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${chapter})
endforeach()

# The program has printed its own completions (client/CMakeLists.txt).
install(FILES ${made}/completions/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME pullama)
install(FILES ${made}/completions/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _pullama)
install(FILES ${made}/completions/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
  RENAME pullama.fish)

# systemd looks below /usr/lib, whatever the library folder is called.
install(FILES systemd/user/pullamad.service systemd/user/pullamad.socket DESTINATION lib/systemd/user)
install(FILES systemd/system/pullamad.service systemd/system/pullamad.socket DESTINATION lib/systemd/system)
install(FILES systemd/system/ollama.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/pullama)
install(FILES systemd/system/sysusers.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/pullama)

install(FILES packaging/pullamad.conf DESTINATION ${docs}/examples)
install(FILES README.md SECURITY.md proto/PROTOCOL.md daemon/DESIGN.md packaging/fleet.md DESTINATION ${docs})
install(FILES packaging/launchd/io.pullama.pullamad.plist DESTINATION ${docs}/examples)
pullama_gzip(${CMAKE_SOURCE_DIR}/CHANGELOG.md changelog)
install(FILES ${made}/changelog.gz DESTINATION ${docs})

set(CPACK_PACKAGE_NAME pullama)
set(CPACK_PACKAGE_VENDOR "The Pullama authors")
set(CPACK_PACKAGE_CONTACT "The Pullama authors <maintainers@users.noreply.pullama.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "pull models from Ollama's and other registries, crash-safe")
set(CPACK_PACKAGE_DESCRIPTION "A daemon and a client that transfer models between registries (Ollama's,
hf.co, any OCI registry) and Ollama's own store. A kill, a reboot, a full disk
or a line that breaks costs at most the last second; bytes are verified as they
arrive.
.
No Ollama server is needed to pull.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  "${CMAKE_SOURCE_DIR}/packaging/deb/postinst;${CMAKE_SOURCE_DIR}/packaging/deb/prerm;${CMAKE_SOURCE_DIR}/packaging/deb/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_ARCHIVE_FILE_NAME pullama-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_ARCHIVE_THREADS 0)

# Debian's form of the licence and of the changelog. The date is the sources', so that the same sources make the same
# package.
string(TIMESTAMP PULLAMA_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
find_program(PULLAMA_GIT git)
if(PULLAMA_GIT)
  execute_process(COMMAND ${PULLAMA_GIT} log -1 --format=%cD WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    OUTPUT_VARIABLE committed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(committed)
    set(PULLAMA_DATE ${committed})
  endif()
endif()
file(READ LICENSE license)
string(REGEX MATCH "Copyright \\(c\\) ([^\n]*)" PULLAMA_COPYRIGHT "${license}")
set(PULLAMA_COPYRIGHT ${CMAKE_MATCH_1})
string(REGEX REPLACE "^.*Copyright[^\n]*\n+" "" license "${license}")
string(REGEX REPLACE "\n\n" "\n.\n" license "${license}")
string(STRIP "${license}" license)
string(REPLACE "\n" "\n " PULLAMA_LICENSE_TEXT " ${license}")
configure_file(packaging/deb/copyright.in ${made}/copyright @ONLY)
configure_file(packaging/deb/changelog.in ${made}/changelog.Debian @ONLY)
pullama_gzip(${made}/changelog.Debian changelog.Debian)
install(FILES ${made}/copyright ${made}/changelog.Debian.gz DESTINATION ${docs})

include(CPack)
