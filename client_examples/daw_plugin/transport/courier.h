// The network thread of a bridge: one connection, one stream on it, and what an editor asks of the server.
//
//   no line, or no style --> connecting --> opening --ready--> streaming
//                                ^             |                   |
//                                +--- a pause -+-------------------+   lost, full, refused
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "transport/board.h"
#include "transport/connection.h"
#include "transport/inquiries.h"
#include "transport/line.h"
#include "transport/stream.h"
#include "transport/style_keeper.h"

namespace deepmusic {

class Courier {
 public:
  Courier(std::vector<std::string> parameter_names, Counters& counters);
  ~Courier();

  // [message] Orders, which the thread takes soon.
  void configure(const Settings& settings);
  void carry(std::shared_ptr<Line> line);  // null: nothing, and the slot is given back
  void browse();
  void learn(Recording recording);

  // [message]
  Snapshot snapshot() const { return board_.snapshot(); }

 private:
  void run();
  void take_orders();
  void take_recording();
  void take_line(std::shared_ptr<Line> line);
  void look_at_host(Clock::time_point now);
  void advance(Clock::time_point now);
  void look_at_styles();
  void connect(Clock::time_point now);
  void open(Clock::time_point now);
  void look_at_stream(Clock::time_point now);
  void know(const std::string& statistics);
  void end_of_call(Clock::time_point now);
  void lose_connection(const std::string& why);
  void leave(Clock::time_point now);
  void stop_for(Link link, const std::string& why, double pause_s, Clock::time_point now);
  void set_link(Link link, const std::string& message);
  int pause_us(Clock::time_point now) const;
  void sleep(int microseconds) const;
  void wake() const;

  const std::vector<std::string> parameter_names_;
  Counters& counters_;
  Board board_;
  int wake_descriptor_ = -1;

  std::mutex mutex_;  // between the message thread and the network thread; the audio thread never takes it
  Settings ordered_settings_;
  std::shared_ptr<Line> ordered_line_;
  std::optional<Recording> ordered_recording_;  // waits for the one that is being learned; a newer one takes its place
  std::atomic<bool> has_orders_{false};
  std::atomic<bool> has_recording_{false};
  std::atomic<bool> is_stopping_{false};

  // The network thread's own.
  Settings settings_;
  std::shared_ptr<Line> line_;
  Turned turned_;
  std::unique_ptr<Connection> connection_;
  Inquiries inquiries_{board_};
  StyleKeeper keeper_{board_};
  Settings played_;  // the settings with the server's names for the styles, once it has them
  std::string statistics_;  // what a frozen line knows of its content
  bool are_styles_due_ = false;  // a stream has to be told of other ones
  std::unique_ptr<Stream> stream_;  // on the connection: goes before it
  Clock::time_point connect_began_, retry_at_, moved_at_;
  std::uint64_t seen_written_ = 0;
  bool was_slow_to_fail_ = false;
  bool was_turned_away_ = false;  // and has had its second try
  bool is_released_ = false;  // a render that stands still has given its slot back

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace deepmusic
