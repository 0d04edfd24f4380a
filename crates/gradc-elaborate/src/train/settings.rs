//! Reading the settings of a `train` block.

use gradc_diagnostics::{Diagnostic, Span, codes, did_you_mean};
use gradc_syntax::ast::{Argument, ArgumentValue, Expr, ExprKind, Setting, SettingField, Train};

use super::choice::{Admits, Choice, OPTIMIZERS, SCHEDULES};
use super::{DataField, DataSource, Located, Schedule, TrainConfig};
use crate::eval::Evaluator;
use crate::signature::{Formal, Signature, listed, match_arguments};
use crate::value::Value;

/// Every setting.
const SETTINGS: &[&str] =
    &["clip_norm", "clip_value", "data", "epochs", "optimizer", "schedule", "seed", "shuffle", "split", "stride"];

/// Reads a `train` block. `None` if something in it is wrong, which is reported. The evaluator has unrolled the model.
pub(crate) fn config<'a>(evaluator: &mut Evaluator<'a>, block: &'a Train) -> Option<TrainConfig> {
    let mut config = TrainConfig {
        data: None,
        split: None,
        stride: None,
        seed: 0,
        epochs: 10,
        shuffle: true,
        optimizer: (OPTIMIZERS[1].build)(&OPTIMIZERS[1].parameters.iter().filter_map(|p| p.1).collect::<Vec<f64>>()),
        schedule: Schedule::Constant,
        clip_norm: None,
        clip_value: None,
        span: block.header,
    };
    if evaluator.graph.loss().is_none() && !evaluator.has_loss() {
        evaluator.report(
            Diagnostic::error(codes::TRAIN_WITHOUT_LOSS, "a model without a loss cannot be trained")
                .primary(block.header, "the model of this block has no `loss`")
                .help("say what is to be made small, for example `loss mse(prediction, target)`"),
        );
    }
    let mut good = true;
    evaluator.in_root(|evaluator| {
        for (index, setting) in block.settings.iter().enumerate() {
            let earlier = block.settings[..index].iter().find(|earlier| earlier.name.text == setting.name.text);
            if let Some(earlier) = earlier {
                duplicate(evaluator, setting, earlier);
                good = false;
                continue;
            }
            good &= read(evaluator, setting, &mut config).is_some();
        }
    });
    good.then_some(config)
}

fn duplicate(evaluator: &mut Evaluator<'_>, setting: &Setting, earlier: &Setting) {
    evaluator.report(
        Diagnostic::error(codes::DUPLICATE_SETTING, format!("`{}` is set twice", setting.name.text))
            .primary(setting.span, "set again here")
            .secondary(earlier.span, "first set here")
            .help("remove one of the two"),
    );
}

fn read<'a>(evaluator: &mut Evaluator<'a>, setting: &'a Setting, config: &mut TrainConfig) -> Option<()> {
    let name = setting.name.text.as_str();
    if !SETTINGS.contains(&name) {
        unknown(evaluator, setting);
        return None;
    }
    let argument = only_argument(evaluator, setting)?;
    let span = argument.span;
    let mut number = |admits: Admits| number(evaluator, argument, admits, &format!("`{name}`"));
    match name {
        "data" => config.data = Some(Located { value: data(evaluator, setting, argument)?, span }),
        "split" => config.split = Some(Located { value: number(Admits::Fraction)?, span }),
        "stride" => config.stride = Some(number(Admits::CountFromOne)? as u64),
        "seed" => config.seed = number(Admits::Count)? as u64,
        "epochs" => config.epochs = number(Admits::CountFromOne)? as u64,
        "shuffle" => config.shuffle = number(Admits::Flag)? != 0.0,
        "clip_norm" => config.clip_norm = Some(number(Admits::Positive)?),
        "clip_value" => config.clip_value = Some(number(Admits::Positive)?),
        "optimizer" => config.optimizer = choose(evaluator, argument, OPTIMIZERS, "optimizer")?,
        _ => config.schedule = choose(evaluator, argument, SCHEDULES, "schedule")?,
    }
    Some(())
}

fn unknown(evaluator: &mut Evaluator<'_>, setting: &Setting) {
    let name = &setting.name.text;
    let diagnostic = Diagnostic::error(codes::UNKNOWN_SETTING, format!("there is no setting `{name}`"))
        .primary(setting.name.span, "not a setting of `train`");
    evaluator.report(match did_you_mean(name, SETTINGS.iter().copied()) {
        Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
        None if name == "batch_size" => {
            diagnostic.help("the size of a batch is the dim that leads the inputs: `dim batch = 64`")
        }
        None => diagnostic.help(format!("the settings are {}", listed(SETTINGS.iter().copied()))),
    });
}

fn only_argument<'a>(evaluator: &mut Evaluator<'a>, setting: &'a Setting) -> Option<&'a Expr> {
    let name = &setting.name.text;
    let wrong = |message: String, span: Span, label: &str| {
        Diagnostic::error(codes::SETTING_ARGUMENT, message).primary(span, label)
    };
    let diagnostic = match (&setting.arguments[..], &setting.fields[..]) {
        ([argument], []) => return Some(argument),
        ([argument], _) if name == "data" => return Some(argument),
        ([_], [field, ..]) => wrong(format!("`{name}` has no fields"), field.span, "only `data` has fields"),
        ([], _) => wrong(format!("`{name}` needs a value"), setting.span, "nothing follows it"),
        ([_, second, ..], _) => wrong(format!("`{name}` takes one value"), second.span, "a second value"),
    };
    evaluator.report(diagnostic);
    None
}

/// A number that is known when compiling, or a truth value as 1 or 0.
fn number<'a>(evaluator: &mut Evaluator<'a>, expr: &'a Expr, admits: Admits, what: &str) -> Option<f64> {
    let value = evaluator.expr(expr);
    let number = match (&value, admits) {
        (Value::Error, _) => return None,
        (Value::Bool(flag), Admits::Flag) => Some(f64::from(u8::from(*flag))),
        (_, Admits::Flag) => None,
        (other, _) => other.number(),
    };
    if let Some(number) = number.filter(|number| admits.holds(*number)) {
        return Some(number);
    }
    evaluator.report(
        Diagnostic::error(codes::SETTING_ARGUMENT, format!("{what} must be {}", admits.text()))
            .primary(expr.span, format!("this is {}", value.kind())),
    );
    None
}

fn data<'a>(evaluator: &mut Evaluator<'a>, setting: &'a Setting, path: &'a Expr) -> Option<DataSource> {
    let path = match evaluator.expr(path) {
        Value::String(text) => text.to_string(),
        other => {
            evaluator.wrong_setting("`data`", "a path between quotes", &other, path.span);
            return None;
        }
    };
    let mut fields: Vec<DataField> = Vec::new();
    let mut good = true;
    for field in &setting.fields {
        match mapped(evaluator, field, &fields) {
            Some(field) => fields.push(field),
            None => good = false,
        }
    }
    good.then_some(DataSource { path, fields })
}

/// `input = array`, after the fields before it.
fn mapped(evaluator: &mut Evaluator<'_>, field: &SettingField, before: &[DataField]) -> Option<DataField> {
    let input = field.name.text.clone();
    let inputs = evaluator.input_names();
    if !inputs.contains(&input) {
        let message = format!("the model has no input `{input}`");
        let diagnostic = Diagnostic::error(codes::SETTING_ARGUMENT, message)
            .primary(field.name.span, "the left side is an input, the right side an array of the data");
        evaluator.report(match did_you_mean(&input, inputs.iter().map(String::as_str)) {
            Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
            None => diagnostic.help(format!("the inputs are {}", listed(inputs.iter().map(String::as_str)))),
        });
        return None;
    }
    if let Some(first) = before.iter().find(|known| known.input == input) {
        let message = format!("the input `{input}` is given twice");
        let diagnostic = Diagnostic::error(codes::DUPLICATE_SETTING, message).primary(field.span, "again here");
        evaluator.report(diagnostic.secondary(first.span, "first given here"));
        return None;
    }
    let key = match &field.value.kind {
        ExprKind::Name(key) | ExprKind::String(key) => key.clone(),
        // A column of a table without a row of names.
        ExprKind::Int(column) => column.to_string(),
        _ => {
            let message = "the right side is the name of an array of the data";
            let diagnostic = Diagnostic::error(codes::SETTING_ARGUMENT, message)
                .primary(field.value.span, "this is no name")
                .help("write a name that is none of the language between quotes: `\"class id\"`");
            evaluator.report(diagnostic);
            return None;
        }
    };
    Some(DataField { input, key, span: field.span })
}

/// `adam(lr = 1e-3)`, or just `adam`.
fn choose<'a, T>(
    evaluator: &mut Evaluator<'a>,
    expr: &'a Expr,
    choices: &'static [Choice<T>],
    what: &str,
) -> Option<T> {
    let (callee, arguments): (&Expr, &'a [Argument]) = match &expr.kind {
        ExprKind::Call { callee, arguments } => (callee, arguments),
        _ => (expr, &[]),
    };
    let ExprKind::Name(name) = &callee.kind else {
        let message = format!("this is no {what}");
        let diagnostic = Diagnostic::error(codes::UNKNOWN_CHOICE, message).primary(callee.span, "expected a name");
        evaluator.report(diagnostic.help(format!("there are {}", listed(choices.iter().map(|choice| choice.name)))));
        return None;
    };
    let Some(choice) = choices.iter().find(|choice| choice.name == name) else {
        let names = choices.iter().map(|choice| choice.name);
        let message = format!("there is no {what} `{name}`");
        let diagnostic = Diagnostic::error(codes::UNKNOWN_CHOICE, message).primary(callee.span, "not known");
        evaluator.report(match did_you_mean(name, names.clone()) {
            Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
            None => diagnostic.help(format!("there are {}", listed(names))),
        });
        return None;
    };
    let formals = choice.parameters.iter().map(|(name, default, _)| Formal { name, required: default.is_none() });
    let signature = Signature { name: choice.name, parameters: formals.collect(), declared: None, partial: false };
    let matched = match match_arguments(&signature, arguments, expr.span) {
        Ok(matched) => matched,
        Err(diagnostics) => {
            diagnostics.into_iter().for_each(|diagnostic| {
                evaluator.report(diagnostic);
            });
            return None;
        }
    };
    let mut values = Vec::with_capacity(matched.len());
    for ((name, default, admits), position) in choice.parameters.iter().zip(matched) {
        values.push(match position.map(|position| &arguments[position].value) {
            None => (*default)?,
            Some(ArgumentValue::Expr(value)) => {
                number(evaluator, value, *admits, &format!("`{name}` of `{}`", choice.name))?
            }
            Some(ArgumentValue::Hole) => {
                let message = format!("`{name}` of `{}` cannot be left open", choice.name);
                let diagnostic = Diagnostic::error(codes::SETTING_ARGUMENT, message);
                evaluator.report(diagnostic.primary(expr.span, "a value is needed"));
                return None;
            }
        });
    }
    Some((choice.build)(&values))
}
