"""Reading a scenario of the simulated server."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gputui.domain.errors import UsageError
from gputui.domain.plain_yaml import FAULTS, fault_text, load_yaml
from gputui.domain.scenario import Scenario
from gputui.domain.text import clean
from gputui.project.packaged_files import packaged

DEFAULT = "h100-server"


def scenario_names() -> tuple[str, ...]:
    """The scenarios that come with gputui."""
    return tuple(sorted(path.stem for path in (packaged("configs") / "scenarios").glob("*.yaml")))


def read_scenario(name: str) -> Scenario:
    """The scenario of that name, or in the file of that name.

    Raises:
        UsageError: there is none, or its file is wrong.
    """
    path = packaged("configs") / "scenarios" / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    if not path.is_file():
        raise UsageError(f"there is no scenario “{clean(name, 60)}”", f"scenarios: {', '.join(scenario_names())}")
    try:
        data: dict[str, Any] = load_yaml(path.read_text(encoding="utf-8"))
        data.setdefault("name", path.stem)
        return TypeAdapter(Scenario).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path.name}: {place}: {clean(first['msg'], 120)}", "mend the scenario") from None
    except (OSError, *FAULTS) as error:
        raise UsageError(f"{path.name}: not YAML: {clean(fault_text(error), 120)}", "correct the scenario") from None
