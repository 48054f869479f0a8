"""Hierarchical representations of the Earth from imagery: train, map rasters of any size, measure.

The public names are those of `__all__`. Each is imported when it is first used, because what
stands behind them takes seconds to load.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geohier.inference.embed import embed_raster
    from geohier.inference.pipeline import predict_raster
    from geohier.models.card import ModelCard
    from geohier.models.directory import load_model
    from geohier.raster.cube import open_result

    __version__: str

__all__ = [
    "ModelCard",
    "__version__",
    "embed_raster",
    "load_model",
    "open_result",
    "predict_raster",
]

_HOMES = {
    "ModelCard": "geohier.models.card",
    "embed_raster": "geohier.inference.embed",
    "load_model": "geohier.models.directory",
    "open_result": "geohier.raster.cube",
    "predict_raster": "geohier.inference.pipeline",
}

if not TYPE_CHECKING:  # a type checker sees the imports above instead, with their signatures

    def __getattr__(name: str) -> object:
        from importlib import import_module, metadata

        if name == "__version__":
            value = metadata.version("geohier")
        elif name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'geohier' has no attribute {name!r}", name=name)
        return globals().setdefault(name, value)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
