"""DSPy: a ReAct module over LiteLLM; its batches run in threads. It has no named agents."""

import asyncio

from agent_fuse.testing import Reply
from frameworks.world import MODEL, AsyncRun, Run, World, fields

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


def parallel(world: World, names: tuple[str, str]) -> Run:
    """`dspy.Parallel` over two modules, in threads."""
    import dspy

    work = [(made(world), {"question": f"What is {name}?"}) for name in names]
    return lambda: dspy.Parallel(num_threads=2, disable_progress_bar=True)(
        [(module, dspy.Example(**given).with_inputs("question")) for module, given in work]
    )


def best(world: World, names: tuple[str, str]) -> Run:
    """`dspy.BestOfN`, which goes on where one of its tries failed."""
    import dspy

    module = dspy.BestOfN(made(world), N=2, reward_fn=lambda *_: 0.0, threshold=1.0)
    return lambda: module(question="What is the answer?")


def refined(world: World, names: tuple[str, str]) -> Run:
    """`dspy.Refine`, which gives itself advice between its tries."""
    import dspy

    module = dspy.Refine(made(world), N=2, reward_fn=lambda *_: 1.0, threshold=1.0)
    return lambda: module(question="What is the answer?")


def inner(world: World, names: tuple[str, str]) -> Run:
    """A module's tool is another module."""
    import dspy

    second = made(world)

    def ask_other(query: str) -> str:
        """Asks somebody else."""
        return str(second(question=query).answer)

    world.react = True
    lm = dspy.LM(f"openai/{MODEL}", api_base=world.base_url, api_key="none", cache=False, num_retries=0)
    module = dspy.ReAct("question -> answer", tools=[world.lookup, ask_other], max_iters=40)
    module.set_lm(lm)
    asked: list[str] = []

    def first(request):
        if "ask_other" not in str(request.body["messages"][0]) or asked:
            return None
        asked.append("once")
        return Reply(text=fields(next_thought="Hm.", next_tool_name="ask_other", next_tool_args='{"query": "What?"}'))

    world.hand_over = first
    return lambda: module(question="What is the answer?")


def tasks(world: World, names: tuple[str, str]) -> Run:
    """Two at once, in tasks."""

    async def run():
        return await asyncio.gather(*(made(world).acall(question=f"What is {name}?") for name in names))

    return lambda: asyncio.run(run())


FORMS = {
    "Parallel": parallel,
    "BestOfN": best,
    "Refine": refined,
    "module as tool": inner,
    "gathered": tasks,
}


def instrument(provider) -> None:
    from openinference.instrumentation.dspy import DSPyInstrumentor

    DSPyInstrumentor().instrument(tracer_provider=provider)
