#include "daemon/store/ledger.h"

#include <sqlite3.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <limits>
#include <mutex>
#include <system_error>

#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama::store {
namespace {

// Schema 3 (1 had no history.job, 2 no history.error_kind). Unsigned 64-bit numbers are kept as the signed ones with
// the same bits; an XXH3 as 32 hex digits; `end` is inclusive. Another version is not read: the file is set aside.
constexpr int kSchemaVersion = 3;
constexpr const char* kSchema = R"sql(
  CREATE TABLE verified (
    digest TEXT PRIMARY KEY, device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE chunks (
    digest TEXT NOT NULL REFERENCES verified ON DELETE CASCADE, start INTEGER NOT NULL, end INTEGER NOT NULL,
    xxh3 TEXT NOT NULL, PRIMARY KEY (digest, start)) WITHOUT ROWID;
  CREATE TABLE history (
    id INTEGER PRIMARY KEY, finished_ms INTEGER NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL,
    models_dir TEXT NOT NULL, result TEXT NOT NULL, error TEXT NOT NULL, total_bytes INTEGER NOT NULL,
    transferred_bytes INTEGER NOT NULL, saved_bytes INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
    retries INTEGER NOT NULL, job TEXT NOT NULL DEFAULT '', error_kind TEXT NOT NULL DEFAULT '');
  CREATE INDEX history_by_time ON history (finished_ms);
)sql";
constexpr const char* kFromVersion1 =
    "BEGIN IMMEDIATE; ALTER TABLE history ADD COLUMN job TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE history ADD COLUMN error_kind TEXT NOT NULL DEFAULT ''; PRAGMA user_version = 3; COMMIT;";
constexpr const char* kFromVersion2 =
    "BEGIN IMMEDIATE; ALTER TABLE history ADD COLUMN error_kind TEXT NOT NULL DEFAULT ''; PRAGMA user_version = 3; "
    "COMMIT;";
constexpr int kBusyMilliseconds = 1000;
constexpr const char* kKeptHistory = "10000";
constexpr unsigned kFileMode = 0600;  // it says what somebody downloads

constexpr const char* kSetAside = ".broken";  // these are endings of kHistoryFile
constexpr const char* kSidecars[] = {"-wal", "-shm", "-journal"};

std::string with_ending(const char* ending) { return std::string(kHistoryFile) + ending; }

struct CloseDatabase {
  // Statements are finalized before; what remains to be said at closing says nothing that anybody relies on.
  void operator()(sqlite3* database) const { static_cast<void>(sqlite3_close_v2(database)); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

bool is_damage(int code) {
  const int primary = code & 0xFF;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

// A file that is no use to us, now or later; as opposed to a busy one or a full disk.
bool is_useless(int code) {
  const int primary = code & 0xFF;
  return is_damage(code) || primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY || primary == SQLITE_PERM;
}

// One prepared statement. The first thing that fails is kept in code(); what follows does nothing.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql) {
    code_ = sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::int64_t value) {
    if (ok()) code_ = sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  Statement& bind(std::uint64_t value) { return bind(std::bit_cast<std::int64_t>(value)); }
  Statement& bind(const std::string& value) {
    // SQLite copies it; SQLITE_TRANSIENT is a cast that our warnings refuse.
    if (ok()) code_ = sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), transient(), SQLITE_UTF8);
    return *this;
  }
  Statement& bind(const io::FileStat& stat) {
    return bind(stat.device).bind(stat.inode).bind(stat.size_bytes).bind(stat.mtime_ns).bind(stat.ctime_ns);
  }
  bool step() {  // true: a row
    if (!ok()) return false;
    const int result = sqlite3_step(statement_);
    if (result != SQLITE_ROW && result != SQLITE_DONE) code_ = result;
    return result == SQLITE_ROW;
  }
  void run() {
    while (step()) {
    }
  }
  void again() {
    if (ok()) code_ = sqlite3_reset(statement_);
    bound_ = 0;
  }
  std::int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::uint64_t count(int column) { return std::bit_cast<std::uint64_t>(number(column)); }
  std::string text(int column) {
    const void* bytes = sqlite3_column_blob(statement_, column);
    const auto length = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), length);
  }
  bool ok() const { return code_ == SQLITE_OK; }
  int code() const { return code_; }

 private:
  static sqlite3_destructor_type transient() { return std::bit_cast<sqlite3_destructor_type>(std::intptr_t{-1}); }
  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
  int bound_ = 0;
};

int run(sqlite3* database, const char* sql) { return sqlite3_exec(database, sql, nullptr, nullptr, nullptr); }

class SqliteLedger final : public Ledger {
 public:
  SqliteLedger(io::FileSystem& fs, std::function<void(const std::string&)> warn) : fs_(fs), warn_(std::move(warn)) {
    open_or_make();
  }

  bool is_verified(const Digest& digest, const io::FileStat& stat) override {
    bool known = false;
    with_database([&](sqlite3* database) {
      Statement query(database,
                      "SELECT 1 FROM verified WHERE digest = ? AND device = ? AND inode = ? AND size = ? AND "
                      "mtime_ns = ? AND ctime_ns = ?");
      known = query.bind(digest.hex()).bind(stat).step();
      return query.code();
    });
    return known;
  }

  void record(const Digest& digest, const io::FileStat& stat, const std::vector<ChunkSum>& chunks) override {
    in_transaction([&](sqlite3* database) {
      Statement remove(database, "DELETE FROM verified WHERE digest = ?");
      remove.bind(digest.hex()).run();
      Statement insert(database, "INSERT INTO verified VALUES (?, ?, ?, ?, ?, ?)");
      insert.bind(digest.hex()).bind(stat).run();
      Statement chunk(database, "INSERT INTO chunks VALUES (?, ?, ?, ?)");
      for (const ChunkSum& sum : chunks) {
        chunk.again();
        chunk.bind(digest.hex()).bind(sum.start).bind(sum.end).bind(sum.xxh3.hex()).run();
      }
      return !remove.ok() ? remove.code() : !insert.ok() ? insert.code() : chunk.code();
    });
  }

  void carry_over(const Digest& digest, const io::FileStat& before, const io::FileStat& after) override {
    if (!before.same_file(after) || before.size_bytes != after.size_bytes) return;
    with_database([&](sqlite3* database) {
      Statement update(database,
                       "UPDATE verified SET mtime_ns = ?, ctime_ns = ? WHERE digest = ? AND device = ? AND inode = ? "
                       "AND size = ? AND mtime_ns = ? AND ctime_ns = ?");
      update.bind(after.mtime_ns).bind(after.ctime_ns).bind(digest.hex()).bind(before).run();
      return update.code();
    });
  }

  std::vector<ChunkSum> chunks(const Digest& digest) override {
    std::vector<ChunkSum> sums;
    with_database([&](sqlite3* database) {
      Statement query(database, "SELECT start, end, xxh3 FROM chunks WHERE digest = ? ORDER BY start");
      query.bind(digest.hex());
      while (query.step()) {
        const auto hash = io::Xxh128::from_hex(query.text(2));
        if (!hash) return SQLITE_CORRUPT;
        sums.push_back({query.count(0), query.count(1), *hash});
      }
      return query.code();
    });
    return sums;
  }

  void distrust(const Digest& digest) override {
    with_database([&](sqlite3* database) {
      // No file has the inode 0.
      Statement update(database, "UPDATE verified SET inode = 0 WHERE digest = ?");
      update.bind(digest.hex()).run();
      return update.code();
    });
  }

  void forget(const Digest& digest) override {
    with_database([&](sqlite3* database) {
      Statement remove(database, "DELETE FROM verified WHERE digest = ?");
      remove.bind(digest.hex()).run();
      return remove.code();
    });
  }

  void add_history(const HistoryEntry& entry) override {
    in_transaction([&](sqlite3* database) {
      Statement insert(database, "INSERT INTO history VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      insert.bind(entry.finished_ms).bind(entry.kind).bind(entry.model).bind(entry.models_dir).bind(entry.result);
      insert.bind(entry.error).bind(entry.total_bytes).bind(entry.transferred_bytes).bind(entry.saved_bytes);
      insert.bind(entry.duration_ms).bind(entry.retries).bind(entry.job).bind(entry.error_kind).run();
      Statement prune(database,
                      std::string("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ") + kKeptHistory);
      prune.run();
      return !insert.ok() ? insert.code() : prune.code();
    });
  }

  std::vector<HistoryEntry> history(std::size_t limit, const std::string& model) override {
    std::vector<HistoryEntry> entries;
    with_database([&](sqlite3* database) {
      Statement query(database,
                      "SELECT finished_ms, kind, model, models_dir, result, error, total_bytes, transferred_bytes, "
                      "saved_bytes, duration_ms, retries, job, error_kind FROM history "
                      "WHERE ?1 = '' OR model = ?1 COLLATE NOCASE ORDER BY finished_ms DESC, id DESC LIMIT ?2");
      constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max();
      query.bind(model).bind(static_cast<std::int64_t>(std::min(limit, kMost)));
      while (query.step()) {
        entries.push_back({query.text(11), query.number(0), query.text(1), query.text(2), query.text(3), query.text(4),
                           query.text(5), query.count(6), query.count(7), query.count(8), query.number(9),
                           query.count(10), query.text(12)});
      }
      return query.code();
    });
    return entries;
  }

 private:
  // Runs `work` under the mutex. A database that turns out damaged is set aside and made anew, for the next call; other
  // failures (busy, full) lose what was to be noted, which costs a hash some day and nothing else.
  template <class Work>
  void with_database(Work work) {
    const std::lock_guard lock(mutex_);
    reopen_if_replaced();
    if (!database_) return;
    const int code = work(database_.get());
    if (code == SQLITE_OK) return;
    warn_once("the history in " + fs_.native_path(kHistoryFile) + ": " + sqlite3_errstr(code));
    if (is_damage(code)) start_over();
  }

  template <class Work>
  void in_transaction(Work work) {
    with_database([&](sqlite3* database) {
      int code = run(database, "BEGIN IMMEDIATE");
      if (code != SQLITE_OK) return code;
      code = work(database);
      if (code == SQLITE_OK) code = run(database, "COMMIT");
      if (code != SQLITE_OK && sqlite3_get_autocommit(database) == 0) {
        static_cast<void>(run(database, "ROLLBACK"));  // the first failure is the one that counts
      }
      return code;
    });
  }

  void open_or_make() {
    const int code = open();
    if (code == SQLITE_OK) return;
    warn_once("the history in " + fs_.native_path(kHistoryFile) + " cannot be used (" + sqlite3_errstr(code) +
              "): finished blobs may be verified once more");
    if (is_useless(code)) start_over();
  }

  // Once for each ledger: a disk that damages what was just made will do it again.
  void start_over() {
    database_.reset();
    if (started_over_) return;
    started_over_ = true;
    auto aside = fs_.rename(kHistoryFile, with_ending(kSetAside));
    // What cannot be renamed (a folder, say) or removed stays, and opening fails once more.
    if (!aside && !io::is_missing(aside.error())) static_cast<void>(fs_.remove(kHistoryFile));
    remove_sidecars();
    if (open() != SQLITE_OK) database_.reset();
  }

  void remove_sidecars() {
    // One that is left belongs to another database, which SQLite finds out by its checksums.
    for (const char* ending : kSidecars) static_cast<void>(fs_.remove(with_ending(ending)));
  }

  // The file was removed or replaced under us: by a user who was told that this is harmless.
  void reopen_if_replaced() {
    if (!database_) return;
    auto there = fs_.stat(kHistoryFile);
    if (there && there->same_file(opened_)) return;
    database_.reset();
    remove_sidecars();
    open_or_make();
  }

  int open() {
    database_.reset();
    if (!fs_.make_directories(kStateDir)) return SQLITE_CANTOPEN;
    auto stat = fs_.stat(kHistoryFile);
    if (!stat) {
      // By us, so that it has our mode and the store's owner; SQLite gives its other files the same. Never opened by us
      // once SQLite has it: closing any descriptor of a file ends all POSIX locks that the process has on it.
      auto file = fs_.open(kHistoryFile, io::OpenMode::kCreateNew, kFileMode);
      if (!file) return SQLITE_CANTOPEN;
      stat = (*file)->stat();
    }
    if (!stat) return SQLITE_CANTOPEN;
    if (stat->kind != io::FileStat::Kind::kFile) return SQLITE_NOTADB;
    opened_ = *stat;
    for (const char* ending : kSidecars) {
      auto sidecar = fs_.stat(with_ending(ending));
      if (sidecar && sidecar->kind != io::FileStat::Kind::kFile) return SQLITE_NOTADB;
    }

    // SQLITE_OPEN_NOFOLLOW refuses a symlink anywhere in the path: the models dir itself may be one.
    std::error_code error;
    const auto folder = std::filesystem::canonical(fs_.native_path(kStateDir), error);
    if (error) return SQLITE_CANTOPEN;
    const std::string path = (folder / std::filesystem::path(kHistoryFile).filename()).string();
    sqlite3* opened = nullptr;
    int code = sqlite3_open_v2(path.c_str(), &opened,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
    database_.reset(opened);
    if (code != SQLITE_OK) return code;
    // What is asked for to be written and cannot be is opened all the same.
    code = sqlite3_db_readonly(opened, "main") == 1 ? SQLITE_READONLY : prepare(opened);
    if (code != SQLITE_OK) database_.reset();
    return code;
  }

  static int prepare(sqlite3* database) {
    sqlite3_busy_timeout(database, kBusyMilliseconds);
    // A hostile file's schema must not run anything.
    if (int code = run(database, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON"); code != SQLITE_OK) {
      return code;
    }
    {
      Statement check(database, "PRAGMA quick_check(1)");
      if (!check.step()) return check.ok() ? SQLITE_CORRUPT : check.code();
      if (check.text(0) != "ok") return SQLITE_CORRUPT;
    }
    std::int64_t version = 0, tables = 0;
    {
      Statement query(database, "PRAGMA user_version");
      if (query.step()) version = query.number(0);
      if (!query.ok()) return query.code();
    }
    {
      Statement query(database, "SELECT count(*) FROM sqlite_master");
      if (query.step()) tables = query.number(0);
      if (!query.ok()) return query.code();
    }
    // A file system without shared memory cannot have WAL; SQLite then keeps its journal, and that will do.
    if (int code = run(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
        code != SQLITE_OK) {
      return code;
    }
    if (version == 0 && tables == 0) {
      const std::string make = std::string("BEGIN IMMEDIATE;") + kSchema +
                               "PRAGMA user_version = " + std::to_string(kSchemaVersion) + "; COMMIT;";
      return run(database, make.c_str());
    }
    if (version == 1) return run(database, kFromVersion1);
    if (version == 2) return run(database, kFromVersion2);
    return version == kSchemaVersion ? SQLITE_OK : SQLITE_NOTADB;
  }

  void warn_once(const std::string& text) {
    if (warned_ || !warn_) return;
    warned_ = true;
    warn_(text);
  }

  io::FileSystem& fs_;
  const std::function<void(const std::string&)> warn_;
  std::mutex mutex_;  // guards all below
  Database database_;
  io::FileStat opened_;
  bool started_over_ = false;
  bool warned_ = false;
};

}  // namespace

std::unique_ptr<Ledger> Ledger::open(io::FileSystem& fs, std::function<void(const std::string&)> warn) {
  return std::make_unique<SqliteLedger>(fs, std::move(warn));
}

}  // namespace pullama::store
