"""An OpenAI-compatible server on the loopback: answers, counts requests by body, and is a process of its own.

    POST /v1/chat/completions        an answer to the prompt: "answer to <its first section>", or {"label": "a"}
    POST /nonsense/chat/completions  where JSON was wanted: never JSON
    POST /slow/chat/completions      an answer after a minute
    GET  /counts                     [[text of the prompt, times asked], …]

Prints its port on stdout once it listens.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from hashlib import sha256
from typing import Any

from aiohttp import web

counts: Counter[str] = Counter()
prompts: dict[str, str] = {}


async def answer(request: web.Request) -> web.Response:
    body = await request.read()
    content = json.loads(body)
    text = "\n".join(message["content"] for message in content["messages"])
    name = sha256(body).hexdigest()
    counts[name] += 1
    prompts[name] = text
    await asyncio.sleep(60 if request.path.startswith("/slow") else DELAY_SECONDS)
    if request.path.startswith("/nonsense"):
        said = "I would rather not."
    elif "response_format" in content:
        said = json.dumps({"label": "a"})
    else:
        said = f"answer to {text.split('>')[1].split('<')[0].strip()}" if ">" in text else "answer"
    return web.json_response(_reply(said, len(text)))


async def told(_request: web.Request) -> web.Response:
    return web.json_response([[prompts[name], count] for name, count in counts.items()])


def _reply(said: str, size: int) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
    usage = {"prompt_tokens": size // 4, "completion_tokens": len(said) // 4}
    return {"id": "r", "object": "chat.completion", "model": "served", "choices": [choice], "usage": usage}


async def serve() -> None:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_post("/nonsense/chat/completions", answer)
    app.router.add_post("/slow/chat/completions", answer)
    app.router.add_get("/counts", told)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    DELAY_SECONDS = float(sys.argv[1])
    asyncio.run(serve())
