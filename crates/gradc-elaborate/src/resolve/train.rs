//! `train` blocks: the names in them, and which model each is for.

use gradc_diagnostics::{codes, did_you_mean};
use gradc_syntax::ast::{ArgumentValue, Expr, ExprKind, Train};
use rustc_hash::FxHashMap;

use super::Resolver;
use crate::eval::error_at;
use crate::signature::listed;

impl<'a> Resolver<'a> {
    pub(super) fn train(&mut self, train: &'a Train) {
        for setting in &train.settings {
            let names_a_choice = matches!(setting.name.text.as_str(), "optimizer" | "schedule");
            for argument in &setting.arguments {
                match names_a_choice {
                    true => self.choice(argument),
                    false => self.value(argument),
                }
            }
        }
    }

    /// `adam(lr = …)`: the name is looked up in a table of its own.
    fn choice(&mut self, expr: &'a Expr) {
        if let ExprKind::Call { arguments, .. } = &expr.kind {
            for argument in arguments {
                if let ArgumentValue::Expr(value) = &argument.value {
                    self.value(value);
                }
            }
        }
    }

    /// Which model each block of the root file is for.
    pub(super) fn train_blocks(&mut self) {
        let models: Vec<&str> = self.program.models().into_iter().map(|(_, model)| model.name.text.as_str()).collect();
        let mut seen: FxHashMap<Option<&str>, &Train> = FxHashMap::default();
        let program = self.program;
        for block in program.train_blocks() {
            let name = block.model.as_ref();
            if let Some(name) = name
                && program.model(&name.text).is_none()
            {
                let message = format!("there is no model `{}`", name.text);
                let diagnostic = error_at(codes::NO_SUCH_MODEL, message, name.span, "not found");
                self.report(match did_you_mean(&name.text, models.iter().copied()) {
                    Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                    None if models.is_empty() => diagnostic.help("declare one: `model name { … }`"),
                    None => diagnostic.help(format!("the models are {}", listed(models.iter().copied()))),
                });
                continue;
            }
            // In a file with one model, a block without a name is for that model.
            let target = match (name, &models[..]) {
                (Some(name), _) => Some(name.text.as_str()),
                (None, [only]) => Some(*only),
                (None, _) => None,
            };
            match seen.get(&target) {
                None => {
                    seen.insert(target, block);
                }
                Some(first) => {
                    let message = match target {
                        Some(target) => format!("the model `{target}` has two `train` blocks"),
                        None => "two `train` blocks have no name".to_owned(),
                    };
                    self.report(
                        error_at(codes::SEVERAL_TRAIN_BLOCKS, message, block.header, "the second is here")
                            .secondary(first.header, "the first is here")
                            .help("remove one of them, or name the model that each is for: `train name { … }`"),
                    );
                }
            }
        }
    }
}
