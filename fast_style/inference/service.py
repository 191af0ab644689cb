"""Pictures by HTTP: a photo in the body of a request, the picture in the body of the answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from PIL import Image

from fast_style.errors import FastStyleError, one_line
from fast_style.inference.stylizer import Stylizer
from fast_style.keys import STRONGEST
from fast_style.networks.upscaler import Upscaler

# What is taken, by Pillow's names: what browsers and phones send, and the fewest decoders.
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
EXAMPLE = 'curl --data-binary @photo.jpg "http://127.0.0.1:8000/stylize?style=mosaic" -o picture.jpg'


class Painter(NamedTuple):
    """What paints one style; `name` is None where the model has no other."""

    stylizer: Stylizer
    name: str | None


class Turns:
    """Lets few work at a time and few wait, each for no longer than so many seconds."""

    def __init__(self, at_once: int, waiting: int, seconds: float):
        self.free, self.room, self.seconds = asyncio.Semaphore(at_once), at_once + waiting, seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place to wait at. Raises a 503 if there is none."""
        if not self.room:
            raise HTTPException(503, "too many pictures are waiting: ask again later", {"Retry-After": "5"})
        self.room -= 1
        try:
            yield
        finally:
            self.room += 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """When there is a turn. Raises a 503 if it does not come in time."""
        try:
            await asyncio.wait_for(self.free.acquire(), self.seconds)
        except TimeoutError:
            raise HTTPException(503, f"no turn for {self.seconds:g} s: ask later", {"Retry-After": "5"}) from None
        try:
            yield
        finally:
            self.free.release()


def load_styles(models: str | list[str], device: str = "auto", precision: str = "auto") -> dict[str, Painter]:
    """What paints each style of some models, or of all in a folder, by its name. Raises FastStyleError."""
    given = [Path(model) for model in (models if isinstance(models, list) else [models])]
    paths = [path for one in given for path in (sorted(one.glob("*.safetensors")) if one.is_dir() else [one])]
    if not paths:
        raise FastStyleError(f"models={models}: no model.safetensors is in it")
    styles = {}
    for path in paths:
        stylizer = Stylizer(path, device, precision)
        if isinstance(stylizer.network, Upscaler):
            raise FastStyleError(f"models={path} enlarges photos: give models that paint")
        for name in stylizer.names:
            if name in styles:
                raise FastStyleError(f"models={models}: two have a style that is called {name}")
            styles[name] = Painter(stylizer, name if stylizer.several else None)
    return styles


def build_app(styles: dict[str, Painter], limits: dict) -> FastAPI:
    """The service; limits are the keys of configs/serve.yaml."""
    app = FastAPI(title="fast-style", version=version("fast-style"), description=f"Paints photos: `{EXAMPLE}`")
    turns = Turns(limits["at_once"], limits["waiting"], limits["timeout"])
    largest, names = limits["max_size"], tuple(styles)
    body = {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES.values()}}
    refusals = {
        408: "The photo did not come in time.", 413: "It is too large.", 415: "It is of no type that is taken.",
        503: "Too many are waiting.",
    }  # fmt: skip
    answers = {status: {"description": reason} for status, reason in refusals.items()}
    answers[200] = {"content": {kind: {} for kind in (TYPES["JPEG"], TYPES["PNG"])}, "description": "The picture."}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the service answers."""
        return {"status": "ok"}

    @app.get("/styles")
    async def list_styles() -> list[str]:
        """The styles there are."""
        return list(names)

    @app.post(
        "/stylize",
        response_class=Response,
        responses=answers,
        openapi_extra={"requestBody": body | {"required": True}},
    )
    async def stylize(
        request: Request,
        style: Annotated[Literal[names], Query()],
        strength: Annotated[float, Query(ge=0, le=STRONGEST)] = 1.0,
        preserve_color: bool = False,
        max_size: Annotated[int, Query(ge=1, le=largest)] = largest,
    ) -> Response:
        """The photo in the body, painted: a JPEG for a JPEG, else a PNG."""
        async with turns.place():
            photo = await receive(request, limits["max_bytes"], limits["timeout"])
            check_photo(photo, limits["max_pixels"])
            async with turns.turn():
                if await request.is_disconnected():
                    return Response(status_code=499)
                painter = styles[style]
                paint = partial(
                    painter.stylizer,
                    photo,
                    style=painter.name,
                    max_size=max_size,
                    strength=strength,
                    preserve_color=preserve_color,
                )
                picture = await asyncio.to_thread(paint)
        return Response(picture, media_type=TYPES["JPEG" if picture.startswith(b"\xff\xd8") else "PNG"])

    @app.exception_handler(FastStyleError)
    async def refuse(_: Request, error: FastStyleError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(RuntimeError)  # out of memory has no type of its own on the CPU
    async def fail(_: Request, error: RuntimeError) -> JSONResponse:
        return JSONResponse({"detail": one_line(error)}, 500)

    return app


async def receive(request: Request, most: int, seconds: float) -> bytes:
    """The body of a request. Raises a 413 if it has more bytes than `most`, and a 408 if it does not come in time."""
    received = BytesIO()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                if received.tell() + len(part) > most:
                    raise HTTPException(413, f"a photo may have {most:,} bytes")
                received.write(part)
    except TimeoutError:
        raise HTTPException(408, f"the photo did not come within {seconds:g} s") from None
    return received.getvalue()


def check_photo(photo: bytes, most: int) -> None:
    """Raise a 415 for what is no photo of the types that are taken, and a 413 for one of more pixels than `most`, by
    what its header says."""
    try:
        with Image.open(BytesIO(photo), formats=list(TYPES)) as image:
            width, height = image.size
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise HTTPException(415, f"send a whole photo, one of {', '.join(TYPES)}") from error
    if width * height > most:
        raise HTTPException(413, f"a photo may have {most:,} pixels, and this has {width}x{height}")
