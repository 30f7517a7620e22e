from hemobench.errors import unknown_name


def test_a_far_name_gets_no_guess_but_the_list() -> None:
    message = str(unknown_name("model", "zzz", ["unet3d", "paper_cnn"]))
    assert message == "unknown model 'zzz'; known: paper_cnn, unet3d; use one of these names"
