"""Only the line about OneDL is swallowed."""

from omgseg.compat import quiet_import


def test_swallows_the_onedl_line_only(capsys):
    with quiet_import():
        print("before")
        print("Could not import OneDL. Skipping OneDL datasets.")
        print("after", end="")
    print("!")
    assert capsys.readouterr().out == "before\nafter!\n"


def test_stream_is_restored_after_an_error(capsys):
    try:
        with quiet_import():
            print("partial", end="")
            raise ImportError("broken")
    except ImportError:
        print(" shown")
    assert capsys.readouterr().out == "partial shown\n"
