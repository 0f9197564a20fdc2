"""What an apply would do."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from gputui.app.ages import duration_text
from gputui.app.commands import short_uuids
from gputui.domain.plan import Plan
from gputui.domain.snapshot import EngineStatus


class PlanPane(VerticalScroll, can_focus=True):
    """The steps of the plan with their causes, and what changes in each container."""

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("", markup=False)

    def show_unknown(self, engine: EngineStatus) -> None:
        """Without the engine nobody can tell what an apply would do."""
        self._draw([Content.styled(f" {engine.reason or 'no container engine'}: what runs is not known", "dim")])

    def show(self, plan: Plan) -> None:
        """Take in a new plan."""
        lines: list[Content] = []
        for number, step in enumerate(plan.doing, start=1):
            visible = (
                f" · CUDA_VISIBLE_DEVICES={step.view.cuda_visible_devices}" if step.view and step.view.gpus else ""
            )
            away = step.action in ("recreate", "restart") and step.down_s is not None
            down = f" · about {duration_text(step.down_s or 0)} away" if away else ""
            lines.append(
                Content.from_markup(
                    " $number [b]$what[/b]  $why",
                    number=str(number),
                    what=f"{step.action} {step.name}",
                    why=step.cause + down + visible,
                )
            )
            lines += [Content.styled(f"     {short_uuids(line)}", "dim") for line in step.diff]
        if not plan.doing:
            lines.append(Content.styled(" nothing to do: what runs is what is assigned", "dim"))
        blocking = [one for one in plan.findings if one.severity in ("error", "refusal")]
        lines += [Content.styled(f" ✗ {one.line}", "$error") for one in blocking]
        self._draw(lines)

    def _draw(self, lines: list[Content]) -> None:
        content = Content("\n").join(lines)
        text = self.query_one(Static)
        if content != text.content:
            text.update(content)
