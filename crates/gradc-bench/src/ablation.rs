//! What parts of the simplifier are worth.

use std::time::Instant;

use gradc::{Error, Executable, Model, Subject, Without, cost};

use crate::measure::{self, Options};
use crate::report::Runs;
use crate::work::Work;

/// What a model costs without a part of the simplifier.
#[derive(Clone, Debug)]
pub struct Variant {
    /// What is left out; nothing, in the first.
    pub without: Option<Without>,
    /// Operations of the compiled graph.
    pub operations: usize,
    /// Arithmetic and traffic of a run.
    pub work: Work,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// The time of a run.
    pub runs: Runs,
}

/// Measures a model with the whole simplifier, without the rules about each subject, without the e-graph and without any of
/// it. All are compiled first and then take turns, so that what else goes on on the machine weighs on all of them alike;
/// together they are timed for as long as the options say.
///
/// # Errors
/// As [`bench`](crate::bench()).
pub fn ablate(model: &Model, options: &Options) -> Result<Vec<Variant>, Error> {
    let goal = options.goal.clone().unwrap_or_else(|| measure::default_goal(model));
    let rules = Subject::ALL.iter().map(|&subject| Some(Without::Rules(subject)));
    let parts = std::iter::once(None).chain(rules).chain([Some(Without::EGraph), Some(Without::Simplifier)]);
    let parts: Vec<Option<Without>> = parts.collect();
    let compile = |without| model.compile(&goal, &gradc::Options { without, ..options.compile.clone() });
    let mut executables = parts.iter().map(|&without| compile(without)).collect::<Result<Vec<Executable>, Error>>()?;
    let mut subjects = executables
        .iter_mut()
        .map(|executable| measure::Subject::new(model, executable, options.seed))
        .collect::<Result<Vec<_>, Error>>()?;
    let mut times = vec![Vec::new(); parts.len()];
    measure::repeat(options.time, || {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            // The others have filled the caches: the run that counts is the second.
            subject.run()?;
            let start = Instant::now();
            subject.run()?;
            times.push(start.elapsed());
        }
        Ok(())
    })?;
    let variant = |((without, executable), times): ((&Option<Without>, &Executable), Vec<_>)| {
        let cost = cost(executable.graph());
        Variant {
            without: *without,
            operations: cost.operations,
            work: Work::of(executable.plan(), cost.flops),
            arena_bytes: executable.plan().arena_bytes,
            runs: Runs::of(times),
        }
    };
    drop(subjects);
    Ok(parts.iter().zip(&executables).zip(times).map(variant).collect())
}
