"""How far ONNX models are from the estimators that they are made from, on bundled data.

    python tests/benchmarks/exported.py

Differences are relative to the largest magnitude of the output's column, and the largest of all
columns, means and standard deviations alike.
"""

import numpy as np
import onnxruntime
from sklearn import datasets

from skgen import BayesianBasisRegressor, VAETransformer
from skgen.onnx import decoder_to_onnx, to_onnx

DATA = ["breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine"]


def difference(model, rows, expected):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    outputs = session.run(None, {session.get_inputs()[0].name: rows})
    largest = 0.0
    for output, table in zip(outputs, expected, strict=True):
        table = table.reshape(len(table), -1)
        apart = np.abs(output - table).max(axis=0) / np.abs(table).max(axis=0)
        largest = max(largest, apart.max())
    return largest


def differences(convert, predict, rows):
    """Of the float32 model on the same rows, on rows before they were rounded, and in float64."""
    rounded = rows.astype(np.float32)
    single, double = convert(rounded), convert(rows)
    return [
        difference(single, rounded, predict(rounded)),
        difference(single, rounded, predict(rows)),
        difference(double, rows, predict(rows)),
    ]


def of_data(name):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    regressor = BayesianBasisRegressor().fit(X[:400], y[:400])
    vae = VAETransformer(2, max_iter=20, random_state=0).fit(X)
    return [
        *differences(
            lambda rows: to_onnx(regressor, rows, return_std=True),
            lambda rows: regressor.predict(rows, return_std=True),
            X,
        ),
        *differences(
            lambda rows: to_onnx(vae, rows, return_std=True),
            lambda rows: vae.transform(rows, return_std=True),
            X,
        ),
        *differences(
            lambda codes: decoder_to_onnx(vae, codes),
            lambda codes: [vae.inverse_transform(codes)],
            vae.transform(X),
        ),
    ]


if __name__ == "__main__":
    print("data | regressor | encoder | decoder: each float32, rounded input, float64")
    for name in DATA:
        print(name, *(f"{value:.0e}" for value in of_data(name)), sep=" | ")
