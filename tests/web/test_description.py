"""The description of the API: whole, made from the records, and kept by the answers (schemathesis)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from joulecast.footprint.place import PLACE_KEYS
from joulecast.question.models import Model
from joulecast.question.setting import FIELDS
from joulecast.web.app import create_app
from joulecast.web.asking import Defaults

APP = create_app(Defaults(gpu="H100-SXM5-80GB"))
KEPT = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
api = schemathesis.openapi.from_asgi("/openapi.json", APP)


@pytest.fixture(scope="module")
def described(client: TestClient) -> Any:
    return client.get("/openapi.json").json()


def test_it_is_openapi_and_its_schemas_are_schemas(described: Any) -> None:
    assert described["openapi"] == "3.1.0"
    for schema in described["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    text = str(described)
    for name in described["components"]["schemas"]:
        assert f"#/components/schemas/{name}'" in text, f"{name} is used nowhere"


def test_every_key_of_a_request_is_described(described: Any) -> None:
    """By the words of the record that it is a field of."""
    keys = described["components"]["schemas"]["EstimateRequest"]["properties"]
    of_places = {*PLACE_KEYS} - {"hourly_column", "allow_gaps"}  # of files, and no request names one
    assert {*FIELDS, *of_places, "size", "input_image", "law", "images"} == {*keys}
    assert keys["steps"]["description"] == "denoising steps, as given to the pipeline"
    assert "[s]" in keys["seconds"]["description"]
    assert "g CO2e/kWh" in keys["intensity"]["description"]
    assert keys["at"]["description"] == "a moment or an hour of the day of the hourly series, e.g. 12:00"
    assert keys["timezone"]["description"].startswith("of times without an offset")
    assert [name for name, key in keys.items() if not key["description"]] == []
    assert not [name for name, key in keys.items() if "joulecast." in key["description"]]
    assert not [name for name, key in keys.items() if "file" in key["description"]]
    of_engines = described["components"]["schemas"]["OpenAIRequest"]["properties"]
    assert of_engines["num_inference_steps"] == keys["steps"]


def test_every_path_is_described(described: Any) -> None:
    paths = {route.path for route in APP.routes if hasattr(route, "methods")} - {"/"}  # type: ignore[attr-defined]
    assert {*described["paths"]} == paths
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert operation["summary"].endswith("."), path
            assert "200" in operation["responses"]


def test_ids_are_distinct(described: Any) -> None:
    ids = [one["operationId"] for methods in described["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


def test_a_records_fields_are_those_of_the_answer(client: TestClient, described: Any) -> None:
    answer = client.post("/v1/estimate", json={"model": "sdxl", "region": "FR"}).json()
    assert {*described["components"]["schemas"]["EstimateAnswer"]["properties"]} == {*answer}
    names = {field.name for field in dataclasses.fields(Model)}
    assert {*described["components"]["schemas"]["Model"]["properties"]} == names


@pytest.mark.slow
@api.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_no_answer_is_undocumented_and_none_a_fault(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(checks=KEPT)
