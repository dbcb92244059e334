"""Markdown tables that can also be read as they stand, and scores in words."""

CORRELATIONS = ("pearson", "spearman", "matthews_correlation")


def in_words(score: float, metric: str) -> str:
    """`76.7%`, and of a correlation, which is no share of anything, `0.767`."""
    return f"{score:.3f}" if metric.partition("/")[0] in CORRELATIONS else f"{score:.1%}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table: the first column to the left, the others to the right."""
    widths = [max(2, *map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: list[str]) -> str:
        aligned = [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
        return f"| {' | '.join(aligned)} |"

    return [line(row) for row in [header, rule, *rows]]
