"""openai-python, unmodified, against `openelm serve`."""

import asyncio
import time
import unittest

import openai

from places import Server

PROMPT = "Once upon a time"


class OpenAI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--chat-template", "plain", "--strict-model")
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.end() == 0

    def complete(self, prompt=PROMPT, **options):
        options = {"model": "demo", "max_tokens": 8, "temperature": 0} | options
        return self.client.completions.create(prompt=prompt, **options)

    def chat(self, text="Who is the king?", **options):
        options = {"model": "demo", "max_tokens": 8, "temperature": 0} | options
        return self.client.chat.completions.create(messages=[{"role": "user", "content": text}], **options)

    def await_metric(self, name, value):
        end = time.monotonic() + 300
        while self.server.metric(name) != value:
            self.assertLess(time.monotonic(), end, f"{name} is not {value}")
            time.sleep(0.01)

    def test_models(self):
        models = self.client.models.list().data
        self.assertEqual([model.id for model in models], ["demo"])
        self.assertEqual(self.client.models.retrieve("demo").max_model_len, 512)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("gpt-4")

    def test_a_completion(self):
        answer = self.complete()
        (choice,) = answer.choices
        self.assertEqual((answer.object, answer.model, choice.index), ("text_completion", "demo", 0))
        self.assertTrue(choice.text)
        self.assertEqual(choice.finish_reason, "length")
        self.assertIsNone(choice.logprobs)
        usage = answer.usage
        self.assertEqual(usage.completion_tokens, 8)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + 8)

    def test_a_stream_is_the_same_text(self):
        whole = self.complete(max_tokens=20)
        for options in [{}, {"stream_options": {"include_usage": True}}]:
            chunks = list(self.complete(max_tokens=20, stream=True, **options))
            if options:
                last = chunks.pop()
                self.assertEqual((last.choices, last.usage.completion_tokens), ([], 20))
            self.assertEqual(len({chunk.id for chunk in chunks}), 1)
            self.assertTrue(all(chunk.usage is None for chunk in chunks))
            self.assertGreater(len(chunks), 5)
            self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), whole.choices[0].text)
            self.assertEqual(chunks[-1].choices[0].finish_reason, "length")

    def test_several_prompts_and_choices(self):
        prompts = [PROMPT, "The wolf"]
        answer = self.complete(prompts, n=2, temperature=1, seed=3, max_tokens=5)
        texts = [choice.text for choice in answer.choices]
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2, 3])
        self.assertNotEqual(texts[0], texts[1])
        self.assertEqual(answer.usage.completion_tokens, 20)
        pieces = ["", "", "", ""]
        for chunk in self.complete(prompts, n=2, temperature=1, seed=3, max_tokens=5, stream=True):
            for choice in chunk.choices:
                pieces[choice.index] += choice.text
        self.assertEqual(pieces, texts)
        ids = self.complete([[1, 300, 301], [1, 300, 302, 303]], max_tokens=2)
        self.assertEqual(ids.usage.prompt_tokens, 7)

    def test_a_seed_repeats(self):
        texts = {self.complete(temperature=1.2, seed=seed).choices[0].text for seed in [1, 1, 2, 2]}
        self.assertEqual(len(texts), 2)

    def test_stop(self):
        text = self.complete(max_tokens=30).choices[0].text
        stop = text[len(text) // 2 :][:4]
        cut = self.complete(max_tokens=30, stop=[stop, "</s>"]).choices[0]
        self.assertEqual((cut.text, cut.finish_reason), (text[: text.index(stop)], "stop"))
        chunks = self.complete(max_tokens=30, stop=stop, stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), cut.text)

    def test_logprobs_and_echo(self):
        answer = self.complete([[1, 300, 301, 302]], max_tokens=1, logprobs=2, echo=True)
        logprobs = answer.choices[0].logprobs
        self.assertEqual([len(logprobs.tokens), len(logprobs.token_logprobs), len(logprobs.text_offset)], [5, 5, 5])
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertIsNone(logprobs.top_logprobs[0])
        for number, top in zip(logprobs.token_logprobs[1:], logprobs.top_logprobs[1:]):
            self.assertLessEqual(number, max(top.values()))
            self.assertIn(number, top.values())
        self.assertEqual(logprobs.token_logprobs[-1], max(logprobs.top_logprobs[-1].values()))
        scored = self.complete([[1, 300, 301, 302]], max_tokens=0, logprobs=1, echo=True).choices[0].logprobs
        self.assertEqual(scored.token_logprobs, logprobs.token_logprobs[:4])
        echoed = self.complete(echo=True).choices[0].text
        self.assertEqual(echoed, PROMPT + self.complete().choices[0].text)
        chunks = self.complete(echo=True, stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), echoed)

    def test_a_chat(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        (choice,) = answer.choices
        self.assertEqual((answer.object, choice.message.role), ("chat.completion", "assistant"))
        self.assertEqual(len(choice.logprobs.content), answer.usage.completion_tokens)
        for token in choice.logprobs.content:
            self.assertEqual(len(token.top_logprobs), 3)
            # The most probable comes first; the chosen one is another where repetitions are penalised.
            self.assertGreaterEqual(token.top_logprobs[0].logprob, token.logprob)
        text = b"".join(bytes(token.bytes) for token in choice.logprobs.content).decode(errors="replace")
        self.assertEqual(text.strip(), choice.message.content.strip())
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks.pop().usage.total_tokens, answer.usage.total_tokens)
        self.assertEqual(chunks[-1].choices[0].finish_reason, choice.finish_reason)
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
        self.assertEqual("".join(pieces), choice.message.content)
        two = self.chat(n=2, temperature=1, seed=1, max_completion_tokens=4, max_tokens=None)
        self.assertEqual([choice.index for choice in two.choices], [0, 1])
        self.assertLessEqual(two.usage.completion_tokens, 8)

    def test_the_helper_that_streams(self):
        messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
        with self.client.chat.completions.stream(model="demo", messages=messages, max_tokens=5, temperature=0) as stream:
            text = "".join(event.delta for event in stream if event.type == "content.delta")
        self.assertTrue(text)

    def test_extras(self):
        more = {"ignore_eos": True, "min_tokens": 12, "top_k": 3, "repetition_penalty": 1.1, "return_token_ids": True}
        answer = self.complete(max_tokens=12, extra_body=more)
        self.assertEqual(answer.usage.completion_tokens, 12)

    def test_errors_have_their_classes(self):
        wrong = [
            {"temperature": -1},
            {"max_tokens": -5},
            {"max_tokens": "many"},
            {"n": 0},
            {"n": 10_000},
            {"logprobs": 21},
            {"presence_penalty": 1},
            {"logit_bias": {"5": 1}},
            {"stop": [["a"]]},
            {"prompt": [[1, 4096]]},
            {"prompt": [[1, -1]]},
            {"prompt": {}},
            {"prompt": [[1] * 513]},
        ]
        for options in wrong:
            with self.subTest(options), self.assertRaises(openai.BadRequestError) as caught:
                self.complete(**options)
            self.assertEqual(caught.exception.type, "invalid_request_error", options)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete([[1] * 600])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.BadRequestError):
            self.complete(temperature=-1, stream=True)
        with self.assertRaises(openai.BadRequestError):
            self.client.chat.completions.create(model="demo", messages=[])
        with self.assertRaises(openai.NotFoundError) as caught:
            self.complete(model="gpt-4")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.NotFoundError):
            self.client.embeddings.create(model="demo", input="a")
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.create(model="demo", input="a")

    def test_who_goes_is_noticed(self):
        # One of few tokens ends its text by itself, if nobody does.
        more = {"max_tokens": 400, "extra_body": {"ignore_eos": True}}
        before = self.server.metric("openelm_requests_cancelled_total")
        with self.complete(stream=True, **more) as stream:
            next(iter(stream))
        with self.assertRaises(openai.APITimeoutError):
            self.complete(timeout=0.3, **more)

        async def cancelled():
            async with openai.AsyncOpenAI(base_url=self.server.url + "/v1", api_key="none") as client:
                self.await_metric("openelm_num_requests_running", 0)
                task = asyncio.create_task(client.completions.create(model="demo", prompt=PROMPT, **more))
                await asyncio.to_thread(self.await_metric, "openelm_num_requests_running", 1)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(cancelled())
        self.await_metric("openelm_requests_cancelled_total", before + 3)
        self.assertTrue(self.complete().choices[0].text)


class Keys(unittest.TestCase):
    def test_only_who_has_the_key_is_served(self):
        server = Server("--api-key", "secret")
        try:
            for key in ["other", "secre", "secrets"]:
                with openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0) as client:
                    with self.assertRaises(openai.AuthenticationError):
                        client.models.list()
            with openai.OpenAI(base_url=server.url + "/v1", api_key="secret") as client:
                self.assertEqual(client.models.list().data[0].id, "demo")
                # A base model has no template, and says what it takes instead.
                with self.assertRaises(openai.BadRequestError) as caught:
                    client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "a"}])
                self.assertIn("completions", str(caught.exception))
        finally:
            self.assertEqual(server.end(), 0)


if __name__ == "__main__":
    unittest.main()
