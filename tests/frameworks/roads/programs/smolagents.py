"""smolagents' InferenceClientModel, by huggingface_hub."""

import os

PACKAGES = ("smolagents", "huggingface-hub", "httpx")


def roads(url: str):
    """By provider and kind of call."""
    os.environ["HF_HUB_OFFLINE"] = "0"  # else its client sends nothing, not even here

    def asked():
        from smolagents.models import ChatMessage

        return [ChatMessage(role="user", content=[{"type": "text", "text": "Hi"}])]

    def model():
        from huggingface_hub.inference import _providers
        from smolagents import InferenceClientModel

        # The router's address is written down in huggingface_hub, and is no setting.
        _providers.CONVERSATIONAL_AUTO_ROUTER.base_url = url
        return InferenceClientModel(model_id="deepseek-ai/DeepSeek-R1", provider="auto", token="hf_none", max_tokens=50)

    def agent():
        from smolagents import ToolCallingAgent

        return ToolCallingAgent(tools=[], model=model(), max_steps=1, verbosity_level=0)

    return {
        "Hugging Face": {
            "generate": lambda: model().generate(asked()),
            "streamed": lambda: list(model().generate_stream(asked())),
            "agent": lambda: agent().model.generate(asked()),
        }
    }
