// A model of many blobs.
#include <doctest/doctest.h>

#include <map>
#include <memory>

#include "tests/daemon/engine/pull_fixture.h"
#include "tests/support/io/faulty_file_system.h"

using namespace pullama;
using testing::content;
using testing::PullFixture;

TEST_CASE("what a blob costs on the disk does not depend on how many others its model has") {
  std::map<unsigned, std::uint64_t> looks;
  for (const unsigned blobs : {10U, 80U}) {
    std::unique_ptr<io::FileSystem> real;
    PullFixture f;
    std::vector<std::string> layers;
    for (unsigned i = 0; i < blobs; ++i) layers.push_back(content(1000 + i, i));
    layers.emplace_back("{}");
    f.registry.add_model("ns/m", "latest", layers);
    real = std::move(f.fs);
    auto counting = std::make_unique<testing::FaultyFileSystem>(*real);
    const auto* const disk = counting.get();
    f.fs = std::move(counting);
    REQUIRE(f.pull());
    looks[blobs] = disk->count(testing::FaultyFileSystem::Operation::kStat);
  }
  REQUIRE(looks[10] >= 10);
  CHECK(looks[80] <= 10 * looks[10]);
}
