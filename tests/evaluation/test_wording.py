from hypothesis import given
from hypothesis import strategies as st

from wealtharena.evaluation.wording import figure, limit


@given(
    st.integers(-(10**8), 10**8), st.integers(-(10**8), 10**8), st.sampled_from([".2f", "+.2f", ".1%", "+.1%", ".0%"])
)
def test_what_is_printed_compares_as_what_was_compared(value, bound, form):
    a, b = value / 1e8, bound / 1e8
    shown, most = figure(a, b, form=form), limit(b, form=form)

    def read(text):
        return round(float(text.rstrip("%")) / (100 if text.endswith("%") else 1), 12)

    assert (read(shown) > read(most), read(shown) < read(most)) == (a > b, a < b)


def test_a_figure_far_from_its_limit_keeps_the_form_it_was_given():
    assert figure(0.8012, 0.95, form=".2f") == "0.80"
    assert figure(-0.21, -0.35, form=".1%") == "-21.0%"
    assert (limit(0.95, form=".2f"), limit(0.955, form=".2f"), limit(-0.35, form=".0%")) == ("0.95", "0.955", "-35%")
