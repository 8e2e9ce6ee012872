#include "daemon/registry/certificate_words.h"

namespace pullama::registry {

std::string certificate_problem(long result) {
  switch (result) {
    case 0:
    case 1:
      return "its certificate is for another host";
    case 9:
      return "its certificate is not valid yet (or this machine's clock is behind)";
    case 10:
      return "its certificate has expired (or this machine's clock is ahead)";
    case 18:
      return "its certificate is self-signed";
    case 19:
      return "its certificate chain ends in a self-signed one that is not trusted";
    case 2:
    case 7:
    case 20:
    case 21:
      return "its certificate was issued by an authority that is not trusted";
    case 23:
      return "its certificate has been revoked";
    default:
      return "its certificate is refused (" + std::to_string(result) + ")";
  }
}

Distrust certificate_distrust(long result) {
  switch (result) {
    case 0:
    case 1:
      return Distrust::kHost;
    case 9:
    case 10:
      return Distrust::kTime;
    default:
      return Distrust::kIssuer;
  }
}

}  // namespace pullama::registry
