from pathlib import Path

from wealtharena.config.threads import set_threads, usable_cores


def test_the_quota_of_a_container_limits_the_cores(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path / "cpu.max") == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path / "cpu.max") >= 1
    assert usable_cores(tmp_path / "absent") >= 1


def test_threads_are_set_as_asked_and_a_user_s_own_value_stays() -> None:
    environment = {"OMP_NUM_THREADS": "7"}
    assert set_threads(3, environment) == 3
    assert environment["OMP_NUM_THREADS"] == "7"
    assert environment["OPENBLAS_NUM_THREADS"] == "3"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
