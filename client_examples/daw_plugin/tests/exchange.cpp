#include "tests/exchange.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

namespace exchange {
namespace {

void write(std::ofstream& file, char direction, const std::vector<std::string>& messages) {
  for (const std::string& message : messages) {
    file.put(direction);
    for (int shift = 0; shift < 32; shift += 8) file.put(static_cast<char>(message.size() >> shift & 255));
    file.write(message.data(), static_cast<std::streamsize>(message.size()));
  }
}

}  // namespace

Task::Task(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(stderr, "%s SERVER STYLE INPUT OUTPUT BLOCK_SAMPLES fast|live [ROOT_CERTIFICATE]\n", argv[0]);
    std::exit(2);
  }
  server = argv[1];
  style = argv[2];
  output = argv[4];
  block_samples = static_cast<std::uint32_t>(std::atoi(argv[5]));
  is_live = std::string_view(argv[6]) == "live";
  if (argc > 7) root_certificate = argv[7];
  std::ifstream file(argv[3], std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  samples.resize(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), samples.size() * sizeof(float), reinterpret_cast<char*>(samples.data()));
}

std::string_view Task::pcm(std::uint64_t block) const {
  const std::size_t n = block_samples * kChannels;
  return {reinterpret_cast<const char*>(samples.data() + block * n), n * sizeof(float)};
}

std::chrono::steady_clock::duration Task::due(std::uint64_t block) const {
  const std::chrono::duration<double> seconds(static_cast<double>(block) * block_samples / kRate_hz);
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(seconds);
}

int Record::close(const Task& task, int status, const std::string& message) const {
  std::ofstream file(task.output, std::ios::binary);
  write(file, '>', sent_);
  write(file, '<', received_);
  std::vector<double> trips_us;
  for (std::size_t i = 0; i < sent_at_.size(); ++i) {
    if (came_at_[i] < sent_at_[i]) continue;
    trips_us.push_back(std::chrono::duration<double, std::micro>(came_at_[i] - sent_at_[i]).count());
  }
  std::sort(trips_us.begin(), trips_us.end());
  const auto at = [&trips_us](double part) {
    return trips_us.empty() ? 0.0 : trips_us[static_cast<std::size_t>(part * static_cast<double>(trips_us.size() - 1))];
  };
  std::printf("status: %d %s\nmedian_us: %.1f\np90_us: %.1f\np99_us: %.1f\n", status, message.c_str(), at(0.5), at(0.9), at(0.99));
  return status == 0 ? 0 : 1;
}

}  // namespace exchange
