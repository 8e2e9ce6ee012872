// Every target with each of its seeds and simple mutations of it: cut off at each byte, each byte changed, removed and
// doubled, stretches doubled and moved, two seeds grafted; then thousands of inputs with several such changes at once.
// The same at each run; a parser that falls leaves its input in fuzz-failure.bin.
// Usage: fuzz_seeds SEEDS_FOLDER [TARGET]
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/targets.h"

namespace {

using pullama::fuzz::Target;

std::string current;
const Target* running = nullptr;

void keep_input() {
  std::ofstream file("fuzz-failure.bin", std::ios::binary | std::ios::trunc);
  file << current;
  file.close();
  const std::string name = running == nullptr ? "?" : std::string(running->name);
  static_cast<void>(
      std::fprintf(stderr, "target %s failed; its %zu bytes are in fuzz-failure.bin\n", name.c_str(), current.size()));
}

// Two to nine changes each: of seconds a target, where each parser takes its share of a millisecond.
constexpr unsigned kStacked = 100'000;
constexpr std::size_t kLongest = 65'536;

extern "C" void on_abort(int) {
  // We are about to die anyway; whatever this can still say helps.
  keep_input();
  ::_exit(1);
}

class Feeder {
 public:
  explicit Feeder(const Target& target) : target_(target) { running = &target; }
  std::uint64_t count() const { return count_; }

  void all_of(const std::string& seed, const std::string& other) {
    feed(seed);
    for (std::size_t i = 0; i < seed.size(); ++i) {
      feed(seed.substr(0, i));
      one_byte(seed, i);
    }
    for (std::size_t length = 1; length <= seed.size(); length *= 2) stretches(seed, length);
    for (std::size_t i = 0; i < seed.size(); i += 1 + seed.size() / 16) {
      feed(seed.substr(0, i) + other.substr(std::min(i, other.size())));
      feed(seed.substr(0, i) + other);
    }
    numbers(seed);
  }

  void stacked(const std::vector<std::string>& seeds) {
    std::minstd_rand random{20261122};
    const auto below = [&random](std::size_t end) { return end == 0 ? 0 : random() % end; };
    for (unsigned n = 0; n < kStacked; ++n) {
      std::string input = seeds[below(seeds.size())];
      for (std::size_t change = 2 + below(8); change > 0; --change) {
        const std::string& other = seeds[below(seeds.size())];
        const std::size_t at = below(input.size() + 1), from = below(other.size() + 1), length = below(64);
        switch (below(5)) {
          case 0:
            if (at < input.size()) input[at] = static_cast<char>(random());
            break;
          case 1:
            input.erase(at, length);
            break;
          case 2:
            input.insert(at, other, from, length);
            break;
          case 3:
            input.replace(at, length, other, from, length);
            break;
          default:
            input = input.substr(0, at) + other.substr(from);
        }
      }
      if (input.size() <= kLongest) feed(std::move(input));
    }
  }

 private:
  void feed(std::string input) {
    current = std::move(input);
    ++count_;
    target_.run(current);
  }

  void one_byte(const std::string& seed, std::size_t i) {
    static constexpr std::array<char, 9> kBytes{'\0', '\xff', '"', '0', '-', '/', '\n', ' ', '\x80'};
    std::string changed = seed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    feed(changed);
    changed[i] = kBytes[i % kBytes.size()];
    feed(changed);
    changed = seed;
    feed(changed.erase(i, 1));
    changed = seed;
    feed(changed.insert(i, 1, seed[i]));
  }

  void stretches(const std::string& seed, std::size_t length) {
    const std::size_t step = std::max<std::size_t>(1, seed.size() / 24);
    for (std::size_t i = 0; i + length <= seed.size(); i += step) {
      std::string changed = seed;
      feed(changed.insert(i, seed, i, length));
      changed = seed;
      feed(changed.erase(i, length));
    }
  }

  // Each number becomes one that breaks arithmetic.
  void numbers(const std::string& seed) {
    static constexpr std::array kNumbers{"-1", "18446744073709551615", "9223372036854775808", "1e99", "0.5", "null"};
    constexpr const char* kDigits = "0123456789";
    for (auto at = seed.find_first_of(kDigits); at != std::string::npos; at = seed.find_first_of(kDigits, at)) {
      const auto end = std::min(seed.find_first_not_of(kDigits, at), seed.size());
      for (const char* number : kNumbers) feed(seed.substr(0, at) + number + seed.substr(end));
      at = end;
    }
  }

  const Target& target_;
  std::uint64_t count_ = 0;
};

std::vector<std::string> seeds_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

int run(const std::filesystem::path& folder, const std::string& only) {
  std::uint64_t inputs = 0, tried = 0;
  for (const Target& target : pullama::fuzz::targets()) {
    if (!only.empty() && target.name != only) continue;
    const auto seeds = seeds_of(folder / target.name);
    if (seeds.empty()) {
      std::fprintf(stderr, "target %s has no seed\n", std::string(target.name).c_str());
      return 1;
    }
    Feeder feeder(target);
    for (std::size_t i = 0; i < seeds.size(); ++i) feeder.all_of(seeds[i], seeds[(i + 1) % seeds.size()]);
    feeder.stacked(seeds);
    std::printf("%-20s %3zu seeds, %7llu inputs\n", std::string(target.name).c_str(), seeds.size(),
                static_cast<unsigned long long>(feeder.count()));
    inputs += feeder.count();
    ++tried;
  }
  std::printf("%llu targets, %llu inputs\n", static_cast<unsigned long long>(tried),
              static_cast<unsigned long long>(inputs));
  return tried > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: fuzz_seeds SEEDS_FOLDER [TARGET]\n");
    return 1;
  }
  if (::signal(SIGABRT, on_abort) == SIG_ERR) return 1;
  try {
    return run(argv[1], argc > 2 ? argv[2] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    keep_input();
    return 1;
  }
}
