"""Which objects that were found are which true ones, by distance."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

type Floats = NDArray[np.floating]
type Pairs = NDArray[np.int64]


def assign_within(found: Floats, true: Floats, within: float) -> Pairs:
    """Return pairs of found and true objects, one to one, as many as can be.

    Of all such ways, the one whose distances are least in sum.
    Kuhn 1955, The Hungarian method for the assignment problem, on each group of objects that are
    near to each other.

    Args:
        found: places `(N, 2)`.
        true: places `(M, 2)`, in the same unit.
        within: the largest distance of a pair.

    Returns:
        Rows of both, `(P, 2)`, in the order of the first.

    Example:
        >>> assign_within(np.array([[0.0, 0], [2, 0]]), np.array([[1.2, 0], [3, 0]]), 1.5).tolist()
        [[0, 0], [1, 1]]
    """
    if not len(found) or not len(true):
        return np.zeros((0, 2), np.int64)
    near = cKDTree(found).sparse_distance_matrix(cKDTree(true), within, output_type="ndarray")
    rows, columns = near["i"].astype(np.int64), near["j"].astype(np.int64)
    nodes = len(found) + len(true)
    links = (np.ones(len(rows), np.int8), (rows, columns + len(found)))
    _, group = connected_components(coo_array(links, (nodes, nodes)), directed=False)
    order = np.argsort(group[rows], kind="stable")
    ends = np.flatnonzero(np.diff(group[rows][order])) + 1
    pairs = [
        _assigned(rows[part], columns[part], near["v"][part], within)
        for part in np.split(order, ends)
        if len(part)
    ]
    if not pairs:
        return np.zeros((0, 2), np.int64)
    joined = np.concatenate(pairs)
    return joined[np.argsort(joined[:, 0])]


def _assigned(rows: Pairs, columns: Pairs, distances: Floats, within: float) -> Pairs:
    """Assign the objects of one group, all of whose near pairs are given."""
    if len(rows) == 1:
        return np.stack([rows, columns], axis=1)
    left, at = np.unique(rows, return_inverse=True)
    right, to = np.unique(columns, return_inverse=True)
    far = (within + 1) * (min(len(left), len(right)) + 1)  # costs more than all near ones together
    costs = np.full((len(left), len(right)), far)
    costs[at, to] = distances
    first, second = linear_sum_assignment(costs)
    kept = costs[first, second] < far
    return np.stack([left[first[kept]], right[second[kept]]], axis=1)
