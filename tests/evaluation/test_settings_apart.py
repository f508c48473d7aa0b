"""What tells rows of one name apart."""

import io
import json

from rich.console import Console

from tests.evaluation.test_leaderboard import board, run_dir
from wealtharena.evaluation.settings_apart import apart
from wealtharena.tasks.compare import table


def test_rows_of_one_name_say_which_settings_only_some_of_them_have():
    rows = [
        ("etf ppo", "python run.py asset=etf algo.gamma=0.9 seed=0 hydra.run.dir=a 'data.path=my bars.csv'"),
        (
            "etf ppo",
            "python run.py asset=etf algo.gamma=0.95 seed=1 tracking=none train.test=true 'data.path=my bars.csv'",
        ),
        ("etf ppo", "python run.py asset=etf resume=outputs/b 'data.path=my bars.csv'"),
        ("etf ppo", ""),
        ("etf ppo", "python run.py 'asset=etf"),
        ("etf direct", "python run.py asset=etf algo=direct"),
        ("crypto ppo", "python run.py 'asset=crypto"),  # cut short: nothing is told of it
    ]
    assert apart(rows) == [["algo.gamma=0.9"], ["algo.gamma=0.95"], [], [], [], [], []]


def test_many_rows_are_told_apart_in_no_time():
    """Each was compared with each: three thousand of a grid took six seconds."""
    rows = [("etf ppo", f"python run.py asset=etf algo.gamma=0.{place}") for place in range(3_000)]
    asked = []

    class Name(str):
        def __eq__(self, other):
            asked.append(other)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    assert apart([(Name(name), command) for name, command in rows])[7] == ["algo.gamma=0.7"]
    assert len(asked) < 10 * len(rows)


def test_two_configurations_of_one_agent_can_be_told_apart_on_the_board(tmp_path, evaluation):
    """Both stood as "ETF, PPO, files, 1 seed"."""
    for gamma in (0.9, 0.95):
        run_dir(tmp_path, f"r{gamma}", config=f"c{gamma}", command=f"python run.py asset=etf algo.gamma={gamma} seed=0")
    run_dir(tmp_path, "lost", config="c", command="python run.py asset=etf algo.gamma=1 seed=0", status="failed")
    found = board(tmp_path, evaluation)
    told = ["algo.gamma=0.9", "algo.gamma=0.95", "algo.gamma=1"]
    assert sorted(json.dumps(row["settings"]) for row in found["rows"]) == [json.dumps([word]) for word in told]
    terminal = Console(width=200, file=io.StringIO())
    terminal.print(table(found))
    assert all(f"{word} " in terminal.file.getvalue() for word in told)
