import pytest

from tests.lake import make_lake, planted_influence


@pytest.fixture(scope="session")
def lake(tmp_path_factory):
    return make_lake(tmp_path_factory.mktemp("cli"), planted_influence(30, elbow=15), documents=8, positions=6)
