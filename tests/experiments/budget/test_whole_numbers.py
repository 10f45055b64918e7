"""The search for bits and executions, on a network whose cheapest plan all choices tell."""

import itertools

import numpy as np
import pytest

from flow.errors import UserError
from flow.experiments.budget.bench import Alone
from flow.experiments.budget.cost import Cost, PowerCost, read
from flow.experiments.budget.families import CHEAPEST, families
from flow.experiments.budget.judgement import Judge, judge, ratio
from flow.experiments.budget.knobs import ADC, EXECUTIONS, SIGMA, Knob
from flow.experiments.budget.optimum import optimum
from flow.experiments.budget.response import Effect, Response, Trial
from flow.experiments.budget.selection import Target, select
from flow.experiments.budget.sources import Source, Space
from tests.experiments.budget.test_search import CEILING, LOST_OF_CHANGED, TARGET, LinearNetwork, M

COUNTS = np.array([200.0, 5000.0, 100.0, 3000.0, 80.0])
ORIGINS = {ADC: np.array([0.5, 0.2, 0.9, -0.3, 1.1]), EXECUTIONS: np.log(M) - 0.6}
CHANGED = TARGET / LOST_OF_CHANGED


def space_of(knob: Knob) -> Space:
    return Space([Source(s, knob, s, o) for s, o in zip("abcde", ORIGINS[knob], strict=True)])


class WholeNetwork(LinearNetwork):
    """The same network, of which a source alone is measured at every number of bits."""

    def __init__(self, space: Space, seed: int, images: int = 20_000) -> None:
        super().__init__(seed, images)
        self.space = space

    def alone(self, site: str) -> Alone:
        number = self.space.names.index(site)
        source = self.space.sources[number]
        if source.knob != ADC:
            return super().alone(site)
        plans = np.full((len(source.levels), 5), -np.inf)
        plans[:, number] = source.levels
        return Alone(float(np.log(M[number])), [self.measure(u, 1).trial(u) for u in plans])


def every_plan(space: Space, near: np.ndarray) -> np.ndarray:
    """All plans of numbers within two or three levels of one, [plans, sources]."""
    around = [
        one.levels[max(one.index(u) - 3, 0) : one.index(u) + 3]
        for one, u in zip(space.sources, near, strict=True)
    ]
    return np.array(list(itertools.product(*around)))


def shares_of(network: LinearNetwork, plans: np.ndarray) -> np.ndarray:
    power = (np.exp(2 * plans) / M**2).sum(axis=1)
    return CEILING * power / (1 + power)


def silent(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module", params=[ADC, EXECUTIONS])
def space(request):
    return space_of(request.param)


@pytest.fixture(scope="module")
def cost(space):
    return read(None, space.sources, COUNTS)


@pytest.fixture(scope="module")
def found(space, cost):
    return select(WholeNetwork(space, 1), cost, Target(TARGET, 0.2 * TARGET), space, silent)


def test_a_number_and_its_noise_tell_each_other():
    adc, repeated = Source("a", ADC, "a", 0.5), Source("a", EXECUTIONS, "a", 0.5)
    assert adc.numbers.tolist() == list(range(12, 0, -1))
    assert np.exp(adc.levels) == pytest.approx(np.exp(0.5) / 2.0**adc.numbers)
    assert np.exp(repeated.levels) == pytest.approx(np.exp(0.5) / np.sqrt(repeated.numbers))
    for one in (adc, repeated):
        assert [one.number(u) for u in one.levels] == one.numbers.tolist()
        assert (np.diff(one.levels) > 0).all()
        assert one.raised(one.levels[3], 0.1) == one.levels[4]
        assert one.raised(one.levels[-1], 0.1) is None
    # bounds are those of what is possible
    few = Space([adc]).within(adc.log_noise([6]), adc.log_noise([3])).sources[0]
    assert few.numbers.tolist() == [6, 5, 4, 3]


def test_the_optimum_is_that_of_all_choices():
    rng = np.random.default_rng(4)
    for knob, most in ((ADC, 12), (EXECUTIONS, 10)):
        for _ in range(8):
            sources = [
                Source(s, knob, s, o) for s, o in zip("abc", rng.normal(0, 1, 3), strict=True)
            ]
            full = Space(sources)
            space = full.within(np.array([s.log_noise(most) for s in sources]), full.high)
            cost = read(None, sources, rng.lognormal(0, 2, 3))
            response = Response(rng.normal(0, 1, 3) - 1, rng.uniform(1.2, 4, 3), 1.2, CEILING)
            plans = np.array(list(itertools.product(*(one.levels for one in space.sources))))
            allowed = plans[response.changed(plans) <= 0.05]
            if not len(allowed):
                with pytest.raises(UserError, match="out of reach"):
                    optimum(cost, response, 0.05, space)
                continue
            best = optimum(cost, response, 0.05, space)
            assert response.changed(best) <= 0.05 * (1 + 1e-6)
            assert cost.total(best) == pytest.approx(cost.total(allowed).min(), rel=1e-6)
            # without this plan it is the next one
            rest = allowed[(np.abs(allowed - best) > 1e-6).any(axis=1)]
            if len(rest):
                second = optimum(cost, response, 0.05, space, [best])
                assert cost.total(second) == pytest.approx(cost.total(rest).min(), rel=1e-6)


def test_sigma_and_bits_are_solved_for_together():
    rng, counts = np.random.default_rng(5), np.array([300.0, 40.0, 200.0, 90.0])
    sigma = [Source(s, SIGMA, f"{s} sigma", 0.0, -9.0, 3.0) for s in "ab"]
    adc = [Source(s, ADC, f"{s} adc", 0.3) for s in "ab"]
    space, cost = Space([*sigma, *adc]), read(None, [*sigma, *adc], counts)
    response = Response(rng.normal(0, 0.5, 4), np.array([2.0, 1.7, 2.2, 2.0]), 1.1, CEILING)
    best = optimum(cost, response, 0.05, space)
    assert response.changed(best) == pytest.approx(0.05, rel=1e-3)
    # for each choice of bits σ is a smooth problem
    least = np.inf
    for bits in itertools.product(adc[0].levels, adc[1].levels):
        fixed = space.within(np.array([-9, -9, *bits]), np.array([3, 3, *bits]))
        if response.changed(fixed.low) < 0.05:
            smooth = optimum(cost, response, 0.05, fixed)
            least = min(least, float(cost.total(smooth)))
    assert cost.total(best) == pytest.approx(least, rel=1e-3)


def test_the_search_finds_the_cheapest_of_all_plans(found, space, cost):
    network = LinearNetwork(2)
    plans = every_plan(space, found.plan)
    allowed = plans[shares_of(network, plans) <= network.share(found.plan) * (1 + 1e-9)]
    # none that changes as little costs less
    assert cost.total(found.plan) <= 1.03 * cost.total(allowed).min()
    assert network.share(found.plan) <= 1.1 * CHANGED
    # and one that changes as much as it may costs hardly less
    most = plans[shares_of(network, plans) <= CHANGED]
    assert cost.total(found.plan) <= 1.1 * cost.total(most).min()
    assert found.met


def test_the_judgement_tells_the_known_saving(found, space, cost):
    network = LinearNetwork(3)
    rules = families(found.plan, found.log_mu, space, np.ones(5), seed=0)
    by = Judge(network, cost, space, TARGET, found.losses, found.changed, draws=4)
    judged = judge(by, rules, found.response, silent)
    ours = judged[CHEAPEST]
    # the plan itself was measured
    assert any(np.allclose(plan.log_noise, found.plan) for plan in ours.plans)
    name = "same bits" if space.knobs == [ADC] else "same k"

    def known(direction: np.ndarray) -> float:
        """Cost where the network changes as much as with the plan, between two plans."""
        factors = np.linspace(-7, 3, 501)
        every = np.array([space.nearest(direction + factor) for factor in factors])
        log_cost, share = np.log(cost.total(every)), np.log(shares_of(network, every))
        wanted = np.log(network.share(found.plan))
        assert share[0] < wanted < share[-1]
        return float(np.exp(np.interp(wanted, share, log_cost)))

    saving = ratio(judged[name].cost_changed, ours.cost_changed)
    own = float(cost.total(found.plan))
    assert (ours.cost == own).all() and (ours.log_factor == 0).all()
    assert saving.value == pytest.approx(known(rules[name]) / own, rel=0.1)
    assert saving.low * 0.97 <= known(rules[name]) / own <= saving.high * 1.03
    assert all(ratio(one.cost, ours.cost).high >= 0.9 for one in judged.values())


def test_bits_have_the_effect_that_was_measured():
    levels = Source("a", ADC, "a").levels
    shares = np.array([0.0] * 7 + [0.02, 0.02, 0.03, 0.4, 0.2])
    trials = [
        Trial(np.array([-np.inf, u]), d, 0.0, 1000) for u, d in zip(levels, shares, strict=True)
    ]
    effect = Effect.of(levels, trials[3:], 1, CEILING)
    response = Response(np.zeros(2), np.full(2, 2.0), 1.0, CEILING, {1: effect})
    plans = np.array([[-np.inf, u] for u in levels])
    changed = response.changed(plans)
    # what was measured, a cliff and one bit that is better than two among it
    assert changed[7:] == pytest.approx(shares[7:], rel=0.01)
    # where nothing changed, less than one image, and less with each bit
    assert (np.diff(changed[:8]) > 0).all() and changed[6] < 3 / 1000
    assert changed[0] < 1e-5
    # noise of the other source adds to it
    assert response.changed(np.array([-2.0, levels[9]])) > changed[9]
    assert response.changed(response.scaled_to(np.zeros(2), 0.1)) == pytest.approx(0.1)
    # the optimum takes one bit, not two
    cost = read(None, [Source("a", ADC, "a")], [1.0])
    alone = Response(np.zeros(1), np.full(1, 2.0), 1.0, CEILING, {0: effect})
    space = Space([Source("a", ADC, "a")])
    assert space.sources[0].number(float(optimum(cost, alone, 0.25, space)[0])) == 1
    assert space.sources[0].number(float(optimum(cost, alone, 0.1, space)[0])) == 3


def test_what_is_out_of_reach_is_said(space, cost):
    response = Response(np.full(5, -30.0), np.full(5, 2.0), 1.0, CEILING)
    with pytest.raises(UserError, match="out of reach"):
        optimum(cost, response, 0.01, space)


def test_whole_numbers_of_a_smooth_cost_are_those_of_its_levels():
    (source,) = space_of(ADC).sources[:1]
    cost = Cost([PowerCost(np.exp(source.origin), 1.0)])
    assert cost.total(source.levels[:, None]) == pytest.approx(2.0**source.numbers)
