"""Online learning: the statistic of all rows so far, and the posteriors that follow from it."""

from typing import Any, NamedTuple

import numpy as np

from .._schema import NONE, Values, each, made_of, store
from .conjugate import Posterior, Statistic
from .design import QR_ROWS, Design, append_rows, check_columns, summarize
from .precisions import LinearModelSpec
from .rows import Rows
from .source import Source

NEUTRAL = np.nan, np.nan, 1.0, 1.0, 0.0  # values for fields of `Rows` that are None


class _State(NamedTuple):
    """All rows seen: a statistic of the earlier ones, and the first rows of a buffer."""

    statistic: Statistic
    buffer: Rows | None = None
    n_buffered: int = 0


@store(
    parameters={
        "design": made_of(Design),
        "prior": made_of(LinearModelSpec),
        "statistic": made_of(Statistic),
        "posteriors": NONE | each(made_of(Posterior), list),
    }
)
class Stream:
    """Model, statistic of the rows so far, and posteriors, which are computed when first read.

    A buffer collects rows, which are appended to the statistic together. So a single row takes
    little more time than its share of a batch, and rounding errors are no larger. Reading empties
    the buffer.

    One thread may add rows while others read. The state is a single attribute. Results are stored
    together with the state from which they were computed, so that they are never used for other
    rows. Rows of a buffer that was emptied are not overwritten.
    """

    def __init__(
        self, design: Design, prior: LinearModelSpec, statistic: Statistic,
        posteriors: list[Posterior] | None = None,
    ) -> None:  # fmt: skip
        self.design, self.prior = design, prior
        self._state = _State(statistic)
        self._emptied = self._state, statistic  # a state, and the statistic of all its rows
        self._known = statistic, posteriors  # a statistic, and its posteriors

    def _to_record(self) -> Values:
        values = {name: getattr(self, name) for name in ("design", "prior", "statistic")}
        known, posteriors = self._known
        return {**values, "posteriors": posteriors if known is values["statistic"] else None}

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        n_columns, n_outputs = values["statistic"].targets.shape
        posteriors = values["posteriors"]
        shapes = [posterior.mean.shape for posterior in posteriors or ()]
        return (
            values["design"].n_columns == n_columns == len(values["prior"].mean)
            and (posteriors is None or sum(shape[1] for shape in shapes) == n_outputs)
            and all(shape == (n_columns, n_outputs // len(shapes)) for shape in shapes)
        )

    @property
    def statistic(self) -> Statistic:
        """Statistic of all rows."""
        state = self._state
        emptied, statistic = self._emptied
        if emptied is not state:
            statistic, buffer, n_buffered = state
            if buffer is not None:
                statistic = append_rows(statistic, self.design, buffer[:n_buffered])
            self._emptied = state, statistic
        return statistic

    @property
    def n_outputs(self) -> int:
        return int(self._state.statistic.targets.shape[1])

    @property
    def posteriors(self) -> list[Posterior]:
        """Posteriors in the order of outputs: one for all, or one for each."""
        return self.read()[1]

    def read(self) -> tuple[Statistic, list[Posterior]]:
        """Statistic of all rows, and the posteriors that follow from it."""
        statistic = self.statistic
        known, posteriors = self._known
        if known is not statistic or posteriors is None:
            posteriors = self.prior.posteriors(statistic, self.design.calibration)
            self._known = statistic, posteriors
        return statistic, posteriors

    def buffer(self, rows: Rows) -> None:
        """Add at most QR_ROWS rows, at which basis functions must be finite, to the buffer."""
        state = self._state
        if state is self._emptied[0] or state.n_buffered + len(rows) > QR_ROWS:
            widths = (rows.n_features,), (rows.n_outputs,), (), (), (rows.n_outputs,)
            new = Rows(*(np.empty((QR_ROWS, *width)) for width in widths))
            state = _State(self.statistic, new)
        stop = state.n_buffered + len(rows)
        columns = vars(state.buffer).values(), vars(rows).values()
        for column, values, neutral in zip(*columns, NEUTRAL, strict=True):
            column[state.n_buffered : stop] = neutral if values is None else values
        self._state = state._replace(n_buffered=stop)

    def extend(
        self, source: Source, prior: LinearModelSpec, forgetting: float
    ) -> tuple["Stream", int]:
        """Stream with further rows, each of which discounts earlier rows, and their number."""
        if isinstance(source, Rows):
            return self._append(source, prior, forgetting), len(source)
        statistic, n_rows = summarize(source, self.design, "qr", forgetting)
        return self.merge(statistic, prior, forgetting**n_rows), n_rows

    def _append(self, rows: Rows, prior: LinearModelSpec, forgetting: float) -> "Stream":
        rows = self.design.with_noise(rows)
        extended = Stream(self.design, prior, self._state.statistic)
        extended._state, extended._emptied = self._state, self._emptied
        if forgetting == 1 and len(rows) <= QR_ROWS // 2:
            check_columns(rows.scale_by_root_weights(self.design.rows(rows.X)))
            extended.buffer(rows)
            return extended
        # From the copy, because self must stay as it is if the next lines raise.
        statistic = extended.statistic.discount(forgetting ** len(rows))
        rows = rows.discount_by_age(forgetting)
        return Stream(self.design, prior, append_rows(statistic, self.design, rows))

    def merge(self, statistic: Statistic, prior: LinearModelSpec, discount: float = 1) -> "Stream":
        """Stream that has seen the rows of ``statistic`` too, with its own rows discounted."""
        older = self.statistic.discount(discount)
        return Stream(self.design, prior, older.merge(statistic))

    def __getstate__(self) -> dict[str, Any]:
        """State for pickling: all rows in the statistic, and no buffer."""
        state = _State(self.statistic)
        return {**vars(self), "_state": state, "_emptied": (state, state.statistic)}
