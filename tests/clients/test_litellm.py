"""LiteLLM, unmodified, against `openelm serve`: by each of its names for such a server."""

import os
import unittest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # It asks nobody for prices.
import litellm

from places import Server


class LiteLLM(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--chat-template", "plain")
        cls.common = {"api_base": cls.server.url + "/v1", "api_key": "none", "temperature": 0, "max_tokens": 8, "num_retries": 0}

    @classmethod
    def tearDownClass(cls):
        assert cls.server.end() == 0

    def test_chats(self):
        messages = [{"role": "user", "content": "Who is the king?"}]
        texts = set()
        for provider in ["openai", "hosted_vllm"]:
            options = {"model": provider + "/demo", "messages": messages, **self.common}
            answer = litellm.completion(**options)
            texts.add(answer.choices[0].message.content)
            chunks = litellm.completion(stream=True, **options)
            texts.add("".join(chunk.choices[0].delta.content or "" for chunk in chunks))
            self.assertEqual(answer.usage.completion_tokens, 8)
        self.assertEqual(len(texts), 1)

    def test_texts(self):
        options = {"model": "text-completion-openai/demo", "prompt": "Once upon a time", **self.common}
        answer = litellm.text_completion(logprobs=1, **options)
        text = answer.choices[0].text
        self.assertEqual(len(answer.choices[0].logprobs.tokens), 8)
        chunks = litellm.text_completion(stream=True, **options)
        self.assertEqual("".join(chunk.choices[0].text or "" for chunk in chunks), text)

    def test_errors(self):
        messages = [{"role": "user", "content": "word " * 2000}]
        with self.assertRaises(litellm.ContextWindowExceededError):
            litellm.completion(model="openai/demo", messages=messages, **self.common)
        with self.assertRaises(litellm.BadRequestError):
            litellm.completion(model="openai/demo", messages=messages[:1], **self.common | {"temperature": -1})


if __name__ == "__main__":
    unittest.main()
