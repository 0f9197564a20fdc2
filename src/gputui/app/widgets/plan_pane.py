"""The plan pane: what an apply would do."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from gputui.app.guarded import Guarded
from gputui.app.render.plan_summary import short_uuids
from gputui.app.render.styled import Run
from gputui.app.render.values import duration_text
from gputui.app.widgets.finding_line import marked
from gputui.app.widgets.hanging_lines import HangingLines, Marked
from gputui.domain.plan import Plan, Step
from gputui.domain.snapshot import EngineStatus


class PlanPane(Guarded, VerticalScroll, can_focus=True):
    """The steps of the plan with their causes, and what changes in each container."""

    def compose(self) -> ComposeResult:
        """The lines of the plan."""
        yield HangingLines()

    def show_unknown(self, engine: EngineStatus) -> None:
        """Without the engine there is no plan."""
        self._say([_dim(f"{engine.reason or 'no container engine'}: what runs is not known")])

    def show(self, plan: Plan) -> None:
        """Show a new plan."""
        blocking = [finding for finding in plan.findings if finding.severity in ("error", "refusal")]
        lines = [marked(finding) for finding in blocking]
        for number, step in enumerate(plan.doing, start=1):
            lines.append((Run(f" {number} "), (Run(f"{step.action} {step.name}", "title"), Run(f"  {_why(step)}"))))
            lines += [(Run("     "), (Run(short_uuids(line), "dim"),)) for line in step.diff]
        if not plan.doing:
            lines.append(_dim("nothing to do: what runs is what is assigned"))
        self._say([*lines, *(marked(finding) for finding in plan.untaken)])

    def _say(self, lines: list[Marked]) -> None:
        self.query_one(HangingLines).say(lines)


def _dim(text: str) -> Marked:
    return Run(" "), (Run(text, "dim"),)


def _why(step: Step) -> str:
    has_downtime = step.action in ("recreate", "restart") and step.down_s is not None
    downtime = f" · about {duration_text(step.down_s or 0)} away" if has_downtime else ""
    visible = f" · CUDA_VISIBLE_DEVICES={step.view.cuda_visible_devices}" if step.view and step.view.gpus else ""
    return step.cause + downtime + visible
