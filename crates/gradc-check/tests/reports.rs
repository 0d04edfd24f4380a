//! What the check says of whole models.

use gradc::diagnostics::{Color, codes, render};
use gradc::{Mode, Phase, Program, Tensor};
use gradc_check::{Finding, Options, Point, Reason, Report, Verdict, check};

fn model(text: &str) -> gradc::Model {
    Program::from_source("m.net", text)
        .and_then(|program| program.only_model())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn report(text: &str, options: &Options) -> Report {
    check(&model(text), &Point::default(), options).unwrap_or_else(|error| panic!("{error}"))
}

/// The report with its findings, as it is shown, without the digits of what is rounding or truncation.
fn shown(text: &str, options: &Options) -> String {
    let model = model(text);
    let report = check(&model, &Point::default(), options).unwrap_or_else(|error| panic!("{error}"));
    let findings: Vec<_> = report.findings.iter().map(Finding::diagnostic).collect();
    render(&findings, model.program().sources(), Color::Never) + &report.table()
}

const CLASSIFIER: &str = "
dim batch = 8
model classifier {
    input x: f32[batch, 6]
    input label: i32[batch]
    let h = gelu(dense(x, 10))
    let logits = dense(h, 5)
    output logits
    loss cross_entropy(logits, label)
}
";

#[test]
fn a_model_passes_in_every_respect() {
    for level in [gradc::Level::None, gradc::Level::Full] {
        for mode in [gradc::Mode::Strict, gradc::Mode::Accurate, gradc::Mode::Fast] {
            let compile = gradc::Options { level, mode, ..gradc::Options::default() };
            let wrt = vec!["x".to_owned(), "h".to_owned()];
            let report = report(CLASSIFIER, &Options { wrt, second_order: true, compile, ..Options::default() });
            let names: Vec<&str> = report.targets.iter().map(|target| target.name.as_str()).collect();
            assert_eq!(names, ["dense.0.w", "dense.0.b", "dense.1.w", "dense.1.b", "x", "h"]);
            assert_eq!(report.count(Verdict::Ok), 6 + 5, "{}", report.table());
            assert!(report.passed() && report.findings.is_empty());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let with = |seed| report(CLASSIFIER, &Options { seed, ..Options::default() }).table();
    assert_eq!(with(3), with(3));
    assert_ne!(with(3), with(4));
}

#[test]
fn a_kink_is_pointed_at_and_is_no_failure() {
    let text = shown(
        "model m {
    param w: [4] = ones
    loss sum(relu(w - stop_gradient(w))) + sum(w * w)
}
",
        &Options { second_order: true, ..Options::default() },
    );
    insta::assert_snapshot!(text);
}

/// Kinks so dense that every step crosses some, and the rules of three of them.
const MANY_KINKS: &str = "
dim batch = 3000
fn folded(x) { select(x < 0, -x, x) } vjp(g) { FACTOR * g * select(x < 0, -1, 1) }
model m {
    input x: f32[batch, 2]
    param w: [2, 5] = normal(0, 1)
    let h = 2000 * (x @ w)
    let steps = scan h_t in h { folded(h_t) + relu(h_t - 30) }
    loss mean(relu(h) + 3 * abs(h - 10)) + mean(max(h, axis = 1) + min(h, axis = 1)) + mean(max(h, 1) + min(h, 2)) +
        mean(steps) + mean(floor(h))
}
";

#[test]
fn steps_that_cross_kinks_are_compared_on_the_piece_that_the_point_is_on() {
    let options = Options { check_custom: true, ..Options::default() };
    let right = report(&MANY_KINKS.replace("FACTOR", "1"), &options);
    assert!(right.passed() && right.count(Verdict::Kink) > 0, "{}", right.table());
    // Also where kinks are crossed, what is wrong is wrong.
    let wrong = report(&MANY_KINKS.replace("FACTOR", "1.01"), &options);
    assert!(!wrong.passed(), "{}", wrong.table());
}

#[test]
fn a_gradient_that_is_not_finite_fails_and_is_located() {
    let text = "model m {
    input x: f32[8, 4]
    param w: [4] = ones
    loss mean(sqrt(sum(square(x * w - x * w), axis = -1)))
}
";
    let report = report(text, &Options::default());
    assert!(!report.passed());
    let [finding @ Finding::NotFinite { operator: "sqrt", in_gradient: true, .. }] = &report.findings[..] else {
        panic!("{:?}", report.findings)
    };
    let span = finding.span().expect("it has a place");
    assert_eq!(&text[span.start as usize..span.end as usize], "sqrt(sum(square(x * w - x * w), axis = -1))");
}

#[test]
fn a_loss_that_is_not_finite_is_tried_at_positive_inputs_first() {
    let positive =
        report("model m { input x: f32[4]\n param w: [4] = ones\n output y = log(x) * w }", &Options::default());
    assert!(positive.passed() && positive.loss.is_finite());
    let never = report("model m { input x: f32[4]\n loss sum(log(-1 - x * x)) }", &Options::default());
    assert!(!never.passed() && never.targets.is_empty());
    assert!(matches!(never.findings[..], [Finding::NotFinite { operator: "log", in_gradient: false, .. }]));
}

/// What is left where terms cancel is rounding, and no two ways to compute it agree in it; in loops neither.
#[test]
fn what_cancels_is_no_failure() {
    for text in [
        "model m { input x: f32[1]\n param w: [1] = normal(0, 1)\n loss sum(x * w) / sum(w) }",
        "model m {
            input x: f32[5]
            param w: [5] = normal(0, 1)
            let v = x * w
            let z = (v - mean(v)) * rsqrt(variance(v) + 0.01)
            output total = sum(z)
            loss sum(z) / (1 + sum(abs(z)))
        }",
        "model m {
            input x: f32[4, 1]
            param w: [1] = normal(0, 1)
            let s = sum(w)
            scan row in x { s = s * 0.5 + sum(row * w) / sum(w) - sum(row) }
            loss s
        }",
    ] {
        for mode in Mode::ALL {
            let compile = gradc::Options { mode, ..gradc::Options::default() };
            let report = report(text, &Options { compile, ..Options::default() });
            assert!(report.passed() && report.findings.is_empty(), "{mode} {:?}\n{}", report.findings, report.table());
        }
    }
}

#[test]
fn outputs_that_are_not_finite_are_not_held_against_a_derivative() {
    // Where there are numbers at which they are, these are taken.
    let drawn = report("model m { input x: f32[9]\n output y = exp(log(x))\n loss sum(x * x) }", &Options::default());
    assert!(drawn.passed() && drawn.findings.is_empty(), "{}", drawn.table());
    let text = "model m {
    input x: f32[9]
    param w: [9] = normal(0, 1)
    output y = exp(log(-1 - x * x)) * w
    loss sum(x * w * w)
}";
    let never = report(text, &Options { second_order: true, ..Options::default() });
    assert_eq!(said(text, &never), [("E0802".to_owned(), "log(-1 - x * x)".to_owned())]);
    assert!(matches!(&never.findings[..], [Finding::NotFinite { output: Some(output), .. }] if output == "y"));
    // All else is compared, and is right.
    assert!(!never.passed() && never.count(Verdict::Fail) == 0, "{}", never.table());
    let text = "model m {
    param w: [3] = normal(0, 1)
    output root = sqrt(w - w)
    loss sum(w * w)
}";
    let steep = report(text, &Options::default());
    assert_eq!(said(text, &steep), [("E0802".to_owned(), "sqrt(w - w)".to_owned())]);
    let [Finding::NotFinite { operator: "sqrt", in_gradient: true, output: Some(_), .. }] = &steep.findings[..] else {
        panic!("{:?}", steep.findings)
    };
}

/// Differences see through `stop_gradient`; what is checked is the derivative with it.
#[test]
fn what_a_stop_gradient_marks_is_held_still() {
    let text = "model m {
        param w: [4] = ones
        let target = stop_gradient(w * w)
        loss mse(3 * w, target)
    }";
    let report = report(text, &Options { second_order: true, ..Options::default() });
    assert!(report.passed(), "{}", report.table());
}

/// Also where it gives another value in each step of a loop, or of a loop within that.
#[test]
fn what_is_stopped_within_loops_is_held_still() {
    for model in [
        "input x: f32[2, 7, 3]
         output y = lstm(x, 4, truncate = 3)",
        "input x: f32[2, 7, 3]
         output y = gru(x, 4, truncate = 2, reverse = true)",
        "input x: f32[5, 3]
         param w: [3] = ones
         let h = w
         let hs = scan row in x {
             let g = h * row
             let gs = scan n in iota(4) {
                 g = tanh(g + stop_gradient(g * w))
                 g * cast(n, f32)
             }
             h = stop_gradient(g) * h + sum(gs, axis = 0)
             h
         }
         loss sum(hs * hs)",
    ] {
        let report = report(&format!("model m {{ {model} }}"), &Options { second_order: true, ..Options::default() });
        assert!(report.passed(), "{model}\n{}", report.table());
    }
}

/// Rules of the program's own, in every place where they can stand.
const WITH_RULES: &str = "
fn rounded(x: [..]) -> [..] { round(x) } vjp(g) { g }
fn log1pexp(x: [..]) -> [..] { max(x, 0) + log1p(exp(-abs(x))) } vjp(g) { g * sigmoid(x) }
layer quantised(x: [.., d]) -> [.., d] {
    param w: [d, d] = he_normal
    rounded(4 * x @ w) / 4
}
model m {
    input x: f32[5, 3]
    param w: [3] = he_normal
    let h = tanh(w)
    let hs = scan x_t in x, truncate = 2 {
        h = tanh(rounded(3 * h) + w * x_t)
        log1pexp(h)
    }
    let y = quantised(hs)
    loss sum(log1pexp(y * y * w))
}
";

/// A rule is taken at its word, so that everything around it is compared; that it is another derivative is a warning.
#[test]
fn a_rule_of_the_programs_own_is_taken_at_its_word() {
    let at_word = report(WITH_RULES, &Options::default());
    assert!(at_word.passed() && at_word.count(Verdict::Ok) == 2 + 3, "{}", at_word.table());
    let rules = |report: &Report| -> Vec<(String, bool)> {
        let of_rule = |finding: &Finding| match finding {
            Finding::OtherRule { function, fails, .. } => (function.clone(), *fails),
            other => panic!("{other:?}"),
        };
        report.findings.iter().map(of_rule).collect()
    };
    // One for each call; `log1pexp` is right.
    assert_eq!(rules(&at_word), [("rounded".to_owned(), false), ("rounded".to_owned(), false)]);
    let strict = report(WITH_RULES, &Options { check_custom: true, ..Options::default() });
    assert!(!strict.passed());
    assert_eq!(rules(&strict), [("rounded".to_owned(), true), ("rounded".to_owned(), true)]);
    assert_eq!(strict.table().replace("FAILED", "ok").replace("2 failed", "0 failed"), at_word.table());
}

/// A function of several results has one rule, which is compared as a whole.
#[test]
fn the_rule_of_a_list_is_compared_with_all_that_it_is_the_rule_of() {
    let source = |rule: &str| {
        format!(
            "fn pair(x: [..], k: [..]) {{ [exp(x) * k, tanh(x)] }} vjp(g, y) {{ {rule} }}
            model m {{
                param w: [4] = he_normal
                param v: [4] = he_normal
                let y = pair(w, v)
                loss sum(square(y[0]) * y[1])
            }}"
        )
    };
    let options = Options { check_custom: true, second_order: true, ..Options::default() };
    let right = report(&source("[g[0] * y[0] + g[1] * (1 - square(y[1])), g[0] * exp(x)]"), &options);
    assert!(right.passed() && right.findings.is_empty(), "{}", right.table());
    for (rule, argument) in
        [("[g[0] * y[0], g[0] * exp(x)]", "x"), ("[g[0] * y[0] + g[1] * (1 - square(y[1])), g[0]]", "k")]
    {
        let wrong = report(&source(rule), &options);
        let [Finding::OtherRule { function, fails: true, reason: Reason::Differs { by, .. }, .. }] =
            &wrong.findings[..]
        else {
            panic!("{:?}", wrong.findings)
        };
        assert_eq!((&**function, &**by), ("pair", argument));
        assert!(!wrong.passed());
    }
}

#[test]
fn second_derivatives_are_compared_where_rules_are_derivatives() {
    let options = Options { second_order: true, ..Options::default() };
    let skipped = report(WITH_RULES, &options);
    assert!(skipped.passed() && skipped.count(Verdict::Skipped) == 2, "{}", skipped.table());
    let right =
        report(&WITH_RULES.replace("round(x) } vjp(g) { g }", "tanh(x) } vjp(g, y) { g * (1 - y * y) }"), &options);
    assert!(right.passed() && right.count(Verdict::Ok) == 2 + 5 && right.findings.is_empty(), "{}", right.table());
}

#[test]
fn what_lies_before_a_rule_that_is_not_linear_is_not_compared() {
    let text = shown(
        "fn clipped(x: [..]) -> [..] { x } vjp(g) { max(min(g, 0.1), -0.1) }
model m {
    param before: [4] = he_normal
    param after: [4] = he_normal
    loss sum(square(clipped(tanh(before)) * after))
}
",
        &Options::default(),
    );
    insta::assert_snapshot!(text);
}

#[test]
fn a_parameter_without_a_gradient_agrees_where_differences_are_zero() {
    let text = "model m {
        param w: [4] = ones
        param v: [4] = ones
        loss sum(w) + sum(stop_gradient(v)) + sum(sign(v))
    }";
    let report = report(text, &Options::default());
    assert!(report.passed(), "{}", report.table());
    assert_eq!(report.targets[1].gradient, None);
}

#[test]
fn a_model_without_a_loss_or_parameters_is_checked_by_its_inputs() {
    let report = report("model m { input x: f32[3]\n output y = exp(x)\n output z = sum(x * x) }", &Options::default());
    assert_eq!(report.targets.len(), 1);
    assert!(report.passed(), "{}", report.table());
}

#[test]
fn data_that_is_given_is_where_the_model_is_checked() {
    let model = model("model m { input pixels: f32[2]\n param w: [2] = ones\n loss sum(pixels * w) }");
    let tensor = |numbers: &[f64]| {
        Tensor::from_numbers(
            &gradc::ir::TensorType::new(gradc::ir::DType::F32, [numbers.len()]),
            numbers.iter().copied(),
        )
    };
    let mut point = Point::default();
    point.inputs.extend(tensor(&[3.0, 4.0]).map(|x| ("pixels".to_owned(), x)));
    point.parameters.extend(tensor(&[1.0, 0.5]).map(|w| ("w".to_owned(), w)));
    let report = check(&model, &point, &Options::default()).expect("it fits");
    assert_eq!(report.loss, 5.0);
    assert!(report.passed());

    point.inputs.extend(tensor(&[3.0]).map(|x| ("pixels".to_owned(), x)));
    let error = check(&model, &point, &Options::default()).expect_err("it does not fit");
    assert_eq!(error.to_string(), "the input `pixels` is f64[2], what is given for it f32[1]");
    point.inputs.clear();
    point.inputs.extend(tensor(&[3.0]).map(|x| ("pixel".to_owned(), x)));
    let error = check(&model, &point, &Options::default()).expect_err("there is no such input");
    assert_eq!(error.to_string(), "the model has no input `pixel`; did you mean `pixels`?");
}

fn in_phase(phase: Phase) -> Options {
    Options { compile: gradc::Options { phase: Some(phase), ..gradc::Options::default() }, ..Options::default() }
}

/// What is differentiated is a training step: a rule that only that one uses is compared.
#[test]
fn a_model_is_checked_as_it_is_in_training() {
    let text = "
        fn wrong(x: [..]) -> [..] { tanh(x) } vjp(g) { 7 * g }
        dim batch = 4
        model m {
            input x: f32[batch, 3]
            let y = dense(x, 3)
            loss sum(square(if training { wrong(y) } else { y }))
        }";
    let training = report(text, &Options::default());
    assert!(matches!(&training.findings[..], [Finding::OtherRule { function, .. }] if function == "wrong"));
    assert!(training.passed() && training.phase == Some(Phase::Training));
    assert!(training.table().starts_with("model m in training with seed 0: loss "), "{}", training.table());
    let inference = report(text, &in_phase(Phase::Inference));
    assert!(inference.passed() && inference.findings.is_empty() && inference.phase == Some(Phase::Inference));
    assert_ne!(inference.loss, training.loss);
    assert_eq!(report(CLASSIFIER, &Options::default()).phase, None);
}

/// Statistics of the batch move with what they are of; what is dropped stays dropped; updates of state are no part of it.
#[test]
fn layers_of_a_training_step_are_compared() {
    let text = "
        dim batch = 6
        model m {
            input x: f32[batch, 5, 3]
            state steps: f32[] = 0
            let h = dropout(tanh(batch_norm(dense(x, 4))), 0.3)
            let h = lstm(h, 3)
            output y = dense(dropout(h, 0.5), 2)
            update steps = steps + 1
            loss mean(square(y))
        }";
    for phase in [Phase::Training, Phase::Inference] {
        let options = Options { second_order: true, wrt: vec!["x".to_owned()], ..in_phase(phase) };
        let own = report(text, &options);
        assert!(own.passed() && own.findings.is_empty() && own.count(Verdict::Ok) > 10, "{}", own.table());
        assert_eq!(own.table(), report(text, &options).table());
    }
    let loss = |phase| report(text, &in_phase(phase)).loss;
    assert_ne!(loss(Phase::Training), loss(Phase::Inference));
}

/// The first program of an explanation gives its code, the second passes.
#[test]
fn the_examples_of_the_explanations_do_what_they_say() {
    for code in [codes::KINK, codes::NOT_FINITE] {
        let programs = code.explanation().split("```net\n").skip(1).filter_map(|rest| rest.split("```").next());
        let reports: Vec<Report> = programs.map(|program| report(program, &Options::default())).collect();
        let [first, second] = &reports[..] else { panic!("{code} has two programs") };
        let found: Vec<_> = first.findings.iter().map(|finding| finding.diagnostic().code()).collect();
        assert_eq!(found, [code]);
        assert!(second.passed() && second.findings.is_empty(), "{code}: {}", second.table());
    }
    for (code, check_custom) in [(codes::OTHER_DERIVATIVE, false), (codes::WRONG_RULE, true)] {
        let options = Options { check_custom, ..Options::default() };
        let programs = code.explanation().split("```net\n").skip(1).filter_map(|rest| rest.split("```").next());
        let reports: Vec<Report> = programs.map(|program| report(program, &options)).collect();
        let found: Vec<_> = reports[0].findings.iter().map(|finding| finding.diagnostic().code()).collect();
        assert_eq!((found, reports[0].passed()), (vec![code], !check_custom));
        assert!(reports[1..].iter().all(|report| report.passed() && report.findings.is_empty()), "{code}");
    }
}

/// A tangent that a choice has made zero is zero after an infinite slope, too.
#[test]
fn choices_before_infinite_slopes_agree_in_both_modes() {
    for expression in
        ["sqrt(relu(x * w))", "sqrt(max(x * w, 0))", "log(select(x * w > 0, x * w, 1)) / (1 + sqrt(relu(w)))"]
    {
        let text = format!("model m {{ input x: f32[8]\n param w: [8] = ones\n loss sum({expression}) }}");
        let report = report(&text, &Options { second_order: true, ..Options::default() });
        assert!(report.passed() && report.findings.is_empty(), "{expression}\n{}", report.table());
    }
}

/// What a finding says, and the text that it points at.
fn said(text: &str, report: &Report) -> Vec<(String, String)> {
    let place = |finding: &Finding| {
        let span = finding.span().expect("it has a place");
        text[span.start as usize..span.end as usize].to_owned()
    };
    report.findings.iter().map(|finding| (finding.diagnostic().code().to_string(), place(finding))).collect()
}

#[test]
fn kinks_and_poles_are_found_in_the_bodies_of_loops() {
    let scan = |body: &str| {
        format!(
            "model m {{
    input x: f32[5, 3]
    param w: [3] = ones
    let h = w * 0
    let hs = scan x_t in x {{
        let rows = scan n in iota(2) {{ {body} + 0 * cast(n, f32) }}
        h = tanh(sum(rows, axis = 0))
        h * x_t
    }}
    loss sum(hs) + sum(w)
}}"
        )
    };
    let kinked = scan("relu(h * 0 + w - stop_gradient(w))");
    let found = said(&kinked, &report(&kinked, &Options::default()));
    assert_eq!(found, [("W0707".to_owned(), "relu(h * 0 + w - stop_gradient(w))".to_owned())]);
    let pole = scan("sqrt(square(w - stop_gradient(w)) + 0 * h)");
    let poles = report(&pole, &Options::default());
    assert!(!poles.passed());
    let root = "sqrt(square(w - stop_gradient(w)) + 0 * h)".to_owned();
    assert_eq!(said(&pole, &poles), [("E0802".to_owned(), root)]);
    let negative = scan("log(-1 - square(w) + 0 * h)");
    let never = report(&negative, &Options::default());
    assert_eq!(said(&negative, &never), [("E0802".to_owned(), "log(-1 - square(w) + 0 * h)".to_owned())]);
}

#[test]
fn a_function_whose_rule_is_not_finite_is_named() {
    let text = "fn broken(x: [..]) -> [..] { x } vjp(g) { g / 0 }
model m {
    param w: [4] = ones
    loss sum(broken(w))
}";
    let report = report(text, &Options::default());
    let [first, ..] = &report.findings[..] else { panic!("{}", report.table()) };
    assert!(matches!(first, Finding::NotFinite { function: Some(name), .. } if name == "broken"), "{first:?}");
}

#[test]
fn a_function_that_jumps_at_every_step_is_pointed_at() {
    let text = "model m {
    param w: [4] = ones
    loss sum(floor(w * 777777)) + sum(w)
}";
    let report = report(text, &Options::default());
    assert!(report.passed(), "{}", report.table());
    assert_eq!(said(text, &report), [("W0707".to_owned(), "floor(w * 777777)".to_owned())]);
    assert!(matches!(report.findings[0], Finding::Kink { agrees: true, .. }));
}

/// Its second derivative is then what it says, and not that of what it computes.
#[test]
fn a_rule_may_hold_its_slope_still() {
    let text = "fn squared(x: [..]) -> [..] { x * x } vjp(g) { 2 * g * stop_gradient(x) }
model m {
    param w: [4] = he_normal
    loss sum(squared(w) * w)
}";
    let report = report(text, &Options { second_order: true, ..Options::default() });
    assert!(report.passed() && report.count(Verdict::Skipped) == 2, "{}", report.table());
}

#[test]
fn rules_that_fail_are_counted() {
    let text = "fn rounded(x: [..]) -> [..] { round(x) } vjp(g) { g }
model m {
    param w: [4] = he_normal
    loss sum(square(rounded(3 * w)))
}";
    let report = report(text, &Options { check_custom: true, ..Options::default() });
    assert!(report.summary().ends_with("4 ok, 0 at a kink, 1 failed"), "{}", report.summary());
}
