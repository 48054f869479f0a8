"""Options that mean the same in every command that has them, declared once."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Neither progress nor notes on stderr.")]

ModelDirectory = Annotated[
    Path, typer.Option("--model", "-m", help="Model directory.", show_default=False)
]
Target = Annotated[
    Path,
    typer.Option("--out", "-o", help="GeoTIFF to write; a folder for several.", show_default=False),
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Throw away the parts of an unfinished run.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace finished outputs of another run.")
]

FeaturesArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FEATURES",
        help="Raster of features, as `geohier embed` writes it, or any image.",
        show_default=False,
    ),
]
FeatureBands = Annotated[
    str | None,
    typer.Option(help="Bands that are features: 4,3,2 or names.", show_default="all but alpha"),
]
Nodata = Annotated[
    float | None, typer.Option(help="Nodata value, in place of what the file declares.")
]
RadiusM = Annotated[
    float, typer.Option(help="Radius of the disc that a point stands for, m; 0 is its pixel.")
]

Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run that is in --out, if any.")
]
TrainingQuiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
ResultAsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
