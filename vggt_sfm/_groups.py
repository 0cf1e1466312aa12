"""Statistics of the values that belong together."""

from __future__ import annotations

import numpy as np

from vggt_sfm._checks import Float64, Int64


def grouped_median(group: Int64, value: Float64, weight: Float64, num_groups: int) -> Float64:
    """Return the (num_groups,) weighted medians of (n,) values, NaN for groups without any.

    On a tie it is the mean of the two middle values.
    """
    order = np.lexsort((value, group))
    group, value, weight = group[order], value[order], weight[order]
    total = np.bincount(group, weight, num_groups)
    before_group = np.concatenate([[0.0], np.cumsum(total)])[group]
    share = (np.cumsum(weight) - before_group) / total[group]
    result = np.full(num_groups, np.nan)
    # First value whose cumulated weight reaches one half, and the first that passes it.
    lower, upper = share >= 0.5 - 1e-9, share > 0.5 + 1e-9
    lower_group, lower_row = np.unique(group[lower], return_index=True)
    _, upper_row = np.unique(group[upper], return_index=True)
    result[lower_group] = (value[lower][lower_row] + value[upper][upper_row]) / 2
    return result


def pairs_within(group: Int64) -> tuple[Int64, Int64]:
    """Return all pairs of rows that are of one group.

    Args:
        group: (n,) ascending, 0 or more.

    Returns:
        Two (m,) arrays of rows; the first of a pair is the smaller one.
    """
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    # Two rows of one group are k rows apart for some small k.
    for k in range(1, int(np.bincount(group).max(initial=1))):
        same = np.flatnonzero(group[k:] == group[:-k])
        firsts.append(same)
        seconds.append(same + k)
    return np.concatenate(firsts), np.concatenate(seconds)
