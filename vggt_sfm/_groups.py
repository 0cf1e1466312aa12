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
