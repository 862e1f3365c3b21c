"""What evaluation can fail with.

EvaluationError
├── ScorerOptionsError      the scorer does not exist, or its options do not fit it
└── NoScoreError            this answer cannot be scored: becomes a counted missing value
"""


class EvaluationError(Exception):
    """Base of everything the evaluators raise."""


class ScorerOptionsError(EvaluationError):
    """The scorer cannot be made; the text says what to change."""


class NoScoreError(EvaluationError):
    """This answer cannot be scored, and why. Never counts as a zero."""
