#pragma once
// What is wrong with a peer's certificate, in words. Pure.

#include <string>

#include "daemon/registry/http.h"

namespace pullama::registry {

// `result` is OpenSSL's X509_V_ERR_* number, part of its ABI; 0, accepted by OpenSSL yet refused by libcurl, means
// another host's certificate. Begins with "its certificate".
std::string certificate_problem(long result);
Distrust certificate_distrust(long result);

}  // namespace pullama::registry
