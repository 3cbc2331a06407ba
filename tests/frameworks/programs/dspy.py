"""DSPy: a ReAct module over LiteLLM; its batches run in threads. It has no named agents."""

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("dspy", "litellm", "openai")
INSTRUMENTATION = "openinference-instrumentation-dspy"


def made(world: World):
    import dspy

    world.react = True
    lm = dspy.LM(f"openai/{MODEL}", api_base=world.base_url, api_key="none", cache=False, num_retries=0)
    module = dspy.ReAct("question -> answer", tools=[world.lookup], max_iters=40)
    module.set_lm(lm)
    return module


def agent(world: World, name: str) -> Run:
    module = made(world)
    return lambda: module(question="What is the answer?")


def async_agent(world: World, name: str) -> AsyncRun:
    module = made(world)
    return lambda: module.acall(question="What is the answer?")


def streamed(world: World, name: str) -> Run:
    import dspy

    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    module = dspy.streamify(made(world), stream_listeners=[listener], async_streaming=False)
    return lambda: list(module(question="What is the answer?"))


def pool(world: World, name: str) -> Run:
    import dspy

    module = made(world)
    examples = [dspy.Example(question=f"What is {one}?").with_inputs("question") for one in range(4)]
    return lambda: module.batch(examples, num_threads=2, disable_progress_bar=True)


def instrument(provider) -> None:
    from openinference.instrumentation.dspy import DSPyInstrumentor

    DSPyInstrumentor().instrument(tracer_provider=provider)
