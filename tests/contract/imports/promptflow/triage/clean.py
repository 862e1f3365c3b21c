from promptflow.core import tool


@tool
def clean(mail: str, words: list) -> dict:
    text = " ".join(mail.split())
    return {"text": text, "is_urgent": any(word in text.lower() for word in words)}
