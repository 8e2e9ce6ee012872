#include "daemon/config.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "daemon/config_keys.h"
#include "daemon/settings_in_effect.h"

using namespace pullama;
using Words = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

using Variables = std::map<std::string, std::string>;

Result<Configured> configured(const std::vector<ConfigFile>& files, const Variables& variables = {},
                              const std::vector<Setting>& flags = {}, const std::string& home = "/h") {
  return configure(files,
                   [&](const std::string& name) -> std::optional<std::string> {
                     const auto it = variables.find(name);
                     return it == variables.end() ? std::nullopt : std::optional(it->second);
                   },
                   flags, {"/here", home, [](const std::string& path) { return path == "/etc/ssl/cert.pem"; }});
}

}  // namespace

TEST_CASE("a flag goes before a variable, that before the user's file, that before the machine's") {
  const std::vector<ConfigFile> files{{"/etc/p.conf", "on_finished = machine\non_finished_limit = 7s\n"},
                                      {"/home/p.conf", "on_finished = user 'two words'"}};
  CHECK(configured({})->config.on_finished.empty());
  CHECK(configured({})->config.on_finished_limit == 5min);
  CHECK(configured({files[0]})->config.on_finished == Words{"machine"});
  CHECK(configured(files)->config.on_finished == Words{"user", "two words"});
  CHECK(configured(files)->config.on_finished_limit == 7s);
  const std::map<std::string, std::string> variable{{"PULLAMA_ON_FINISHED", "variable"}};
  CHECK(configured(files, variable)->config.on_finished == Words{"variable"});
  CHECK(configured(files, variable, {{"on_finished", "flag"}})->config.on_finished == Words{"flag"});
  CHECK(configured(files, {{"PULLAMA_ON_FINISHED", ""}})->config.on_finished.empty());
}

TEST_CASE("comments, blanks and line ends of any system") {
  const auto result =
      configured({{"p", "# on_finished = no\r\n\r\n  \ton_finished\t=  a # b  \r\n  # more\non_finished_limit=90s"}});
  CHECK(result->config.on_finished == Words{"a", "#", "b"});
  CHECK(result->config.on_finished_limit == 90s);
  CHECK(result->warnings.empty());
  CHECK(configured({{"p", "on_finished = a\non_finished =\n"}})->config.on_finished.empty());
  CHECK(configured({{"p", "on_finished_limit = 9s\non_finished_limit =\n"}})->config.on_finished_limit == 5min);
}

TEST_CASE("a line that cannot be used is passed over, with its number") {
  const auto result = configured({{"/p.conf",
                                   "on_finished = good\n"
                                   "on_finnished = typo\n"
                                   "nonsense\n"
                                   "on_finished = 'unended\n"
                                   "on_finished_limit = 2h\n"
                                   "on_finished_limit = soon\n"
                                   "= value\n"
                                   "\x1b[2J = x\n"}});
  CHECK(result->config.on_finished == Words{"good"});
  CHECK(result->config.on_finished_limit == 5min);
  REQUIRE(result->warnings.size() == 7);
  for (std::size_t i = 0; i < result->warnings.size(); ++i) {
    CAPTURE(result->warnings[i]);
    CHECK(result->warnings[i].rfind("/p.conf:" + std::to_string(i + 2) + ": ", 0) == 0);
    CHECK(result->warnings[i].find('\x1b') == std::string::npos);
  }
  CHECK(result->warnings[0].find("there is no key \"on_finnished\"") != std::string::npos);
}

TEST_CASE("read again, a key whose line is wrong keeps its value and where it came from") {
  const auto nothing_set = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };
  const auto again = [&](const Configured& before, const std::vector<ConfigFile>& files,
                         const std::vector<Setting>& flags = {}) {
    auto result =
        configure(files, nothing_set, flags, {"/here", "/h", [](const std::string&) { return false; }}, &before);
    REQUIRE(result);
    return *result;
  };
  const auto before = *configured({{"/e", "limit_rate = 1M\nmirror = a.example https://m1\n"},
                                   {"/u",
                                    "on_finished_limit = 7s\nlimit_rate = 5M\n"
                                    "mirror = a.example https://m2\nmirror = a.example https://m3\n"}});
  CHECK(before.config.mirrors.size() == 2);
  const auto after = again(before, {{"/e", "limit_rate = 1M\n"},
                                    {"/u",
                                     "limit_rate = 5X\non_finished_limit = soon\nuser_agent = me\nidle_time = x\n"
                                     "mirror = a.example\nmirror = a.example https://m4\n"}});
  CHECK(after.config.limit_rate == 5'000'000U);
  CHECK(after.from.at("limit_rate") == "/u:2");
  CHECK(after.config.on_finished_limit == 7s);
  CHECK(after.config.idle_time == 10min);
  CHECK(after.config.user_agent == "me");
  CHECK(after.config.mirrors == before.config.mirrors);
  REQUIRE(after.warnings.size() == 4);
  CHECK(after.warnings[0].find("the value before it stays") != std::string::npos);
  // It stays as long as the line is wrong, and a good word after or above it counts.
  CHECK(again(after, {{"/u", "limit_rate = 5Y\n"}}).config.limit_rate == 5'000'000U);
  CHECK(again(before, {{"/u", "limit_rate = 5X\nlimit_rate = 6M\n"}}).config.limit_rate == 6'000'000U);
  CHECK(again(before, {{"/u", "limit_rate = 5X\n"}}, {{"limit_rate", "9M"}}).config.limit_rate == 9'000'000U);
  CHECK_FALSE(again(before, {{"/u", ""}}).config.limit_rate);
}

TEST_CASE("the byte order mark of UTF-8 is no part of the first line") {
  const auto result = configured({{"p", "\xef\xbb\xbfon_finished_limit = 7s\n"}});
  CHECK(result->config.on_finished_limit == 7s);
  CHECK(result->warnings.empty());
}

TEST_CASE("a wrong flag or variable is an error that names it") {
  const auto flag = configured({}, {}, {{"on_finished_limit", "0s"}});
  REQUIRE_FALSE(flag.has_value());
  CHECK(flag.error().message.find("--on-finished-limit") != std::string::npos);
  const auto variable = configured({}, {{"PULLAMA_ON_FINISHED", "\"x"}});
  REQUIRE_FALSE(variable.has_value());
  CHECK(variable.error().message.find("$PULLAMA_ON_FINISHED") != std::string::npos);
}

TEST_CASE("cut off at any byte, a file is read with at most one warning") {
  const std::string text = "# comment\non_finished = a 'b c'\non_finished_limit = 10s\n";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const auto result = configured({{"p", text.substr(0, length)}});
    REQUIRE(result.has_value());
    CHECK(result->warnings.size() <= 1);
  }
}

TEST_CASE("the models dir is the flag's, the variable's, a file's, or below the home folder") {
  struct Row {
    const char* file;
    Variables variables;
    std::vector<Setting> flags;
    const char* models_dir;
  };
  const Row rows[] = {
      {"", {}, {}, "/h/.ollama/models"},
      {"models_dir = /f/", {}, {}, "/f"},
      {"models_dir = ~/m", {}, {}, "/h/m"},
      {"models_dir = \"/with blank\"", {}, {}, "/with blank"},
      {"models_dir = /f", {{"OLLAMA_MODELS", ""}}, {}, "/f"},
      {"", {{"OLLAMA_MODELS", " \"/m\" "}}, {}, "/m"},
      {"", {{"OLLAMA_MODELS", " '\"/m n'"}}, {}, "/m n"},
      {"", {{"OLLAMA_MODELS", " \"\" "}}, {}, "/h/.ollama/models"},
      {"models_dir = /f", {{"OLLAMA_MODELS", "/m"}}, {{"models_dir", "/o/"}}, "/o"},
      {"", {}, {{"models_dir", "rel/../x"}}, "/here/x"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.models_dir);
    const auto result = configured({{"p", row.file}}, row.variables, row.flags);
    REQUIRE(result.has_value());
    CHECK(result->config.models_dir == row.models_dir);
    CHECK(result->warnings.empty());
  }
  CHECK(configured({{"p", "models_dir = rel"}})->warnings.front().find("not an absolute path") != std::string::npos);
  const auto homeless = configured({}, {}, {}, "");
  REQUIRE_FALSE(homeless.has_value());
  CHECK(homeless.error().message.find("--models-dir") != std::string::npos);
}

TEST_CASE("every value says where it came from") {
  const auto result = configured({{"/etc/p.conf", "\nlimit_rate = 5M\nsocket = /a\nno_proxy = x\n"},
                                  {"/home/p.conf", "socket = /b\nno_proxy =\n"}},
                                 {{"HTTPS_PROXY", "http://u:secret@proxy:1"}}, {{"log_level", "debug"}});
  REQUIRE(result.has_value());
  CHECK(result->from.at("limit_rate") == "/etc/p.conf:2");
  CHECK(result->from.at("socket") == "/home/p.conf:1");
  CHECK(result->from.at("https_proxy") == "$HTTPS_PROXY");
  CHECK(result->from.at("log_level") == "--log-level");
  CHECK(result->from.at("no_proxy") == "/home/p.conf:2");  // which took it away
  CHECK(result->config.limit_rate == 5'000'000U);
  CHECK(find_config_key("https_proxy")->show(result->config) == "http://proxy:1");
}

TEST_CASE("proxies are taken lower case first, the common one last") {
  const auto both = configured({{"p", "http_proxy = http://file"}}, {{"HTTP_PROXY", "http://a"},
                                                                     {"https_proxy", "http://b"},
                                                                     {"HTTPS_PROXY", "http://c"},
                                                                     {"ALL_PROXY", "socks5://d"},
                                                                     {"NO_PROXY", "h"}});
  CHECK(both->config.network.http_proxy == "http://a");
  CHECK(both->config.network.https_proxy == "http://b");
  CHECK(both->config.network.no_proxy == "h");
  const auto all = configured({}, {{"ALL_PROXY", "socks5h://d"}, {"http_proxy", ""}});
  CHECK(all->config.network.http_proxy == "socks5h://d");
  CHECK(all->config.network.https_proxy == "socks5h://d");
}

TEST_CASE("CAs are found where nobody names any") {
  CHECK(configured({})->config.network.cas.file == "/etc/ssl/cert.pem");
  const auto named = configured({}, {{"SSL_CERT_DIR", "/d"}});
  CHECK(named->config.network.cas.file.empty());
  CHECK(named->config.network.cas.folder == "/d");
  CHECK(configured({{"p", "ca_file = /f"}})->config.network.cas.file == "/f");
}

TEST_CASE("mirrors add up within one place; a weightier place replaces them") {
  const std::string two = "mirror = \"r.example https://a:5000\"\nmirror = s.example http://b/\n";
  const auto file = configured({{"p", two}});
  REQUIRE(file->config.mirrors.size() == 2);
  CHECK(file->config.mirrors[1] == registry::Mirror{"s.example", "http://b"});
  CHECK(configured({{"p", two}}, {{"PULLAMA_MIRROR", "r.example https://c"}})->config.mirrors.size() == 1);
  CHECK(configured({{"p", two}}, {}, {{"mirror", "r https://c, r https://d"}})->config.mirrors.size() == 2);
  CHECK(configured({{"p", two}}, {{"PULLAMA_MIRROR", ""}})->config.mirrors.empty());
  const auto broken = configured({{"p", two}, {"q", "mirror = nonsense"}});
  CHECK(broken->config.mirrors.size() == 2);
  CHECK(broken->warnings.size() == 1);
}

TEST_CASE("a proxy, a network or CAs that will not do are taken, and said") {
  for (const char* line :
       {"https_proxy = ftp://h:1", "http_proxy = garbage://x", "https_proxy = http://u:hush@h:0",
        "no_proxy = a, 10.0.0.0/99", "no_proxy = ::1/129", "no_proxy = a/8", "ca_file = /none.pem", "ca_dir = /none"}) {
    CAPTURE(line);
    const auto result = configured({{"/p", line}});
    REQUIRE(result->warnings.size() == 1);
    CHECK(result->warnings[0].starts_with("/p:1: "));
    CHECK(result->warnings[0].find("hush") == std::string::npos);
  }
  CHECK(configured({{"p", "https_proxy = ftp://h:1"}})->config.network.https_proxy == "ftp://h:1");
  CHECK(configured({}, {{"HTTPS_PROXY", "ftp://h"}})->warnings.size() == 1);
  for (const char* line :
       {"https_proxy = proxy:3128", "https_proxy = SOCKS5h://u:p@[::1]:9", "ca_file = /etc/ssl/cert.pem",
        "no_proxy = *, .a, 10.0.0.0/8 fe80::/10,b:5000", "http_proxy ="}) {
    CAPTURE(line);
    CHECK(configured({{"p", line}})->warnings.empty());
  }
}

TEST_CASE("values out of their range are wrong") {
  for (const char* line : {"connections = 17", "connections = 0", "connections = -1", "parallel_models = 0",
                           "parallel_models = auto", "limit_rate = fast", "idle_time = 0s", "idle_time = soon",
                           "log_level = loud", "user_agent = a\tb", "mirror = r ftp://x", "socket = rel",
                           "mirror = r https://x/path", "mirror = r https://u:p@x", "mirror = a/b https://x"}) {
    CAPTURE(line);
    CHECK(configured({{"p", line}})->warnings.size() == 1);
  }
  CHECK(configured({{"p", "connections = auto"}})->config.connections == 0U);
  CHECK(configured({{"p", "limit_rate = off"}})->config.limit_rate == 0U);
}

TEST_CASE("unused blobs are removed unless OLLAMA_NOPRUNE says otherwise, read as Ollama reads it") {
  for (const char* on : {"1", "t", "true", "TRUE", "yes", " \"true\" ", "no"}) {
    CAPTURE(on);
    CHECK(configured({}, {{"OLLAMA_NOPRUNE", on}})->config.noprune);
  }
  for (const char* off : {"", "0", "f", "false", "False", " 'FALSE' "}) {
    CAPTURE(off);
    CHECK_FALSE(configured({}, {{"OLLAMA_NOPRUNE", off}})->config.noprune);
  }
  CHECK(configured({{"p", "noprune = true"}})->config.noprune);
  CHECK(configured({{"p", "noprune = no"}})->warnings.size() == 1);
}

TEST_CASE("what is in effect: limits that were set since, a socket that was handed over, no secrets") {
  const auto result = configured({{"/p", "limit_rate = 5M\nconnections = 2\non_finished = tell token=hush\n"}});
  const auto settings = settings_in_effect(*result, {"/run/s", true, {5'000'000, 3, 1}});
  REQUIRE(settings.size() == config_keys().size());
  const auto find = [&](const std::string& key) {
    return *std::find_if(settings.begin(), settings.end(), [&](const auto& setting) { return setting.key == key; });
  };
  CHECK(find("limit_rate").value == "5.0 MB/s");
  CHECK(find("limit_rate").from == "/p:1");
  CHECK(find("connections").value == "3");
  CHECK(find("connections").from == "limits.set");
  CHECK(find("parallel_models").from == "default");
  CHECK(find("socket").value == "/run/s");
  CHECK(find("socket").from == "the service manager");
  CHECK(find("ca_file").from == "found");
  CHECK(find("user_agent").value.find("pullama") != std::string::npos);
  CHECK(find("on_finished").value.find("hush") == std::string::npos);
}
