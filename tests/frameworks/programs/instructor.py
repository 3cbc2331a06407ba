"""Instructor: a client that checks answers and asks again. It has no agents."""

from frameworks.world import MODEL, AsyncRun, Run, World

PACKAGES = ("instructor", "openai")
INSTRUMENTATION = "openinference-instrumentation-instructor"


def _asked(world: World):
    """Until the model is told that its answer will not do, it answers the same or something else: both are wrong."""
    from pydantic import BaseModel, field_validator

    world.tool = "Answer"

    class Answer(BaseModel):
        query: str

        @field_validator("query")
        @classmethod
        def right(cls, value: str) -> str:
            if world.mode in ("runaway", "loop"):
                raise ValueError("that is not the answer")
            return value

    world.final_tool, world.final_argument = "Answer", "query"
    asked = [{"role": "user", "content": "What is the answer?"}]
    return {"model": MODEL, "response_model": Answer, "messages": asked, "max_retries": 40}


def agent(world: World, name: str) -> Run:
    import instructor
    import openai

    client = instructor.from_openai(openai.OpenAI(max_retries=0))
    return lambda: client.chat.completions.create(**_asked(world))


def async_agent(world: World, name: str) -> AsyncRun:
    import instructor
    import openai

    async def run():
        client = instructor.from_openai(openai.AsyncOpenAI(max_retries=0))
        return await client.chat.completions.create(**_asked(world))

    return run


def instrument(provider) -> None:
    from openinference.instrumentation.instructor import InstructorInstrumentor

    InstructorInstrumentor().instrument(tracer_provider=provider)
