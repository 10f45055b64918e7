"""Work shared out to threads."""

import pytest
import torch

from flow.threads import share


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("inference", [False, True])
def test_every_row_is_worked_on_once_in_the_callers_mode(threads, inference):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode(inference):
            rows = torch.zeros(11, dtype=torch.int64)

            def work(part: slice) -> None:
                rows[part] += 1

            share(len(rows), 3, work)
        assert rows.tolist() == [1] * 11
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
