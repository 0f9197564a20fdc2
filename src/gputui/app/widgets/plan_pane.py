"""What an apply would do."""

from textual.content import Content
from textual.widgets import Static

from gputui.domain.plan import Plan


class PlanPane(Static):
    """The steps of the plan with their causes, and what changes in each container."""

    def show(self, plan: Plan) -> None:
        """Take in a new plan."""
        lines: list[Content] = []
        for number, step in enumerate(plan.doing, start=1):
            visible = (
                f" · CUDA_VISIBLE_DEVICES={step.view.cuda_visible_devices}" if step.view and step.view.gpus else ""
            )
            lines.append(
                Content.from_markup(
                    " $number [b]$what[/b]  $why",
                    number=str(number),
                    what=f"{step.action} {step.name}",
                    why=step.cause + visible,
                )
            )
            lines += [Content.styled(f"     {line}", "dim") for line in step.diff]
        if not plan.doing:
            lines.append(Content.styled(" nothing to do: what runs is what is assigned", "dim"))
        blocking = [one for one in plan.findings if one.severity in ("error", "refusal")]
        lines += [Content.styled(f" ✗ {one.text}. {one.fix}", "$error") for one in blocking]
        content = Content("\n").join(lines)
        if content != self.content:
            self.update(content)
