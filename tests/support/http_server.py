"""A small real HTTP server on loopback that answers from a table and keeps what it was asked."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Head = tuple[int, Mapping[str, str], bytes]
Handler = Callable[["Asked"], Head]
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. Header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HttpServer:
    """What it listens on, and all it was asked. `delay_s` is waited before every answer."""

    port: int
    asked: list[Asked] = field(default_factory=list[Asked])
    names_shown: list[str | None] = field(default_factory=list[str | None])
    """Server names that TLS clients asked for."""
    delay_s: float = 0.0

    def url(self, path: str = "/", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """An address of this server under another name, if wanted."""
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def http_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncGenerator[HttpServer]:
    """Serve on a free port of loopback until the block ends."""
    server = HttpServer(port=0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            server.asked.append(asked)
            await asyncio.sleep(server.delay_s)
            status, headers, body = handler(asked)
            writer.write(_head(status, headers, body))
            writer.write(b"" if asked.method == "HEAD" else body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: server.names_shown.append(name)
    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(HEAD_END)).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)


def _head(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "connection: close"]
    lines += [] if "transfer-encoding" in headers else [f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + HEAD_END
