//! The check.

use gradc::autodiff::Rules;
use gradc::ir::{Graph, LeafKind, Role, ValueId};
use gradc::{Error, Goal, Model, ensure_state_fits};

use crate::consistency;
use crate::custom;
use crate::difference::{Comparison, Slope};
use crate::evaluate::{Bindings, interpreted};
use crate::finding::{Finding, Rule};
use crate::function::{Function, Line};
use crate::locate;
use crate::options::Options;
use crate::point::{Draw, Point, Random, bindings, check_names};
use crate::report::{Compared, IdentityReport, Report, TargetReport, Verdict};
use crate::singular;
use crate::subject::Subject;

/// Checks the derivatives of a model at a point, as it is in training unless the options say otherwise. Its random numbers
/// are those of the first training step with the seed, wherever it is evaluated.
///
/// # Errors
/// Where the model has neither loss nor float outputs, or no value of a name that is asked for, where what is given does
/// not fit it, or where there is not enough memory. That derivatives are wrong is no error but what the report says.
pub fn check(model: &Model, point: &Point, options: &Options) -> Result<Report, Error> {
    let goal = Goal::Gradient { wrt: options.wrt.clone() };
    let report = check_by(&Rules::default(), &model.graph_for(&goal, &options.compile), point, options)?;
    let phase = options.compile.phase.unwrap_or(goal.phase());
    Ok(Report { phase: model.elaborated().training.is_some().then_some(phase), ..report })
}

/// As [`check`], of a forward graph that is differentiated by `rules`: a way to see whether a wrong rule would be found.
///
/// # Errors
/// As [`check`].
pub fn check_by(rules: &Rules<'_>, model: &Graph, given: &Point, options: &Options) -> Result<Report, Error> {
    ensure_state_fits(model)?;
    check_names(model, given)?;
    let subject = Subject::new(model, &wrt(model, options))?;
    let Chosen { point, loss, undefined } = choose_point(model, &subject, given, options.seed)?;
    let mut report = Report {
        model: model.name().to_string(),
        phase: None,
        seed: options.seed,
        loss,
        targets: Vec::new(),
        identities: Vec::new(),
        findings: Vec::new(),
    };
    let gradient = consistency::Gradient::new(rules, &subject, &point)?;
    if !loss.is_finite() || !gradient.is_finite() {
        report.findings.extend(singular::not_finite(rules, &subject, &point));
        if !loss.is_finite() {
            return Ok(report);
        }
    }
    report.findings.extend(undefined.iter().filter_map(|&output| singular::undefined(&subject, &point, output)));
    report.findings.extend(custom::others(&subject.graph, &point, options));
    let mut function = Function::new(subject.as_declared(rules), &point)?;
    let mut failed = Vec::new();
    for number in 0..subject.targets.len() {
        let checked = check_target(&subject, number, &gradient, &mut function, options)?;
        match checked.report.verdict {
            Verdict::Kink => {
                report.findings.extend(function.kink(number, &checked.direction, checked.step, true));
            }
            Verdict::Fail => failed.push((number, checked.direction, checked.step)),
            Verdict::Ok | Verdict::Skipped => {}
        }
        report.targets.push(checked.report);
    }
    report.identities = consistency::identities(rules, &subject, &point, &gradient, loss, &undefined, options)?;
    let is_nan = |identity: &IdentityReport| identity.verdict == Verdict::Fail && identity.error.is_nan();
    if report.identities.iter().any(is_nan) && report.findings.iter().all(|finding| !finding.is_error()) {
        report.findings.extend(singular::steep(rules, &subject, &point));
    }
    if options.second_order {
        let mut identities = consistency::second_order(rules, &subject, &point, options)?;
        // The second derivative of a function whose first derivative is that of another is none of either, and that of a
        // rule that holds something still is what the rule says.
        let other = report.findings.iter().any(|finding| matches!(finding, Finding::OtherRule { .. }));
        if other || custom::hold_still(&subject.graph) {
            identities.iter_mut().for_each(|identity| identity.verdict = Verdict::Skipped);
        }
        report.identities.extend(identities);
    }
    if report.count(Verdict::Fail) > 0 && report.findings.iter().all(|finding| !finding.is_error()) {
        report.findings.extend(first_disagreement(rules, &subject, &point, &gradient, options)?);
    }
    if report.findings.iter().all(|finding| !finding.is_error()) {
        // Nothing is wrong by itself: the function may be too rough to be compared.
        for (target, direction, step) in &failed {
            report.findings.extend(function.kink(*target, direction, *step, false));
        }
    }
    Ok(report)
}

/// What is moved besides the parameters: what was asked for, or where there is nothing else all inputs of floats.
fn wrt(model: &Graph, options: &Options) -> Vec<String> {
    let floats = |kind| model.leaves(kind).filter(|&leaf| model.dtype(leaf).is_float());
    let mut names = options.wrt.clone();
    if names.is_empty() && floats(LeafKind::Param).next().is_none() {
        let inputs = floats(LeafKind::Input).filter_map(|leaf| model.value_name(leaf));
        names.extend(inputs.map(|name| name.to_string()));
    }
    names
}

/// Where a model is checked.
struct Chosen {
    point: Bindings,
    loss: f64,
    /// The outputs that are not finite there.
    undefined: Vec<ValueId>,
}

/// The first way to draw what is not given at which the loss and all outputs are finite; or the first at which the loss is, or
/// the last.
fn choose_point(model: &Graph, subject: &Subject, given: &Point, seed: u64) -> Result<Chosen, Error> {
    let mut graph = subject.graph.clone();
    let outputs: Vec<ValueId> = subject.results.iter().copied().filter(|&result| result != subject.loss).collect();
    outputs.iter().for_each(|output| graph.add_output(Role::Output, output.index().to_string(), *output));
    let mut chosen: Option<Chosen> = None;
    for draw in Draw::ALL {
        let point = bindings(model, subject, given, seed, draw)?;
        let results = interpreted(&graph, subject, &point)?;
        let loss = results.iter().find(|(role, ..)| *role == Role::Loss).map_or(f64::NAN, |(_, _, loss)| loss[0]);
        let is_finite = |output: &ValueId| {
            let own =
                results.iter().find(|(role, name, _)| *role == Role::Output && *name == output.index().to_string());
            own.is_none_or(|(_, _, numbers)| numbers.iter().all(|x| x.is_finite()))
        };
        let undefined: Vec<ValueId> = outputs.iter().copied().filter(|output| !is_finite(output)).collect();
        let is_defined = loss.is_finite() && undefined.is_empty();
        if is_defined || chosen.as_ref().is_none_or(|chosen| !chosen.loss.is_finite()) {
            chosen = Some(Chosen { point, loss, undefined });
        }
        if is_defined {
            break;
        }
    }
    Ok(chosen.unwrap_or_else(|| unreachable!("there are ways to draw")))
}

/// What came out for one target, and where its comparison was made.
struct CheckedTarget {
    report: TargetReport,
    direction: Vec<f64>,
    step: f64,
}

fn check_target(
    subject: &Subject,
    number: usize,
    gradient: &consistency::Gradient,
    function: &mut Function<'_>,
    options: &Options,
) -> Result<CheckedTarget, Error> {
    let target = &subject.targets[number];
    let leaf = subject.graph.value_name(target.leaf).map(|name| name.to_string()).unwrap_or_default();
    let at: Vec<f64> =
        function.point.iter().find(|(name, _)| *name == leaf).map_or(Vec::new(), |(_, own)| own.data().to_vec());
    let elements = at.len();
    let claimed = gradient.by(&leaf);
    let zeros = vec![0.0; elements];
    let small = elements <= options.small;
    let count = if small { elements } else { options.directions };
    let mut random = Random::new(options.seed, &format!("directions of {}", target.name));
    let mut worst: Option<(Comparison, Vec<f64>)> = None;
    for i in 0..count {
        let direction: Vec<f64> = match small {
            true => (0..elements).map(|j| f64::from(u8::from(i == j))).collect(),
            false => random.direction(elements),
        };
        let slope = Slope::of(claimed.unwrap_or(&zeros), &direction);
        let comparison = function.compare(&Line { leaf: &leaf, at: &at, direction: &direction }, slope, options)?;
        let is_worse = |worst: &Comparison| (comparison.verdict, comparison.error) > (worst.verdict, worst.error);
        if worst.as_ref().is_none_or(|(worst, _)| is_worse(worst)) {
            worst = Some((comparison, direction));
        }
    }
    let nothing = Comparison { error: 0.0, verdict: Verdict::Ok, step: options.step };
    let (comparison, direction) = worst.unwrap_or((nothing, Vec::new()));
    // A rule that is not linear is the derivative of no function.
    let skipped = custom::is_nonlinear(&subject.graph, &[target.leaf], &[subject.loss]);
    let square_mean = |g: &[f64]| g.iter().map(|g| g * g).sum::<f64>() / elements.max(1) as f64;
    let report = TargetReport {
        name: target.name.clone(),
        ty: target.ty.clone(),
        compared: if small { Compared::Entries(elements) } else { Compared::Directions(count) },
        gradient: claimed.map(|g| square_mean(g).sqrt()),
        error: comparison.error,
        tolerance: options.tolerance,
        verdict: if skipped { Verdict::Skipped } else { comparison.verdict },
    };
    Ok(CheckedTarget { report, direction, step: comparison.step })
}

/// Where what failed arises: in a rule, in machine code, or in what optimisation makes of it.
fn first_disagreement(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    gradient: &consistency::Gradient,
    options: &Options,
) -> Result<Option<Finding>, Error> {
    let second = options.second_order.then_some(Rule::Second);
    let mut kinds = [Rule::Reverse, Rule::Forward].into_iter().chain(second);
    if let Some(finding) = kinds.find_map(|rule| locate::wrong_rule(rules, subject, point, options, rule)) {
        return Ok(Some(finding));
    }
    match consistency::wrong_code(subject, point)? {
        Some(finding) => Ok(Some(finding)),
        None => consistency::wrong_rewrite(rules, subject, point, gradient, options),
    }
}
