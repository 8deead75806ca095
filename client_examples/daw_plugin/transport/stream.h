// One stream of a line: from its config to its end, on the network thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "transport/board.h"
#include "transport/connection.h"
#include "transport/line.h"
#include "transport/wire.h"

namespace deepmusic {

// What a line was turned to so far, over its streams.
struct Turned {
  Values values;
  std::uint32_t epoch = 0;       // of the last stream
  bool is_first_of_epoch = true;  // whether the next stream begins with its epoch, or later
};

class Stream {
 public:
  // parameter_names: of the numbers, as in `Bridge`.
  // statistics: what a frozen line knows of its content, over its streams; a stream begins with it and changes it.
  Stream(Connection& connection, Line& line, Turned& turned, std::string& statistics,
         const std::vector<std::string>& parameter_names, Board& board, Counters& counters);
  ~Stream();  // gives the server's slot back
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Sends the config; false where no style is chosen, or the connection takes no calls.
  bool open(const Settings& settings, Clock::time_point now);

  // Reads and writes what can be. Whether it has just begun to stream.
  bool advance(const Settings& settings, Clock::time_point now);

  // Other styles lie in the slots: changes to them at once.
  void change_styles(const Settings& settings);

  bool is_streaming() const { return is_streaming_; }
  bool is_over() const { return call_ == nullptr || call_->is_over(); }
  const RpcStatus& status() const { return call_->status(); }
  // Whether the line is in another epoch by now, which wants another stream.
  bool is_stale() const { return line_.epoch.load(std::memory_order_acquire) != turned_.epoch; }
  bool is_offline() const { return is_offline_; }
  // Whether it asked to begin with statistics.
  bool brought_statistics() const { return brought_statistics_; }

 private:
  // A part of the input that the server has not yet answered, or was never sent.
  struct Segment {
    enum class Kind { kSent, kSilent, kLost } kind;
    std::uint64_t first;  // on the stream's count
    std::uint64_t n_samples;
  };

  bool read(Clock::time_point now);
  void begin(const wire::Ready& ready, Clock::time_point now);
  bool has_whole_epoch() const;
  void take(const wire::StyledBlock& block);
  void settle();
  void write(const Settings& settings, Clock::time_point now);
  void keep_up(std::uint64_t written, Clock::time_point now);
  void write_controls(const Settings& settings);
  bool write_audio(std::uint64_t written, Clock::time_point now);
  void send(std::uint32_t n_samples, Clock::time_point now);
  void jump(std::uint64_t written);
  bool is_silent(std::uint64_t first);
  void apply(const Control& control);
  bool is_freeze(std::size_t parameter) const { return parameter_names_[parameter] == "freeze"; }
  bool is_frozen() const;
  void hold(std::string statistics);

  Connection& connection_;
  Line& line_;
  Turned& turned_;
  std::string& statistics_;
  const std::vector<std::string>& parameter_names_;
  Board& board_;
  Counters& counters_;

  Call* call_ = nullptr;
  bool is_streaming_ = false;
  bool is_offline_ = false;
  bool brought_statistics_ = false;
  Clock::time_point said_at_;
  double keep_alive_s_ = 0.0;  // after which something is said where there is nothing to send
  std::uint32_t latency_samples_ = 0, most_block_samples_ = 0, credit_samples_ = 0;  // as the server said
  std::uint64_t base_ = 0;       // position of the stream's sample 0
  std::uint64_t next_ = 0;       // next position to send
  std::uint64_t sequence_ = 0;
  std::uint64_t sound_end_ = 0;  // behind the last sample that is not silent
  std::uint64_t n_unanswered_ = 0;
  double credit_ = 0.0;          // live: samples that may still be sent ahead of real time
  Clock::time_point credit_at_;
  std::deque<Segment> segments_;  // bounded by the credit
  std::string pcm_;
};

}  // namespace deepmusic
