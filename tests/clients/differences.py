"""Where the same script ends otherwise on Apache Kafka than on Millrace.

A difference is a defect, or it is written in `differences.txt` with its reason. There, a line is

    CLIENT | BEHAVIOUR | MILLRACE | KAFKA | REASON

where the client is a name of the table or a script's name for all its variants, `*` stands for any client or any
behaviour, and the two outcomes are the words of the table. A line that no longer matches anything fails the run, so
that the list tells what is true.
"""


class Differences:
    def __init__(self, path):
        self.path = path
        self.written = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                words = [word.strip() for word in line.split("|", 4)]
                if len(words) != 5 or not all(words):
                    raise SystemExit(f"{path.name}:{number}: not CLIENT | BEHAVIOUR | MILLRACE | KAFKA | REASON")
                self.written.append((number, tuple(words)))

    def judge(self, millrace, kafka, names, everything):
        """The lines of what is wrong; prints every difference. Staleness can be told only when everything ran."""
        wrong, used, count = [], set(), 0
        print("\ndifferences between Millrace and Apache Kafka:")
        for ours, theirs in zip(millrace, kafka):
            for name in names:
                (mine, my_reason), (other, other_reason) = ours.of(name), theirs.of(name)
                if mine == other:
                    continue
                count += 1
                entry = self.entry(ours.client, name, mine, other)
                reason = entry[1][4] if entry else f"not written: {my_reason or other_reason}"
                print(f"  {ours.client}: {name}: Millrace {mine}, Kafka {other}: {reason}")
                if entry:
                    used.add(entry[0])
                else:
                    wrong.append(f"{ours.client}: {name}: Millrace {mine}, Kafka {other}: {my_reason or other_reason}")
        if not count:
            print("  none")
        if everything:
            wrong += [f"{self.path.name}:{number}: no longer true: {' | '.join(words[:4])}"
                      for number, words in self.written if number not in used]
        return wrong

    def entry(self, client, name, mine, other):
        for number, words in self.written:
            same_client = words[0] == "*" or client == words[0] or client.startswith(f"{words[0]}-")
            if same_client and words[1] in ("*", name) and words[2:4] == (mine, other):
                return number, words
        return None
