// HTTP/2 as a server may speak it, and as none should: what becomes of the calls.
#include "transport/connection.h"

#include <algorithm>
#include <random>

#include "tests/check.h"
#include "tests/peer.h"
#include "transport/wire.h"

using deepmusic::Call;
using deepmusic::Connection;
using deepmusic::RpcStatus;
using peer::frame;
using peer::headers;
using peer::message;
using peer::Pair;

namespace {

constexpr char kPath[] = "/deepmusic.v1.TransferService/StreamTransfer";
constexpr std::int32_t kFirst = 1, kSecond = 3;  // streams, in the order in which a client opens them

Call* begin(Pair& pair) {
  Call* const call = pair.client().open(kPath);
  CHECK(call != nullptr);
  pair.advance();
  return call;
}

std::vector<std::string> received(Call& call) {
  std::vector<std::string> all;
  std::string one;
  while (call.receive(one)) all.push_back(one);
  return all;
}

// A whole answer: headers, messages over the bounds of frames, other frames between them, trailers.
std::string answer(std::int32_t stream) {
  const std::string messages = message("one") + message("") + message(std::string(300, 'x'));
  std::string bytes = headers(stream, peer::kOk);
  bytes += frame(peer::kData, 0, stream, messages.substr(0, 3));
  bytes += frame(peer::kPing, 0, 0, "12345678");
  bytes += frame(peer::kData, peer::kPadded, stream, '\4' + messages.substr(3, 40) + std::string(4, '\0'));
  bytes += frame(0x77, 0, stream, "a frame of a later version");
  bytes += frame(peer::kData, 0, stream, messages.substr(43));
  bytes += frame(peer::kData, 0, stream);
  bytes += peer::headers(stream, {{"grpc-status", "5"}, {"grpc-message", "no%20such"}, {"x-other", "1"}}, true);
  return bytes;
}

void check_answered(Call& call) {
  const auto messages = received(call);
  CHECK_EQUAL(messages.size(), 3u);
  CHECK_EQUAL(messages[0], "one");
  CHECK_EQUAL(messages[1], "");
  CHECK_EQUAL(messages[2], std::string(300, 'x'));
  CHECK(call.is_over());
  CHECK_EQUAL(call.status().code, 5);
  CHECK_EQUAL(call.status().message, "no such");
}

int count(const Pair& pair, std::uint8_t type, std::int32_t stream) {
  const auto frames = pair.heard();
  return static_cast<int>(std::count_if(frames.begin(), frames.end(), [type, stream](const peer::Frame& one) {
    return one.type == type && one.stream == stream;
  }));
}

}  // namespace

TEST("an answer is the same wherever its bytes are split in two") {
  const std::string bytes = answer(kFirst);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    Pair pair;
    Call* const call = begin(pair);
    pair.say(bytes.substr(0, cut));
    pair.say(bytes.substr(cut));
    CHECK(check::within(2.0, [&] { return pair.advance(), call->is_over(); }));
    check_answered(*call);
  }
}

TEST("an answer that comes byte by byte is read as it comes") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(answer(kFirst), 1);
  check_answered(*call);
  CHECK_EQUAL(count(pair, peer::kPing, 0), 1);
}

TEST("headers over several frames are one list, however long a status is") {
  Pair pair;
  Call* const call = begin(pair);
  const std::string reason(40000, 'r');
  const std::string block = peer::fields({{":status", "200"}, {"grpc-status", "8"}, {"grpc-message", reason}});
  std::string bytes = frame(peer::kHeaders, peer::kEndStream, kFirst, block.substr(0, 5));
  bytes += frame(peer::kContinuation, 0, kFirst, block.substr(5, 16000));
  bytes += frame(peer::kContinuation, 0, kFirst);
  bytes += frame(peer::kContinuation, 0, kFirst, block.substr(16005, 16000));
  bytes += frame(peer::kContinuation, peer::kEndHeaders, kFirst, block.substr(32005));
  pair.say(bytes, 1000);
  CHECK(call->is_over());
  CHECK_EQUAL(call->status().code, 8);
  CHECK_EQUAL(call->status().message.size(), reason.size());
}

TEST("headers without end end the call, and cost no memory") {
  Pair pair;
  Call* const call = begin(pair);
  std::string bytes = frame(peer::kHeaders, 0, kFirst, peer::fields(peer::kOk));
  const std::string more = peer::fields({{"x-more", std::string(10000, 'm')}});
  for (int i = 0; i < 200; ++i) bytes += frame(peer::kContinuation, 0, kFirst, more);
  pair.say(bytes);
  CHECK(check::within(2.0, [&] { return pair.advance(), call->is_over(); }));
  CHECK_EQUAL(call->status().code, RpcStatus::kUnavailable);
}

TEST("an error without an answer, all in the trailers, is a status with its reason") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(headers(kFirst, {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "8"},
                            {"grpc-message", "all 8 sessions are taken"}}, true));
  CHECK(call->is_over());
  CHECK(received(*call).empty());
  CHECK_EQUAL(call->status().code, 8);
  CHECK_EQUAL(call->status().message, "all 8 sessions are taken");
}

TEST("an HTTP error of something between, without a status, says its number") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(headers(kFirst, {{":status", "502"}, {"content-type", "text/html"}}) +
           frame(peer::kData, peer::kEndStream, kFirst, "<html>bad gateway</html>"));
  CHECK(received(*call).empty());
  CHECK(call->is_over());
  CHECK_EQUAL(call->status().code, RpcStatus::kUnavailable);
  CHECK(call->status().message.find("HTTP 502") != std::string::npos);
}

TEST("a status that says nothing is told by its number, and one that is no number is an unknown one") {
  for (const auto& [said, code] : std::vector<std::pair<std::string, int>>{
           {"12", 12}, {"", RpcStatus::kUnknown}, {"fine", RpcStatus::kUnknown}, {"0x5", RpcStatus::kUnknown}}) {
    Pair pair;
    Call* const call = begin(pair);
    pair.say(headers(kFirst, peer::kOk) + headers(kFirst, {{"grpc-status", said}}, true));
    CHECK(call->is_over());
    CHECK_EQUAL(call->status().code, code);
    CHECK_EQUAL(call->status().message, "the server ended the call with status " + std::to_string(code));
  }
}

TEST("a stream that is reset is over, and the others go on") {
  Pair pair;
  Call* const first = begin(pair);
  Call* const second = begin(pair);
  pair.say(headers(kFirst, peer::kOk) + frame(peer::kReset, 0, kFirst, peer::number(2)));
  CHECK(first->is_over());
  CHECK_EQUAL(first->status().code, RpcStatus::kUnavailable);
  CHECK(first->status().message.find("INTERNAL_ERROR") != std::string::npos);
  CHECK(!second->is_over());
  first->send("to nobody");
  first->half_close();
  pair.client().close(first);
  pair.say(answer(kSecond));
  check_answered(*second);
}

TEST("a status that comes before a reset is kept") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(headers(kFirst, {{":status", "200"}, {"grpc-status", "9"}}, true) + frame(peer::kReset, 0, kFirst, peer::number(0)));
  CHECK_EQUAL(call->status().code, 9);
}

TEST("a server that leaves ends what it will not do, does what it has begun, and gets no more calls") {
  Pair pair;
  Call* const first = begin(pair);
  Call* const second = begin(pair);
  pair.say(frame(peer::kGoAway, 0, 0, peer::number(kFirst) + peer::number(0)));
  CHECK(pair.client().is_leaving());
  CHECK(second->is_over());
  CHECK(!first->is_over());
  CHECK(pair.client().open(kPath) == nullptr);
  pair.say(answer(kFirst));
  check_answered(*first);
}

TEST("a server that leaves at once, with an error, ends all calls") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(frame(peer::kGoAway, 0, 0, peer::number(0) + peer::number(11) + "enhance_your_calm"));
  pair.hang_up();
  CHECK(check::within(2.0, [&] { return pair.advance(), pair.client().state() == Connection::State::kLost; }));
  CHECK(call->is_over());
  CHECK_EQUAL(call->status().code, RpcStatus::kUnavailable);
}

TEST("what is sent waits for the window, goes out a byte at a time where the window opens so, and loses nothing") {
  Pair pair;
  pair.say(peer::setting(4, 0));  // INITIAL_WINDOW_SIZE
  Call* const call = begin(pair);
  const std::string sent = message(std::string(20, 'a')) + message(std::string(30, 'b'));
  call->send(std::string(20, 'a'));
  call->send(std::string(30, 'b'));
  pair.advance();
  CHECK_EQUAL(pair.data(kFirst).size(), 0u);
  CHECK_EQUAL(call->n_unsent_bytes(), sent.size());
  for (std::size_t n = 1; n <= sent.size(); ++n) {
    pair.say(frame(peer::kWindowUpdate, 0, kFirst, peer::number(1)));
    CHECK(check::within(2.0, [&] { return pair.advance(), pair.data(kFirst).size() >= n; }));
    CHECK_EQUAL(pair.data(kFirst), sent.substr(0, n));
    CHECK_EQUAL(call->n_unsent_bytes(), sent.size() - n);
  }
}

TEST("a window that the server shrinks below nothing holds until it is open again") {
  Pair pair;
  Call* const call = begin(pair);
  const std::string sent = message(std::string(60000, 's'));
  call->send(std::string(60000, 's'));
  CHECK(check::within(2.0, [&] { return pair.advance(), pair.data(kFirst).size() == sent.size(); }));
  pair.say(peer::setting(4, 100));  // 65535 were open, 60005 are used: now there are -59905
  call->send("held");
  pair.say(frame(peer::kWindowUpdate, 0, kFirst, peer::number(59905)));
  CHECK_EQUAL(pair.data(kFirst).size(), sent.size());
  pair.say(frame(peer::kWindowUpdate, 0, kFirst, peer::number(9)));
  CHECK(check::within(2.0, [&] { return pair.advance(), pair.data(kFirst) == sent + message("held"); }));
}

TEST("calls beyond what the server takes at a time wait for their turn") {
  Pair pair;
  pair.say(peer::setting(3, 1));  // MAX_CONCURRENT_STREAMS
  Call* const first = begin(pair);
  Call* const second = begin(pair);
  second->send("later");
  pair.advance();
  CHECK_EQUAL(count(pair, peer::kHeaders, kSecond), 0);
  pair.say(answer(kFirst));
  check_answered(*first);
  pair.client().close(first);
  CHECK(check::within(2.0, [&] { return pair.advance(), pair.data(kSecond) == message("later"); }));
  pair.say(answer(kSecond));
  check_answered(*second);
}

TEST("what comes in is given back to the server's window, more than all windows together") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(headers(kFirst, peer::kOk));
  constexpr std::size_t kPart = 16379, kParts = 400;  // a frame at most: 6.5 MB in all
  std::size_t n_bytes = 0;
  for (std::size_t i = 0; i < kParts; ++i) {
    pair.say(frame(peer::kData, 0, kFirst, message(std::string(kPart, 'd'))));
    for (const std::string& one : received(*call)) n_bytes += one.size();
  }
  CHECK(check::within(2.0, [&] {
    pair.advance();
    for (const std::string& one : received(*call)) n_bytes += one.size();
    return n_bytes == kPart * kParts;
  }));
  CHECK(!call->is_over());
  CHECK_LESS(2, count(pair, peer::kWindowUpdate, kFirst));
  CHECK_LESS(2, count(pair, peer::kWindowUpdate, 0));
}

TEST("a server that fills more than the window is left") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(headers(kFirst, peer::kOk) + frame(peer::kWindowUpdate, 0, kFirst, peer::number(0x7fffffff)));
  CHECK(check::within(2.0, [&] { return pair.advance(), call->is_over(); }));
  CHECK_EQUAL(call->status().code, RpcStatus::kUnavailable);
}

TEST("a message that is compressed, or longer than 4 MiB, ends the call") {
  for (const std::string& prefix : {std::string("\1\0\0\0\1", 5), std::string("\0\0\x40\0\1", 5)}) {
    Pair pair;
    Call* const call = begin(pair);
    pair.say(headers(kFirst, peer::kOk) + frame(peer::kData, 0, kFirst, message("whole") + prefix + "x"));
    CHECK_EQUAL(received(*call).size(), 1u);
    CHECK(call->is_over());
    CHECK_EQUAL(call->status().code, RpcStatus::kInternal);
  }
}

TEST("what nobody reads costs no more memory than a message may have, and a window") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(headers(kFirst, peer::kOk));
  const std::string part = frame(peer::kData, 0, kFirst, message(std::string(16379, 'd')));
  for (int i = 0; i < 400 && !call->is_over(); ++i) pair.say(part);  // 6.5 MB
  CHECK(call->is_over());
  CHECK_EQUAL(call->status().code, RpcStatus::kInternal);
}

TEST("a call that is given up is reset, and what still comes for it is passed over") {
  Pair pair;
  Call* const first = begin(pair);
  pair.say(headers(kFirst, peer::kOk));
  pair.client().close(first);
  pair.advance();
  CHECK_EQUAL(count(pair, peer::kReset, kFirst), 1);
  pair.say(frame(peer::kData, 0, kFirst, message("too late")) + headers(kFirst, peer::kDone, true));
  Call* const second = begin(pair);
  pair.say(answer(kSecond));
  check_answered(*second);
}

TEST("a server that hangs up in the middle of an answer leaves what was whole, and a status") {
  Pair pair;
  Call* const call = begin(pair);
  pair.say(headers(kFirst, peer::kOk) + frame(peer::kData, 0, kFirst, message("whole") + message("half").substr(0, 6)));
  pair.hang_up();
  CHECK(check::within(2.0, [&] { return pair.advance(), pair.client().state() == Connection::State::kLost; }));
  CHECK_EQUAL(received(*call).size(), 1u);
  CHECK(call->is_over());
  CHECK_EQUAL(call->status().code, RpcStatus::kUnavailable);
}

TEST("three thousand damaged answers harm nobody") {
  std::mt19937 generator(1);
  const std::string whole = answer(kFirst) + frame(peer::kReset, 0, kSecond, peer::number(7)) + peer::setting(4, 100) +
                            frame(peer::kWindowUpdate, 0, kFirst, peer::number(1000)) +
                            frame(peer::kGoAway, 0, 0, peer::number(kFirst) + peer::number(0));
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = whole.substr(0, generator() % (whole.size() + 1));
    for (unsigned n = generator() % 6; n > 0 && !bytes.empty(); --n) {
      bytes[generator() % bytes.size()] = static_cast<char>(generator());
    }
    Pair pair;
    Call* const first = begin(pair);
    Call* const second = begin(pair);
    first->send(std::string(generator() % 100, 'f'));
    pair.say(bytes, 1 + generator() % 400);
    received(*first);
    pair.client().close(first);
    if (generator() % 2 == 0) pair.client().close(second);
    pair.say(bytes);
    pair.hang_up();
    pair.advance();
  }
}
