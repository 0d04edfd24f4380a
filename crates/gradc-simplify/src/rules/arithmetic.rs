//! Sums, products, signs, and what operators say about themselves.

use egg::Id;
use gradc_ir::{Class, op};

use super::Fact::{Bounded, Finite, Float, Moderate, NonNegative, NotTiny, Positive};
use super::Flaw::{Cancels, Rounds};
use super::FpClass::{Accurate, Fast, Strict};
use super::compiled::is_identity;
use super::{InSums, Match, Rule, Wanted, rule};
use crate::facts::Range;
use crate::term::Term;
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // What an operator's algebra says: one line for all operators.
    rule("identity",            Strict,   "f(x, e)",                 "x",                  "the operator says that e is its identity, bit for bit").any(Class::Elementwise).that(|algebra| algebra.right_identity.is_some()).to(Wanted::Identity).built(identity).sees(1).local().at(&["x * 1 @", "x + -0 @", "x - 0 @", "x / 1 @", "pow(x, 1) @"]),
    rule("involution",          Strict,   "f(f(x))",                 "x",                  "the operator undoes itself").any(Class::Elementwise).that(|algebra| algebra.involution).built(involution).sees(2).local().at(&["-(-x) @", "not(not(p)) @"]),
    rule("idempotent",          Strict,   "f(f(x)) or f(x, x)",      "f(x) or x",          "the operator changes nothing the second time").any(Class::Elementwise).that(|algebra| algebra.idempotent).built(idempotent).sees(2).local().at(&["abs(abs(x)) @", "sign(sign(x)) @", "max(x, x) @", "min(x, x) @", "and(p, p) @", "or(p, p) @", "stop_gradient(stop_gradient(x)) @"]),
    rule("even",                Strict,   "f(-x)",                   "f(x)",               "the operator does not see the sign").any(Class::Elementwise).that(|algebra| algebra.even).to(Wanted::One(&op::neg::NEG)).built(even).sees(2).local().at(&["abs(-x) @"]),
    // Negation itself is odd too, but that says nothing new.
    rule("odd",                 Strict,   "f(-x)",                   "-f(x)",              "the operator passes the sign on").any(Class::Elementwise).that(|algebra| algebra.odd && !algebra.involution).to(Wanted::One(&op::neg::NEG)).built(odd).sees(2).local().at(&["tanh(-x) @", "erf(-x) @"]),

    rule("whole-of-whole",      Strict,   "round(floor(x))",         "floor(x)",           "of floor, ceil and round, each leaves whole numbers as they are").any(Class::Elementwise).built(whole_of_whole).sees(2).local().at(&["round(floor(x)) @", "floor(ceil(x)) @", "ceil(round(x)) @", "floor(floor(x)) @"]),
    rule("magnitude-of-positive", Accurate, "abs(x)",                "x",                  "only the sign of a zero differs").when(&[("x", NonNegative)]).local().at(&["x: 64 in 0..3"]),

    rule("add-negation",        Strict,   "x + -y",                  "x - y",              "subtraction is defined as this").local(),
    rule("subtract-negation",   Strict,   "x - -y",                  "x + y",              "subtraction is defined as this").local(),
    rule("product-of-negations",Strict,   "-x * -y",                 "x * y",              "signs multiply; magnitudes are the same").local(),
    rule("negated-factor",      Strict,   "-x * y",                  "-(x * y)",           "signs multiply; magnitudes are the same").local(),
    rule("negated-dividend",    Strict,   "-x / y",                  "-(x / y)",           "signs multiply; magnitudes are the same").local(),
    rule("negated-divisor",     Strict,   "x / -y",                  "-(x / y)",           "signs multiply; magnitudes are the same").local(),
    rule("negated-multiple",    Strict,   "-(#c * x)",               "-#c * x",            "the sign goes into the number").local(),
    rule("negative-one-times",  Strict,   "-1 * x",                  "-x",                 "only the sign changes").local(),
    rule("divide-by-two-power", Strict,   "x / #c",                  "1/#c * x",           "the reciprocal of a power of two is exact, and so the product is rounded like the quotient").built(by_exact_reciprocal).local().at(&["#c: 4", "#c: -0.5"]),
    rule("negated-difference",  Accurate, "-(x - y)",                "y - x",              "only the sign of a zero differs").local(),
    rule("zero-minus",          Accurate, "0 - x",                   "-x",                 "only the sign of a zero differs").local(),
    rule("plus-zero",           Accurate, "x + 0",                   "x",                  "differs only where x is -0, which becomes +0").local(),
    rule("twice",               Strict,   "x + x",                   "2 * x",              "doubling is exact").in_sums(InSums::Exact),

    rule("multiple-of-multiple",Accurate, "#a * (#b * x)",           "#a*#b * x",          "as many roundings, and no product in between that could overflow or vanish").built(|t, m| scaled(t, m, |a, b| a * b)).local().at(&["#a: 3; #b: 0.1", "#a: -7; #b: 0.3"]),
    rule("quotient-of-multiple",Accurate, "(#b * x) / #a",           "#b/#a * x",          "as many roundings, and no product in between that could overflow or vanish").built(|t, m| scaled(t, m, |a, b| b / a)).local().at(&["#a: 3; #b: 0.1", "#a: 7; #b: -5"]),
    rule("multiple-of-quotient",Accurate, "#b * (x / #a)",           "#b/#a * x",          "as many roundings, and no quotient in between that could overflow or vanish").built(|t, m| scaled(t, m, |a, b| b / a)).local().at(&["#a: 3; #b: 0.1", "#a: 7; #b: -5"]),
    rule("multiple-of-inverse", Accurate, "#a * (#b / x)",           "#a*#b / x",          "one rounding fewer").built(multiple_of_inverse).local().at(&["#a: 3; #b: 0.1", "#a: -0.5; #b: 0.3"]),
    rule("inverse-over-number", Accurate, "(#b / x) / #a",           "#b/#a / x",          "one rounding fewer").built(inverse_over_number).overflows().local().at(&["#a: 12; #b: 0.5", "#a: -0.5; #b: 0.3"]),
    rule("multiple-and-itself", Accurate, "#c * x + x",              "(#c + 1) * x",       "one rounding instead of two").built(multiple_and_itself).in_sums(InSums::Derivative).at(&["#c: 2", "#c: -0.5", "#c: 3"]),
    rule("common-multiple",     Accurate, "#c * x - #c * y",         "#c * (x - y)",       "one rounding fewer, and none of them before the cancellation").flawed(Cancels),
    rule("opposite-multiples",  Accurate, "#c * x + #d * y",         "#c * (x - y)",       "for #d = -#c: one rounding fewer, and none of them before the cancellation").built(opposite_multiples).flawed(Cancels).at(&["#c: 0.1; #d: -0.1", "#c: 3; #d: -3"]),
    rule("negative-multiple-of-difference", Accurate, "#c * (x - y)", "-#c * (y - x)",     "for negative #c; only the sign of a zero differs").built(turned_difference).at(&["#c: -0.1", "#c: -3"]),
    rule("sum-of-multiples",    Accurate, "#c * x + #c * y",         "#c * (x + y)",       "one rounding fewer").built(sum_of_multiples),
    rule("times-reciprocal",    Accurate, "x * (1 / y)",             "x / y",              "one rounding instead of two, and no reciprocal that could overflow").flawed(Rounds).overflows(),

    rule("times-number-over",   Accurate, "x * (#c / y)",            "#c * (x / y)",       "as many roundings where the quotient is there, else one fewer; #c is small").built(times_number_over).flawed(Rounds).overflows().at(SMALL_NUMBERS),

    rule("common-factor",       Accurate, "a * x + a * y",           "a * (x + y)",        "one rounding fewer, and none of them before the sum").built(|t, m| common_factor(t, m, &op::add::ADD)).overflows(),
    rule("common-factor-of-difference", Accurate, "a * x - a * y",   "a * (x - y)",        "one rounding fewer, and none of them before the cancellation").built(|t, m| common_factor(t, m, &op::sub::SUB)).overflows(),
    rule("factor-and-itself",   Accurate, "a * x + a",               "a * (x + 1)",        "as many roundings, and none of them is what is left where the terms cancel").built(|t, m| common_factor(t, m, &op::add::ADD)).overflows(),
    rule("complement-of-share", Accurate, "x - x * y",               "x * (1 - y)",        "the rounding of the product is not what is left where they cancel").flawed(Cancels).in_sums(InSums::Fast),
    rule("number-less-and-back", Accurate, "y + (#c - y)",           "#c",                 "exact, where the difference was rounded").built(|_, m| m.value("#c")).in_sums(InSums::Exact),

    rule("common-divisor",      Accurate, "x / s - y / s",           "(x - y) / s",        "one rounding fewer, and none of them before the cancellation").when(&[("s", NotTiny)]).at(&["s: 96 in 0.01..100"]),
    rule("sum-over-divisor",    Accurate, "x / s + y / s",           "(x + y) / s",        "one rounding fewer").when(&[("s", NotTiny)]).at(&["s: 96 in 0.01..100"]),
    rule("number-before-quotient", Accurate, "(#c * x) / y",         "#c * (x / y)",       "as many roundings; #c is small").built(number_before_quotient).overflows().at(SMALL_NUMBERS),
    rule("number-before-product", Accurate, "(#c * x) * y",          "#c * (x * y)",       "as many roundings; #c is small").built(number_before_product).overflows().at(SMALL_NUMBERS),
    rule("number-into-broadcast", Accurate, "#c * (broadcast[B](x) * y)", "broadcast[B](#c * x) * y", "as many roundings, on fewer elements; #c is small").built(number_into_broadcast).overflows().at(&["#c: 0.1; x: 5; y: 5 3; B: 0 / 5 3; result: ordinary", "#c: -700000; x: 5; y: 5 3; B: 0 / 5 3; result: ordinary", "#c: 0.0000017; x: 5; y: 5 3; B: 0 / 5 3; result: ordinary"]),
    rule("quotient-of-factor",  Accurate, "(x / s) * e",             "x * (e / s)",        "as many roundings; where e / s vanishes, so does what it is worth beside an ordinary x").when(&[("s", NotTiny), ("e", Moderate)]).built(quotient_of_factor).at(&["s: 96 in 0.01..100; e: 96 in 0.0001..1", "s: 96 in 1..8; e: 96 in 1..3"]),
    rule("product-over-divisor",Accurate, "x * (y / s)",             "(x * y) / s",        "as many roundings").when(&[("s", NotTiny), ("y", Moderate)]).at(&["s: 96 in 0.01..100; x: 96 in -4..4; y: 96 in 0.001..1"]),

    // Products are not rearranged at will, which would bring more of them than there are sums of their factors: only so that
    // what belongs together meets, or what is there already is used.
    rule("moderate-factor-first", Accurate, "(g * x) * y",           "g * (x * y)",        "as many roundings; where x * y vanishes, so does what it is worth beside an ordinary g").when(&[("y", Moderate)]).built(moderate_factor_first).at(&["g: 96 in -4..4; x: 96 in -4..4; y: 96 in 0.001..1"]),
    rule("product-there-already", Accurate, "x * (y * z)",           "(x * y) * z",        "as many roundings; where x * y vanishes, so does what it is worth beside an ordinary z").when(&[("y", Moderate)]).built(product_there_already).at(&["x: 96 in -4..4; y: 96 in 0.001..1; z: 96 in -4..4"]),

    rule("zero-times-finite",   Accurate, "0 * x",                   "0",                  "a finite number times zero is zero; only its sign differs").when(&[("x", Finite)]).local().at(&["x: 64 in -3..3"]),
    rule("finite-minus-itself", Strict,   "x - x",                   "0",                  "a finite number minus itself is +0").when(&[("x", Finite)]).local().in_sums(InSums::Exact).at(&["x: 64 in -3..3"]),
    rule("bounded-minus-itself", Accurate, "x - x",                  "0",                  "a number minus itself is +0; what is bounded is NaN only where something before it is").when(&[("x", Bounded)]).in_sums(InSums::Exact).at(&["x: 64 in -3..3"]),
    rule("zero-times",          Fast,     "0 * x",                   "0",                  "x is taken to be finite").local(),
    rule("minus-itself",        Fast,     "x - x",                   "0",                  "x is taken to be finite").local().in_sums(InSums::Fast),
    rule("nonzero-over-itself", Strict,   "x / x",                   "1",                  "a number that is neither zero nor infinite").when(&[("x", Positive), ("x", Finite)]).local().at(&["x: 96 in 0.001..100"]),
    rule("over-itself",         Fast,     "x / x",                   "1",                  "x is taken to be finite and not zero").when(&[("x", Float)]),
    rule("reciprocal-of-number",Fast,     "x / #c",                  "(1 / #c) * x",       "a product is cheaper than a quotient; one rounding more").local().at(&["#c: 3", "#c: 10"]),
];

/// Numbers at both ends of what is small, with operands of any size.
const SMALL_NUMBERS: &[&str] = &["#c: 0.1; result: ordinary", "#c: -3; result: ordinary", "#c: 700000; result: ordinary", "#c: -0.0000017; result: ordinary"];

/// The operands of a commutative operator in both orders, else in the one that there is.
fn orders(op: &gradc_ir::Op, children: &[Id]) -> impl Iterator<Item = (Id, Id)> {
    let (in_order, other_way) = match *children {
        [a, b] => (Some((a, b)), op.def.algebra.commutative.then_some((b, a))),
        _ => (None, None),
    };
    in_order.into_iter().chain(other_way)
}

fn identity(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let op = found.term.op()?;
    orders(op, found.term.operands()).find(|&(_, e)| is_identity(op, terms.facts(e))).map(|(x, _)| x)
}

/// The operand of the application of `def` in a class, if there is one.
fn operand_of(terms: &dyn Terms, class: Id, def: &'static gradc_ir::OpDef) -> Option<Id> {
    terms.terms(class).iter().find_map(|term| term.applies(def)).map(|(_, operands)| operands[0])
}

fn involution(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, &[x]) = (found.term.op()?, found.term.operands()) else { return None };
    operand_of(terms, x, op.def)
}

fn idempotent(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let op = found.term.op()?;
    match *found.term.operands() {
        [x] => operand_of(terms, x, op.def).map(|_| x),
        [x, y] => (terms.find(x) == terms.find(y)).then_some(x),
        _ => None,
    }
}

fn even(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, &[x]) = (found.term.op()?, found.term.operands()) else { return None };
    let positive = operand_of(terms, x, &op::neg::NEG)?;
    terms.apply(op.clone(), &[positive])
}

fn whole_of_whole(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    static ROUNDING: [&gradc_ir::OpDef; 3] = [&op::floor::FLOOR, &op::ceil::CEIL, &op::round::ROUND];
    let (op, &[x]) = (found.term.op()?, found.term.operands()) else { return None };
    let rounds = |op: &gradc_ir::Op| ROUNDING.iter().any(|def| op.is(def));
    (rounds(op) && terms.terms(x).iter().filter_map(Term::op).any(rounds)).then_some(x)
}

fn odd(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, &[x]) = (found.term.op()?, found.term.operands()) else { return None };
    let positive = operand_of(terms, x, &op::neg::NEG)?;
    let image = terms.apply(op.clone(), &[positive])?;
    terms.apply(op::neg::NEG.op(), &[image])
}

fn by_exact_reciprocal(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let divisor = found.number(terms, "#c")?;
    let reciprocal = found.ty.dtype.round(1.0 / divisor);
    // Neither may be subnormal: `2⁻¹⁰²³` and its like are powers of two whose reciprocals round.
    let is_power_of_two = |value: f64| value.is_normal() && value.to_bits() << 12 == 0;
    let exact = is_power_of_two(divisor) && is_power_of_two(reciprocal) && reciprocal * divisor == 1.0;
    let factor = if exact { terms.literal(reciprocal, found.ty) } else { None }?;
    terms.apply(op::mul::MUL.op(), &[factor, found.value("x")?])
}

/// `x` times what `combine` makes of `#a` and `#b`, where that is an ordinary number.
fn scaled(terms: &mut dyn Terms, found: &Match<'_>, combine: fn(f64, f64) -> f64) -> Option<Id> {
    let factor = combine(found.number(terms, "#a")?, found.number(terms, "#b")?);
    let rounded = found.ty.dtype.round(factor);
    let dtype = found.ty.dtype;
    let ordinary = dtype.least_normal().max(2f64.powi(-100))..dtype.greatest_finite().min(2f64.powi(100));
    let is_ordinary = dtype.is_float() && ordinary.contains(&rounded.abs());
    let x = found.value("x")?;
    if !is_ordinary || found.root.is_some_and(|root| is_multiple(terms, root, x)) {
        return None;
    }
    if rounded == 1.0 {
        return Some(x);
    }
    let factor = terms.literal(factor, found.ty)?;
    terms.apply(op::mul::MUL.op(), &[factor, x])
}

/// Not where this number is in front already: else each grouping of a long product would bring its own.
fn number_before_product(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, y) = (found.value("x")?, found.value("y")?);
    if found.root.is_some_and(|root| is_some_multiple(terms, root)) {
        return None;
    }
    let number = small_number(terms, found, &[x, y])?;
    let product = terms.apply(op::mul::MUL.op(), &[x, y])?;
    let factor = terms.literal(number, found.ty)?;
    terms.apply(op::mul::MUL.op(), &[factor, product])
}

fn number_before_quotient(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, y) = (found.value("x")?, found.value("y")?);
    let number = small_number(terms, found, &[x, y])?;
    let quotient = terms.apply(op::div::DIV.op(), &[x, y])?;
    let factor = terms.literal(number, found.ty)?;
    terms.apply(op::mul::MUL.op(), &[factor, quotient])
}

/// The number `#c`, where it and the numbers that are factors of `others` are small, all together as each: what they were not
/// multiplied with then neither overflows nor vanishes where the result is an ordinary number.
fn small_number(terms: &dyn Terms, found: &Match<'_>, others: &[Id]) -> Option<f64> {
    let number = found.number(terms, "#c")?;
    let small = Range::small_factors(found.ty.dtype);
    // What else is known of the other operands is a matter of the search.
    let others = if found.root.is_some() { others } else { &[] };
    let parts = others.iter().map(|&other| number_within(terms, other, NUMBER_DEPTH));
    let whole = parts.fold(Range::point(number.abs()), Range::times);
    (small.contains(&whole.low) && small.contains(&whole.high) && small.contains(&number.abs())).then_some(number)
}

/// So many products within products are looked at for numbers.
const NUMBER_DEPTH: u8 = 3;

/// The magnitudes of the numbers that are factors of a class, 1 where there are none, in all the ways in which it is written as a
/// product.
fn number_within(terms: &dyn Terms, class: Id, depth: u8) -> Range {
    if let Some(number) = terms.facts(class).constant {
        return Range::point(number.abs());
    }
    if depth == 0 {
        return Range::point(1.0);
    }
    let of = |operands: &[Id]| {
        number_within(terms, operands[0], depth - 1).times(number_within(terms, operands[1], depth - 1))
    };
    products(terms, class).map(of).fold(Range::point(1.0), Range::union)
}

/// Whether a class has `x` times a number already: it is the number. Numbers that are multiplied in another order are rounded
/// otherwise; without this, each order would bring a new number, and these new products.
fn is_multiple(terms: &dyn Terms, class: Id, x: Id) -> bool {
    let other_than_x = |operands: &[Id]| {
        let other = |own: usize| (terms.find(operands[1 - own]) == terms.find(x)).then_some(operands[own]);
        other(0).or_else(|| other(1))
    };
    products(terms, class).filter_map(other_than_x).any(|factor| terms.facts(factor).constant.is_some())
}

/// The factors of the products in a class.
fn products(terms: &dyn Terms, class: Id) -> impl Iterator<Item = &[Id]> {
    terms.terms(class).iter().filter_map(|term| term.applies(&op::mul::MUL)).map(|(_, operands)| operands)
}

/// So many ways of grouping the factors of a value are enough: with each, those of its users grow. Where there are many terms
/// already, fewer are.
const GROUPINGS: [usize; 2] = [6, 3];

/// So many terms are many.
const MANY_TERMS: usize = 160;

/// Whether a class has been written as a product in so many ways that no rule need rearrange its factors once more.
pub(super) fn is_grouped_enough(terms: &dyn Terms, found: &Match<'_>) -> bool {
    let most = GROUPINGS[usize::from(terms.size() > MANY_TERMS)];
    found.root.is_some_and(|root| products(terms, root).count() >= most)
}

/// Whether a class has a product with a number.
fn is_some_multiple(terms: &dyn Terms, class: Id) -> bool {
    products(terms, class).any(|operands| operands.iter().any(|&operand| terms.facts(operand).constant.is_some()))
}

/// A factor that is a number, or has one, is not taken out as a whole: the number is taken out by itself, and so is the rest.
/// Else each way of placing the numbers of two products would be a sum of its own.
fn common_factor(terms: &mut dyn Terms, found: &Match<'_>, sum: &'static gradc_ir::OpDef) -> Option<Id> {
    let (a, x, y) = (found.value("a")?, found.value("x")?, found.value("y"));
    if found.root.is_some() && has_number(terms, a) {
        return None;
    }
    let y = if let Some(y) = y { y } else { terms.literal(1.0, found.ty)? };
    let sum = terms.apply(sum.op(), &[x, y])?;
    terms.apply(op::mul::MUL.op(), &[a, sum])
}

/// Not where a broadcast multiple is the other factor already, nor where a factor has a number of its own.
fn number_into_broadcast(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, y) = (found.value("x")?, terms.find(found.value("y")?));
    if is_grouped_enough(terms, found) {
        return None;
    }
    let is_multiple = |class: Id| {
        operand_of(terms, class, &op::broadcast::BROADCAST).is_some_and(|source| is_some_multiple(terms, source))
    };
    let is_that = |own: Id, other: Id| terms.find(own) == y && is_multiple(other);
    let has_multiple = |root: Id| {
        products(terms, root).any(|operands| is_that(operands[0], operands[1]) || is_that(operands[1], operands[0]))
    };
    if found.root.is_some_and(|root| has_number(terms, x) || has_number(terms, y) || is_multiple(y) || has_multiple(root)) {
        return None;
    }
    let number = small_number(terms, found, &[x, y])?;
    let number = terms.literal(number, &terms.facts(x).ty.clone())?;
    let multiple = terms.apply(op::mul::MUL.op(), &[number, x])?;
    let spread = terms.apply(op::broadcast::BROADCAST.with(found.attrs("B")?.clone()), &[multiple])?;
    terms.apply(op::mul::MUL.op(), &[spread, y])
}

/// Not of twice the same, which is `twice` it.
fn sum_of_multiples(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, y) = (found.value("x")?, found.value("y")?);
    if found.root.is_some() && terms.find(x) == terms.find(y) {
        return None;
    }
    let sum = terms.apply(op::add::ADD.op(), &[x, y])?;
    let factor = terms.literal(found.number(terms, "#c")?, found.ty)?;
    terms.apply(op::mul::MUL.op(), &[factor, sum])
}

/// Whether a value is a number or a product with one: `number-before-product` is about these.
fn has_number(terms: &dyn Terms, class: Id) -> bool {
    terms.facts(class).constant.is_some() || is_some_multiple(terms, class)
}

/// Where the factor that stays in front is not such a factor itself: else there would be no end of rearranging.
fn moderate_factor_first(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (g, x, y) = (found.value("g")?, found.value("x")?, found.value("y")?);
    let is_moderate = |class: Id| Moderate.holds(terms.facts(class), |_| None);
    if is_grouped_enough(terms, found) {
        return None;
    }
    if found.root.is_some() && (is_moderate(g) || [g, x, y].iter().any(|&factor| has_number(terms, factor))) {
        return None;
    }
    let product = terms.apply(op::mul::MUL.op(), &[x, y])?;
    terms.apply(op::mul::MUL.op(), &[g, product])
}

fn product_there_already(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, y, z) = (found.value("x")?, found.value("y")?, found.value("z")?);
    if is_grouped_enough(terms, found) {
        return None;
    }
    let product = Term::apply(op::mul::MUL.op(), [x, y]);
    if found.root.is_some() && (!terms.is_there(&product) || [x, y, z].iter().any(|&factor| has_number(terms, factor))) {
        return None;
    }
    let product = terms.add(product)?;
    terms.apply(op::mul::MUL.op(), &[product, z])
}

fn multiple_of_inverse(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let number = found.number(terms, "#a")? * found.number(terms, "#b")?;
    inverse(terms, found, number)
}

fn inverse_over_number(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let number = found.number(terms, "#b")? / found.number(terms, "#a")?;
    inverse(terms, found, number)
}

/// `number / x`, where that is an ordinary number.
fn inverse(terms: &mut dyn Terms, found: &Match<'_>, number: f64) -> Option<Id> {
    let is_ordinary = (2f64.powi(-100)..2f64.powi(100)).contains(&number.abs());
    let number = if is_ordinary && found.ty.dtype.is_float() { terms.literal(number, found.ty) } else { None }?;
    terms.apply(op::div::DIV.op(), &[number, found.value("x")?])
}

/// Not of a number, which other rules bring to the front.
fn quotient_of_factor(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (s, e) = (found.value("s")?, found.value("e")?);
    if found.root.is_some() && [s, e].iter().any(|&operand| terms.facts(operand).constant.is_some()) {
        return None;
    }
    let quotient = terms.apply(op::div::DIV.op(), &[e, s])?;
    terms.apply(op::mul::MUL.op(), &[found.value("x")?, quotient])
}

/// Not for a reciprocal, of which `times-reciprocal` speaks.
fn times_number_over(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, y) = (found.value("x")?, found.value("y")?);
    let number = small_number(terms, found, &[x, y]).filter(|&number| number != 1.0)?;
    let quotient = terms.apply(op::div::DIV.op(), &[x, y])?;
    let factor = terms.literal(number, found.ty)?;
    terms.apply(op::mul::MUL.op(), &[factor, quotient])
}

/// Where one more than `#c` is a number of the type.
fn multiple_and_itself(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let sum = found.number(terms, "#c")? + 1.0;
    let is_exact = found.ty.dtype.is_float() && found.ty.dtype.round(sum) == sum && sum.abs() < 65536.0;
    let factor = if is_exact { terms.literal(sum, found.ty) } else { None }?;
    terms.apply(op::mul::MUL.op(), &[factor, found.value("x")?])
}

fn turned_difference(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let c = found.number(terms, "#c").filter(|&c| c < 0.0)?;
    let difference = terms.apply(op::sub::SUB.op(), &[found.value("y")?, found.value("x")?])?;
    let factor = terms.literal(-c, found.ty)?;
    terms.apply(op::mul::MUL.op(), &[factor, difference])
}

fn opposite_multiples(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (c, d) = (found.number(terms, "#c")?, found.number(terms, "#d")?);
    if c != -d || c <= 0.0 {
        return None;
    }
    let difference = terms.apply(op::sub::SUB.op(), &[found.value("x")?, found.value("y")?])?;
    let factor = terms.literal(c, found.ty)?;
    terms.add(Term::apply(op::mul::MUL.op(), [factor, difference]))
}
