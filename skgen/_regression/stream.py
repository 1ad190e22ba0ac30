"""Online learning: the statistic of all rows so far, and the posteriors that follow from it."""

from typing import Any

import numpy as np

from .._schema import NONE, Values, each, made_of, store
from .conjugate import Posterior, Statistic
from .design import QR_ROWS, Design, append_rows, check_columns, summarize
from .precisions import LinearModelSpec
from .rows import Rows
from .source import Source


@store(
    parameters={
        "design": made_of(Design),
        "prior": made_of(LinearModelSpec),
        "statistic": made_of(Statistic),
        "posteriors": NONE | each(made_of(Posterior), list),
    }
)
class Stream:
    """Model, statistic of the rows so far, and posteriors, computed when they are first read.

    A few rows at a time are kept in a buffer and appended together, so that a single row costs
    little more than its share of a batch and is rounded no worse. Reading empties the buffer.
    """

    def __init__(
        self, design: Design, prior: LinearModelSpec, statistic: Statistic,
        posteriors: list[Posterior] | None = None,
    ) -> None:  # fmt: skip
        self.design, self.prior, self._posteriors = design, prior, posteriors
        self._buffer: Rows | None = None
        # Statistic without the buffered rows, and their number. One attribute, so that of two
        # threads that read at once neither appends them a second time.
        self._state: tuple[Statistic, int] = (statistic, 0)

    def _to_record(self) -> Values:
        values = {name: getattr(self, name) for name in ("design", "prior", "statistic")}
        return {**values, "posteriors": self._posteriors}

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
        statistic, n_buffered = self._state
        if n_buffered and self._buffer is not None:
            statistic = append_rows(statistic, self.design, self._buffer[:n_buffered])
            self._state = (statistic, 0)
        return statistic

    @property
    def n_outputs(self) -> int:
        return int(self._state[0].targets.shape[1])

    @property
    def posteriors(self) -> list[Posterior]:
        """Posteriors in the order of outputs: one for all, or one for each."""
        if self._posteriors is None:
            self._posteriors = self.prior.posteriors(self.statistic, self.design.calibration)
        return self._posteriors

    def buffer(self, rows: Rows) -> None:
        """Add at most QR_ROWS rows, at which basis functions must be finite, to the buffer."""
        if self._buffer is None:
            widths = (rows.n_features,), (rows.n_outputs,), (), (), (rows.n_outputs,)
            self._buffer = Rows(*(np.empty((QR_ROWS, *width)) for width in widths))
        if self._state[1] + len(rows) > QR_ROWS:
            _ = self.statistic
        statistic, start = self._state
        part = slice(start, start + len(rows))
        for column, values in zip(vars(self._buffer).values(), vars(rows).values(), strict=True):
            column[part] = 1.0 if values is None else values
        self._state, self._posteriors = (statistic, part.stop), None

    def extend(
        self, source: Source, prior: LinearModelSpec, forgetting: float
    ) -> tuple["Stream", int]:
        """Stream with the rows of ``source`` too, each discounting those before; their number."""
        if isinstance(source, Rows):
            return self._append(source, prior, forgetting), len(source)
        statistic, n_rows = summarize(source, self.design, "qr", forgetting)
        return self.merge(statistic, prior, forgetting**n_rows), n_rows

    def _append(self, rows: Rows, prior: LinearModelSpec, forgetting: float) -> "Stream":
        extended = Stream(self.design, prior, self._state[0])
        extended._buffer, extended._state = self._buffer, self._state
        if forgetting == 1 and len(rows) <= QR_ROWS // 2:
            check_columns(rows.scale_by_root_weights(self.design.rows(rows.X)))
            extended.buffer(rows)
            return extended
        # Of the copy, because self must stay as it is if what follows raises.
        statistic = extended.statistic.discounted(forgetting ** len(rows))
        rows = rows.discount_by_age(forgetting)
        return Stream(self.design, prior, append_rows(statistic, self.design, rows))

    def merge(self, statistic: Statistic, prior: LinearModelSpec, discount: float = 1) -> "Stream":
        """Stream that has seen the rows of ``statistic`` too, its own discounted."""
        older = self.statistic.discounted(discount)
        return Stream(self.design, prior, older.merged(statistic))

    def __getstate__(self) -> dict[str, Any]:
        """State for pickling: all rows in the statistic, and no buffer."""
        return {**vars(self), "_state": (self.statistic, 0), "_buffer": None}
