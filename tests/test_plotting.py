"""Displays draw what predict, transform and sample say."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skgen import BayesianBasisRegressor, GaussianBasis, VAETransformer
from skgen.plotting import (
    CalibrationDisplay,
    LatentDisplay,
    ManifoldDisplay,
    PosteriorDisplay,
    PredictiveDisplay,
    ReconstructionDisplay,
    SamplesDisplay,
    TraversalDisplay,
)
from skgen.plotting._images import tile_images
from skgen.priors import Mixture

plt = pytest.importorskip("matplotlib.pyplot")

DIABETES = load_diabetes(as_frame=True, scaled=False)
DIGITS = load_digits()
IRIS = load_iris(as_frame=True)

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def regressor():
    return BayesianBasisRegressor("polynomial").fit(DIABETES.data, DIABETES.target)


@pytest.fixture(scope="module")
def vae(one_torch_thread):
    model = VAETransformer(4, likelihood="bernoulli", max_iter=3, random_state=0)
    return model.fit(DIGITS.data / 16)


@pytest.fixture(scope="module")
def pipeline(one_torch_thread):
    model = VAETransformer(3, likelihood="bernoulli", max_iter=2, random_state=0)
    return make_pipeline(FunctionTransformer(_to_unit, _from_unit), model).fit(DIGITS.data)


def _to_unit(X):
    return X / 16


def _from_unit(X):
    return X * 16


def line(n_rows, rng, **parameters):
    X = rng.uniform(-1, 1, size=(n_rows, 1))
    y = -0.3 + 0.5 * X[:, 0] + 0.2 * rng.normal(size=n_rows)
    settings = {"prior_precision": 2.0, "noise_precision": 25.0, **parameters}
    return BayesianBasisRegressor("identity", **settings), X, y


# -- weights ---------------------------------------------------------------------------------------


def test_posterior_of_the_line_is_bishops(rng):
    model, X, y = line(20, rng)
    display = PosteriorDisplay.from_estimator(model.fit(X, y), X, y, random_state=0)
    Phi = np.column_stack([np.ones(20), X])
    covariance = np.linalg.inv(2 * np.eye(2) + 25 * Phi.T @ Phi)
    np.testing.assert_allclose(display.posterior_covariance, covariance)
    np.testing.assert_allclose(display.posterior_mean, 25 * covariance @ Phi.T @ y)
    np.testing.assert_array_equal(display.prior_mean, 0)
    np.testing.assert_array_equal(display.prior_covariance, np.eye(2) / 2)
    np.testing.assert_array_equal(display.points_.get_xydata(), np.column_stack([X[:, 0], y]))


@pytest.mark.parametrize("noise_precision", [25.0, "evidence", "gamma"])
def test_shades_hold_what_they_say(rng, noise_precision):
    """Of weights drawn from the posterior, 10, 25, ... 99 % lie inside the edges of the shades."""
    model, X, y = line(12, rng, noise_precision=noise_precision)
    display = PosteriorDisplay.from_estimator(model.fit(X, y), X, y)
    draws = model.sample_y([[0.0], [1.0]], 40_000, observation_noise=False, random_state=0)
    weights = np.column_stack([draws[0], draws[1] - draws[0]])
    edges = display.density_.get_paths()[::-1]  # a ring counts with what it encloses
    inside = [edge.contains_points(weights).mean() for edge in edges]
    np.testing.assert_allclose(inside, [0.1, 0.25, 0.5, 0.75, 0.9, 0.99], atol=0.015)


def test_prior_lines_hold_half_and_95_percent(rng):
    model, X, _ = line(3, rng)
    display = PosteriorDisplay.from_estimator(model, X)
    prior = multivariate_normal(np.zeros(2), np.eye(2) / 2)
    draws = prior.rvs(20_000, random_state=0)
    for drawn, level in zip(display.prior_, (0.5, 0.95), strict=True):
        radius = np.hypot(*drawn.get_xydata()[0])
        assert np.mean(np.hypot(*draws.T) < radius) == pytest.approx(level, abs=0.01)


def test_before_any_data_the_posterior_is_the_prior(rng):
    model, X, _ = line(3, rng, intercept_precision=8.0)
    display = PosteriorDisplay.from_estimator(model, X, grid=[-1, 0, 1], n_draws=3, random_state=5)
    np.testing.assert_array_equal(display.posterior_covariance, np.diag([1 / 8, 1 / 2]))
    np.testing.assert_array_equal(display.prior_covariance, display.posterior_covariance)
    draws = model.sample_y([[-1.0], [0], [1]], 3, observation_noise=False, random_state=5)
    for column, drawn in enumerate(display.lines_):
        np.testing.assert_array_equal(drawn.get_ydata(), draws[:, column])


def test_a_flat_prior_has_no_lines(rng):
    model, X, y = line(9, rng, prior_precision="evidence")
    display = PosteriorDisplay.from_estimator(model.fit(X, y), X, y, weights=(0, 1))
    assert display.prior_covariance[0, 0] == np.inf
    assert display.prior_covariance[1, 1] == pytest.approx(1 / model.prior_precision_)
    assert display.prior_ == []


def test_prior_of_each_weight_and_output(rng):
    X = rng.normal(size=(30, 3))
    Y = rng.normal(size=(30, 2))
    model = BayesianBasisRegressor(
        "identity", prior_precision=[1.0, 2.0, 4.0], prior_mean=[7.0, 8.0, 9.0], noise_precision=3.0
    ).fit(X, Y)
    display = PosteriorDisplay.from_estimator(model, X, Y, weights=(3, 1), target=1)
    np.testing.assert_array_equal(display.prior_mean, [9, 7])
    np.testing.assert_array_equal(np.diag(display.prior_covariance), [1 / 4, 1])
    np.testing.assert_array_equal(display.posterior_mean, model.coef_[1, [2, 0]])
    np.testing.assert_array_equal(display.points_.get_ydata(), Y[:, 1])


def test_true_weights_are_marked(rng):
    model, X, y = line(5, rng)
    display = PosteriorDisplay.from_estimator(model.fit(X, y), X, true_weights=(-0.3, 0.5))
    np.testing.assert_array_equal(display.true_weights_.get_xydata(), [[-0.3, 0.5]])


def test_the_legend_covers_no_prior(rng):
    model, X, _ = line(3, rng)
    for size in ((12, 5), (7, 4)):
        _, axes = plt.subplots(1, 2, figsize=size, layout="constrained")
        display = PosteriorDisplay.from_estimator(model, X, true_weights=(0.5, 0.5), ax=axes)
        display.figure_.draw_without_rendering()
        legend = display.axes_[0].get_legend().get_window_extent()
        for drawn in [*display.prior_, display.true_weights_]:
            points = display.axes_[0].transData.transform(drawn.get_xydata())
            assert legend.count_contains(points) == 0


# -- predictions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, np.asarray])
def test_predictive_band_is_that_of_predict(regressor, kind):
    X = kind(DIABETES.data if kind is not pl.DataFrame else DIABETES.data.to_dict("list"))
    model = BayesianBasisRegressor("polynomial").fit(X, DIABETES.target)
    feature = 2 if kind is np.asarray else "bmi"
    display = PredictiveDisplay.from_estimator(model, X, DIABETES.target, feature=feature)
    rows = pd.DataFrame(
        {name: np.full(200, DIABETES.data[name].median()) for name in DIABETES.data}
    )
    rows["bmi"] = np.linspace(DIABETES.data["bmi"].min(), DIABETES.data["bmi"].max(), 200)
    mean, std = regressor.predict(rows, return_std=True)
    np.testing.assert_allclose(display.mean_.get_ydata(), mean)
    np.testing.assert_array_equal(display.mean_.get_xdata(), rows["bmi"])
    wide = display.bands_[0].get_paths()[0].vertices  # 442 rows: normal to three digits
    reach = wide[:, 1].max() - mean.max(), mean.min() - wide[:, 1].min()
    np.testing.assert_allclose(reach, norm.ppf(0.975) * std[[mean.argmax(), mean.argmin()]], 0.02)
    np.testing.assert_array_equal(display.points_.get_xdata(), DIABETES.data["bmi"])
    assert display.ax_.get_ylabel() == "target"


def test_points_are_partial_residuals_where_others_are_held():
    """Those of a linear model are its term and the residual; 95 % lie in the band of 95 %."""
    X, y = DIABETES.data, DIABETES.target
    model = BayesianBasisRegressor("identity").fit(X, y)
    display = PredictiveDisplay.from_estimator(model, X, y, feature="bmi", held={"age": 30.0})
    held = X.median().to_numpy().copy()
    held[0] = 30.0
    others = np.delete(X.to_numpy() - held, 2, axis=1) @ np.delete(model.coef_, 2)
    np.testing.assert_allclose(display.points_.get_ydata(), y - others)
    assert display.points_.get_label() == "partial residuals"
    legend = display.ax_.get_legend()
    assert legend.get_title().get_text() == "age = 30.0, others held at medians"
    low, high = (
        np.interp(X["bmi"], display.feature_values, f[:, 1]) for f in (display.lower, display.upper)
    )
    inside = (low < display.y) & (display.y < high)
    assert 0.93 < inside.mean() < 0.98


def test_points_of_one_feature_are_the_data(rng):
    model, X, y = line(9, rng)
    display = PredictiveDisplay.from_estimator(model.fit(X, y), X, y)
    np.testing.assert_array_equal(display.points_.get_xydata(), np.column_stack([X[:, 0], y]))
    assert display.points_.get_label() == "data"
    assert display.ax_.get_legend().get_title().get_text() == ""


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_missing_cells_are_not_the_most_frequent(missing):
    from skgen.plotting._inputs import typical_value

    column = np.array(["a", "b", "b", missing, missing, missing], dtype=object)
    assert typical_value(column) == "b"
    assert typical_value(np.array([1.0, np.nan, 5.0, 3.0])) == 3.0
    assert typical_value(np.array([True, False, True])) is True


def test_calibration_of_transformed_targets_is_that_of_the_model_inside():
    X, y = DIABETES.data, DIABETES.target
    model = BayesianBasisRegressor("identity", target_transformer="log").fit(X, y)
    inside = BayesianBasisRegressor("identity").fit(X, np.log(y))
    found, expected = (
        CalibrationDisplay.from_estimator(m, X, t) for m, t in ((model, y), (inside, np.log(y)))
    )
    np.testing.assert_allclose(found.pit, expected.pit, rtol=1e-9)
    PredictiveDisplay.from_estimator(model, X, y, feature="bmi")


def test_few_rows_have_the_wide_bands_of_student(rng):
    """Of 100,000 draws of a new observation, 95 % lie inside the 95 % band."""
    model, X, y = line(4, rng, noise_precision="gamma")
    display = PredictiveDisplay.from_estimator(model.fit(X, y), X, grid=[0.3, 0.4], coverage=0.95)
    draws = model.sample_y([[0.3]], 100_000, random_state=0)[0]
    edges = display.bands_[0].get_paths()[0].vertices
    low, high = (f(edges[np.isclose(edges[:, 0], 0.3), 1]) for f in (np.min, np.max))
    assert np.mean((low < draws) & (draws < high)) == pytest.approx(0.95, abs=0.004)


def test_draws_are_those_of_sample_y(rng):
    X = rng.uniform(size=(20, 1))
    model = BayesianBasisRegressor(GaussianBasis(5)).fit(X, np.sin(6 * X[:, 0]))
    grid = np.linspace(0, 2, 7)
    display = PredictiveDisplay.from_estimator(model, X, grid=grid, n_draws=3, random_state=1)
    draws = model.sample_y(grid[:, None], 3, observation_noise=False, random_state=1)
    np.testing.assert_array_equal([d.get_ydata() for d in display.draws_], draws.T)


def test_pipelines_searches_and_peers(rng):
    X = DIABETES.data[["age", "bmi"]]
    grid = np.linspace(18, 40, 5)
    rows = pd.DataFrame({"age": np.full(5, 30.0), "bmi": grid})
    for model in (
        make_pipeline(StandardScaler(), BayesianBasisRegressor("identity")),
        GridSearchCV(
            make_pipeline(StandardScaler(), BayesianBasisRegressor("identity")),
            {"bayesianbasisregressor__noise_precision": ["evidence", "gamma"]},
        ),
        make_pipeline(StandardScaler(), BayesianRidge()),
        make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=1, normalize_y=True)),
    ):
        model.fit(X, DIABETES.target)
        display = PredictiveDisplay.from_estimator(
            model, X, feature="bmi", held={"age": 30}, grid=grid
        )
        np.testing.assert_allclose(display.mean, model.predict(rows))


def test_columns_that_are_not_numeric_are_held_at_the_most_frequent(rng):
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder

    X = pd.DataFrame({"size": rng.uniform(size=30), "kind": ["a"] * 18 + ["b"] * 12})
    y = X["size"] + 3 * (X["kind"] == "b")
    encoder = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    model = make_pipeline(encoder, BayesianBasisRegressor("identity")).fit(X, y)
    display = PredictiveDisplay.from_estimator(model, X, y, feature="size")
    assert display.mean.max() < 1.5
    display = PredictiveDisplay.from_estimator(model, X, y, feature="size", held={"kind": "b"})
    assert display.mean.min() > 2.5


# -- calibration -----------------------------------------------------------------------------------


def test_calibration_counts(rng):
    mean, std = rng.normal(size=500), rng.uniform(1, 2, size=500)
    y = mean + 1.5 * std * rng.normal(size=500)
    display = CalibrationDisplay.from_predictions(y, mean, std, n_bins=5)
    cuts = norm.ppf([0.2, 0.4, 0.6, 0.8])
    counts = np.bincount(np.searchsorted(cuts, (y - mean) / std), minlength=5)
    np.testing.assert_allclose(display.histogram_.get_data().values, counts / 100)
    inside = np.mean(np.abs(y - mean) / std <= norm.ppf(0.75))
    np.testing.assert_allclose(display.line_.get_ydata()[50], inside)
    np.testing.assert_allclose(display.line_.get_xdata()[50], 0.5)


def test_pit_of_student_is_uniform(rng):
    """By the model's own draws, tails included."""
    model, X, y = line(4, rng, noise_precision="gamma")
    model.fit(X, y)
    rows = np.full((20_000, 1), 0.2)
    draws = model.sample_y([[0.2]], 20_000, random_state=0)[0]
    display = CalibrationDisplay.from_estimator(model, rows, draws, n_bins=20)
    np.testing.assert_allclose(display.histogram_.get_data().values, 1, atol=0.12)


def test_two_models_on_the_same_axes(regressor):
    first = CalibrationDisplay.from_estimator(regressor, DIABETES.data, DIABETES.target)
    peer = BayesianRidge().fit(DIABETES.data, DIABETES.target)
    second = CalibrationDisplay.from_estimator(
        peer, DIABETES.data, DIABETES.target, name="peer", color="red", ax=first.axes_
    )
    assert second.line_.get_color() == "red"
    assert list(second.axes_) == list(first.axes_)
    labels = [text.get_text() for text in second.axes_[1].get_legend().get_texts()]
    assert labels == ["BayesianBasisRegressor", "peer"]


# -- codes and images ------------------------------------------------------------------------------


def test_latent_means_by_class(vae):
    X, y = DIGITS.data / 16, DIGITS.target
    display = LatentDisplay.from_estimator(vae, X, y, dimensions=(2, 0))
    Z = vae.transform(X)[:, [2, 0]]
    for digit, points in enumerate(display.scatter_):
        np.testing.assert_array_equal(points.get_offsets(), Z[y == digit])
        assert display.labels_[digit].get_text() == str(digit)
        np.testing.assert_array_equal(display.labels_[digit].xy, np.median(Z[y == digit], axis=0))
    kl = vae.explained_kl_
    labels = display.ax_.get_xlabel(), display.ax_.get_ylabel()
    assert labels == (f"$z_{{2}}$ ({kl[2]:.2f} nats)", f"$z_{{0}}$ ({kl[0]:.2f} nats)")


def test_the_dimensions_of_largest_kl_are_drawn_by_default(vae):
    kl = vae.explained_kl_
    latent = LatentDisplay.from_estimator(vae, DIGITS.data / 16)
    drawn = list(latent.dimensions)
    assert drawn == sorted(drawn)
    assert kl[drawn].min() >= np.delete(kl, drawn).max()
    manifold = ManifoldDisplay.from_estimator(vae, n_steps=2)
    assert (manifold.xlabel, manifold.ylabel) == (
        latent.ax_.get_xlabel(), latent.ax_.get_ylabel(),
    )  # fmt: skip


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_missing_labels_are_an_error_that_says_what_to_do(missing):
    labels = np.where(IRIS.target == 1, missing, IRIS.target)
    with pytest.raises(ValueError, match="`y` must have no missing values; got 50"):
        LatentDisplay.from_estimator(PCA(2).fit(IRIS.data), IRIS.data, labels)


def test_ten_classes_have_ten_colours(vae):
    display = LatentDisplay.from_estimator(vae, DIGITS.data / 16, DIGITS.target)
    colours = {tuple(points.get_facecolor()[0]) for points in display.scatter_}
    assert len(colours) == 10


def test_latent_means_by_number_and_without():
    pca = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas").fit(IRIS.data)
    length = IRIS.data["petal length (cm)"]
    display = LatentDisplay.from_estimator(pca, IRIS.data, length)
    np.testing.assert_array_equal(display.scatter_[0].get_array(), length)
    assert display.colorbar_.ax.get_ylabel() == "petal length (cm)"
    plain = LatentDisplay.from_estimator(pca, IRIS.data)
    np.testing.assert_array_equal(plain.scatter_[0].get_offsets(), pca.transform(IRIS.data))


def test_names_of_classes_do_not_overlap(rng):
    Z = 0.01 * rng.normal(size=(60, 2))
    names = np.repeat(["setosa", "versicolor", "virginica"], 20)
    for width in (4, 12):
        _, ax = plt.subplots(figsize=(width, 3), layout="constrained")
        display = LatentDisplay(codes=Z, y=names).plot(ax)
        display.figure_.draw_without_rendering()
        boxes = [label.get_window_extent() for label in display.labels_]
        assert [box.count_overlaps(boxes) for box in boxes] == [1, 1, 1]  # itself


def test_a_new_figure_is_as_high_as_its_images(rng):
    display = SamplesDisplay(images=rng.uniform(size=(2, 8, 64))).plot()
    width, height = display.figure_.get_size_inches()
    assert height == pytest.approx(width / 4, rel=0.2)


def tile(display, row, column, side=8):
    """The drawn pixels of one image."""
    pixels = display.image_.get_array()
    down, across = row * (side + 1), column * (side + 1)
    return np.asarray(pixels[down : down + side, across : across + side]).ravel()


def test_manifold_is_decoded_at_prior_quantiles(vae):
    display = ManifoldDisplay.from_estimator(vae, dimensions=(3, 1), n_steps=5)
    quantiles = norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    for row, column in ((0, 0), (4, 1), (2, 2), (1, 4)):
        code = np.zeros((1, 4))
        code[0, 3], code[0, 1] = quantiles[column], quantiles[4 - row]  # the second goes upward
        np.testing.assert_allclose(tile(display, row, column), vae.inverse_transform(code)[0])


def test_manifold_of_a_learned_prior_is_decoded_at_quantiles_of_its_draws(rng, one_torch_thread):
    model = VAETransformer(2, prior=Mixture(3), likelihood="bernoulli", max_iter=2, random_state=0)
    display = ManifoldDisplay.from_estimator(model.fit(DIGITS.data / 16), n_steps=3)
    draws = model.module_.prior().sample(100_000, rng).numpy()
    low, _, high = np.quantile(draws, [1 / 6, 1 / 2, 5 / 6], axis=0)
    for (row, column), code in {(2, 0): low, (0, 2): high, (0, 0): (low[0], high[1])}.items():
        expected = model.inverse_transform([code])[0]
        np.testing.assert_allclose(tile(display, row, column), expected, atol=0.01)


def test_traversal_rows_are_sorted_by_kl(vae):
    X = DIGITS.data[:1] / 16
    display = TraversalDisplay.from_estimator(vae, X, n_dimensions=3, n_steps=3)
    order = np.argsort(-vae.explained_kl_)[:3]
    np.testing.assert_array_equal(display.order_, order)
    texts = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert [f"$z_{{{i}}}$" in text for i, text in zip(order, texts, strict=True)] == [True] * 3
    code = vae.transform(X)
    code[0, order[1]] = norm.ppf(5 / 6)
    np.testing.assert_allclose(tile(display, 1, 2), vae.inverse_transform(code)[0])


def test_reconstructions_and_samples_of_a_pipeline_are_in_its_units(pipeline):
    X = DIGITS.data[:4]
    display = ReconstructionDisplay.from_estimator(pipeline, pd.DataFrame(X))
    np.testing.assert_array_equal(tile(display, 0, 3), X[3])
    back = pipeline.inverse_transform(pipeline.transform(X))
    np.testing.assert_array_equal(tile(display, 1, 2), back[2])
    samples = SamplesDisplay.from_estimator(pipeline, n_rows=2, n_columns=3, random_state=4)
    drawn = 16 * pipeline[-1].sample(6, observation_noise=False, random_state=4)
    np.testing.assert_array_equal(tile(samples, 1, 2), drawn[5])
    noisy = SamplesDisplay.from_estimator(pipeline, observation_noise=True, random_state=4)
    assert set(np.unique(noisy.images)) == {0.0, 16.0}


def test_colour_images_and_the_gap_between_them(rng):
    rows = rng.uniform(size=(2, 2, 12))
    whole = tile_images(rows, (2, 2, 3))
    assert whole.shape == (5, 5, 4)
    np.testing.assert_array_equal(whole[:2, 3:, :3].ravel(), rows[0, 1])
    assert not whole[2].any()
    assert not whole[:, 2].any()
    grey = tile_images(rows, (3, 4, 1))
    assert grey.shape == (7, 9)
    assert np.isnan(grey[3]).all()
    display = SamplesDisplay(images=rows * 255, image_shape=(2, 2, 3)).plot()
    np.testing.assert_allclose(display.image_.get_array()[:2, :2, :3].ravel(), rows[0, 0])


# -- axes and errors -------------------------------------------------------------------------------


def displays(regressor, vae):
    X, y = DIABETES.data, DIABETES.target
    images = DIGITS.data[:5] / 16
    return {
        PosteriorDisplay: lambda **kw: PosteriorDisplay.from_estimator(regressor, X, y, **kw),
        PredictiveDisplay: lambda **kw: PredictiveDisplay.from_estimator(regressor, X, y, **kw),
        CalibrationDisplay: lambda **kw: CalibrationDisplay.from_estimator(regressor, X, y, **kw),
        LatentDisplay: lambda **kw: LatentDisplay.from_estimator(vae, images, **kw),
        ManifoldDisplay: lambda **kw: ManifoldDisplay.from_estimator(vae, n_steps=3, **kw),
        TraversalDisplay: lambda **kw: TraversalDisplay.from_estimator(vae, n_steps=3, **kw),
        ReconstructionDisplay: lambda **kw: ReconstructionDisplay.from_estimator(vae, images, **kw),
        SamplesDisplay: lambda **kw: SamplesDisplay.from_estimator(vae, **kw),
    }


def test_on_given_axes_in_a_grid_and_again(regressor, vae):
    for cls, build in displays(regressor, vae).items():
        figure, axes = plt.subplots(2, 2)
        two = cls in (PosteriorDisplay, CalibrationDisplay)
        display = build(ax=axes[1, 0])  # one of a grid; split in two where there are two panels
        assert display.figure_ is figure
        assert not axes[0, 0].has_data()
        given = axes[0] if two else axes[0, 1]
        assert display.plot(given) is display
        drawn = list(display.axes_) if two else [display.ax_]
        assert drawn == list(np.ravel(given))
        assert all(ax.has_data() for ax in drawn)
        assert display.plot().figure_ is not figure
        figure.canvas.draw()
        with pytest.raises(TypeError, match="`ax` must be a matplotlib Axes"):
            build(ax="left")
        with pytest.raises(ValueError, match=r"`ax` must have [12] Axes"):
            build(ax=list(axes.flat))


def test_inset_axes_are_split_too(regressor):
    figure = plt.figure()
    ax = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    display = CalibrationDisplay.from_estimator(regressor, DIABETES.data, DIABETES.target, ax=ax)
    assert [panel.figure for panel in display.axes_] == [figure, figure]


@pytest.mark.parametrize(
    ("build", "error", "match"),
    [
        (lambda m, v: PosteriorDisplay.from_estimator(v, DIABETES.data), TypeError, "sample_y"),
        (
            lambda m, v: PosteriorDisplay.from_estimator(m, DIABETES.data, weights=(0, 0)),
            ValueError, "`weights` must be two different indices",
        ),
        (
            lambda m, v: PosteriorDisplay.from_estimator(m, DIABETES.data, weights=(0, 999)),
            ValueError, "`weights` must be an integer >= 0 and <= 65",
        ),
        (
            lambda m, v: PredictiveDisplay.from_estimator(m, DIABETES.data, feature="weight"),
            ValueError, "`feature` must be a feature of X",
        ),
        (
            lambda m, v: PredictiveDisplay.from_estimator(m, DIABETES.data, coverage=95),
            ValueError, "`coverage` must lie between 0 and 1",
        ),
        (
            lambda m, v: PredictiveDisplay.from_estimator(m, DIABETES.data, n_draws=-1),
            ValueError, "`n_draws` must be an integer >= 0",
        ),
        (
            lambda m, v: PredictiveDisplay.from_estimator(
                LinearRegression().fit(DIABETES.data, DIABETES.target), DIABETES.data
            ),
            TypeError, r"must have predict\(X, return_std=True\)",
        ),
        (
            lambda m, v: CalibrationDisplay.from_predictions([1.0], [1.0], [0.0]),
            ValueError, "`y_std` positive",
        ),
        (
            lambda m, v: CalibrationDisplay.from_predictions([1.0], [1.0, 2.0], [0.0]),
            ValueError, "must have the same shape",
        ),
        (
            lambda m, v: CalibrationDisplay.from_predictions([1], [1], [1], degrees_of_freedom=2),
            ValueError, "`degrees_of_freedom` must be above 2",
        ),
        (
            lambda m, v: LatentDisplay.from_estimator(v, DIGITS.data / 16, [1, 2]),
            ValueError, "`y` must have one value per row",
        ),
        (
            lambda m, v: ManifoldDisplay.from_estimator(v, image_shape=(3, 4)),
            ValueError, "`image_shape` must have as many values",
        ),
        (
            lambda m, v: ManifoldDisplay.from_estimator(v, image_shape=(8, 4, 2)),
            ValueError, "`image_shape` must have 1 or 3 channels",
        ),
        (lambda m, v: ManifoldDisplay.from_estimator(m), TypeError, "explained_kl_"),
        (
            lambda m, v: TraversalDisplay.from_estimator(v, DIGITS.data[:2] / 16),
            ValueError, "`X` must have one row",
        ),
        (
            lambda m, v: SamplesDisplay.from_estimator(v, n_rows=0),
            ValueError, "`n_rows` must be an integer >= 1",
        ),
    ],
)  # fmt: skip
def test_errors(regressor, vae, build, error, match):
    with pytest.raises(error, match=match):
        build(regressor, vae)


def test_without_matplotlib_the_error_says_what_to_install(regressor, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(
        ImportError, match=r"PredictiveDisplay.plot needs matplotlib.*skgen\[plot\]"
    ):
        PredictiveDisplay.from_estimator(regressor, DIABETES.data)
