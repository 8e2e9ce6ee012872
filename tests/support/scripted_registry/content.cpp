#include "tests/support/scripted_registry/content.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

namespace pullama::scripted {
namespace {

constexpr std::uint64_t kBlockBytes = 1 << 20;

class TextContent final : public Content {
 public:
  explicit TextContent(std::string text) : text_(std::move(text)) {}
  std::uint64_t size() const override { return text_.size(); }
  void read(std::uint64_t offset, std::span<char> into) const override {
    std::memcpy(into.data(), text_.data() + offset, into.size());
  }

 private:
  std::string text_;
};

class SeededContent final : public Content {
 public:
  SeededContent(std::uint64_t seed, std::uint64_t size) : size_(size), block_(kBlockBytes) {
    const std::string label = "pullama-blob:" + std::to_string(seed);
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    if (!context || EVP_DigestInit_ex(context.get(), EVP_shake128(), nullptr) != 1 ||
        EVP_DigestUpdate(context.get(), label.data(), label.size()) != 1 ||
        EVP_DigestFinalXOF(context.get(), block_.data(), block_.size()) != 1) {
      throw std::runtime_error("SHAKE128 failed");
    }
  }
  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t offset, std::span<char> into) const override {
    while (!into.empty()) {
      const std::uint64_t within = offset % kBlockBytes;
      const std::uint64_t count = std::min<std::uint64_t>(into.size(), kBlockBytes - within);
      std::memcpy(into.data(), block_.data() + within, count);
      for (std::uint64_t i = within; i < std::min<std::uint64_t>(8, within + count); ++i) {
        into[i - within] = static_cast<char>((offset / kBlockBytes) >> (8 * i) & 0xff);
      }
      offset += count;
      into = into.subspan(count);
    }
  }

 private:
  std::uint64_t size_;
  std::vector<unsigned char> block_;
};

class FileContent final : public Content {
 public:
  explicit FileContent(const std::string& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat facts {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &facts) != 0) throw std::runtime_error("cannot open " + path);
    size_ = static_cast<std::uint64_t>(facts.st_size);
  }
  ~FileContent() override { ::close(descriptor_); }
  FileContent(const FileContent&) = delete;
  FileContent& operator=(const FileContent&) = delete;
  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t offset, std::span<char> into) const override {
    while (!into.empty()) {
      const ssize_t count = ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
      if (count <= 0) throw std::runtime_error("a served file became shorter");
      offset += static_cast<std::uint64_t>(count);
      into = into.subspan(static_cast<std::size_t>(count));
    }
  }

 private:
  int descriptor_;
  std::uint64_t size_ = 0;
};

}  // namespace

std::shared_ptr<const Content> Content::of_text(std::string text) {
  return std::make_shared<TextContent>(std::move(text));
}

std::shared_ptr<const Content> Content::from_json(const nlohmann::json& description) {
  if (description.contains("text")) return of_text(description.at("text").get<std::string>());
  if (description.contains("file")) return std::make_shared<FileContent>(description.at("file").get<std::string>());
  if (description.contains("seed")) {
    return std::make_shared<SeededContent>(description.at("seed").get<std::uint64_t>(),
                                           description.at("size").get<std::uint64_t>());
  }
  throw std::runtime_error("content needs \"text\", \"file\" or \"seed\" and \"size\": " + description.dump());
}

std::string sha256_of(const Content& content, std::uint64_t offset, std::uint64_t length) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) throw std::runtime_error("SHA-256");
  std::vector<char> buffer(kBlockBytes);
  while (length > 0) {
    const std::uint64_t count = std::min<std::uint64_t>(length, buffer.size());
    content.read(offset, std::span(buffer).first(count));
    if (EVP_DigestUpdate(context.get(), buffer.data(), count) != 1) throw std::runtime_error("SHA-256");
    offset += count;
    length -= count;
  }
  std::array<unsigned char, 32> digest{};
  if (EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) throw std::runtime_error("SHA-256");
  std::string text = "sha256:";
  for (const unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string sha256_of(const Content& content) { return sha256_of(content, 0, content.size()); }

}  // namespace pullama::scripted
