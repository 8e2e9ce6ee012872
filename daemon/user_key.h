#pragma once
// The key that the daemon shows to registries, for `pullama key`: where it lies, its public half, and a new one where
// there is none, made as Ollama's server makes it.

#include "common/result.h"
#include "daemon/registry/credentials.h"
#include "proto/results.h"

namespace pullama {

// kAuthFailed where there is none (the hint says how to make one) or it cannot be used. `create`: makes one (0600) and
// its .pub file (0644) where there is none. Nothing that lies there is overwritten, not even a .pub without its key.
// Durable. Blocking.
Result<proto::KeyResult> user_key(const registry::CredentialPaths& paths, bool create);

}  // namespace pullama
