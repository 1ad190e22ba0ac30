"""Where scikit-learn's HTML representation of an estimator leads: its page in the API reference."""

SITE = "https://skgen.readthedocs.io/en/latest"


class DocumentationLink:
    """Names the page of an estimator in the way that scikit-learn's BaseEstimator looks for it."""

    _doc_link_module = "skgen"
    _doc_link_template = f"{SITE}/api/generated/skgen.{{estimator_name}}.html"
