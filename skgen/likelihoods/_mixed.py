"""Likelihoods of tables whose columns are of several kinds."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.distributions as td
from torch import Generator, Tensor

from .._parameters import Choice
from .._schema import MOST, NONE, Check, array, each, exactly, integer, made_of, store, text
from .._validation import FloatArray, error_message, short_repr
from ._base import COLUMNS, Columns, Likelihood, check_support
from ._categorical import Categorical
from ._gaussian import Gaussian
from ._numeric import Numeric

FROM_DTYPE = "from_dtype"
Indices = npt.NDArray[np.intp]


END = NONE | text() | integer(-MOST)


@store("ColumnSlice", parameters={"start": END, "stop": END, "step": NONE | integer(-MOST)})
@dataclass(frozen=True)
class _Slice:
    """A slice of columns by name or position that, unlike a slice of Python 3.11, has a hash."""

    start: Any
    stop: Any
    step: Any

    def __repr__(self) -> str:
        return f"slice({self.start!r}, {self.stop!r}, {self.step!r})"


NAME = text() | integer(-MOST)
SELECTION = NAME | made_of(_Slice) | each(NAME, tuple)


def _are_entries(value: Any, sizes: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(entry, tuple)
        and len(entry) == 3
        and isinstance(entry[0], str)
        and isinstance(entry[1], Likelihood)
        and SELECTION.holds(entry[2], sizes)
        for entry in value
    )


ENTRIES = {
    "likelihoods": Check(_are_entries),
    "remainder": made_of(Likelihood) | Check(lambda value, _: value == FROM_DTYPE),
    "handle_unknown": exactly("error", "ignore"),
}


INDICES = array("n_columns", 0, MOST, kinds="i")
FITTED = {
    "parts_": each(made_of(Likelihood), tuple),
    "indices_": each(Check(lambda value, _: INDICES.holds(value, {})), tuple),
    **COLUMNS,
}


@store(parameters=ENTRIES, state=FITTED)
@dataclass(frozen=True)
class Mixed(Likelihood):
    """Likelihood of a table, with a likelihood for each group of columns.

    The model is ``p(x | z) = prod_d p_d(x_d | z)``, where each factor comes from the likelihood of
    its group. Without arguments, it is the likelihood "from_dtype": `Categorical` for columns of
    categories, text and booleans, and `Numeric` for all others, integers included.

    Parameters
    ----------
    likelihoods : sequence of tuple (name, likelihood, columns), default=()
        Groups of columns, as in scikit-learn's ColumnTransformer: a name of the group; a
        likelihood; a column, a list of columns or a slice, by names or positions. The end of a
        slice of names is included.
    remainder : Likelihood or "from_dtype", default="from_dtype"
        Likelihood of all other columns.
    handle_unknown : {"error", "ignore"}, default="error"
        Treatment of unknown categories as in `Categorical`, in columns whose likelihood follows
        from their dtype, and in all columns of data frames.

    Attributes
    ----------
    parts_ : tuple of Likelihood
        Fitted likelihoods of the groups, the remainder last.

    See Also
    --------
    skgen.VAETransformer : Takes data frames with it, and returns them.

    Examples
    --------
    >>> from skgen.likelihoods import Categorical, Gaussian, Mixed
    >>> parts = [("sizes", Gaussian("feature"), ["height", "width"]), ("sex", Categorical(), "sex")]
    >>> [name for name, *_ in Mixed(parts).likelihoods]
    ['sizes', 'sex']
    """

    likelihoods: Any = ()
    remainder: Any = FROM_DTYPE
    handle_unknown: str = "error"
    shortcut: ClassVar[str] = FROM_DTYPE
    categorical: ClassVar[bool] = True
    linear_transform: ClassVar[bool] = False

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        first = ("first", Gaussian("row"), 0)
        return cls([first], Categorical("ignore"), "ignore"), cls(handle_unknown="ignore")

    def __post_init__(self) -> None:
        Choice("error", "ignore").check(self.handle_unknown, "handle_unknown")
        object.__setattr__(self, "likelihoods", _check_entries(self.likelihoods))
        if self.remainder != FROM_DTYPE:
            object.__setattr__(self, "remainder", _check_part(self.remainder, "remainder"))

    def for_columns(self, columns: Columns) -> Self:
        likelihood = self._with_columns(columns)
        groups = self._assign(columns)
        vars(likelihood).update(
            indices_=tuple(np.array(group[1]) for group in groups),
            parts_=tuple(
                part.for_columns(tuple(columns[index] for index in indices))
                for part, indices in groups
            ),
        )
        return likelihood

    def _assign(self, columns: Columns) -> list[tuple[Likelihood, list[int]]]:
        """Return each likelihood with the positions of its columns; each column belongs to one."""
        groups = [
            (part, _positions(selection, name, columns))
            for name, part, selection in self.likelihoods
        ]
        taken = [index for _, indices in groups for index in indices]
        if repeated := [index for index in taken if taken.count(index) > 1]:
            remedy, value = "Name each column once.", columns[repeated[0]][0]
            raise ValueError(error_message("likelihoods", "have disjoint columns", value, remedy))
        rest = [index for index in range(len(columns)) if index not in taken]
        if self.remainder == FROM_DTYPE:
            categorical = [index for index in rest if columns[index][1]]
            numeric = [index for index in rest if not columns[index][1]]
            groups += [(Categorical(self.handle_unknown), categorical), (Numeric(), numeric)]
        else:
            groups.append((self.remainder, rest))
        for part, indices in groups:
            _check_kinds(part, [columns[index] for index in indices])
        return [group for group in groups if group[1]]

    def _resolve(self, n_features: int) -> Self:
        """Return the likelihood with its groups; columns without names are numbered."""
        if "indices_" in vars(self):
            return self
        return self.for_columns(tuple((index, 0) for index in range(n_features)))

    @property
    def _groups(self) -> list[tuple[Likelihood, Indices]]:
        return [*zip(vars(self)["parts_"], vars(self)["indices_"], strict=True)]

    def fit(self, X: FloatArray) -> Self:
        fitted = copy.copy(self._resolve(X.shape[1]))
        vars(fitted)["parts_"] = tuple(part.fit(X[:, indices]) for part, indices in fitted._groups)
        return fitted

    def without_constants(self) -> Self:
        fitted = copy.copy(self)
        vars(fitted)["parts_"] = tuple(part.without_constants() for part, _ in self._groups)
        return fitted

    @property
    def _is_constant(self) -> npt.NDArray[np.bool_] | None:
        parts = [(part._is_constant, indices) for part, indices in self._groups]
        constant = [indices[found] for found, indices in parts if found is not None]
        if not constant:
            return None
        n_features = sum(len(indices) for _, indices in parts)
        return np.isin(np.arange(n_features), np.concatenate(constant))

    @property
    def _constants(self) -> FloatArray:
        values = np.zeros(sum(len(indices) for _, indices in self._groups))
        for part, indices in self._groups:
            if part._is_constant is not None:
                values[indices] = part._constants
        return values

    def check_support(self, X: FloatArray, name: str = "X") -> FloatArray:
        found, groups = X, self._resolve(X.shape[1])._groups
        for part, indices in groups:
            values = X[:, indices]
            checked = check_support(part, values, name)
            if checked is not values:
                found = found.copy() if found is X else found
                found[:, indices] = checked
        return found

    def transform(self, X: FloatArray) -> FloatArray:
        return self._map("transform", X)

    def inverse_transform(self, X: FloatArray) -> FloatArray:
        return self._map("inverse_transform", X)

    def log_jacobian(self, X: FloatArray) -> FloatArray:
        return self._map("log_jacobian", X)

    def _map(self, method: str, X: FloatArray) -> FloatArray:
        """Apply a method of the parts to their columns."""
        values = np.empty(X.shape)
        for part, indices in self._groups:
            values[:, indices] = getattr(part, method)(X[:, indices])
        return values

    def n_inputs(self, n_features: int) -> int:
        return sum(part.n_inputs(len(indices)) for part, indices in self._groups)

    def n_outputs(self, n_features: int) -> int:
        return sum(part.n_outputs(len(indices)) for part, indices in self._groups)

    def n_global_parameters(self, n_features: int) -> int:
        return sum(part.n_global_parameters(len(indices)) for part, indices in self._groups)

    def encoder_inputs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        parts = [
            part.encoder_inputs(x[..., indices], None if mask is None else mask[..., indices])
            for part, indices in self._groups
        ]
        return torch.cat(parts, -1)

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Distribution:
        return _Joint(self, outputs, global_parameters)

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return self._join(
            part.log_prob(x[..., indices], *parameters)
            for part, indices, parameters in self._split(outputs, global_parameters)
        )

    def mean(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return self._join(
            part.mean(*parameters)
            for part, _, parameters in self._split(outputs, global_parameters)
        )

    def mixture_mean(self, outputs: Tensor, global_parameters: Tensor, weights: Tensor) -> Tensor:
        return self._join(
            part.mixture_mean(*parameters, weights)
            for part, _, parameters in self._split(outputs, global_parameters)
        )

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        return self._join(
            part.draw(*parameters, generator)
            for part, _, parameters in self._split(outputs, global_parameters)
        )

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        return np.concatenate(
            [part.initial_outputs(mean[indices]) for part, indices in self._groups]
        )

    def _split(
        self, outputs: Tensor, global_parameters: Tensor
    ) -> Iterator[tuple[Likelihood, Indices, tuple[Tensor, Tensor]]]:
        """Yield each part with its columns, outputs and global parameters."""
        groups = self._groups
        sizes = [part.n_outputs(len(indices)) for part, indices in groups]
        n_global = [part.n_global_parameters(len(indices)) for part, indices in groups]
        shared: Any = [global_parameters] * len(groups)
        if sum(n_global):
            shared = global_parameters.split(n_global)
        parameters = zip(outputs.split(sizes, -1), shared, strict=True)
        for (part, indices), pair in zip(groups, parameters, strict=True):
            yield part, indices, pair

    def _join(self, parts: Iterable[Tensor]) -> Tensor:
        """Join values of the parts in the order of the columns."""
        joined = torch.cat([*parts], -1)
        order = np.argsort(np.concatenate([indices for _, indices in self._groups]))
        return joined[..., torch.from_numpy(order).to(joined.device)]


class _Joint(td.Distribution):
    """Distributions of the parts, side by side."""

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, likelihood: Mixed, outputs: Tensor, global_parameters: Tensor) -> None:
        self.likelihood, self.parameters = likelihood, (outputs, global_parameters)
        n_features = sum(len(indices) for _, indices in likelihood._groups)
        super().__init__(torch.Size((*outputs.shape[:-1], n_features)), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.likelihood.log_prob(value, *self.parameters)

    @property
    def mean(self) -> Tensor:
        return self._moment("mean")

    @property
    def variance(self) -> Tensor:
        return self._moment("variance")

    def _moment(self, name: str) -> Tensor:
        return self.likelihood._join(
            getattr(part.distribution(*parameters), name)
            for part, _, parameters in self.likelihood._split(*self.parameters)
        )


def _check_entries(value: Any) -> tuple[Any, ...]:
    """Return checked groups of columns, with tuples in place of lists."""
    remedy = "Give a list of tuples (name, likelihood, columns)."
    if not isinstance(value, list | tuple):
        raise TypeError(error_message("likelihoods", "be a list", value, remedy))
    for entry in value:
        if not (isinstance(entry, tuple) and len(entry) == 3 and isinstance(entry[0], str)):
            raise TypeError(error_message("likelihoods", "be a list of tuples", entry, remedy))
    return tuple(
        (name, _check_part(part, name), _check_selection(columns, name))
        for name, part, columns in value
    )


def _check_part(part: Any, name: str) -> Likelihood:
    """Return the likelihood of a group, or raise."""
    remedy = "Give a likelihood, such as skgen.likelihoods.Categorical()."
    if not isinstance(part, Likelihood):
        raise TypeError(error_message(name, "be a likelihood", part, remedy))
    if part.binary or isinstance(part, Mixed):
        remedy = "Take 'categorical' for binary columns, and one Mixed for all."
        raise ValueError(error_message(name, "be a likelihood of single columns", part, remedy))
    return part


def _check_selection(columns: Any, name: str) -> Any:
    """Return names or positions of columns as a value that has a hash."""
    if isinstance(columns, slice):
        return _Slice(columns.start, columns.stop, columns.step)
    if isinstance(columns, np.ndarray):
        columns = columns.tolist()
    items = columns if isinstance(columns, list | tuple) else [columns]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | int | np.integer | _Slice):
            remedy = "Give a name, a position, a list of them or a slice."
            raise TypeError(
                error_message(name, "have columns by name or position", columns, remedy)
            )
    return tuple(columns) if isinstance(columns, list | tuple) else columns


def _check_kinds(part: Likelihood, columns: list[tuple[Any, int]]) -> None:
    """Raise if columns of categories get a likelihood of numbers."""
    for name, n_categories in columns:
        if n_categories and not part.categorical:
            raise ValueError(
                f"`likelihood` must be one of categories for column {name!r}, which holds "
                f"categories or text; got {short_repr(part)}. Take Categorical."
            )


def _positions(selection: Any, group: str, columns: Columns) -> list[int]:
    """Return the positions of selected columns."""
    names = [name for name, _ in columns]
    if isinstance(selection, _Slice):
        start, stop = (
            end if end is None or isinstance(end, int) else _position(end, group, names)
            for end in (selection.start, selection.stop)
        )
        if isinstance(selection.stop, str):
            stop = (stop or 0) + 1
        return [*range(len(names))[slice(start, stop, selection.step)]]
    items = selection if isinstance(selection, tuple) else (selection,)
    return [_position(item, group, names) for item in items]


def _position(item: Any, group: str, names: list[Any]) -> int:
    """Return the position of a column, by its name or by a position that may be negative."""
    if isinstance(item, str) and item in names:
        return names.index(item)
    if not isinstance(item, str) and -len(names) <= item < len(names):
        return int(item) % len(names)
    remedy = f"Columns are {short_repr(names)}."
    raise ValueError(error_message(f"columns of {group}", "be in `X`", item, remedy))
