#pragma once
// The way to a path below the models dir: component by component from a folder descriptor, following no symlink, so
// that nothing that lies in the dir can lead out of it. The exceptions are the models dir itself, `blobs` and
// `manifests`: people put them on another disk by a symlink, and that is followed when we, root or the store's owner
// own the link. The store's owner is the owner of the models dir.

#include <sys/types.h>

#include <string>

#include "common/result.h"
#include "daemon/io/descriptor_posix.h"
#include "daemon/io/ownership_posix.h"

namespace pullama::io {

class Beneath {
 public:
  // `models_dir` is absolute. With `create` it is made, durably, with the folders above it where they are missing; as
  // root each gets the owner of the folder that it is made in.
  static Result<Beneath> open(const std::string& models_dir, bool create);

  struct Place {
    Descriptor folder;
    std::string name;
  };
  // The folder and the last component of a path. kInvalidArgument for a path that is empty or absolute or has an empty,
  // "." or ".." component.
  Result<Place> place(const std::string& path) const;
  // The folder that a path names; "." is the models dir.
  Result<Descriptor> folder(const std::string& path) const;
  // Makes it and those above it where missing (0755, whatever the umask), each with its parent synced.
  Result<Descriptor> make_folder(const std::string& path) const;

  // Whether the path is one whose symlink may be followed.
  static bool may_be_link(const std::string& path) { return path == "blobs" || path == "manifests"; }
  std::string native(const std::string& path) const { return path == "." ? models_dir_ : models_dir_ + "/" + path; }
  const Owner& owner() const { return owner_; }

 private:
  Result<Descriptor> walk(const std::string& path, bool create) const;
  Result<Descriptor> step(int folder, const std::string& name, const std::string& so_far) const;
  Status make(int folder, const std::string& name, const std::string& so_far) const;

  std::string models_dir_;
  Descriptor root_;
  uid_t store_uid_ = 0;
  Owner owner_;
};

}  // namespace pullama::io
