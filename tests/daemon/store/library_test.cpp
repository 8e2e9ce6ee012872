#include "daemon/store/library.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <filesystem>

#include "daemon/io/file_system_posix.h"
#include "daemon/io/sha256.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/faulty_file_system.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::store {
namespace {

struct Layer {
  std::string kind;
  std::string content;
};

struct Fixture {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  std::unique_ptr<io::PosixFileSystem> posix = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  testing::FaultyFileSystem fs{*posix};
  Library library{fs};

  static Digest digest_of(const std::string& content) { return io::sha256(std::as_bytes(std::span(content))); }
  static std::string descriptor(const std::string& media_type, const std::string& content) {
    return R"({"mediaType":")" + media_type + R"(","digest":")" + digest_of(content).str() + R"(","size":)" +
           std::to_string(content.size()) + "}";
  }

  // Writes a whole model, the manifest's time `age` seconds before a fixed moment; gives the manifest's bytes.
  std::string install(const std::string& name, const std::string& config, const std::vector<Layer>& layers,
                      int age = 0) const {
    std::string raw =
        R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":)" +
        descriptor("application/vnd.docker.container.image.v1+json", config) + R"(,"layers":[)";
    dir.write(blob_path(digest_of(config)), config);
    for (const Layer& layer : layers) {
      if (&layer != layers.data()) raw += ",";
      raw += descriptor("application/vnd.ollama.image." + layer.kind, layer.content);
      dir.write(blob_path(digest_of(layer.content)), layer.content);
    }
    raw += "]}";
    const std::string path = manifest_path(*ModelName::parse(name));
    dir.write(path, raw);
    const timespec time{1'700'000'000 - age, 5};
    const timespec times[2] = {time, time};
    REQUIRE(::utimensat(AT_FDCWD, (dir / path).c_str(), times, 0) == 0);
    return raw;
  }
};

TEST_CASE_FIXTURE(Fixture, "a store that is empty or not there yet lists nothing") {
  CHECK(library.list()->models.empty());
  std::filesystem::create_directory(dir / "manifests");
  CHECK(library.list()->models.empty());
  CHECK(library.show(*ModelName::parse("m")).error().code == ErrorCode::kNotFound);
}

TEST_CASE_FIXTURE(Fixture, "models are listed newest first with their ID and the size that the manifest states") {
  const std::string raw = install("old", "{}", {{"model", "weights"}, {"model", "weights"}}, 100);
  install("new:7b", "{}", {{"model", "weights"}}, 1);
  install("b-equal", "{}", {{"model", "weights"}}, 50);
  install("a-equal", "{}", {{"model", "weights"}}, 50);
  const auto listing = library.list();
  REQUIRE(listing);
  REQUIRE(listing->models.size() == 4);
  CHECK(listing->models[0].name.display() == "new:7b");
  CHECK(listing->models[1].name.display() == "a-equal:latest");
  CHECK(listing->models[2].name.display() == "b-equal:latest");
  const ListedModel& oldest = listing->models[3];
  CHECK(oldest.name.display() == "old:latest");
  CHECK(oldest.digest == digest_of(raw));
  CHECK(oldest.size_bytes == 2 + 7 + 7);
  CHECK(oldest.mtime_ns == (1'700'000'000LL - 100) * 1'000'000'000 + 5);
  CHECK(oldest.broken.empty());
}

TEST_CASE_FIXTURE(Fixture, "what is broken is listed with the reason and hides nothing else") {
  install("good", "{}", {{"model", "weights"}}, 10);
  install("no-blob", "{}", {{"model", "gone"}}, 20);
  std::filesystem::remove(dir / blob_path(digest_of("gone")));
  install("folder-as-blob", "{}", {{"model", "folder"}}, 25);
  std::filesystem::remove(dir / blob_path(digest_of("folder")));
  std::filesystem::create_directory(dir / blob_path(digest_of("folder")));
  install("bad-json", "{}", {}, 30);
  dir.write("manifests/registry.ollama.ai/library/bad-json/latest", "{\"schemaVersion\":2,");
  std::filesystem::create_symlink("nowhere", dir / "manifests/registry.ollama.ai/library/good/link");
  install("hf.co/closed/m", "{}", {{"model", "weights"}}, 40);
  fs.fail(testing::FaultyFileSystem::Operation::kList, EACCES, 1, 1, "manifests/hf.co/closed");
  const auto listing = library.list();
  REQUIRE(listing);
  REQUIRE(listing->unreadable.size() == 1);
  CHECK(listing->unreadable[0].message.find("hf.co/closed") != std::string::npos);
  REQUIRE(listing->models.size() == 5);
  for (const ListedModel& model : listing->models) {
    const std::string name = model.name.display();
    CAPTURE(name);
    if (name == "good:latest") {
      CHECK(model.broken.empty());
    } else if (name == "no-blob:latest" || name == "folder-as-blob:latest") {
      CHECK(model.digest.has_value());
      CHECK(model.broken.find("blobs/sha256-") != std::string::npos);
    } else {
      CHECK_FALSE(model.digest.has_value());
      CHECK(model.broken.find(dir / manifest_path(model.name)) != std::string::npos);
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "a large store is listed in the same order, by as many as it takes") {
  for (int i = 0; i < 450; ++i) install("m" + std::to_string(i), "{}", {{"model", "weights"}}, i);
  dir.write("manifests/registry.ollama.ai/library/m7/latest", "nonsense");
  const auto listing = library.list();
  REQUIRE(listing);
  REQUIRE(listing->models.size() == 450);
  // What was just written is the newest.
  CHECK(listing->models[0].name.model() == "m7");
  CHECK_FALSE(listing->models[0].broken.empty());
  for (int i = 8; i < 450; ++i) {
    CHECK(listing->models[static_cast<std::size_t>(i)].name.model() == "m" + std::to_string(i));
  }
}

TEST_CASE_FIXTURE(Fixture, "a model is shown with what its config and texts say, found whatever the case") {
  const std::string raw = install(
      "Llama3:Latest", R"({"model_format":"gguf","model_family":"llama","model_type":"3.2B","file_type":"Q4_K_M"})",
      {{"model", "weights"},
       {"template", "{{ .Prompt }}"},
       {"system", "You are."},
       {"params", R"({"stop":["a","b"]})"},
       {"license", "MIT"},
       {"license", "Apache"},
       {"tensor", "unknown to us"}});
  install("sharer", "{}", {{"model", "weights"}});
  install("another", "{}", {{"model", "weights"}});
  const auto shown = library.show(*ModelName::parse("llama3"));
  REQUIRE_MESSAGE(shown, shown.error().message);
  CHECK(shown->name.display() == "Llama3:Latest");
  CHECK(shown->digest == digest_of(raw));
  CHECK(shown->format == "gguf");
  CHECK(shown->family == "llama");
  CHECK(shown->parameter_size == "3.2B");
  CHECK(shown->quantization == "Q4_K_M");
  CHECK(shown->template_text == "{{ .Prompt }}");
  CHECK(shown->system_text == "You are.");
  CHECK(shown->licenses == std::vector<std::string>{"MIT", "Apache"});
  REQUIRE(shown->parameters.size() == 2);
  CHECK(shown->parameters[1].second == "b");
  REQUIRE(shown->layers.size() == 7);
  CHECK(shown->layers[0].digest == digest_of("weights"));
  CHECK(shown->layers[0].size_bytes == 7);
  CHECK(shown->layers[0].problem.empty());
  CHECK(shown->layers[0].shared_with == std::vector<std::string>{"another:latest", "sharer:latest"});
  CHECK(shown->layers[1].shared_with.empty());
  REQUIRE(shown->config);
  CHECK(shown->config->problem.empty());
  CHECK(shown->config->shared_with.empty());
}

TEST_CASE_FIXTURE(Fixture, "a cloud model without layers is shown") {
  install("gpt:cloud", R"({"remote_host":"https://ollama.com:443","remote_model":"gpt:120b"})", {});
  const auto shown = library.show(*ModelName::parse("gpt:cloud"));
  REQUIRE_MESSAGE(shown, shown.error().message);
  CHECK(shown->remote_model == "gpt:120b");
  CHECK(shown->layers.empty());
}

TEST_CASE_FIXTURE(
    Fixture, "texts that are too long or no UTF-8 are shown as far as they go; missing ones and links are left out") {
  dir.write("victim", "precious");
  install("m", "{}",
          {{"license", std::string(900'000, 'x') + "\xff tail"},
           {"license", std::string((1 << 20) + 1, 'y')},
           {"template", ""},
           {"system", "missing"},
           {"params", "{\"stop\":"},
           {"license", "link"}});
  std::filesystem::remove(dir / blob_path(digest_of("missing")));
  std::filesystem::remove(dir / blob_path(digest_of("link")));
  std::filesystem::create_symlink("../victim", dir / blob_path(digest_of("link")));
  const auto shown = library.show(*ModelName::parse("m"));
  REQUIRE(shown);
  REQUIRE(shown->licenses.size() == 2);
  CHECK(shown->licenses[0] == std::string(900'000, 'x') + "\xef\xbf\xbd tail");
  CHECK(shown->licenses[1].substr(0, 200) == std::string(200, 'y'));
  CHECK(shown->licenses[1].size() < (1 << 20) - 900'000 + 100);
  CHECK(shown->licenses[1].ends_with("\n[cut off here: 1048577 bytes in all]"));
  CHECK(shown->template_text.empty());
  CHECK(shown->system_text.empty());
  CHECK(shown->parameters.empty());
  CHECK(shown->layers[3].problem == "missing");
  CHECK(shown->layers[5].problem == "no regular file");
}

TEST_CASE_FIXTURE(Fixture, "a blob of another size than the manifest states is not there") {
  install("m", "{}", {{"model", "weights"}});
  dir.write(blob_path(digest_of("weights")), "short");
  CHECK(library.show(*ModelName::parse("m"))->layers[0].problem == "wrong size");
}

TEST_CASE_FIXTURE(Fixture, "what cannot be looked at is told beside the list, a root that cannot fails it") {
  install("a", "{}", {{"model", "weights"}});
  install("h/n/b", "{}", {});
  std::filesystem::rename(dir / "manifests/h", dir / "elsewhere");
  std::filesystem::create_symlink(dir / "elsewhere", dir / "manifests/h");
  std::filesystem::rename(dir / blob_path(digest_of("weights")), dir / "weights");
  std::filesystem::create_symlink(dir / "weights", dir / blob_path(digest_of("weights")));
  auto listing = library.list();
  REQUIRE(listing);
  REQUIRE(listing->models.size() == 1);
  CHECK(listing->models[0].broken.ends_with("is no regular file"));
  REQUIRE(listing->unreadable.size() == 1);
  CHECK(listing->unreadable[0].message.find("manifests/h") != std::string::npos);

  fs.fail(testing::FaultyFileSystem::Operation::kList, EACCES, 1, 1, kBlobsDir);
  listing = library.list();
  REQUIRE(listing);
  CHECK(listing->models[0].broken.empty());
  CHECK(listing->unreadable.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "a cloud model tells where it is") {
  install("gpt:cloud", R"({"remote_host":"https://ollama.com:443","remote_model":"gpt:120b"})", {});
  install("here", R"({"remote_host":"ignored beside weights"})", {{"model", "weights"}});
  const auto listing = library.list();
  REQUIRE(listing->models.size() == 2);
  CHECK(listing->models[0].remote_host == "https://ollama.com:443");
  CHECK(listing->models[0].remote_model == "gpt:120b");
  CHECK(listing->models[1].remote_host.empty());
}

TEST_CASE_FIXTURE(Fixture, "a manifest that does not parse is corrupt at show") {
  install("m", "{}", {});
  dir.write("manifests/registry.ollama.ai/library/m/latest", "nonsense");
  CHECK(library.show(*ModelName::parse("m")).error().code == ErrorCode::kCorrupt);
}

TEST_CASE_FIXTURE(Fixture, "a copy is a second manifest with the same bytes, under a name that is spelled as there") {
  const std::string raw = install("Llama3:7B", "{}", {{"model", "weights"}}, 10);
  const auto copied = library.copy(*ModelName::parse("llama3:7b"), *ModelName::parse("Mine"), {});
  REQUIRE_MESSAGE(copied, copied.error().message);
  CHECK(copied->source.display() == "Llama3:7B");
  CHECK(copied->destination.display() == "Mine:latest");
  CHECK(copied->digest == digest_of(raw));
  CHECK(dir.read("manifests/registry.ollama.ai/library/Mine/latest") == raw);
  CHECK(dir.read("manifests/registry.ollama.ai/library/Llama3/7B") == raw);
  for (const auto& entry : std::filesystem::directory_iterator(dir / "manifests")) CHECK(entry.is_directory());

  const std::string other = install("other", "{}", {{"model", "lighter"}});
  REQUIRE(library.copy(*ModelName::parse("other"), *ModelName::parse("mine:LATEST"), {}));
  CHECK(dir.read("manifests/registry.ollama.ai/library/Mine/latest") == other);
  CHECK_FALSE(dir.exists("manifests/registry.ollama.ai/library/mine"));
  REQUIRE(library.copy(*ModelName::parse("other"), *ModelName::parse("Other"), {}));
}

TEST_CASE_FIXTURE(Fixture, "what is not there or broken is not copied") {
  dir.write("manifests/registry.ollama.ai/library/broken/latest", "nonsense");
  const ModelName to = *ModelName::parse("to");
  CHECK(library.copy(*ModelName::parse("missing"), to, {}).error().code == ErrorCode::kNotFound);
  CHECK(library.copy(*ModelName::parse("broken"), to, {}).error().code == ErrorCode::kCorrupt);
  CHECK_FALSE(dir.exists("manifests/registry.ollama.ai/library/to"));
}

}  // namespace
}  // namespace pullama::store
