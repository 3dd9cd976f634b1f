"""An OpenAPI action group by `BedrockAgentResolver`, which also writes the group's schema."""

from typing import Annotated

from aws_lambda_powertools.event_handler import BedrockAgentResolver
from aws_lambda_powertools.event_handler.api_gateway import BedrockResponse
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from pydantic import BaseModel, Field

app = BedrockAgentResolver()


class Claim(BaseModel):
    """What a claim is filed with."""

    holder: str = Field(description="Who files it.", min_length=2)
    amount: float = Field(description="How much it is about.", gt=0)
    urgent: bool = Field(default=False, description="Whether it cannot wait.")
    items: list[str] = Field(default_factory=list, description="What was damaged.")


@app.get("/claims", description="Lists the claims of a holder.", operation_id="listClaims")
def list_claims(
    holder: Annotated[str, Query(description="Who filed them.", min_length=2)],
    limit: Annotated[int, Query(description="How many at most.", ge=1)] = 10,
    settled: Annotated[bool, Query(description="Whether settled ones count.")] = False,
) -> dict:
    seen = app.current_event
    return {
        "holder": holder, "limit": limit, "settled": settled, "agent": seen.agent.name, "alias": seen.agent.alias,
        "session": seen.session_id, "asked": seen.input_text, "tenant": seen.session_attributes.get("tenant"),
    }


@app.post("/claims", description="Files a claim.", operation_id="fileClaim")
def file_claim(claim: Annotated[Claim, Body(description="The claim.")]) -> dict:
    return {"filed": claim.model_dump()}


@app.delete(
    "/claims", description="Withdraws a claim.", operation_id="withdrawClaim",
    openapi_extensions={"x-requireConfirmation": "ENABLED"},
)
def withdraw_claim(claim: Annotated[str, Query(description="Which.")]) -> dict:
    return {"withdrawn": claim}


@app.put("/desk", description="Opens the desk of somebody.", operation_id="openDesk")
def open_desk(clerk: Annotated[str, Query(description="Whose.")]):
    return BedrockResponse(
        body={"desk": clerk},
        session_attributes={**app.current_event.session_attributes, "clerk": clerk},
        prompt_session_attributes={"mood": "busy"},
    )


@app.get("/broken", description="Never works.", operation_id="broken")
def broken() -> dict:
    raise RuntimeError("the book of claims is lost")


@app.get("/made_without_id/<claim>", description="Reads a claim.")
def read_claim(claim: Annotated[str, Path(description="Which.")]) -> dict:
    return {"claim": claim}


def handler(event, context):
    return app.resolve(event, context)


if __name__ == "__main__":
    print(app.get_openapi_json_schema(title="Claims", version="1.0.0"))
