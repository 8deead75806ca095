// What an editor wants of a server beside the stream: its styles and bundles, and that it learns a style.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>

#include "transport/board.h"
#include "transport/connection.h"

namespace deepmusic {

// Used by the network thread; `browse` may be called by any.
class Inquiries {
 public:
  explicit Inquiries(Board& board) : board_(board) {}

  void browse() { is_browse_asked_.store(true); }
  // Not while there is another recording.
  void learn(Recording recording);

  // Whether there is something to ask, or an answer is on its way.
  bool is_wanted() const;
  // Whether a recording is to be learned, or is on its way.
  bool has_recording() const { return recording_ || learning_ != nullptr; }
  // Whether a recording is on its way: a connection that the server leaves is kept for it.
  bool is_learning() const { return learning_ != nullptr; }

  // Sends and reads what can be, on an open connection.
  void advance(Connection& connection, const std::string& bundle);
  // The connection is gone, and with it what was asked on it.
  void forget(const std::string& why);

 private:
  void ask(Connection& connection);
  void read(Connection& connection);
  void upload(Connection& connection, const std::string& bundle);

  Board& board_;
  std::atomic<bool> is_browse_asked_{false};
  Call* styles_ = nullptr;
  Call* bundles_ = nullptr;
  Call* learning_ = nullptr;
  std::optional<Recording> recording_;
  std::size_t n_uploaded_ = 0;
};

}  // namespace deepmusic
