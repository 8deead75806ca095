// The exchange by gRPC's own C++ client and protobuf's own messages: what the transport is held against.
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <thread>

#include "deepmusic/v1/transfer_service.grpc.pb.h"
#include "tests/exchange.h"

namespace v1 = deepmusic::v1;

namespace {

std::shared_ptr<grpc::Channel> channel(const exchange::Task& task) {
  const std::string encrypted = "https://";
  if (task.server.compare(0, encrypted.size(), encrypted) != 0) {
    return grpc::CreateChannel(task.server, grpc::InsecureChannelCredentials());
  }
  std::ifstream file(task.root_certificate);
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = {std::istreambuf_iterator<char>(file), {}};
  return grpc::CreateChannel(task.server.substr(encrypted.size()), grpc::SslCredentials(options));
}

v1::StreamTransferRequest config(const exchange::Task& task) {
  v1::StreamTransferRequest request;
  v1::StreamConfig& config = *request.mutable_config();
  v1::WeightedStyle& style = *config.mutable_style()->add_styles();
  style.set_name(task.style);
  style.set_weight(1.0);
  config.mutable_format()->set_sample_rate_hz(exchange::kRate_hz);
  config.mutable_format()->set_n_channels(exchange::kChannels);
  config.mutable_format()->set_sample_format(v1::SAMPLE_FORMAT_F32LE);
  config.set_nominal_block_samples(task.block_samples);
  for (const auto& [name, value] : {std::pair("strength", 0.75), std::pair("mix", 1.0)}) {
    v1::ParameterValue& parameter = *config.add_parameters();
    parameter.set_name(name);
    parameter.set_number(value);
  }
  if (task.is_live) {
    config.mutable_live()->set_deadline_samples(exchange::kDeadlineSamples);
  } else {
    config.mutable_fast();
  }
  return request;
}

v1::StreamTransferRequest control(const exchange::Task& task, std::uint64_t block) {
  v1::StreamTransferRequest request;
  v1::ControlChange& change = *request.mutable_control();
  change.mutable_parameter()->set_name("mix");
  change.mutable_parameter()->set_number(exchange::kMix);
  change.set_at_sample(block * task.block_samples);
  change.set_ramp_samples(exchange::kRampSamples);
  return request;
}

v1::StreamTransferRequest audio(const exchange::Task& task, std::uint64_t block) {
  v1::StreamTransferRequest request;
  request.mutable_audio()->set_sequence(block);
  request.mutable_audio()->set_first_sample(block * task.block_samples);
  request.mutable_audio()->set_pcm(std::string(task.pcm(block)));
  return request;
}

}  // namespace

int main(int argc, char** argv) {
  const exchange::Task task(argc, argv);
  exchange::Record record(task);
  const auto stub = v1::TransferService::NewStub(channel(task));
  grpc::ClientContext context;
  const auto stream = stub->StreamTransfer(&context);
  const auto say = [&](const v1::StreamTransferRequest& request) {
    record.sent(request.SerializeAsString());
    stream->Write(request);
  };

  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t n_came = 0, credit_samples = 0;
  bool is_ready = false, is_over = false;
  std::thread reader([&] {
    v1::StreamTransferResponse response;
    while (stream->Read(&response)) {
      const bool is_block = response.has_audio() && !(response.audio().flags() & v1::BLOCK_FLAG_TAIL);
      if (is_block) record.came(response.audio().sequence());
      record.received(response.SerializeAsString());
      const std::lock_guard<std::mutex> lock(mutex);
      if (response.has_ready()) {
        is_ready = true;
        credit_samples = response.ready().credit_samples();
      }
      if (is_block) ++n_came;
      changed.notify_one();
    }
    const std::lock_guard<std::mutex> lock(mutex);
    is_over = true;
    changed.notify_one();
  });

  say(config(task));
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return is_ready || is_over; });
  lock.unlock();
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t block = 0; block < task.n_blocks(); ++block) {
    if (task.is_live) {
      std::this_thread::sleep_until(began + task.due(block));
    } else {
      lock.lock();
      changed.wait(lock, [&] { return is_over || (block - n_came + 1) * task.block_samples <= credit_samples; });
      lock.unlock();
    }
    if (block == task.control_block()) say(control(task, block));
    const v1::StreamTransferRequest request = audio(task, block);
    record.sending(block);
    say(request);
  }
  v1::StreamTransferRequest finish;
  finish.mutable_finish();
  say(finish);
  stream->WritesDone();
  reader.join();
  const grpc::Status status = stream->Finish();
  return record.close(task, status.error_code(), status.error_message());
}
