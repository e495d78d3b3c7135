"""Program that calls models by the official client at a URL, and prints the results."""

from __future__ import annotations

import json
import sys
from typing import Any

import openai

URL = sys.argv[1]
client = openai.OpenAI(base_url=URL, api_key="of-the-client", max_retries=2)
observed: dict[str, Any] = {}
messages: list[Any] = [{"role": "user", "content": "look"}]


def chat(model: str, **fields: Any) -> Any:
    return client.chat.completions.create(model=model, messages=messages, **fields)


answer = chat("say:hello there")
observed["text"] = answer.choices[0].message.content
observed["extra"] = sorted((answer.model_extra or {}).keys())
observed["choice_extra"] = sorted((answer.choices[0].model_extra or {}).keys())
observed["logprobs"] = answer.choices[0].logprobs

chunks = list(chat("say:one\ntwo", stream=True))
observed["stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
observed["stream_usage"] = [chunk.usage for chunk in chunks if chunk.usage]

usage = list(chat("say:one", stream=True, stream_options={"include_usage": True}))[-1].usage
observed["asked_usage"] = usage.total_tokens if usage else None

call = chat('tool:look:{"at":1}', tools=[{"type": "function", "function": {"name": "look"}}])
observed["call"] = call.choices[0].message.tool_calls[0].function.arguments

try:
    chat("fail:500")
except openai.InternalServerError as error:
    observed["error"] = error.status_code
try:
    chat("fail:400")
except openai.BadRequestError as error:
    observed["refusal"] = error.status_code
observed["repeated"] = chat("fail:503:1:say:at last").choices[0].message.content
observed["models"] = [model.id for model in client.models.list()]
try:
    openai.OpenAI(base_url=URL.replace("/r/", "/r/x"), api_key="no").models.list()
except openai.AuthenticationError as error:
    observed["unknown"] = error.status_code
while True:
    try:
        chat("say:more")
    except openai.BadRequestError as error:
        observed["ended"] = error.code
        break
print(json.dumps(observed))
