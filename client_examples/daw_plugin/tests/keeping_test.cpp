// What a project takes along: styles that are put back on a server, and fetched from it.
#include "tests/check.h"
#include "tests/fake_server.h"
#include "tests/host.h"

using deepmusic::Link;
using deepmusic::Settings;
using host::noise;
using host::play;
using host::Rig;
using host::spec;

namespace {

Settings settings_for(const fake::Server& server) {
  Settings settings;
  settings.server = server.address();
  settings.styles[0] = "brass";
  settings.styles[1] = "strings";
  return settings;
}

bool is_streaming(Rig& rig) {
  return check::within(3.0, [&rig] { return rig.bridge.snapshot().link == Link::kStreaming; });
}

}  // namespace

TEST("a style that a project brought is put back before a stream names it, by the server's name") {
  fake::Terms terms;
  terms.name_of_imports = "brass-3f9a0c1b";
  fake::Server server(terms);
  Settings settings = settings_for(server);
  settings.vectors[0] = "a vector";
  Rig rig("127.0.0.1:1", spec(true));
  rig.bridge.configure(settings);
  CHECK(is_streaming(rig));
  CHECK_EQUAL(server.imports().at(0), "a vector");
  CHECK_EQUAL(server.imports().size(), 1u);
  CHECK_EQUAL(server.configs().at(0).styles.at(0), "brass-3f9a0c1b");
}

TEST("a style that the server would not take is played by its name, and why is told") {
  fake::Server server({});
  Settings settings = settings_for(server);
  settings.vectors[0] = "a vector";
  Rig rig("127.0.0.1:1", spec(true));
  rig.bridge.configure(settings);
  CHECK(is_streaming(rig));
  CHECK_EQUAL(server.configs().at(0).styles.at(0), "brass");
}

TEST("a project that is opened while a stream plays is put back, and changed to on that stream") {
  fake::Terms terms;
  terms.name_of_imports = "aside";
  fake::Server server(terms);
  Rig rig(server.address(), spec(true));
  play(rig, noise(2, 5000), {500});
  Settings settings = settings_for(server);
  settings.vectors[0] = "a vector";
  rig.bridge.configure(settings);
  CHECK(check::within(2.0, [&server] { return !server.changes().empty(); }));
  CHECK_EQUAL(server.changes().at(0).mix.at(0).first, "aside");
  CHECK_EQUAL(rig.bridge.counters().streams.load(), 1u);
}

TEST("a style is put back on every server that is connected to") {
  fake::Terms terms;
  terms.name_of_imports = "brass";
  fake::Server server(terms), other(terms);
  Settings settings = settings_for(server);
  settings.vectors[0] = "a vector";
  Rig rig("127.0.0.1:1", spec(true));
  rig.bridge.configure(settings);
  CHECK(is_streaming(rig));
  settings.server = other.address();
  rig.bridge.configure(settings);
  CHECK(check::within(3.0, [&other] { return other.configs().size() == 1; }));
  CHECK_EQUAL(other.imports().size(), 1u);
}

TEST("vectors of the styles in the slots are fetched, and only those that no project brought") {
  fake::Terms terms;
  terms.gives_vectors = true;
  terms.name_of_imports = "brass";
  fake::Server server(terms);
  Settings settings = settings_for(server);
  settings.vectors[0] = "a vector";
  Rig rig("127.0.0.1:1", spec(true));
  rig.bridge.configure(settings);
  CHECK(check::within(3.0, [&rig] { return rig.bridge.snapshot().vectors.size() == 1; }));
  CHECK_EQUAL(rig.bridge.snapshot().vectors.at("strings"), "vector of strings");
  settings.styles[1] = "voice";
  rig.bridge.configure(settings);
  CHECK(check::within(3.0, [&rig] { return rig.bridge.snapshot().vectors.count("voice") == 1; }));
  CHECK_EQUAL(rig.bridge.snapshot().vectors.size(), 1u);
}

TEST("what a frozen stream knows of its content is what the next stream begins with") {
  fake::Terms terms;
  terms.statistics = "statistics";
  fake::Server server(terms);
  Rig rig(server.address(), spec(true));
  rig.values.numbers[2] = 1.0f;
  rig.bridge.prepare(rig.spec, rig.values);
  CHECK(check::within(3.0, [&rig] { return rig.bridge.snapshot().statistics == "statistics"; }));
  rig.bridge.prepare(rig.spec, rig.values);
  CHECK(check::within(3.0, [&server] { return server.configs().back().statistics == "statistics"; }));
  CHECK_EQUAL(server.configs().front().statistics, "");
  rig.values.numbers[2] = 0.0f;
  play(rig, noise(2, 5000), {500});
  CHECK(check::within(3.0, [&rig] { return rig.bridge.snapshot().statistics.empty(); }));
}

TEST("what is known of the content is not for a stream that is not frozen") {
  fake::Terms terms;
  terms.statistics = "statistics";
  fake::Server server(terms);
  Rig rig("127.0.0.1:1", spec(true));
  Settings settings = settings_for(server);
  settings.statistics = "of the project";
  settings.n_opened = 1;
  rig.bridge.configure(settings);
  CHECK(is_streaming(rig));
  CHECK_EQUAL(server.configs().at(0).statistics, "");
}

TEST("a project's statistics are begun with, and dropped where the server refuses them") {
  fake::Server server({});
  Settings settings = settings_for(server);
  settings.statistics = "of the project";
  settings.n_opened = 1;
  Rig rig("127.0.0.1:1", spec(true));
  rig.values.numbers[2] = 1.0f;
  rig.bridge.prepare(rig.spec, rig.values);
  rig.bridge.configure(settings);
  CHECK(is_streaming(rig));
  CHECK_EQUAL(server.configs().at(0).statistics, "of the project");
  fake::Terms strict;
  strict.refuses_statistics = true;
  server.set_terms(strict);
  ++settings.n_opened;
  rig.bridge.configure(settings);
  CHECK(check::within(3.0, [&server] { return server.configs().size() == 2; }));
  CHECK_EQUAL(server.configs().at(1).statistics, "");
  CHECK(check::within(1.0, [&rig] { return rig.bridge.snapshot().statistics.empty(); }));
}

TEST("a recording that is to be learned while another one is waits for it, and both are learned whole") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  const auto recording = [](const char* name, std::size_t n_values) {
    return deepmusic::Recording{name, 48000, 2, std::vector<float>(n_values, 0.5f)};
  };
  rig.bridge.learn(recording("long", 1000000));
  CHECK(check::within(3.0, [&server] { return server.n_uploads() == 1; }));  // one that only waits would be replaced
  rig.bridge.learn(recording("short", 1000));
  CHECK(check::within(10.0, [&server] { return server.learned().size() == 2; }));
  CHECK_EQUAL(server.learned()[0].name, "long");
  CHECK_EQUAL(server.learned()[0].n_bytes, 4000000u);
  CHECK_EQUAL(server.learned()[1].name, "short");
  CHECK_EQUAL(server.learned()[1].n_bytes, 4000u);
  CHECK(check::within(2.0, [&rig] { return rig.bridge.snapshot().learned_style == "short"; }));
  CHECK(!rig.bridge.snapshot().is_learning);
}
