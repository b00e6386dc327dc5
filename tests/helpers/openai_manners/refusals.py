"""Statuses, error objects, redirects and lists of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .manner import HALF, SAID, Behave, Expected, Manner, delta, fails, polite, reply, stream

if TYPE_CHECKING:
    from .server import Exchange

OOM = {"error": {"message": "CUDA out of memory. Tried to allocate 2.00 GiB", "code": 500}}
BOOM = {"error": {"message": "boom", "type": "server_error"}}
LONG = {"error": {"message": "This model's maximum context length is 4096 tokens, got 9000"}}
WORDS = "text/html"


def refused(name: str, status: int, value: Any, *classes: str, **more: Any) -> Manner:
    """Every question gets this status and body."""
    more = {"message": str(status), "requests": 1, **more}
    return Manner(name=name, question=reply(status, value), expected=fails(*classes, **more))


def manners() -> list[Manner]:
    """All of them."""
    validation = {"detail": [{"loc": ["body", "messages"], "msg": "bad", "input": "x" * 9999}]}
    no_vision = {"error": {"message": "image input is not supported - provide the mmproj"}}
    return [
        refused("too-large-413", 413, "<html>Request Entity Too Large", "too_long"),
        refused("context-length-400", 400, LONG, "too_long"),
        refused("no-key-401", 401, {"error": {"message": "bad key"}}, "gated"),
        refused("forbidden-403", 403, "<html>Forbidden", "gated"),
        refused(
            "unknown-model-404", 404, {"error": {"message": "model 'x' not found"}}, "not_found"
        ),
        refused("no-such-path-404", 404, "404 page not found", "not_found"),
        refused("validation-422", 422, validation, "server_error", "protocol", retry=None),
        refused("no-vision-400", 400, no_vision, "unsupported"),
        refused("bad-image-400", 400, {"error": "failed to decode image"}, "bad_image"),
        refused("cuda-oom-500", 500, OOM, "out_of_memory"),
        refused("boom-500", 500, BOOM, "server_error", retry="queue", requests=None),
        refused("no-words-500", 500, "", "server_error", retry="queue", requests=None),
        refused("not-implemented-501", 501, {}, "server_error", "unsupported", retry=None),
        refused("teapot-418", 418, "<html>teapot</html>", "server_error", retry=None),
        refused("no-content-204", 204, "", "server_error", "protocol", retry=None),
        refused(
            "error-is-a-list",
            500,
            {"error": [1, {"a": []}]},
            "server_error",
            retry=None,
            requests=None,
        ),
        refused("error-is-bytes", 500, b"\xff\xfe\x00", "server_error", retry=None, requests=None),
        *redirects(),
        *errors_with_200(),
        *listings(),
    ]


def redirects() -> list[Manner]:
    """Images and key go where they were sent, and nowhere else."""
    moved = reply(307, "", Location="http://127.0.0.1:9/v1/chat/completions?token=secret")
    looped = reply(308, "", Location="/v1/chat/completions")
    nowhere = reply(302, "")
    return [
        Manner(
            name="redirect-elsewhere",
            question=moved,
            expected=fails("network", "protocol", message="not followed", requests=1),
        ),
        Manner(
            name="redirect-in-a-circle",
            question=looped,
            expected=fails("network", "protocol", message="not followed", requests=1),
        ),
        Manner(
            name="redirect-nowhere",
            question=nowhere,
            expected=fails("network", "protocol", message="nowhere", requests=1),
        ),
    ]


def errors_with_200() -> list[Manner]:
    """The status is fine, the answer is an error."""
    boom = fails("server_error", message="boom", retry="queue")
    after = fails("server_error", text=HALF, message="boom", retry="queue")
    full = fails("out_of_memory", text=HALF, message="memory")
    return [
        Manner(name="error-whole-200", question=reply(200, BOOM), expected=boom),
        Manner(name="error-string-200", question=reply(200, {"error": "boom"}), expected=boom),
        Manner(
            name="error-object-200",
            question=reply(200, {"object": "error", "message": "boom", "code": 500}),
            expected=boom,
        ),
        Manner(name="error-in-stream", question=stream(delta(HALF), BOOM), expected=after),
        Manner(name="error-first-in-stream", question=stream(BOOM), expected=boom),
        Manner(
            name="error-in-stream-then-done",
            question=stream(delta(HALF), BOOM, "[DONE]"),
            expected=after,
        ),
        Manner(name="error-oom-in-stream", question=stream(delta(HALF), OOM), expected=full),
        Manner(
            name="error-context-in-stream",
            question=stream(delta(HALF), LONG),
            expected=fails("too_long", text=HALF),
        ),
        Manner(
            name="error-null-beside-answer",
            question=stream(
                *(value | {"error": None} for value in SAID),
                delta(finish="stop") | {"error": {}},
                "[DONE]",
            ),
            expected=Expected(),
        ),
    ]


def listed(name: str, models: Behave, expected: Expected | None = None) -> Manner:
    """An odd list of models, and good manners otherwise."""
    return Manner(name=name, models=models, question=polite, expected=expected or Expected())


def listings() -> list[Manner]:
    """Lists of models in other forms. Where the name cannot be checked, it is not."""

    def bare(exchange: Exchange) -> None:
        exchange.reply(200, exchange.listing())

    def native(exchange: Exchange) -> None:
        names = [{"name": model["id"], "model": model["id"]} for model in exchange.listing()]
        exchange.reply(200, {"models": names})

    def strings(exchange: Exchange) -> None:
        exchange.reply(200, {"data": [model["id"] for model in exchange.listing()]})

    def mixed(exchange: Exchange) -> None:
        exchange.reply(200, {"data": [7, None, {"id": 8}, {}, *exchange.listing()]})

    def plain(exchange: Exchange) -> None:
        data = exchange.listing()
        exchange.reply(200, {"data": data}, {"Content-Type": "text/plain"})

    other = reply(200, {"data": [{"id": "another"}]})
    protocol = fails("protocol", where="load")
    return [
        listed("models-bare-list", bare),
        listed("models-native", native),
        listed("models-strings", strings),
        listed("models-mixed", mixed),
        listed("models-as-text-plain", plain),
        listed("models-data-null", reply(200, {"object": "list", "data": None})),
        listed("models-empty", reply(200, {"object": "list", "data": []})),
        listed("models-404", reply(404, {})),
        listed("models-405", reply(405, "")),
        listed("models-other", other, fails("not_found", where="load", message="manner:")),
        listed("models-401", reply(401, {}), fails("gated", where="load")),
        listed("models-page", reply(200, "<html>Welcome", Content_Type=WORDS), protocol),
        listed("models-number", reply(200, 7), protocol),
        listed(
            "models-redirect",
            reply(307, "", Location="/login"),
            fails("network", "protocol", where="load", retry=None),
        ),
    ]
