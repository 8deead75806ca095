#include "transport/connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "transport/wire.h"

namespace deepmusic {
namespace {

constexpr std::size_t kPrefixBytes = 5;                   // gRPC's: a flag, and the length of the message
constexpr std::size_t kLongestMessageBytes = 4u << 20;    // as the server's own limit
constexpr std::int32_t kWindowBytes = 1 << 20;            // what we read is taken out at once
constexpr std::size_t kMostUnreadBytes = kLongestMessageBytes + kPrefixBytes + kWindowBytes;
constexpr int kHttpOk = 200;
constexpr auto kConnectLimit = std::chrono::seconds(2);
constexpr auto kPingAfter = std::chrono::seconds(3);      // not more often than every 2 s: docs/protocol.md
constexpr auto kSilenceLimit = std::chrono::seconds(5);   // a frozen peer, or a cable that was pulled

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

struct Http2Callbacks {
  static Call* call(void* connection, std::int32_t id) {
    auto& calls = static_cast<Connection*>(connection)->calls_;
    const auto found = calls.find(id);
    return found == calls.end() ? nullptr : found->second.get();
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                       const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* connection) {
    Call* const called = call(connection, frame->hd.stream_id);
    if (called == nullptr) return 0;
    const std::string_view key = view(name, name_size), text = view(value, value_size);
    if (key == ":status") {
      called->http_status_ = std::atoi(std::string(text).c_str());
    } else if (key == "grpc-status") {
      called->has_grpc_status_ = true;
      called->status_.code = status_code(text);
    } else if (key == "grpc-message") {
      called->status_.message = percent_decoded(text);
    } else if (key == "grpc-status-details-bin") {
      wire::ErrorDetails details;
      if (wire::read_error_details(base64_decoded(text), details)) {
        called->status_.reason = details.reason;
        called->status_.retry_after_s = details.retry_after_s;
      }
    }
    return 0;
  }

  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size,
                     void* connection) {
    Call* const called = call(connection, id);
    // The page of something between, which says only what its number does, is no message.
    if (called != nullptr && !called->is_over_ && called->http_status_ == kHttpOk) {
      if (called->in_offset_ > 0 && called->in_offset_ == called->in_.size()) {
        called->in_.clear();
        called->in_offset_ = 0;
      }
      called->in_.append(view(bytes, size));
      if (called->in_.size() - called->in_offset_ > kMostUnreadBytes) called->fail("the server says more than it was asked");
    }
    return 0;
  }

  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t error, void* connection) {
    if (Call* const called = call(connection, id)) {
      called->session_ = nullptr;
      if (called->is_forgotten_) {
        static_cast<Connection*>(connection)->calls_.erase(id);
        return 0;
      }
      end(*called, error);
    }
    return 0;
  }

  static void end(Call& called, std::uint32_t error) {
    if (called.is_over_) return;
    called.is_over_ = true;
    if (called.has_grpc_status_) {
      const bool is_mute = called.status_.code != RpcStatus::kOk && called.status_.message.empty();
      if (is_mute) called.status_.message = "the server ended the call with status " + std::to_string(called.status_.code);
      return;
    }
    called.status_.code = RpcStatus::kUnavailable;
    called.status_.message = "the call ended without a status (HTTP " + std::to_string(called.http_status_) + ", " +
                             nghttp2_http2_strerror(error) + ")";
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* connection) {
    if (frame->hd.type == NGHTTP2_SETTINGS) static_cast<Connection*>(connection)->has_answered_ = true;
    if (frame->hd.type == NGHTTP2_GOAWAY) static_cast<Connection*>(connection)->is_leaving_ = true;
    // The server has said all, although our own side may still be open: nghttp2 closes a stream only after both.
    const bool is_last = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                         (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    Call* const called = is_last ? call(connection, frame->hd.stream_id) : nullptr;
    if (called != nullptr) end(*called, NGHTTP2_NO_ERROR);
    return 0;
  }

  static ssize_t read_out(nghttp2_session*, std::int32_t, std::uint8_t* bytes, std::size_t size, std::uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    Call& called = *static_cast<Call*>(source->ptr);
    std::size_t n = 0;
    while (n < size && !called.out_.empty()) {
      const std::string& front = called.out_.front();
      const std::size_t part = std::min(size - n, front.size() - called.out_offset_);
      std::memcpy(bytes + n, front.data() + called.out_offset_, part);
      n += part;
      called.out_offset_ += part;
      if (called.out_offset_ == front.size()) {
        called.out_.pop_front();
        called.out_offset_ = 0;
      }
    }
    called.n_unsent_bytes_ -= n;
    if (called.out_.empty() && called.is_half_closed_) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (n == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(n);
  }
};

void Call::send(std::string_view message) {
  if (is_over_ || is_half_closed_) return;
  std::string framed;
  framed.reserve(kPrefixBytes + message.size());
  framed.push_back(0);  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8) framed.push_back(static_cast<char>(message.size() >> shift & 0xff));
  framed.append(message);
  n_unsent_bytes_ += framed.size();
  out_.push_back(std::move(framed));
  nghttp2_session_resume_data(session_, id_);
}

void Call::half_close() {
  if (is_over_ || is_half_closed_) return;
  is_half_closed_ = true;
  nghttp2_session_resume_data(session_, id_);
}

bool Call::receive(std::string& message) {
  const std::size_t n_waiting = in_.size() - in_offset_;
  if (n_waiting < kPrefixBytes) return false;
  const auto* const prefix = reinterpret_cast<const std::uint8_t*>(in_.data() + in_offset_);
  const std::size_t size = static_cast<std::size_t>(prefix[1]) << 24 | static_cast<std::size_t>(prefix[2]) << 16 |
                           static_cast<std::size_t>(prefix[3]) << 8 | prefix[4];
  if (prefix[0] != 0 || size > kLongestMessageBytes) {  // compressed although we never said that we could read it
    fail("expected a plain message of at most 4 MiB, got another");
    return false;
  }
  if (n_waiting < kPrefixBytes + size) return false;
  message.assign(in_, in_offset_ + kPrefixBytes, size);
  in_offset_ += kPrefixBytes + size;
  if (in_offset_ > kLongestMessageBytes) {
    in_.erase(0, in_offset_);
    in_offset_ = 0;
  }
  return true;
}

void Call::fail(const std::string& problem) {
  status_ = {RpcStatus::kInternal, problem, "", 0.0};
  is_over_ = has_grpc_status_ = true;
  in_.clear();
  in_offset_ = 0;
}

Connection::Connection(const Address& address, const std::string& root_certificates)
    : socket_(address, Clock::now()), authority_(address.host + ":" + address.port), began_(Clock::now()) {
  if (address.host.find(':') != std::string::npos) authority_ = "[" + address.host + "]:" + address.port;
  if (address.is_encrypted) tls_ = std::make_unique<Tls>(socket_, address.host, root_certificates);
  last_heard_ = last_ping_ = began_;

  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Http2Callbacks::on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Http2Callbacks::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Http2Callbacks::on_close);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Http2Callbacks::on_frame);
  nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);

  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(kWindowBytes)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 16384},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
  advance(began_);
}

Connection::~Connection() {
  if (state_ == State::kOpen) {  // says goodbye, as far as that goes at once
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
    write();
  }
  nghttp2_session_del(session_);
}

bool Connection::wants_to_write() const {
  if (state_ == State::kConnecting) return socket_.state() != Socket::State::kOpen || tls_->wants_to_write();
  return (tls_ != nullptr && tls_->wants_to_write()) || unsent_offset_ < unsent_.size() || nghttp2_session_want_write(session_) != 0;
}

void Connection::advance(Clock::time_point now) {
  if (state_ == State::kLost) return;
  if (state_ == State::kConnecting) connect(now);
  if (state_ != State::kOpen) return;
  has_heard_ = false;
  write();
  read();
  write();
  watch(now);
}

void Connection::connect(Clock::time_point now) {
  socket_.advance(now);
  const bool has_socket = socket_.state() == Socket::State::kOpen;
  if (has_socket && tls_ != nullptr) tls_->advance();
  if (socket_.state() == Socket::State::kFailed && !has_socket) {
    lose(socket_.problem());
  } else if (tls_ != nullptr && tls_->state() == Tls::State::kFailed) {
    lose(tls_->problem());
  } else if (has_socket && (tls_ == nullptr || tls_->state() == Tls::State::kOpen)) {
    state_ = State::kOpen;
    last_heard_ = last_ping_ = now;
  } else if (now - began_ > kConnectLimit) {
    lose(std::string("no ") + (has_socket ? "TLS" : socket_.awaited()) + " within 2 s");
  }
}

long Connection::receive(char* bytes, std::size_t size) {
  return tls_ == nullptr ? socket_.read(bytes, size) : tls_->read(bytes, size);
}

long Connection::send(const char* bytes, std::size_t size) {
  return tls_ == nullptr ? socket_.write(bytes, size) : tls_->write(bytes, size);
}

std::string Connection::why_ended() const {
  if (tls_ != nullptr) return tls_->problem();
  // A server with TLS hangs up on plain text, most without a word.
  if (!has_answered_) return socket_.problem() + " before it said anything; if it has TLS, write https:// before its name";
  return socket_.problem();
}

void Connection::watch(Clock::time_point now) {
  if (state_ != State::kOpen) return;
  if (has_heard_) last_heard_ = now;
  if (now - last_heard_ > kSilenceLimit) {
    lose("the server is silent");
  } else if (now - last_heard_ > kPingAfter && now - last_ping_ > kPingAfter) {
    last_ping_ = now;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    write();
  }
}

void Connection::read() {
  std::array<char, 65536> bytes;
  while (state_ == State::kOpen) {
    const long n = receive(bytes.data(), bytes.size());
    if (n == 0) return;
    if (n < 0) return lose(why_ended());
    has_heard_ = true;
    const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (nghttp2_session_mem_recv(session_, data, static_cast<std::size_t>(n)) < 0) {
      return lose("the server does not speak HTTP/2");
    }
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
      return lose("the server closed the connection");
    }
  }
}

void Connection::write() {
  while (state_ == State::kOpen) {
    if (unsent_offset_ == unsent_.size()) {
      const std::uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
      if (size < 0) return lose("HTTP/2 failed");
      if (size == 0) return;
      unsent_.assign(view(bytes, static_cast<std::size_t>(size)));
      unsent_offset_ = 0;
    }
    const long n = send(unsent_.data() + unsent_offset_, unsent_.size() - unsent_offset_);
    if (n < 0) return lose(why_ended());
    if (n == 0) return;
    unsent_offset_ += static_cast<std::size_t>(n);
  }
}

void Connection::lose(const std::string& problem) {
  state_ = State::kLost;
  problem_ = problem;
  for (auto& [id, call] : calls_) {
    if (call->is_over_) continue;
    call->is_over_ = true;
    call->status_ = {RpcStatus::kUnavailable, problem, "", 0.0};
  }
}

Call* Connection::open(const std::string& path) {
  if (state_ != State::kOpen || is_leaving_) return nullptr;
  auto call = std::make_unique<Call>();
  const auto header = [](std::string_view name, std::string_view value) {
    return nghttp2_nv{reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE};
  };
  const nghttp2_nv headers[] = {
      header(":method", "POST"),     header(":scheme", tls_ == nullptr ? "http" : "https"),
      header(":path", path),         header(":authority", authority_),
      header("te", "trailers"),      header("content-type", "application/grpc"),
      header("user-agent", "deepmusic-daw/0.1"),
  };
  nghttp2_data_provider provider{};
  provider.source.ptr = call.get();
  provider.read_callback = Http2Callbacks::read_out;
  const std::int32_t id = nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &provider, nullptr);
  if (id < 0) return nullptr;
  call->session_ = session_;
  call->id_ = id;
  Call* const opened = call.get();
  calls_[id] = std::move(call);
  return opened;
}

void Connection::close(Call* call) {
  if (call == nullptr) return;
  if (call->session_ == nullptr || state_ != State::kOpen) {
    calls_.erase(call->id_);
    return;
  }
  // nghttp2 refers to the call until its stream is closed, which it says by on_close.
  call->is_forgotten_ = call->is_over_ = true;
  call->out_.clear();
  call->n_unsent_bytes_ = 0;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call->id_, NGHTTP2_CANCEL);
  write();
}

}  // namespace deepmusic
