"""Formulas equal NumPy's arithmetic of the same bands, and whatever is no formula is refused."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geohier.errors import ConfigError
from geohier.geo.bands import canonical
from geohier.geo.formula import DEEPEST, LONGEST, read_formula
from geohier.geo.indices import INDICES, needs_reflectance

Array = NDArray[np.float64]
Reference = Callable[[Mapping[str, Array]], Array]
Written = tuple[str, Reference]
NAMES = ("red", "nir", "B8A", "near infrared")
BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power}
UNARY = {"abs": np.abs, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "log10": np.log10}
SEVERAL = {"min": np.minimum, "max": np.maximum}


def of_band(name: str) -> Written:
    return (f"'{name}'" if " " in name else name, lambda bands: bands[name])


def of_number(value: float) -> Written:
    return f"{value!r}", lambda bands: np.full_like(bands["red"], value)


def of_two(operator: str, left: Written, right: Written) -> Written:
    text = f"({left[0]}) {operator} ({right[0]})"
    return text, lambda bands: BINARY[operator](left[1](bands), right[1](bands))


def of_one(function: str, inner: Written) -> Written:
    return f"{function}({inner[0]})", lambda bands: UNARY[function](inner[1](bands))


def of_several(function: str, parts: list[Written]) -> Written:
    def reference(bands: Mapping[str, Array]) -> Array:
        least: Array = SEVERAL[function].reduce([part[1](bands) for part in parts])
        return least

    return f"{function}({', '.join(part[0] for part in parts)})", reference


def negated(inner: Written) -> Written:
    return f"-({inner[0]})", lambda bands: np.negative(inner[1](bands))


def clipped(inner: Written) -> Written:
    return f"clip({inner[0]}, -2, 3)", lambda bands: np.clip(inner[1](bands), -2, 3)


def formulas() -> st.SearchStrategy[Written]:
    numbers = st.floats(0, 1e6, allow_subnormal=False).map(of_number)
    leaves = st.sampled_from(NAMES).map(of_band) | numbers
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(of_two, st.sampled_from(sorted(BINARY)), inner, inner),
            st.builds(of_one, st.sampled_from(sorted(UNARY)), inner),
            st.builds(of_several, st.sampled_from(sorted(SEVERAL)), st.lists(inner, min_size=2)),
            inner.map(negated),
            inner.map(clipped),
        ),
        max_leaves=8,
    ).map(lambda one: of_two("+", of_band("red"), one))


@given(formulas(), st.integers(0, 2**32 - 1))
def test_a_formula_is_what_numpy_computes_of_the_same_bands(written: Written, seed: int) -> None:
    text, reference = written
    rng = np.random.default_rng(seed)
    bands = {name: rng.integers(-3, 10_000, 50).astype(np.float64) for name in NAMES}

    formula = read_formula(text)
    found = formula.compute([bands[name] for name in formula.names])

    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, reference(bands))


@given(formulas(), st.integers(1, 200), st.data())
def test_pixels_do_not_depend_on_what_they_are_computed_with(
    written: Written, count: int, data: st.DataObject
) -> None:
    formula = read_formula(written[0])
    rng = np.random.default_rng(count)
    bands = [rng.uniform(-1, 1, count) for _ in formula.names]
    cut = data.draw(st.integers(0, count))

    whole = formula.compute(bands)
    parts = [
        formula.compute([band[at].copy() for band in bands])
        for at in (slice(cut), slice(cut, None))
    ]

    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nir - red - 1", 8 - 2 - 1),
        ("nir / red / 2", 8 / 2 / 2),
        ("nir + red * 3", 8 + 2 * 3),
        ("-red ** 2", -(2**2)),
        ("red ** -1", 2**-1),
        ("2 ^ red ** 3", 2 ** (2**3)),
        ("2 - -red", 2 + 2),
        ("+red * -nir", -16),
        ("NIR / Red", 4),
        (" ( nir )\n/ red ", 4),
        (".5 * red + 1e-1 + 2.", 3.1),
        ("max(1, red, nir, 3)", 8),
        ("LOG10(red * 50)", 2),
        ("'red' / \"nir\"", 0.25),
        ("min - 1", 4),
    ],
)
def test_precedence_is_pythons_and_names_are_of_any_case(text: str, value: float) -> None:
    bands = {"red": 2.0, "nir": 8.0, "min": 5.0}
    formula = read_formula(text)

    found = formula.compute([np.array([bands[canonical(name)]]) for name in formula.names])

    np.testing.assert_allclose(found, [value])


def test_each_band_is_named_once_in_the_order_of_use() -> None:
    assert read_formula("(nir - 'red') / (nir + red) + max(blue, 2)").names == (
        "nir",
        "red",
        "blue",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nir / (red + ", "ends where a band, a number or a parenthesis should stand"),
        ("", "ends where a band"),
        ("nir red", "'red' at character 5 stands where an operator should"),
        ("nir // red", "'/' at character 6 stands where a band"),
        ("(nir - red", "ends where an operator or a closing parenthesis"),
        ("nir)", r"'\)' at character 4 stands where an operator"),
        ("nir; red", "';' at character 4"),
        ("nir.real", r"'\.' at character 4|'\.re"),
        ("nir[0]", r"'\[' at character 4"),
        ("__import__('os')", "no function __import__: there are abs sqrt"),
        ("open(nir)", "no function open"),
        ("(lambda: nir)()", "':' at character 8|'nir'"),
        ("f'{nir}'", "stands where an operator should"),
        ("8A / red", "'A' at character 2"),
        ("sqrt(nir, red)", "sqrt takes 1 values, found 2"),
        ("max(nir)", "max takes 2 or more values, found 1"),
        ("clip(nir, 0)", "clip takes 3 values, found 2"),
        ("max()", r"'\)' at character 5 stands where a band"),
        ("1 + 2", "names no band"),
        ("nir + 1e999", "1e999 is too large a number"),
        ("nir + " * LONGEST, "may have 1000 characters"),
        ("(" * 500 + "nir" + ")" * 400, "deeper than"),
        ("-" * 900 + "nir", "deeper than"),
        ("nir" + "**nir" * 190, "deeper than"),
    ],
)
def test_what_is_no_formula_is_refused_in_a_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read_formula(text)

    assert "\n" not in str(caught.value)


def test_what_is_long_but_flat_is_no_depth() -> None:
    terms = (LONGEST - 3) // 4
    formula = read_formula("nir" + "+nir" * terms)
    deep = read_formula("(" * (DEEPEST - 1) + "nir" + ")" * (DEEPEST - 1))

    assert formula.compute([np.array([2.0])]).tolist() == [2.0 * (terms + 1)]
    assert deep.compute([np.array([2.0])]).tolist() == [2.0]


@given(st.text("()+-*/^,. 1ae'\"nir\n", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            formula = read_formula(text)
        except ConfigError:
            return
        assert formula.compute([np.ones(3)] * len(formula.names)).shape == (3,)


def test_where_a_formula_has_no_value_it_is_not_finite_and_nothing_warns() -> None:
    formula = read_formula("(nir - red) / (nir + red) + log(nir)")

    found = formula.compute([np.array([0.0, 1.0]), np.array([0.0, 1.0])])

    assert np.isfinite(found).tolist() == [False, True]


def test_every_index_is_in_the_documentation() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | `{one.formula}` | {one.source} |" for name, one in INDICES.items()]
    assert [row for row in rows if row not in text.splitlines()] == []


@given(st.data())
def test_indices_of_reflectances_keep_to_their_range(data: st.DataObject) -> None:
    index = INDICES[data.draw(st.sampled_from(sorted(INDICES)))]
    formula = read_formula(index.formula)
    bands = [np.array([data.draw(st.floats(0, 1))]) for _ in formula.names]

    (value,) = formula.compute(bands)

    assert np.isnan(value) or -1 <= value <= (2 if "2 * green" in index.formula else 1)
    assert all(canonical(name) == name for name in formula.names)


def test_known_indices_are_as_published() -> None:
    """One pixel of vegetation: blue, green, red, red edge, NIR, 1.6 and 2.2 micrometres."""
    names = ("blue", "green", "red", "rededge071", "nir", "swir16", "swir22")
    pixel = dict(zip(names, (0.04, 0.08, 0.05, 0.12, 0.45, 0.2, 0.1), strict=True))
    published = {
        "ndvi": 0.40 / 0.50,
        "gndvi": 0.37 / 0.53,
        "ndre": 0.33 / 0.57,
        "ndwi": -0.37 / 0.53,
        "mndwi": -0.12 / 0.28,
        "ndmi": 0.25 / 0.65,
        "ndsi": -0.12 / 0.28,
        "ndbi": -0.25 / 0.65,
        "nbr": 0.35 / 0.55,
        "ngrdi": 0.03 / 0.13,
        "savi": 1.5 * 0.40 / 1.0,
        "evi": 2.5 * 0.40 / (0.45 + 0.30 - 0.30 + 1),
        "evi2": 2.5 * 0.40 / (0.45 + 0.12 + 1),
        "vari": 0.03 / (0.08 + 0.05 - 0.04),
        "exg": 0.07 / 0.17,
    }

    def value(name: str) -> float:
        formula = read_formula(INDICES[name].formula)
        return float(formula.compute([np.array(pixel[band]) for band in formula.names]))

    assert {name: value(name) for name in INDICES} == pytest.approx(published)
    needing = [name for name, index in INDICES.items() if needs_reflectance(index.formula)]
    assert needing == ["savi", "evi", "evi2"]
