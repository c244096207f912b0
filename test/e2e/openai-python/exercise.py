"""exercise.py BASE_URL MODEL: uses the official client in all the ways people do and prints what came as JSON."""

import asyncio
import json
import sys

import openai

base_url, model = sys.argv[1:3]
hello = [{"role": "user", "content": "Say something."}]


def sync():
    client = openai.OpenAI(base_url=base_url, api_key="sk-test", max_retries=0)
    whole = client.chat.completions.create(model=model, messages=hello, max_tokens=5)
    stream = client.chat.completions.create(
        model=model, messages=hello, max_tokens=5, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = client.completions.create(model=model, prompt="Once upon a time", max_tokens=5)
    response = client.responses.create(model=model, input="Say something.", max_output_tokens=5)
    events = list(client.responses.create(model=model, input="Say something.", max_output_tokens=5, stream=True))
    return {
        "whole": [whole.model, whole.usage.completion_tokens, bool(whole.choices[0].message.content)],
        "stream": [
            sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks),
            chunks[-1].usage.completion_tokens,
        ],
        "text": text.usage.completion_tokens,
        "response": [response.status in ("completed", "incomplete"), bool(response.output_text)],
        "events": [events[0].type, events[-1].type in ("response.completed", "response.incomplete")],
        "embedding": len(client.embeddings.create(model=model, input="words").data[0].embedding),
        "models": [listed.id for listed in client.models.list()],
        "one": client.models.retrieve(model).id,
        "error": error_of(client),
    }


def error_of(client):
    try:
        client.chat.completions.create(model="none", messages=hello)
    except openai.NotFoundError as error:
        return [type(error).__name__, error.code, error.type, error.param, error.request_id is not None]
    return "no error"


async def asynchronous():
    async with openai.AsyncOpenAI(base_url=base_url, api_key="sk-test", max_retries=0) as client:
        wholes = await asyncio.gather(
            *[client.chat.completions.create(model=model, messages=hello, max_tokens=5) for _ in range(20)]
        )
        stream = await client.chat.completions.create(model=model, messages=hello, max_tokens=5, stream=True)
        pieces = [chunk.choices[0].delta.content async for chunk in stream]
        # Left in the middle, as a user who presses stop.
        long = await client.chat.completions.create(model=model, messages=hello, max_tokens=100000, stream=True)
        async for _ in long:
            break
        await long.close()
    return {"wholes": sum(one.usage.completion_tokens for one in wholes), "pieces": sum(map(bool, pieces))}


print(json.dumps({"sync": sync(), "async": asyncio.run(asynchronous())}))
