#pragma once
// "pullamad --courier": what the daemon starts for uploads, never a person (engine/courier.h).

namespace pullama {

// The exit code: 0 once the daemon is gone, 1 with a line on stderr where there never was one.
int run_courier();

}  // namespace pullama
