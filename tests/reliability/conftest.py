import pytest
from runs import Case


@pytest.fixture(scope="session")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("runs"))
