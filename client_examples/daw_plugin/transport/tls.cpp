#include "transport/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>

namespace deepmusic {
namespace {

constexpr unsigned char kHttp2[] = {2, 'h', '2'};  // as ALPN writes it: the length, and the name

// Content types of TLS records. What begins otherwise is no TLS.
constexpr unsigned char kFirstRecordType = 20, kLastRecordType = 24;

}  // namespace

// The socket as OpenSSL reads and writes it. OpenSSL's own kind would have a closed connection end the host (SIGPIPE).
struct TlsBytes {
  static Tls& tls(BIO* bytes) { return *static_cast<Tls*>(BIO_get_data(bytes)); }

  static int read(BIO* bytes, char* to, int size) {
    BIO_clear_retry_flags(bytes);
    Tls& of = tls(bytes);
    const long n = of.socket_.read(to, static_cast<std::size_t>(size));
    if (n == 0) BIO_set_retry_read(bytes);
    if (n > 0 && !of.has_heard_) {
      of.has_heard_ = true;
      const auto first = static_cast<unsigned char>(*to);
      of.is_answered_in_plain_text_ = first < kFirstRecordType || first > kLastRecordType;
    }
    return n > 0 ? static_cast<int>(n) : -1;
  }

  static int write(BIO* bytes, const char* from, int size) {
    BIO_clear_retry_flags(bytes);
    const long n = tls(bytes).socket_.write(from, static_cast<std::size_t>(size));
    if (n == 0) BIO_set_retry_write(bytes);
    return n > 0 ? static_cast<int>(n) : -1;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO* over(Tls& of) {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "deepmusic socket");
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    BIO* const bytes = BIO_new(method);
    BIO_set_data(bytes, &of);
    BIO_set_init(bytes, 1);
    return bytes;
  }
};

void Tls::Freed::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void Tls::Freed::operator()(ssl_st* session) const { SSL_free(session); }

Tls::Tls(Socket& socket, const std::string& host, const std::string& root_certificates) : socket_(socket), host_(host) {
  ERR_clear_error();
  set_up(root_certificates);
}

Tls::~Tls() {
  if (state_ == State::kOpen) SSL_shutdown(session_.get());
  ERR_clear_error();
}

void Tls::set_up(const std::string& root_certificates) {
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (context_ == nullptr) return fail(TlsFault::kNone, "OpenSSL cannot be used here");
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  const bool has_roots = root_certificates.empty()
                             ? SSL_CTX_set_default_verify_paths(context) == 1
                             : SSL_CTX_load_verify_locations(context, root_certificates.c_str(), nullptr) == 1;
  if (!has_roots) {
    return fail(TlsFault::kUntrusted, "expected root certificates as PEM in " +
                                          (root_certificates.empty() ? "the system" : root_certificates) +
                                          ", could not read any; mend DEEPMUSIC_ROOT_CERTIFICATE");
  }
  session_.reset(SSL_new(context));
  SSL* const session = session_.get();
  BIO* const bytes = TlsBytes::over(*this);
  SSL_set_bio(session, bytes, bytes);
  SSL_set_connect_state(session);
  SSL_set_alpn_protos(session, kHttp2, sizeof kHttp2);
  SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host_.c_str()) != 1) {  // the host is a name
    ERR_clear_error();
    SSL_set1_host(session, host_.c_str());
    SSL_set_tlsext_host_name(session, host_.c_str());
  }
}

void Tls::advance() {
  if (state_ != State::kShakingHands) return;
  ERR_clear_error();
  const int result = SSL_do_handshake(session_.get());
  if (result != 1) {
    judge(result);
    return;
  }
  wants_to_write_ = false;
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(session_.get(), &protocol, &size);
  if (size + 1 != sizeof kHttp2 || !std::equal(protocol, protocol + size, kHttp2 + 1)) {
    return fail(TlsFault::kNone, "the server does not speak HTTP/2");
  }
  state_ = State::kOpen;
}

long Tls::read(char* bytes, std::size_t size) {
  ERR_clear_error();
  const int n = SSL_read(session_.get(), bytes, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
  return n > 0 ? n : judge(n);
}

long Tls::write(const char* bytes, std::size_t size) {
  ERR_clear_error();
  const int n = SSL_write(session_.get(), bytes, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
  return n > 0 ? n : judge(n);
}

// What a call of OpenSSL that did nothing means: 0 to try again once the socket is ready, below 0 for the end.
long Tls::judge(int result) {
  const int error = SSL_get_error(session_.get(), result);
  wants_to_write_ = error == SSL_ERROR_WANT_WRITE;
  if (wants_to_write_ || error == SSL_ERROR_WANT_READ) return 0;
  if (is_answered_in_plain_text_) {
    fail(TlsFault::kPlainText, "expected a server with TLS, got one that speaks plain text; leave https:// out");
  } else if (state_ == State::kShakingHands && SSL_get_verify_result(session_.get()) != X509_V_OK) {
    fail(TlsFault::kUntrusted, why_untrusted());
  } else if (socket_.state() == Socket::State::kFailed) {
    fail(TlsFault::kNone, socket_.problem());
  } else if (error == SSL_ERROR_ZERO_RETURN) {
    fail(TlsFault::kNone, "the server closed the connection");
  } else {
    const char* const reason = ERR_reason_error_string(ERR_peek_error());
    fail(TlsFault::kNone, std::string("TLS failed: ") + (reason == nullptr ? "no reason is known" : reason));
  }
  return -1;
}

std::string Tls::why_untrusted() const {
  return "expected a certificate that holds for " + host_ + " now, by a root that is trusted; got one with \"" +
         X509_verify_cert_error_string(SSL_get_verify_result(session_.get())) +
         "\"; mend the server's, or name its root by DEEPMUSIC_ROOT_CERTIFICATE";
}

void Tls::fail(TlsFault fault, const std::string& problem) {
  state_ = State::kFailed;
  fault_ = fault;
  problem_ = problem;
}

}  // namespace deepmusic
