//! What was tampered with does not hold: each of these is one change to a certificate that does.
//!
//! The certificates are files, tests/certificates/*.proof, so that a change is the same whatever gradc finds today. What is
//! said about each change is in the snapshot.

use std::fmt::Write;
use std::path::Path;

use gradc_simplify::certificate::read;

const CE: &str = "cross_entropy";
const LN: &str = "layer_norm";
const SUM: &str = "sum";
const LOOP: &str = "recurrent";

/// A change: what it is, of which file, what is replaced by what, the first time that it occurs.
type Corruption = (&'static str, &'static str, &'static str, &'static str);

const CORRUPTIONS: &[Corruption] = &[
    // Rules.
    ("a rule that does not exist", CE, "by sum-of-multiple\n", "by sum-of-multiples\n"),
    ("another rule of the same class", CE, "by sum-of-multiple\n", "by sum-of-sum\n"),
    ("a rule that only a looser mode allows", CE, "by opposite-multiples", "by quotient-of-quotients"),
    ("a rule that says nothing about two terms", CE, "by opposite-multiples", "by shifted"),
    ("a rule that says that terms are equal, learnt", CE, "learn e6 by shifted", "learn e6 by common-multiple"),
    ("a fact about a term that it does not hold of", LN, "learn e13 by centred", "learn e12 by centred"),
    // Modes and passes.
    ("a stricter mode", CE, "mode accurate", "mode strict"),
    ("a mode that does not exist", CE, "mode accurate", "mode careless"),
    ("the other pass", CE, "pass simplify", "pass stabilise"),
    ("indices that are not trusted", CE, "indices trusted", "indices unknown"),
    ("reordering in strict mode", SUM, "mode accurate", "mode strict"),
    // Sides.
    ("sides exchanged", CE, "e18 = e20 by", "e20 = e18 by"),
    ("another left side", CE, "e22 = e25 by", "e23 = e25 by"),
    ("another right side", CE, "e22 = e25 by", "e22 = e24 by"),
    ("a right side of another type", CE, "e22 = e25 by", "e22 = e21 by"),
    ("a term equal to itself", CE, "e22 = e25 by", "e22 = e22 by"),
    ("a term that does not exist", CE, "e22 = e25 by", "e22 = e99 by"),
    ("one side", CE, "e22 = e25 by", "e22 by"),
    // Steps that are not there.
    ("without a step of a lemma", CE, "e22 = e25 by broadcast-quotient\n", ""),
    ("without a step", CE, "e11 = e10 by stop-gradient\n", ""),
    ("without arithmetic", CE, "e30 = e1 by arithmetic\n", ""),
    ("without a fact that a condition asks for", CE, "learn e9 by sum-of-shifted-exps\n", ""),
    ("without a fact that a fact rests on", CE, "learn e6 by shifted\n", ""),
    ("without a range that a condition asks for", LN, "learn e21 by normalised-range\n", ""),
    ("without a sum that a condition asks for", LN, "learn e33 by shared-factor-of-centred\n", ""),
    (
        "a step before what it rests on",
        CE,
        "learn e9 by sum-of-shifted-exps\ne26 = e28 by quotient-of-factor\n",
        "e26 = e28 by quotient-of-factor\nlearn e9 by sum-of-shifted-exps\n",
    ),
    // Arithmetic and sums.
    ("a wrong number", CE, "e3 = full(0.03125) : f32[32, 10]", "e3 = full(0.0625) : f32[32, 10]"),
    ("arithmetic on what is no number", CE, "e30 = e1 by arithmetic", "e21 = e18 by arithmetic"),
    ("a rule passed off as reordering", LN, "e36 = e38 by reordering", "e36 = e52 by reordering"),
    ("a sum with another sign", LN, "e38 = e34 + e37 :", "e38 = e37 - e34 :"),
    ("a sum with a term more", SUM, "e2 = b + e1 :", "e2 = e1 + e1 :"),
    // Terms.
    ("another constant in a term", CE, "e36 = 0.03125 * e35", "e36 = 0.0625 * e35"),
    ("another operator in a term", CE, "e35 = e27 - e7", "e35 = e27 + e7"),
    ("operands of a term exchanged", CE, "e35 = e27 - e7", "e35 = e7 - e27"),
    ("another axis in a term", CE, "e19 = sum(e7, axes=[1])", "e19 = sum(e7, axes=[0])"),
    ("a square that is none", LN, "e14 = e13 * e13", "e14 = e13 * x1"),
    ("a mean that is none", LN, "e11 = 0.03125 * e10", "e11 = 0.03 * e10"),
    ("another epsilon", LN, "e18 = e16 + 1e-5", "e18 = e16 + 1e-4"),
    ("a leaf that the graph does not have", CE, "graph terms {\n", "graph terms {\n    input other : f32[2]\n"),
    ("a name twice", CE, "    e4 = amax(x1", "    e3 = amax(x1"),
    // Lemmas.
    ("without the use of a lemma", CE, "lemma 1 of logits, label\n", ""),
    ("inputs of a lemma exchanged", CE, "lemma 1 of logits, label", "lemma 1 of label, logits"),
    ("too few inputs of a lemma", CE, "lemma 1 of logits, label", "lemma 1 of logits"),
    ("another input of a lemma", CE, "lemma 1 of logits, label", "lemma 1 of e14, label"),
    ("a lemma that does not exist", CE, "lemma 1 of logits, label", "lemma 2 of logits, label"),
    ("a lemma that rests on itself", CE, "claim e15 = e16", "lemma 1 of x1, x2\nclaim e15 = e16"),
    ("another claim", CE, "claim e38 = e36", "claim e38 = e35"),
    ("a claim more", CE, "claim e38 = e36\n", "claim e38 = e36\nclaim e8 = e27\n"),
    ("a claim less", CE, "claim e38 = e36\n", ""),
    ("nothing known about an input", CE, "know x2 index in range\n", ""),
    (
        "too much known about an input",
        CE,
        "know x2 index in range\n",
        "know x2 index in range\nknow x1 from 0.0 to 1.0\n",
    ),
    ("nonsense known about an input", CE, "know x2 index in range", "know x2 sums to 1 along 7"),
    ("something known about a term", CE, "know x2 index in range", "know e3 from 0.0 to 1.0"),
    (
        "a parameter as an input of a lemma",
        CE,
        "    input x1 : f32[32, 10]\n",
        "    param x1 : f32[32, 10] = constant(0)\n",
    ),
    // The graphs.
    ("another constant in the result", CE, "d_logits = 0.03125 * t13", "d_logits = 0.0625 * t13"),
    ("another sign in the result", CE, "t13 = t12 - y", "t13 = y - t12"),
    ("another operator in the result", CE, "t4 = exp(t3)", "t4 = tanh(t3)"),
    ("another gradient in the result", CE, "grad logits = d_logits\n}\n\nlemma", "grad logits = t13\n}\n\nlemma"),
    ("a result less", CE, "    grad logits = d_logits\n}\n\nlemma", "}\n\nlemma"),
    ("a result of another name", CE, "grad logits = d_logits\n}\n\nafter", "grad scores = d_logits\n}\n\nafter"),
    (
        "a leaf more in the result",
        CE,
        "after\ngraph classifier {\n",
        "after\ngraph classifier {\n    input other : f32[2]\n",
    ),
    ("another sign in the raw graph", CE, "d_logits = t20 + t25", "d_logits = t20 - t25"),
    ("another constant in the raw graph", CE, "t14 = full(0.03125)", "t14 = full(0.0625)"),
    ("another gradient in the raw graph", CE, "grad logits = d_logits\n}\n\nafter", "grad logits = t25\n}\n\nafter"),
    ("a graph that does not verify", CE, "t13 = t12 - y : f32[32, 10]", "t13 = t12 - y : f32[32, 11]"),
    // Loops.
    ("without what becomes of a loop", LOOP, "e19 = e25, e26 = e22 by evaluation\n", ""),
    ("another product after a loop", LOOP, "e19 = e25, e26", "e19 = e32, e26"),
    ("operands of the product after a loop exchanged", LOOP, "e24 = e20^T @ e23", "e24 = e23^T @ e20"),
    (
        "a loop in the other direction",
        LOOP,
        "_, e22 = scan(length=6, reverse=true)",
        "_, e22 = scan(length=6, reverse=false)",
    ),
    ("what is no result of a loop", LOOP, "e19 = e25, e26", "e24 = e25, e26"),
    ("results of two loops", LOOP, "e19 = e25, e26 = e22", "e19 = e25, e17 = e22"),
    ("another stack read after the loop", LOOP, "t9 = reshape(h_2)", "t9 = reshape(h)"),
    // The text.
    ("another version", CE, "gradc certificate 1", "gradc certificate 2"),
    ("no end", CE, "\nend\n", "\n"),
    ("a graph without an end", CE, "    grad logits = d_logits\n}\n\nlemma", "    grad logits = d_logits\n\nlemma"),
    ("no proof", CE, "proof\ngraph terms", "prof\ngraph terms"),
];

fn certificate(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/certificates/{name}.proof"));
    std::fs::read_to_string(path).unwrap()
}

/// Why a text is not a certificate that holds, with the line that is pointed at; none if it is one.
fn refusal(text: &str) -> Option<String> {
    let line = |at: &std::ops::Range<usize>| {
        let begin = text[..at.start].rfind('\n').map_or(0, |end| end + 1);
        text[begin..].lines().next().unwrap_or("the end").trim().to_owned()
    };
    let certificates = match read(text) {
        Ok(certificates) => certificates,
        Err(error) => return Some(format!("malformed at `{}`: {}", line(&error.at), error.message)),
    };
    let rejection = certificates.iter().find_map(|certificate| certificate.check().err())?;
    Some(format!("wrong at `{}`: {}", line(&rejection.at), rejection.message))
}

#[test]
fn what_was_not_tampered_with_holds() {
    for name in [CE, LN, SUM, LOOP] {
        assert_eq!(refusal(&certificate(name)), None, "{name}");
    }
}

#[test]
fn what_was_tampered_with_does_not_hold() {
    assert!(CORRUPTIONS.len() >= 50);
    let mut report = String::new();
    for (number, (what, of, from, to)) in CORRUPTIONS.iter().enumerate() {
        assert!(CORRUPTIONS[..number].iter().all(|(other, ..)| other != what), "{what} is there twice");
        let text = certificate(of);
        assert!(text.contains(from), "{what}: {from:?} is not in {of}");
        let corrupted = text.replacen(from, to, 1);
        let refusal = refusal(&corrupted).unwrap_or_else(|| panic!("{what} is accepted:\n{corrupted}"));
        let _ = writeln!(report, "{what} ({of})\n    {refusal}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/certificates"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("corruptions", report));
}

/// Rules that hold of some values only: the rule, what its left side is of `v`, its right side, and the mode.
const CONDITIONAL: &[(&str, &str, &str, &str)] = &[
    ("zero-times-finite", "e1 = 0 * v", "e2 = full(0)", "accurate"),
    ("finite-minus-itself", "e1 = v - v", "e2 = full(0)", "strict"),
    ("square-of-root", "e0 = sqrt(v) : f32[4]\ne1 = e0 * e0", "e2 = reshape(v)", "accurate"),
    ("exp-of-log", "e0 = log(v) : f32[4]\ne1 = exp(e0)", "e2 = reshape(v)", "accurate"),
];

/// A certificate that has one step, by a rule on a value that is anything, or that is 0 or 1.
fn one_step((rule, left, right, mode): &(&str, &str, &str, &str), bounded: bool) -> String {
    let v = if bounded { "p = x > x2 : bool[4]\nv = cast(p) : f32[4]" } else { "v = x * x2 : f32[4]" };
    let leaves = "input x : f32[4]\ninput x2 : f32[4]";
    // What is a value already is written as itself.
    let (right, shown, extra) = match right.contains("reshape(v)") {
        true => ("", "v", ""),
        false => (*right, "e2", " : f32[4]"),
    };
    let graph = |name: &str, lines: &str, result: &str| {
        format!("graph {name} {{\n{leaves}\n{v}\n{lines}\n\noutput y = {result}\n}}\n")
    };
    format!(
        "gradc certificate 1\npass simplify\nmode {mode}\nindices trusted\nbefore\n{}after\n{}proof\n{}e1 = {shown} by {rule}\nend\n",
        graph("m", &format!("{left} : f32[4]"), "e1"),
        graph("m", &format!("{right}{extra}"), shown),
        graph("terms", &format!("{left} : f32[4]\n{right}{extra}"), "e1"),
    )
}

#[test]
fn rules_are_held_to_their_conditions() {
    for rule in CONDITIONAL {
        let bounded = one_step(rule, true);
        assert_eq!(refusal(&bounded), None, "{bounded}");
        let refusal = refusal(&one_step(rule, false)).unwrap_or_else(|| panic!("{} holds of any value", rule.0));
        assert!(refusal.contains("under its conditions"), "{refusal}");
    }
}

#[test]
fn the_explanations_of_codes_show_what_they_are_about() {
    let example = |code: gradc_diagnostics::Code| {
        let fenced = code.explanation().split("```proof\n").nth(1).expect("there is an example");
        refusal(fenced.split("```").next().unwrap_or_default()).unwrap_or_default()
    };
    let malformed = example(gradc_diagnostics::codes::MALFORMED_CERTIFICATE);
    assert!(malformed.starts_with("malformed"), "{malformed}");
    let wrong = example(gradc_diagnostics::codes::WRONG_CERTIFICATE);
    assert!(wrong.starts_with("wrong at `e2 = e1 by sigmoid-complement`"), "{wrong}");
}

/// What a loop computes is large beside what these change, in some of its steps. They are changes to the loop that the certificate
/// arrives at, wherever it is written.
#[test]
fn small_changes_within_a_loop_are_seen() {
    let text = certificate(LOOP);
    let body = "        d_xw = d_h_3 * t2 : f32[4, 5]\n        d_h_4 = d_xw @ u^T : f32[4, 5]\n\n";
    assert_eq!(text.matches(body).count(), 3, "the loop after the certificate's steps is written in another way");
    let small =
        "t7 = abs(t6) : f32[4, 5]\n        t8 = t7 > 0.001 : bool[4, 5]\n        d_xw = select(t8, t6, 0) : f32[4, 5]";
    for change in [small, "d_xw = t6 + 1e-7 : f32[4, 5]", "d_xw = 1.000003 * t6 : f32[4, 5]"] {
        let changed = format!(
            "        t6 = d_h_3 * t2 : f32[4, 5]\n        {change}\n        d_h_4 = d_xw @ u^T : f32[4, 5]\n\n"
        );
        let refusal = refusal(&text.replace(body, &changed));
        assert!(refusal.as_ref().is_some_and(|refusal| refusal.starts_with("wrong")), "{change}: {refusal:?}");
    }
}
