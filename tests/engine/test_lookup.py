"""Guesses of what repeats."""

from engine.lookup import Guesser


def test_what_followed_the_same_three_tokens_is_guessed() -> None:
    guesser = Guesser([1, 2, 3, 4, 5, 6, 7, 9, 1, 2, 3])
    assert guesser.guess(2) == [4, 5]


def test_of_several_places_the_latest_is_taken() -> None:
    assert Guesser([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]).guess(1) == [5]


def test_without_an_earlier_place_nothing_is_guessed() -> None:
    assert Guesser([1, 2, 3, 4, 5]).guess(7) == []
    assert Guesser([1]).guess(7) == []


def test_the_newest_tokens_do_not_match_themselves() -> None:
    assert Guesser([1, 2, 3]).guess(7) == []


def test_no_more_is_guessed_than_is_asked_for() -> None:
    guesser = Guesser([1, 2, 3, 4, 5, 6, 1, 2, 3])
    assert guesser.guess(0) == []
    assert guesser.guess(-1) == []


def test_a_guesser_is_careful_until_a_whole_guess_was_right() -> None:
    guesser = Guesser([*range(20), 0, 1, 2])
    assert guesser.guess(7) == [3, 4, 5]
    guesser.judge(3, 3)
    guesser.extend([3, 4, 5, 6])
    assert guesser.guess(7) == [7, 8, 9, 10, 11, 12, 13]
    guesser.judge(7, 2)
    assert len(guesser.guess(7)) == 3


def test_who_has_to_be_sure_guesses_on_from_what_has_come_true() -> None:
    guesser = Guesser([*range(20), 0, 1, 2])
    assert guesser.guess(7, sure=True) == []
    guesser.extend([3])
    assert guesser.guess(7, sure=True) == [4, 5, 6]
    guesser.extend([9])
    assert guesser.guess(7, sure=True) == []


def test_a_wrong_guess_is_followed_by_silence_that_doubles() -> None:
    guesser = Guesser([*range(20), 0, 1, 2])
    silences = []
    for _ in range(8):
        assert guesser.guess(7)
        guesser.judge(3, 0)
        silences.append(0)
        while not guesser.guess(7):
            silences[-1] += 1
        guesser._rest = 0
    assert silences == [2, 4, 8, 16, 32, 64, 64, 64]


def test_a_right_guess_ends_the_silences() -> None:
    guesser = Guesser([*range(20), 0, 1, 2])
    guesser.judge(3, 0)
    guesser.judge(3, 1)
    assert guesser.guess(7)
