// The styles of the slots, beside their names: those that a project brought are put back on the server before a stream
// plays them, and of the others the vectors are fetched, so that the next project has them.
#pragma once

#include <array>
#include <set>
#include <string>

#include "transport/board.h"
#include "transport/connection.h"

namespace deepmusic {

// Used by the network thread.
class StyleKeeper {
 public:
  explicit StyleKeeper(Board& board) : board_(board) {}

  // Other styles, or another bundle: all of them are asked for anew.
  void configure(const Settings& settings);

  // Sends and reads what can be, on an open connection.
  void advance(Connection& connection);

  // Whether a stream may name the styles: what a project brought is there, or the server would not have it.
  bool is_ready() const;

  // The settings with the names that the server has for the styles.
  Settings played() const;

  // What the server would not take is put back again before the next stream.
  void put_back_again();
  // What the server has of the styles is asked for again.
  void fetch_again();

  // The connection is gone, and what it was told may be.
  void forget();

 private:
  enum class Stage { kNothing, kWanted, kAsked, kDone };
  struct Slot {
    Stage stage = Stage::kNothing;
    Call* call = nullptr;
    bool is_refused = false;
    std::string played;  // the server's name; empty: the slot's own
  };

  void put_back(Connection& connection, std::size_t index);
  void fetch(Connection& connection);
  void fetch_next(Connection& connection);

  Board& board_;
  Settings settings_;
  std::array<Slot, kSlots> slots_;
  Call* fetching_ = nullptr;  // one at a time: a server may have to learn the style for its bundle first
  std::string fetched_name_;
  std::set<std::string> asked_names_;  // at most one a slot
};

}  // namespace deepmusic
