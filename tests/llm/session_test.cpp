// One conversation: what the cache holds, forgets and goes on with.
#include "tests/llm/support.h"

namespace nibble::tests {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  llm::DecoderModel model_ = load_model(models() / "llama");
  std::vector<std::int32_t> first_{3, 1, 4, 1, 5, 9}, second_{2, 6, 5};
};

TEST_F(SessionTest, GoesOnFromWhatItHolds) {
  const with precise(exact());
  llm::Session session(model_, 64);
  const auto answer = session.generate(first_, greedy_for(5)).tokens;
  // The last token of an answer was chosen but not yet run: the next prompt must say it.
  EXPECT_EQ(session.history().size(), first_.size() + 4);
  std::vector<std::int32_t> next{answer.back()};
  next.insert(next.end(), second_.begin(), second_.end());
  const auto went_on = session.generate(next, greedy_for(5)).tokens;

  std::vector<std::int32_t> whole = first_;
  whole.insert(whole.end(), answer.begin(), answer.end());
  whole.insert(whole.end(), second_.begin(), second_.end());
  llm::Session fresh(model_, 64);
  EXPECT_EQ(went_on, fresh.generate(whole, greedy_for(5)).tokens);
}

TEST(PackedCache, StaysNearAndGoesOnAsOneShot) {
  const with precise(exact());
  const llm::DecoderModel model = load_model(models() / "qwen3");
  const std::vector<std::int32_t> tokens{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
  const Tensor batch = from_data(std::span<const std::int32_t>(tokens), {1, static_cast<std::int64_t>(tokens.size())});
  const Tensor plain = model.logits_of(batch);
  reset_stats();
  llm::KvCache cache = model.make_cache(1, 16, "q8_0");
  const Tensor at_once = model.logits(model.hidden(batch, cache));
  EXPECT_GT(max_difference(at_once, plain), 1e-4) << "the cache was not packed at all";
  EXPECT_LT(max_difference(at_once, plain), 0.3);

  llm::KvCache other = model.make_cache(1, 16, "q8_0");
  model.hidden(slice(batch, 1, 0, 6), other);
  Tensor last;
  for (std::int64_t t = 6; t < 11; ++t) last = model.logits(model.hidden(slice(batch, 1, t, t + 1), other));
  EXPECT_LT(max_difference(last, slice(at_once, 1, 10, 11)), 1e-4);
  EXPECT_EQ(stats().bytes_copied, 0u);
  EXPECT_EQ(stats().bytes_dequantized, 0u);
}

TEST_F(SessionTest, RewindForgetsTheRest) {
  const with precise(exact());
  llm::Session session(model_, 64);
  session.generate(first_, greedy_for(7));
  session.rewind(2);
  EXPECT_EQ(session.history(), (std::vector<std::int32_t>{3, 1}));
  const auto again = session.generate(second_, greedy_for(6)).tokens;
  llm::Session fresh(model_, 64);
  EXPECT_EQ(again, fresh.generate(std::vector<std::int32_t>{3, 1, 2, 6, 5}, greedy_for(6)).tokens);
}

TEST_F(SessionTest, StopsAtAnEndTokenWithoutSayingIt) {
  const with precise(exact());
  llm::Session free_running(model_, 64);
  const auto all = free_running.generate(first_, greedy_for(6)).tokens;
  llm::GenerateOptions options = greedy_for(6);
  options.stop = {all[3]};
  const auto end = std::find(all.begin(), all.end(), all[3]);
  llm::Session session(model_, 64);
  const auto made = session.generate(first_, options);
  EXPECT_EQ(made.tokens, std::vector<std::int32_t>(all.begin(), end));
  EXPECT_EQ(made.stopped_by, all[3]);
}

TEST_F(SessionTest, PaddingOfTheHeadIsNeverChosen) {
  const with precise(exact());
  llm::Session session(model_, 64);
  const auto all = session.generate(first_, greedy_for(12)).tokens;
  const std::int32_t largest = *std::max_element(all.begin(), all.end());
  llm::GenerateOptions options = greedy_for(12);
  options.vocabulary = largest;
  llm::Session narrow(model_, 64);
  const auto made = narrow.generate(first_, options).tokens;
  EXPECT_LT(*std::max_element(made.begin(), made.end()), largest);
}

TEST_F(SessionTest, TheCallerMayStopIt) {
  llm::Session session(model_, 64);
  int seen = 0;
  const auto made = session.generate(first_, greedy_for(50), [&](std::int32_t) { return ++seen < 3; });
  EXPECT_EQ(made.tokens.size(), 3u);
}

TEST_F(SessionTest, APromptThatDoesNotFitIsRefused) {
  llm::Session session(model_, 4);
  EXPECT_THROW(session.generate(first_, greedy_for(1)), Error);
  EXPECT_THROW(session.generate({}, greedy_for(1)), Error);
  llm::Session tight(model_, 6);
  EXPECT_EQ(tight.generate(first_, greedy_for(50)).tokens.size(), 1u);  // what follows a full cache needs no room
}

}  // namespace
}  // namespace nibble::tests
