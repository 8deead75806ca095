// A server that answers StreamTransfer as ours does, on a thread of its own: the wet sound is the input, delayed by its
// latency, times a gain. It can be slow, full, in a bad mood, and gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fake {

// A descriptor that listens at 127.0.0.1; a port of 0 becomes a free one.
int listen_on_loopback(int& port);

struct Terms {
  std::uint32_t latency_samples = 1000;
  float gain = 0.5f;
  std::uint32_t credit_samples = 96000;
  double samples_per_s = 0.0;        // speed of its model; 0: at once
  std::uint32_t window_bytes = 65535;  // of the client's sending, as HTTP/2 counts it
  int max_streams = 64;
  int refusal_code = 0;              // of every stream; 0 refuses none
  std::string refusal_reason;
  std::string name_of_imports;       // what a style is called that is put back; empty: it is refused
  bool gives_vectors = false;
  std::string statistics;            // that a stream is told behind its ready; empty: none
  bool refuses_statistics = false;
  bool speaks_nonsense = false;      // sends bytes that are no HTTP/2
  bool is_leaving = false;           // tells each connection to leave as it comes
  double idle_limit_s = 0.0;         // as a stream is told; the fake never ends one
};

struct Config {
  std::vector<std::string> styles;
  std::vector<std::pair<std::string, double>> settings;
  std::string statistics;
  std::uint32_t sample_rate_hz = 0;
  std::uint32_t n_channels = 0;
  bool is_live = false;
  std::uint32_t deadline_samples = 0;
};

struct Change {
  std::string name;
  double number = 0.0;
  std::vector<std::pair<std::string, double>> mix;
  bool has_at = false;
  std::uint64_t at_sample = 0;
};

struct Learned {
  std::string name;
  std::size_t n_bytes = 0;  // of samples
};

class Server {
 public:
  // port: 0 takes a free one.
  explicit Server(const Terms& terms, int port = 0);
  ~Server();  // as if it was killed: connections break

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }

  void set_terms(const Terms& terms);
  void go_away();  // tells all connections to leave

  std::vector<Config> configs() const;
  std::vector<Change> changes() const;
  std::vector<std::string> imports() const;  // vectors
  std::vector<Learned> learned() const;
  int n_connections() const { return n_connections_.load(); }  // that ever came
  int n_uploads() const { return n_uploads_.load(); }  // whose header came
  int n_keep_alives() const { return n_keep_alives_.load(); }
  int n_open_streams() const { return n_open_.load(); }
  std::uint64_t n_received_samples() const { return n_received_.load(); }
  bool was_overrun() const { return was_overrun_.load(); }  // a live client was faster than the credit
  std::uint64_t longest_gap_samples() const { return longest_gap_.load(); }

 private:
  friend struct Peer;
  void run();

  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  Terms terms_;
  std::vector<Config> configs_;
  std::vector<Change> changes_;
  std::vector<std::string> imports_;
  std::vector<Learned> learned_;
  std::atomic<int> n_open_{0};
  std::atomic<int> n_connections_{0};
  std::atomic<int> n_uploads_{0};
  std::atomic<int> n_keep_alives_{0};
  std::atomic<std::uint64_t> n_received_{0};
  std::atomic<std::uint64_t> longest_gap_{0};
  std::atomic<bool> was_overrun_{false};
  std::atomic<bool> is_going_{false};
  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

}  // namespace fake
