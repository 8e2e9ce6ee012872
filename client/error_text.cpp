#include "client/error_text.h"

#include "common/printable.h"

namespace pullama::client {
namespace {

void add(std::string& hint, std::string_view words) {
  if (hint.find(words) != std::string::npos) return;
  if (!hint.empty()) hint += "; ";
  hint += words;
}

}  // namespace

Error with_hint(Error error) {
  if (error.code == ErrorCode::kDiskFull) add(error.hint, "try `pullama clean`");
  if (error.code == ErrorCode::kAuthFailed && (error.message + error.hint).find("id_ed25519") == std::string::npos) {
    add(error.hint, "check ~/.ollama/id_ed25519");  // unless the daemon said which one it shows
  }
  return error;
}

std::string error_line(const Error& error) {
  const Error whole = with_hint(error);
  std::string line = "error: " + printable(whole.message, 4096);
  if (!whole.hint.empty()) line += " — " + printable(whole.hint, 4096);
  return line;
}

}  // namespace pullama::client
