"""Scripts and styles of the studio's components: served once under an address that names their content.

Streamlit repeats a component's inline script in every message that redraws it. So the inline part is only a loader of
a few hundred bytes; what it loads is cached by the browser for good.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).with_name("components")
PREFIX = "/studio-assets"
MEDIA_TYPES = {"js": "text/javascript", "css": "text/css"}

LOADER = """
let ready;
export default async function (component) {
  ready ??= Promise.all([
    import(`${location.origin}%(script)s`),
    "%(style)s" ? fetch("%(style)s").then((reply) => reply.text()) : "",
  ]);
  const [module, css] = await ready;
  const root = component.parentElement;
  if (css && !root.querySelector("style[data-studio]")) {
    const style = document.createElement("style");
    style.dataset.studio = "";
    style.textContent = css;
    root.append(style);
  }
  return module.default(component);
}
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `address` changes whenever its content does."""

    address: str
    content: bytes
    media_type: str


def component_loader(name: str) -> str:
    """The inline script of the component in `components/<name>`."""
    files = {asset.media_type: asset.address for asset in component_assets(name)}
    return LOADER % {"script": files[MEDIA_TYPES["js"]], "style": files.get(MEDIA_TYPES["css"], "")}


def component_assets(name: str) -> list[Asset]:
    """The script, and the style if it has one, of the component in `components/<name>`."""
    found: list[Asset] = []
    for suffix, media_type in MEDIA_TYPES.items():
        path = FOLDER / name / f"{name}.{suffix}"
        if path.is_file():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            found.append(Asset(f"{PREFIX}/{name}.{digest}.{suffix}", content, media_type))
    return found


def asset_routes() -> list[Route]:
    """One route for each file of each component."""
    names = sorted(path.name for path in FOLDER.iterdir() if (path / f"{path.name}.js").is_file())
    return [_route(asset) for name in names for asset in component_assets(name)]


def _route(asset: Asset) -> Route:
    async def answer(_: Request) -> Response:
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return Route(asset.address, answer)
