#include "common/endpoint.h"

#include <doctest/doctest.h>

using pullama::connect_endpoints;
using pullama::EndpointEnvironment;
using pullama::EndpointSource;
using pullama::listen_endpoint;

TEST_CASE("the first address that is set is the socket's") {
  struct Row {
    EndpointEnvironment environment;
    const char* path;
    EndpointSource source;
  };
  for (const Row& row : {Row{{"/o.sock", "/v.sock", "/run/user/7", 7, true}, "/o.sock", EndpointSource::kOption},
                         {{"", "/v.sock", "/run/user/7", 7, true}, "/v.sock", EndpointSource::kVariable},
                         {{"", "", "/rt", 7, true}, "/rt/pullama/pullamad.sock", EndpointSource::kRuntimeDir},
                         {{"", "", "relative", 7, true}, "/run/user/7/pullama/pullamad.sock", EndpointSource::kRunUser},
                         {{"", "", "", 7, true}, "/run/user/7/pullama/pullamad.sock", EndpointSource::kRunUser},
                         {{"", "", "", 7, false}, "/tmp/pullama-7/pullamad.sock", EndpointSource::kTmp}}) {
    CAPTURE(row.path);
    const auto endpoint = listen_endpoint(row.environment);
    REQUIRE(endpoint);
    CHECK(endpoint->path == row.path);
    CHECK(endpoint->source == row.source);
    CHECK(endpoint->folder_needs_check() == (row.source == EndpointSource::kTmp));
  }
}

TEST_CASE("a client tries the system service only where the user named no socket") {
  const auto named = connect_endpoints({"/o.sock", "", "", 7, false});
  REQUIRE(named);
  CHECK(named->size() == 1);
  const auto found = connect_endpoints({"", "", "/rt", 7, false});
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  CHECK(found->at(0).path == "/rt/pullama/pullamad.sock");
  CHECK(found->at(1).path == "/run/pullama/pullamad.sock");
  CHECK(found->at(1).source == EndpointSource::kSystem);
}

TEST_CASE("a path that no socket can have is refused and named") {
  CHECK(listen_endpoint({std::string(107, 'x'), "", "", 7, false}));
  const auto long_one = listen_endpoint({"", std::string(108, 'x'), "", 7, false});
  REQUIRE_FALSE(long_one);
  CHECK(long_one.error().message.find("PULLAMA_SOCKET") != std::string::npos);
  CHECK(long_one.error().message.find("108 bytes") != std::string::npos);
  CHECK_FALSE(connect_endpoints({std::string("/a\0b", 4), "", "", 7, false}));
}

TEST_CASE("the environment of this process is read") {
  const EndpointEnvironment environment = pullama::process_endpoint_environment("/here.sock");
  CHECK(environment.socket_option == "/here.sock");
  CHECK(listen_endpoint(environment)->path == "/here.sock");
}
