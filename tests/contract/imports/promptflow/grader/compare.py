from promptflow.core import tool

SAME = "same"


@tool
def main(truth: str, answer: str, strict: bool) -> str:
    left, right = (truth, answer) if strict else (truth.lower(), answer.lower())
    return SAME if left == right else "different"
