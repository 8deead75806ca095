#include "tests/fake_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>

#include "transport/protobuf.h"

namespace fake {
namespace {

using deepmusic::protobuf::Reader;
using deepmusic::protobuf::Writer;
using Clock = std::chrono::steady_clock;

std::string framed(const std::string& message) {
  std::string bytes(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(message.size() >> shift & 0xff));
  return bytes + message;
}

std::string base64(const std::string& bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  unsigned bits = 0;
  int n_bits = 0;
  for (const char byte : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(byte);
    for (n_bits += 8; n_bits >= 6;) text.push_back(digits[bits >> (n_bits -= 6) & 63]);
  }
  if (n_bits > 0) text.push_back(digits[bits << (6 - n_bits) & 63]);
  return text;
}

struct Answer {
  std::uint64_t sequence, first_sample;
  std::vector<float> samples;  // interleaved
};

struct Stream {
  std::string path, in, out;
  std::size_t out_offset = 0;
  bool is_ended = false, has_config = false, is_refused = false;
  int code = 0;
  std::string reason;
  Config config;
  Learned learned;
  std::vector<float> heard;  // interleaved, from sample 0
  std::uint64_t received = 0;
  double credit = 0.0;
  Clock::time_point credit_at;
  std::deque<Answer> answers;
  double done_samples = 0.0;
  Clock::time_point worked_at;
};

}  // namespace

struct Peer {
  Peer(Server& of_server, int of_descriptor) : server(of_server), descriptor(of_descriptor) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_server_new(&session, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const std::lock_guard<std::mutex> lock(server.mutex_);
    const nghttp2_settings_entry setting{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, server.terms_.window_bytes};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &setting, 1);
    if (server.terms_.is_leaving) nghttp2_submit_shutdown_notice(session);
  }
  ~Peer() {
    nghttp2_session_del(session);
    for (auto& [id, stream] : streams) forget(*stream);
    close(descriptor);
  }

  void forget(Stream& stream) {
    if (stream.has_config && !stream.is_refused) --server.n_open_;
    stream.has_config = false;
  }

  static Peer& self(void* peer) { return *static_cast<Peer*>(peer); }
  Stream* find(std::int32_t id) {
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : found->second.get();
  }

  static int on_begin(nghttp2_session*, const nghttp2_frame* frame, void* peer) {
    if (frame->hd.type == NGHTTP2_HEADERS) self(peer).streams[frame->hd.stream_id] = std::make_unique<Stream>();
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                       const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* peer) {
    Stream* const stream = self(peer).find(frame->hd.stream_id);
    if (stream != nullptr && std::string(reinterpret_cast<const char*>(name), name_size) == ":path") {
      stream->path.assign(reinterpret_cast<const char*>(value), value_size);
    }
    return 0;
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size,
                     void* peer) {
    if (Stream* const stream = self(peer).find(id)) {
      stream->in.append(reinterpret_cast<const char*>(bytes), size);
      self(peer).take(id, *stream);
    }
    return 0;
  }
  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* peer) {
    Stream* const stream = self(peer).find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool is_upload = frame->hd.type == NGHTTP2_DATA && stream->path.find("CreateStyle") != std::string::npos;
    if (is_upload && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) self(peer).learn(frame->hd.stream_id, *stream);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    const auto header = [](const char* name, const char* value) {
      return nghttp2_nv{reinterpret_cast<std::uint8_t*>(const_cast<char*>(name)),
                        reinterpret_cast<std::uint8_t*>(const_cast<char*>(value)), std::strlen(name),
                        std::strlen(value), NGHTTP2_NV_FLAG_NONE};
    };
    const nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc")};
    nghttp2_data_provider provider{};
    provider.source.ptr = stream;
    provider.read_callback = read_out;
    nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &provider);
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* peer) {
    if (Stream* const stream = self(peer).find(id)) {
      self(peer).forget(*stream);
      self(peer).streams.erase(id);
    }
    return 0;
  }
  static ssize_t read_out(nghttp2_session* session, std::int32_t id, std::uint8_t* bytes, std::size_t size,
                          std::uint32_t* flags, nghttp2_data_source* source, void*) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    const std::size_t n = std::min(size, stream.out.size() - stream.out_offset);
    std::memcpy(bytes, stream.out.data() + stream.out_offset, n);
    stream.out_offset += n;
    if (stream.out_offset == stream.out.size()) {
      stream.out.clear();
      stream.out_offset = 0;
      if (stream.is_ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        Writer info, any, status;
        info.text(1, stream.reason);
        info.text(2, "deepmusic");
        any.text(1, "type.googleapis.com/google.rpc.ErrorInfo");
        any.message(2, info);
        status.message(3, any);
        const std::string code = std::to_string(stream.code), details = base64(status.bytes);
        const auto trailer = [](const char* name, const std::string& value) {
          return nghttp2_nv{reinterpret_cast<std::uint8_t*>(const_cast<char*>(name)),
                            reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), std::strlen(name),
                            value.size(), NGHTTP2_NV_FLAG_NONE};
        };
        const std::string message = "because%20of " + stream.reason;
        const nghttp2_nv trailers[] = {trailer("grpc-status", code), trailer("grpc-message", message),
                                       trailer("grpc-status-details-bin", details)};
        nghttp2_submit_trailer(session, id, trailers, stream.reason.empty() ? 1 : 3);
      } else if (n == 0) {
        return NGHTTP2_ERR_DEFERRED;
      }
    }
    return static_cast<ssize_t>(n);
  }

  void say(std::int32_t id, Stream& stream, const std::string& message) {
    stream.out += framed(message);
    nghttp2_session_resume_data(session, id);
  }
  void end(std::int32_t id, Stream& stream, int code, const std::string& reason) {
    stream.is_ended = true;
    stream.code = code;
    stream.reason = reason;
    nghttp2_session_resume_data(session, id);
  }

  void take(std::int32_t id, Stream& stream) {
    while (stream.in.size() >= 5) {
      std::size_t size = 0;
      for (int i = 1; i < 5; ++i) size = size << 8 | static_cast<std::uint8_t>(stream.in[i]);
      if (stream.in.size() < 5 + size) return;
      const std::string message = stream.in.substr(5, size);
      stream.in.erase(0, 5 + size);
      if (!stream.is_ended) receive(id, stream, message);
    }
  }

  void receive(std::int32_t id, Stream& stream, const std::string& message) {
    if (stream.path.find("ListStyles") != std::string::npos) {
      Writer all;
      for (const char* name : {"brass", "strings"}) {
        Writer style;
        style.text(1, name);
        all.message(1, style);
      }
      say(id, stream, all.bytes);
      return end(id, stream, 0, "");
    }
    if (stream.path.find("ImportStyle") != std::string::npos) return put_back(id, stream, message);
    if (stream.path.find("ExportStyle") != std::string::npos) return give_out(id, stream, message);
    if (stream.path.find("CreateStyle") != std::string::npos) return gather(stream, message);
    if (stream.path.find("StreamTransfer") == std::string::npos) return end(id, stream, 12, "METHOD_UNKNOWN");
    Reader reader(message);
    while (reader.next()) {
      if (reader.field() == 1) configure(id, stream, reader.text());
      if (reader.field() == 2) hear(id, stream, reader.text());
      if (reader.field() == 3) change(reader.text());
      if (reader.field() == 6) ++server.n_keep_alives_;
    }
  }

  void gather(Stream& stream, const std::string& message) {
    Reader reader(message);
    while (reader.next()) {
      if (reader.field() == 1) ++server.n_uploads_;
      Reader header(reader.field() == 1 ? reader.text() : std::string_view());
      while (header.next()) {
        if (header.field() == 1) stream.learned.name = header.string();
      }
      if (reader.field() == 2) stream.learned.n_bytes += reader.text().size();
    }
  }

  void learn(std::int32_t id, Stream& stream) {
    const std::lock_guard<std::mutex> lock(server.mutex_);
    server.learned_.push_back(stream.learned);
    Writer style, response;
    style.text(1, stream.learned.name);
    response.message(1, style);
    say(id, stream, response.bytes);
    end(id, stream, 0, "");
  }

  void put_back(std::int32_t id, Stream& stream, std::string_view bytes) {
    const std::lock_guard<std::mutex> lock(server.mutex_);
    if (server.terms_.name_of_imports.empty()) return end(id, stream, 9, "MODEL_INVALID");
    Reader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) server.imports_.push_back(reader.string());
    }
    Writer style, response;
    style.text(1, server.terms_.name_of_imports);
    response.message(1, style);
    say(id, stream, response.bytes);
    end(id, stream, 0, "");
  }

  void give_out(std::int32_t id, Stream& stream, std::string_view bytes) {
    const std::lock_guard<std::mutex> lock(server.mutex_);
    if (!server.terms_.gives_vectors) return end(id, stream, 12, "METHOD_UNKNOWN");
    Writer response;
    Reader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) response.text(1, "vector of " + reader.string());
    }
    say(id, stream, response.bytes);
    end(id, stream, 0, "");
  }

  void configure(std::int32_t id, Stream& stream, std::string_view bytes) {
    Reader reader(bytes);
    while (reader.next()) {
      Reader inner(reader.text());
      switch (reader.field()) {
        case 4:
          while (inner.next()) {
            Reader share(inner.text());
            while (share.next()) {
              if (share.field() == 1) stream.config.styles.push_back(share.string());
            }
          }
          break;
        case 5:
          while (inner.next()) {
            if (inner.field() == 1) stream.config.sample_rate_hz = inner.number32();
            if (inner.field() == 2) stream.config.n_channels = inner.number32();
          }
          break;
        case 7: {
          std::pair<std::string, double> setting;
          while (inner.next()) {
            if (inner.field() == 1) setting.first = inner.string();
            if (inner.field() == 2) setting.second = inner.real();
          }
          stream.config.settings.push_back(setting);
          break;
        }
        case 8:
          stream.config.is_live = true;
          while (inner.next()) {
            if (inner.field() == 1) stream.config.deadline_samples = inner.number32();
          }
          break;
        case 11: stream.config.statistics = reader.string(); break;
        default: break;
      }
    }
    const std::lock_guard<std::mutex> lock(server.mutex_);
    const Terms& terms = server.terms_;
    stream.has_config = stream.is_refused = true;
    if (terms.refusal_code != 0) return end(id, stream, terms.refusal_code, terms.refusal_reason);
    if (terms.refuses_statistics && !stream.config.statistics.empty()) return end(id, stream, 3, "BAD_CONFIG");
    if (server.n_open_ >= terms.max_streams) return end(id, stream, 8, "NO_CAPACITY");
    stream.is_refused = false;
    ++server.n_open_;
    server.configs_.push_back(stream.config);
    stream.credit = terms.credit_samples;
    stream.credit_at = stream.worked_at = Clock::now();
    Writer ready, response;
    ready.text(3, "fake");
    ready.text(4, "digest");
    ready.number(5, terms.latency_samples);
    ready.number(6, 1024);
    ready.number(7, 16384);
    ready.number(8, terms.credit_samples);
    ready.real(9, terms.idle_limit_s);
    response.message(1, ready);
    say(id, stream, response.bytes);
    if (terms.statistics.empty()) return;
    Writer told;
    told.text(5, terms.statistics);
    say(id, stream, told.bytes);
  }

  void hear(std::int32_t id, Stream& stream, std::string_view bytes) {
    Answer answer{0, 0, {}};
    std::string_view pcm;
    Reader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) answer.sequence = reader.number();
      if (reader.field() == 2) answer.first_sample = reader.number();
      if (reader.field() == 3) pcm = reader.text();
    }
    const std::uint32_t n_channels = stream.config.n_channels;
    const std::size_t n_samples = pcm.size() / 4 / n_channels;
    const std::lock_guard<std::mutex> lock(server.mutex_);
    const auto now = Clock::now();
    if (stream.config.is_live) {
      const double elapsed = std::chrono::duration<double>(now - stream.credit_at).count();
      stream.credit_at = now;
      stream.credit = std::min<double>(stream.credit + 1.05 * elapsed * stream.config.sample_rate_hz,
                                       server.terms_.credit_samples);
      stream.credit -= static_cast<double>(n_samples);
      if (stream.credit < 0.0) {
        server.was_overrun_ = true;
        return end(id, stream, 8, "AUDIO_TOO_FAST");
      }
    }
    const std::uint64_t gap = answer.first_sample - stream.received;
    server.longest_gap_ = std::max<std::uint64_t>(server.longest_gap_, gap);
    stream.received = answer.first_sample + n_samples;
    server.n_received_ += n_samples;
    stream.heard.resize((answer.first_sample + n_samples) * n_channels);
    std::memcpy(stream.heard.data() + answer.first_sample * n_channels, pcm.data(), n_samples * n_channels * 4);
    answer.samples.resize(n_samples * n_channels);
    for (std::size_t i = 0; i < n_samples; ++i) {
      const std::uint64_t at = answer.first_sample + i;
      if (at < server.terms_.latency_samples) continue;
      for (std::uint32_t channel = 0; channel < n_channels; ++channel) {
        answer.samples[i * n_channels + channel] =
            server.terms_.gain * stream.heard[(at - server.terms_.latency_samples) * n_channels + channel];
      }
    }
    if (stream.answers.empty()) stream.worked_at = now;
    stream.answers.push_back(std::move(answer));
  }

  void change(std::string_view bytes) {
    Change change;
    Reader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) {
        Reader value(reader.text());
        while (value.next()) {
          if (value.field() == 1) change.name = value.string();
          if (value.field() == 2) change.number = value.real();
          if (value.field() == 5) {
            Reader mix(value.text());
            while (mix.next()) {
              std::pair<std::string, double> share;
              Reader one(mix.text());
              while (one.next()) {
                if (one.field() == 1) share.first = one.string();
                if (one.field() == 2) share.second = one.real();
              }
              change.mix.push_back(share);
            }
          }
        }
      } else if (reader.field() == 2) {
        change.has_at = true;
        change.at_sample = reader.number();
      }
    }
    const std::lock_guard<std::mutex> lock(server.mutex_);
    server.changes_.push_back(change);
  }

  void work() {
    const std::lock_guard<std::mutex> lock(server.mutex_);
    const auto now = Clock::now();
    for (auto& [id, stream] : streams) {
      if (stream->answers.empty()) continue;
      if (server.terms_.samples_per_s > 0.0) {
        stream->done_samples +=
            std::chrono::duration<double>(now - stream->worked_at).count() * server.terms_.samples_per_s;
        stream->worked_at = now;
      }
      while (!stream->answers.empty()) {
        const Answer& answer = stream->answers.front();
        const double n_samples = static_cast<double>(answer.samples.size()) / stream->config.n_channels;
        if (server.terms_.samples_per_s > 0.0) {
          if (stream->done_samples < n_samples) break;
          stream->done_samples -= n_samples;
        }
        Writer block, response;
        block.number(1, answer.sequence);
        block.number(2, answer.first_sample);
        block.text(3, {reinterpret_cast<const char*>(answer.samples.data()), answer.samples.size() * 4});
        response.message(2, block);
        say(id, *stream, response.bytes);
        stream->answers.pop_front();
      }
      if (stream->answers.empty()) stream->done_samples = 0.0;
    }
  }

  bool advance() {
    char bytes[65536];
    while (true) {
      const ssize_t n = recv(descriptor, bytes, sizeof bytes, 0);
      if (n == 0) return false;
      if (n < 0) {
        if (errno != EAGAIN) return false;
        break;
      }
      if (nghttp2_session_mem_recv(session, reinterpret_cast<std::uint8_t*>(bytes), static_cast<std::size_t>(n)) < 0) {
        return false;
      }
    }
    work();
    while (true) {
      if (unsent.empty()) {
        const std::uint8_t* data = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session, &data);
        if (size < 0) return false;
        if (size == 0) break;
        unsent.assign(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
      }
      const ssize_t n = ::send(descriptor, unsent.data(), unsent.size(), MSG_NOSIGNAL);
      if (n < 0) {
        if (errno == EAGAIN) break;
        return false;
      }
      unsent.erase(0, static_cast<std::size_t>(n));
    }
    return nghttp2_session_want_read(session) != 0 || nghttp2_session_want_write(session) != 0;
  }

  Server& server;
  int descriptor;
  nghttp2_session* session = nullptr;
  std::map<std::int32_t, std::unique_ptr<Stream>> streams;
  std::string unsent;
};

int listen_on_loopback(int& port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  here.sin_port = htons(static_cast<std::uint16_t>(port));
  if (bind(listener, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0 || listen(listener, 64) != 0) {
    throw std::runtime_error("cannot listen");
  }
  socklen_t size = sizeof here;
  getsockname(listener, reinterpret_cast<sockaddr*>(&here), &size);
  port = ntohs(here.sin_port);
  return listener;
}

Server::Server(const Terms& terms, int port) : terms_(terms) {
  port_ = port;
  listener_ = listen_on_loopback(port_);
  fcntl(listener_, F_SETFL, O_NONBLOCK);
  thread_ = std::thread([this] { run(); });
}

Server::~Server() {
  is_stopping_ = true;
  thread_.join();
}

void Server::set_terms(const Terms& terms) {
  const std::lock_guard<std::mutex> lock(mutex_);
  terms_ = terms;
}

void Server::go_away() { is_going_ = true; }

std::vector<Config> Server::configs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return configs_;
}

std::vector<Change> Server::changes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return changes_;
}

std::vector<std::string> Server::imports() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return imports_;
}

std::vector<Learned> Server::learned() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return learned_;
}

void Server::run() {
  std::vector<std::unique_ptr<Peer>> peers;
  while (!is_stopping_) {
    std::vector<pollfd> descriptors{{listener_, POLLIN, 0}};
    for (const auto& peer : peers) descriptors.push_back({peer->descriptor, POLLIN, 0});
    poll(descriptors.data(), descriptors.size(), 1);
    const int accepted = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      ++n_connections_;
      // Two small frames in a row would wait 40 ms for an acknowledgement, and an upload does so at every window.
      const int on = 1;
      setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      bool speaks_nonsense;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        speaks_nonsense = terms_.speaks_nonsense;
      }
      if (speaks_nonsense) {
        const char nonsense[] = "SSH-2.0-nonsense\r\n\0\xff\xfe";
        [[maybe_unused]] const auto n = ::send(accepted, nonsense, sizeof nonsense, MSG_NOSIGNAL);
        close(accepted);
      } else {
        peers.push_back(std::make_unique<Peer>(*this, accepted));
      }
    }
    if (is_going_.exchange(false)) {
      for (const auto& peer : peers) {
        nghttp2_submit_goaway(peer->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(peer->session),
                              NGHTTP2_NO_ERROR, nullptr, 0);
      }
    }
    peers.erase(std::remove_if(peers.begin(), peers.end(), [](const auto& peer) { return !peer->advance(); }),
                peers.end());
  }
  peers.clear();
  close(listener_);
}

}  // namespace fake
