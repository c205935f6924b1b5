"""docs/providers.md: every block of it is loaded and run, and each server's ways are played on the loopback."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

import toolkit as tk
from tests.models.loopback import ASKED, EMBED, chat
from toolkit import fake
from toolkit.errors import (
    CallError,
    ContentFiltered,
    ContextOverflow,
    FleetError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    Unavailable,
)
from toolkit.fleet import Fleet
from toolkit.messages import Reasoning, Text
from toolkit.models.spec import ModelSpec
from toolkit.records import Reply, Request

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(toml|python)\n(.*?)```", PAGE, re.DOTALL)
FILES = {name: block for _, block in BLOCKS for name in re.findall(r"\A# (\w+\.\w+)\n", block)}
FLEETS = [block for kind, block in BLOCKS if kind == "toml" and block not in FILES.values()]
NAMES = re.findall(r"^\[models\.(\w+)\]", "\n".join(FLEETS), re.MULTILINE)
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def fleet_in(folder: Path, text: str) -> Fleet:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return Fleet.load(path)


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """All models of the page but the plug-in's, each of whose secrets is its variable's name."""
    for variable in re.findall(r'(?:key_env|env) = "(\w+)"', PAGE):
        monkeypatch.setenv(variable, f"secret of {variable}")
    return fleet_in(tmp_path, "\n".join(FLEETS))


# ------------------------------------------------------------------------------------------------------------ a server
@dataclass
class Server:
    """Says what it is told to, and keeps what it was asked."""

    url: str = ""
    says: bytes = field(default_factory=chat)
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    paths: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, spec: ModelSpec, request: Request = ASKED) -> Reply | CallError:
        """What the documented model makes of this server in its own server's place."""
        assert spec.endpoint is not None
        here = re.sub(r"^https?://[^/]+", self.url, spec.endpoint)
        provider = Fleet.of(replace(spec, endpoint=here)).open(spec.name)

        async def go() -> Reply | CallError:
            try:
                return await provider.send(request)
            except CallError as error:
                return error
            finally:
                await provider.close()

        return asyncio.run(go())


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.paths.append(self.path)
            made.asked.append({name.lower(): value for name, value in self.headers.items()})
            made.bodies.append(orjson.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(made.status)
            for name, value in {**made.headers, "content-length": str(len(made.says))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.says)

        def log_message(self, *_: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        made.url = f"http://127.0.0.1:{listening.server_address[1]}"
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield made
        listening.shutdown()


def error(code: int | str, message: str, **more: Any) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, **more}})


# ------------------------------------------------------------------------------------------------------------ the page
def test_every_model_of_the_page_can_be_opened(documented: Fleet) -> None:
    assert list(documented) == NAMES
    for name in documented:
        documented.open(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_of_the_page_is_asked_and_read(name: str, documented: Fleet, server: Server) -> None:
    spec = documented[name]
    embeds, is_claude = "embed" in spec.capabilities, spec.provider == "anthropic"
    if embeds:
        vectors = [{"index": index, "embedding": [0.5]} for index in range(2)]
        server.says = orjson.dumps({"data": vectors, "usage": {"prompt_tokens": 2}})
    elif is_claude:
        server.says = orjson.dumps({"content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn"})
    said = server(spec, EMBED if embeds else ASKED)
    assert isinstance(said, Reply), said
    assert said.vectors if embeds else said.text == "hello"
    path = "/embeddings" if embeds else "/messages" if is_claude else "/chat/completions"
    assert server.paths[0].partition("?")[0].endswith(path)
    assert server.bodies[0]["model"] == spec.model


def test_every_setting_that_is_read_is_on_the_page() -> None:
    code = "".join(
        (ROOT / "toolkit" / "models" / f"{name}.py").read_text(encoding="utf-8")
        for name in ("openai", "anthropic", "addressing", "spec")
    )
    read = set(re.findall(r'settings\.get\("(\w+)"', code))
    told = set(re.findall(r"^\| `(\w+) = ", PAGE, re.MULTILINE))
    assert {"key_header", "headers", "body", "structured"} <= read
    assert read == told


# ------------------------------------------------------------------------------------------------------- peculiarities
def test_azure_has_its_key_in_its_own_header_and_its_version_at_the_end_of_the_url(
    documented: Fleet, server: Server
) -> None:
    server(documented["large"])
    assert server.paths == ["/openai/deployments/DEPLOYMENT/chat/completions?api-version=2024-10-21"]
    assert server.asked[0]["api-key"] == "secret of AZURE_OPENAI_API_KEY"
    assert "authorization" not in server.asked[0]
    server(replace(documented["large"], settings={}))
    assert server.asked[1]["authorization"] == "Bearer secret of AZURE_OPENAI_API_KEY"


def test_azures_newer_interface_has_no_version_and_another_field_for_the_limit(
    documented: Fleet, server: Server
) -> None:
    server(documented["reasoning"], ASKED.with_options(max_output_tokens=9))
    assert server.paths == ["/openai/v1/chat/completions"]
    assert server.bodies[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.bodies[0]


def test_azure_tells_the_wait_in_milliseconds(documented: Fleet, server: Server) -> None:
    server.status, server.says = 429, error("429", "Requests have exceeded the rate limit")
    server.headers |= {"retry-after-ms": "1250", "retry-after": "2"}
    refused = server(documented["large"])
    assert isinstance(refused, RateLimited)
    assert refused.retry_after == 1.25


def test_azures_filter_is_met_before_and_after_the_model(documented: Fleet, server: Server) -> None:
    server.says = chat(None, finish_reason="content_filter", prompt_filter_results=[{"prompt_index": 0}])
    assert isinstance(server(documented["large"]), ContentFiltered)
    server.status, server.says = 400, error("content_filter", "The prompt triggered the content management policy.")
    assert isinstance(server(documented["large"]), ContentFiltered)


def test_openrouter_says_what_it_charged_and_that_counts(documented: Fleet, server: Server, tmp_path: Path) -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "cost": 0.0125,
        "cost_details": {"upstream_inference_cost": 1},
    }
    server.says = chat(usage=usage)
    said = server(documented["any"])
    assert isinstance(said, Reply)
    assert said.cost_usd == 0.0125
    here = replace(documented["any"], endpoint=f"{server.url}/api/v1")
    step = tk.step(route=tk.Fixed("any"))(lambda ticket: tk.prompt("Answer.", ticket=ticket))
    run: Any = tk.Workflow("w", [step]).run([{"id": "1", "ticket": "x"}], Fleet.of(here), home=tmp_path)
    assert run.sql("select cost_usd, reported_cost_usd from attempts").rows == ((0.0125, 0.0125),)


def test_openrouter_is_told_who_asks_and_whom_it_may_ask(documented: Fleet, server: Server) -> None:
    server(documented["any"])
    told = server.asked[0]
    assert (told["http-referer"], told["x-title"]) == ("https://desk.example.org", "Support desk")
    assert told["authorization"] == "Bearer secret of OPENROUTER_API_KEY"
    assert server.bodies[0]["provider"] == {"data_collection": "deny", "allow_fallbacks": False}


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        (error(429, "upstream is busy"), RateLimited),
        (error(502, "upstream is down"), Unavailable),
        (chat("", error={"code": 503, "message": "no instances"}), Overloaded),
        (
            orjson.dumps({"choices": [{"message": {"content": "ha"}, "error": {"code": 502, "message": "gone"}}]}),
            Unavailable,
        ),
    ],
)
def test_openrouters_errors_come_under_200(
    says: bytes, kind: type[CallError], documented: Fleet, server: Server
) -> None:
    server.says = says
    assert type(server(documented["any"])) is kind


def test_comments_that_keep_a_stream_alive_are_read_over(documented: Fleet, server: Server) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
    server.headers = {"content-type": "text/event-stream"}
    server.says = b": OPENROUTER PROCESSING\n\ndata: %b\n\n: still here\n\ndata: [DONE]\n\n" % orjson.dumps(chunk)
    said = server(replace(documented["any"], settings={"stream": True}))
    assert isinstance(said, Reply)
    assert said.text == "hi"


def test_a_server_that_tells_no_usage_leaves_tokens_and_cost_unknown(
    documented: Fleet, server: Server, tmp_path: Path
) -> None:
    here = replace(documented["local"], endpoint=f"{server.url}/v1", price=documented["gpt"].price)
    assert server(here) == Reply((Text("hello"),), finish_reasons=("stop",), response_model="m-1", response_id="c-1")
    step = tk.step(route=tk.Fixed("local"))(lambda ticket: tk.prompt("Answer.", ticket=ticket))
    run: Any = tk.Workflow("w", [step]).run([{"id": "1", "ticket": "x"}], Fleet.of(here), home=tmp_path)
    assert run.sql("select input_tokens, output_tokens, cost_usd from attempts").rows == ((None, None, None),)
    assert run.sql("select status from rows").rows == (("answered",),)


@pytest.mark.parametrize("status", [400, 500])
def test_llama_cpp_says_that_a_prompt_is_too_long_under_either_status(
    status: int, documented: Fleet, server: Server
) -> None:
    words = "the request exceeds the available context size, try increasing it"
    server.status = status
    server.says = error(status, words, type="exceed_context_size_error", n_prompt_tokens=1407, n_ctx=256)
    assert isinstance(server(documented["local"]), ContextOverflow)


def test_a_model_that_is_being_loaded_is_overloaded(documented: Fleet, server: Server) -> None:
    server.status, server.says = 503, error(503, "Loading model", type="unavailable_error")
    assert isinstance(server(documented["local"]), Overloaded)
    assert server.bodies[0]["cache_prompt"] is True


def test_vllms_reasoning_is_no_part_of_the_answer(documented: Fleet, server: Server) -> None:
    for name in ("reasoning", "reasoning_content"):
        server.says = chat(message={"content": "4", name: "2 and 2"})
        said = server(documented["code"])
        assert isinstance(said, Reply)
        assert said.parts == (Reasoning("2 and 2"), Text("4"))
        assert said.text == "4"
    assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_vllm_refuses_what_is_longer_than_the_window(documented: Fleet, server: Server) -> None:
    server.status = 400
    server.says = orjson.dumps(
        {"object": "error", "message": "This model's maximum context length is 32768 tokens.", "code": 400}
    )
    assert isinstance(server(documented["code"]), ContextOverflow)


def test_a_server_that_refuses_schemas_is_asked_in_words(documented: Fleet) -> None:
    with fake.running(fake.settings({"models": {"qwen3:4b": {"structured": "refused"}}})) as behind:
        asked = Server(url=behind.url.removesuffix("/v1"))
        typed = ASKED.with_options(output_schema=NUMBER)
        assert isinstance(asked(documented["small"], typed), InvalidRequest)
        said = asked(replace(documented["small"], settings={"structured": False}), typed)
    assert isinstance(said, Reply)
    assert isinstance(orjson.loads(said.text)["n"], int)


def test_litellm_passes_the_wait_on_under_a_name_of_its_own(documented: Fleet, server: Server) -> None:
    server.status, server.says = 429, error("429", "slow down")
    server.headers["llm_provider-retry-after"] = "7"
    refused = server(documented["through"])
    assert isinstance(refused, RateLimited)
    assert refused.retry_after == 7


def test_a_gateways_secret_comes_from_the_environment(
    documented: Fleet, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server(documented["gateway"])
    assert server.asked[0]["x-gateway-token"] == "secret of GATEWAY_TOKEN"
    monkeypatch.delenv("GATEWAY_TOKEN")
    with pytest.raises(FleetError, match="GATEWAY_TOKEN"):
        documented.open("gateway")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"headers": ["x"]}, "settings.headers is a table"),
        ({"headers": {"x y": "1"}}, "'x y' is no name of a header"),
        ({"headers": {"x": 1}}, "is a text, or"),
        ({"headers": {"x": {"env": "A", "more": 1}}}, "is a text, or"),
        ({"headers": {"x": "a\r\nhost: elsewhere"}}, "characters that no header has"),
        ({"headers": {"x": ""}}, "is empty"),
        ({"key_header": "a b"}, "no name of a header"),
        ({"key_header": 1}, "no name of a header"),
    ],
)
def test_a_header_that_cannot_be_sent_is_told_before_anything_is(
    settings: dict[str, Any], words: str, documented: Fleet
) -> None:
    with pytest.raises(FleetError, match=re.escape(words)):
        Fleet.of(replace(documented["gpt"], settings=settings)).open("gpt")


def test_a_key_with_a_lines_end_is_told_without_the_key(documented: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "s3cret\n")
    with pytest.raises(FleetError) as refused:
        documented.open("large")
    assert "s3cret" not in str(refused.value)


def test_no_secret_shows_where_a_model_is_shown(documented: Fleet) -> None:
    for name in documented:
        shown = repr(vars(documented.open(name)))
        assert "secret of" not in shown, name


def test_fields_of_the_body_must_be_a_table(documented: Fleet, server: Server) -> None:
    with pytest.raises(FleetError, match=r"settings\.body"):
        server(replace(documented["gpt"], settings={"body": 1}))


# ---------------------------------------------------------------------------------------------------------- a plug-in
@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The page's package, really installed beside us, and the environment in which Python finds it."""
    folder = tmp_path_factory.mktemp("plugin")
    for name in ("pyproject.toml", "toolkit_command.py", "test_command.py", "models.toml"):
        (folder / name).write_text(FILES[name], encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as packed:  # which is all that installing a wheel of pure Python does
        packed.extractall(site)
    (folder / "toolkit_command.py").unlink()
    return folder, {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}


@pytest.mark.slow
def test_a_plug_in_keeps_the_laws(plugged: tuple[Path, dict[str, str]]) -> None:
    folder, environment = plugged
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "error", "test_command.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 7 passed" in done.stdout


@pytest.mark.slow
def test_a_plug_in_answers_a_run_under_its_name(plugged: tuple[Path, dict[str, str]]) -> None:
    folder, environment = plugged
    code = (
        "import toolkit as tk\n"
        "step = tk.step(route=tk.Fixed('shouting'))(lambda ticket: tk.prompt('say', ticket=ticket))\n"
        "run = tk.Workflow('w', [step]).run([{'id': '1', 'ticket': 'where'}], tk.Fleet.load('models.toml'))\n"
        "print(run.sql('select provider_name, model from attempts').rows, run.sql('select value from answers').rows)\n"
        "try: tk.Fleet.of(tk.ModelSpec('x', 'commando', 'x')).open('x')\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "('command', 'shouting')" in done.stdout
    assert "WHERE" in done.stdout
    assert "known are openai, anthropic, embedded, recorded, person, command" in done.stdout
