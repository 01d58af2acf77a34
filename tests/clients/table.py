"""The table of behaviours and clients, and the failures in it."""

from running import FAIL, OK, SKIP


def table(results, names):
    """Prints it; how many cells passed, and how many were skipped."""
    extra = [name for result in results for name in result.told if name not in names]
    rows = list(names) + sorted(set(extra))
    first = max(map(len, rows))
    # A client's name stands on two lines, its release below it.
    heads = [(*result.client.rsplit("-", 1), "")[:2] if result.client[-1].isdigit() else (result.client, "")
             for result in results]
    widths = [max(len(word) for word in (*head, "skip")) for head in heads]
    for level, title in ((0, "behaviour"), (1, "")):
        print(("\n" if level == 0 else "") + title.ljust(first)
              + "".join(f"  {head[level]:<{width}}" for head, width in zip(heads, widths)))
    for row in rows:
        cells = (result.told.get(row, ("", ""))[0] if row in extra else result.of(row)[0] for result in results)
        print(row.ljust(first) + "".join(f"  {cell:<{width}}" for cell, width in zip(cells, widths)))
    outcomes = [result.of(name)[0] for result in results for name in names]
    return {kind: outcomes.count(kind) for kind in (OK, SKIP)}


def failures(results, names):
    """One line for each behaviour that failed, and one for each client that kept silent about some."""
    found = []
    for result in results:
        found += [f"{result.client}: {name}: {reason}"
                  for name, (outcome, reason) in result.told.items() if outcome == FAIL]
        silent = [name for name in names if name not in result.told]
        if silent:
            found.append(f"{result.client}: nothing was told of {', '.join(silent)}")
    return found
