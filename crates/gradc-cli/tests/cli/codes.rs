//! Errors of goals, data, weights and runs: each has its code, its explanation, and the program in that does what it says.

use gradc::diagnostics::{Code, codes};
use serde_json::Value;

use crate::Folder;

/// How a code comes about with the first program of its explanation.
struct Case {
    code: Code,
    /// Files beside the program.
    files: &'static [(&'static str, &'static str)],
    /// Commands that succeed, before.
    before: &'static [&'static str],
    /// The command that fails.
    command: &'static str,
    /// A place in `m.net` that is shown.
    place: Option<&'static str>,
}

const POINTS: (&str, &str) = ("points.csv", "x,y\n1,2.5\n3,4\n");
const WORDS: (&str, &str) = ("song.txt", "aba bab\n");
const NOTHING: Case = Case { code: codes::NO_LOSS, files: &[], before: &[], command: "", place: None };

const CASES: &[Case] = &[
    Case { code: codes::NO_LOSS, command: "m.net --emit=grad", place: Some("m.net:1:7"), ..NOTHING },
    Case { code: codes::UNKNOWN_VALUE, command: "m.net --emit=grad --wrt hidden", place: Some("m.net:1:7"), ..NOTHING },
    Case {
        code: codes::NOT_DIFFERENTIABLE,
        command: "m.net --emit=grad --wrt i",
        place: Some("m.net:2:11"),
        ..NOTHING
    },
    Case {
        code: codes::NOTHING_TO_TRAIN,
        files: &[POINTS],
        command: "train m.net --data points.csv",
        place: Some("m.net:7:5"),
        ..NOTHING
    },
    Case { code: codes::WHICH_MODEL, command: "run m.net", place: Some("m.net:1:7"), ..NOTHING },
    Case { code: codes::FIXED_SHAPES, files: &[POINTS], command: "train m.ir --data points.csv", ..NOTHING },
    Case { code: codes::FILE_ACCESS, files: &[POINTS], command: "train m.net", place: Some("m.net:10:10"), ..NOTHING },
    Case { code: codes::TOO_MUCH_DATA, command: "train m.net --data big.npz", ..NOTHING },
    Case { code: codes::NO_DATA, files: &[POINTS], command: "train m.net", ..NOTHING },
    Case {
        code: codes::MISSING_INPUT,
        files: &[POINTS],
        command: "train m.net --data points.csv",
        place: Some("m.net:5:11"),
        ..NOTHING
    },
    Case { code: codes::INPUT_TYPE, command: "run m.net --data d.npz", place: Some("m.net:2:11"), ..NOTHING },
    Case {
        code: codes::INDEX_IN_DATA,
        files: &[("labels.csv", "x,label\n1,0\n2,3\n")],
        command: "train m.net --data labels.csv",
        place: Some("m.net:5:11"),
        ..NOTHING
    },
    Case {
        code: codes::VALUE_CHANGED,
        files: &[POINTS],
        command: "train m.net --data points.csv",
        place: Some("m.net:5:11"),
        ..NOTHING
    },
    Case {
        code: codes::NO_BATCH,
        files: &[POINTS],
        command: "train m.net --data points.csv",
        place: Some("m.net:1:7"),
        ..NOTHING
    },
    Case {
        code: codes::UNKNOWN_FORMAT,
        files: &[POINTS, ("points.dat", POINTS.1)],
        command: "train m.net",
        place: Some("m.net:10:10"),
        ..NOTHING
    },
    Case {
        code: codes::MALFORMED_DATA,
        files: &[POINTS, ("names.csv", "1,2\n3,four\n")],
        command: "train m.net",
        place: Some("m.net:11:10"),
        ..NOTHING
    },
    Case {
        code: codes::EXAMPLE_COUNT,
        files: &[POINTS, ("empty.csv", "x,y\n")],
        command: "train m.net",
        place: Some("m.net:10:10"),
        ..NOTHING
    },
    Case { code: codes::TEXT_DOES_NOT_FIT, files: &[WORDS], command: "train m.net --data song.txt", ..NOTHING },
    Case {
        code: codes::BAD_SPLIT,
        files: &[POINTS],
        command: "train m.net --data points.csv",
        place: Some("m.net:10:11"),
        ..NOTHING
    },
    Case {
        code: codes::MALFORMED_WEIGHTS,
        files: &[("w.safetensors", "something else")],
        command: "run m.net --weights w.safetensors",
        ..NOTHING
    },
    Case {
        code: codes::OTHER_PARAMETERS,
        files: &[("other.net", "model other {\n param w: [3] = ones\n output y = w\n}\n")],
        before: &["init other.net --out w.safetensors"],
        command: "run m.net --weights w.safetensors",
        place: Some("m.net:2:5"),
    },
    Case {
        code: codes::NOT_A_CHECKPOINT,
        files: &[POINTS],
        before: &["init m.net --out w.safetensors"],
        command: "train m.net --data points.csv --checkpoint w.safetensors --resume",
        place: None,
    },
    Case {
        code: codes::OTHER_TRAINING,
        files: &[POINTS],
        before: &["train m.net --data points.csv --seed 0 --checkpoint c.safetensors"],
        command: "train m.net --data points.csv --checkpoint c.safetensors --resume",
        place: None,
    },
    Case {
        code: codes::DIVERGED,
        files: &[POINTS],
        command: "train m.net --data points.csv",
        place: Some("m.net:6:5"),
        ..NOTHING
    },
    Case {
        code: codes::NOT_PER_EXAMPLE,
        files: &[POINTS],
        before: &["init m.net --out w.safetensors"],
        command: "predict m.net --data points.csv --weights w.safetensors --out p.npz",
        place: Some("m.net:6:5"),
    },
    Case {
        code: codes::CANNOT_WRITE_TEXT,
        before: &["init m.net --out w.safetensors"],
        command: "generate m.net --weights w.safetensors",
        ..NOTHING
    },
    Case {
        code: codes::BAD_PROMPT,
        files: &[WORDS],
        before: &["train m.net --data song.txt --out w.safetensors"],
        command: "generate m.net --weights w.safetensors --prompt Q",
        place: None,
    },
    Case { code: codes::OUT_OF_MEMORY, command: "init m.net --out w.safetensors", place: Some("m.net:8:7"), ..NOTHING },
    Case {
        code: codes::OVER_MEMORY_LIMIT,
        command: "m.net --for training --memory-limit 64KiB",
        place: Some("m.net:1:7"),
        ..NOTHING
    },
];

/// What the command line brings about on no machine that gradc is made for; programs that embed gradc may.
const ONLY_ELSEWHERE: &[Code] = &[codes::NO_MACHINE_CODE, codes::UNKNOWN_INPUT];

/// The programs in an explanation, each with the name of a file for it.
fn programs(code: Code) -> Vec<(&'static str, &'static str)> {
    let mut fenced =
        code.explanation().split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap_or_default());
    fenced.by_ref().map(|(kind, text)| (if kind == "ir" { "m.ir" } else { "m.net" }, text)).collect()
}

/// A folder in which the command can be tried with a program.
fn folder(case: &Case, (name, program): (&str, &str)) -> Folder {
    let folder = Folder::new();
    case.files.iter().for_each(|(name, text)| folder.write(name, text));
    folder.write_npz("d.npz", &[("x", gradc_train::Array::new(vec![2, 3], vec![0.5_f32; 6]).expect("it fits"))]);
    folder.write("big.npz", claiming_too_much(folder.read("d.npz")));
    folder.write(name, program);
    case.before.iter().for_each(|command| drop(folder.succeed(command)));
    folder
}

/// An archive of one file that says that the file unpacks to nearly 4 GiB.
fn claiming_too_much(mut npz: Vec<u8>) -> Vec<u8> {
    let directory = npz.windows(4).position(|bytes| bytes == b"PK\x01\x02").expect("an archive has a directory");
    // Where the size before compression is, in an entry of the directory.
    npz[directory + 24..directory + 28].copy_from_slice(&0xFFFF_0000_u32.to_le_bytes());
    npz
}

#[test]
fn every_code_is_given_and_explained() {
    let of_runs: Vec<Code> = codes::ALL.iter().copied().filter(|code| code.id().starts_with("E09")).collect();
    let mut tried: Vec<Code> = CASES.iter().map(|case| case.code).chain(ONLY_ELSEWHERE.iter().copied()).collect();
    tried.sort_unstable();
    assert_eq!(tried, of_runs);
    for case in CASES {
        let (code, programs) = (case.code.id(), programs(case.code));
        let (wrong, right) = programs.split_first().expect("there is a program");
        let folder = folder(case, *wrong);
        let run = folder.run(case.command);
        let heading = format!("error[{code}]: ");
        assert!(run.code == Some(1) && run.stderr.contains(&heading), "{code}: {}\n{}", case.command, run.stderr);
        assert_eq!(run.stderr.matches("error[").count(), 1, "{code}: {}", run.stderr);
        if let Some(place) = case.place {
            assert!(run.stderr.contains(&format!("--> {place}\n")), "{code}: no {place} in\n{}", run.stderr);
        }

        let run = folder.run(&format!("{} --format=json", case.command));
        let objects = run.stdout.lines().map(|line| serde_json::from_str(line).expect("lines are JSON"));
        let errors: Vec<Value> = objects.filter(|object: &Value| object["severity"] == "error").collect();
        assert!(run.code == Some(1) && errors.len() == 1 && errors[0]["code"] == code, "{code}: {errors:?}");
        assert_eq!(errors[0]["location"].is_object(), case.place.is_some(), "{code}: {errors:?}");

        // A corrected graph is a program, and has another name.
        for right in right.iter().filter(|right| right.0 == wrong.0) {
            self::folder(case, *right).succeed(case.command);
        }
        let explained = folder.succeed(&format!("--explain {}", code.to_lowercase()));
        assert!(
            explained.starts_with(&format!("{code}: {}", case.code.title())) && explained.contains(wrong.1),
            "{explained}"
        );
    }
}

#[test]
fn a_model_without_a_loss_is_always_said_in_the_same_words() {
    let folder = Folder::new();
    folder
        .write("m.net", "dim batch = 2\nmodel m {\n input x: f32[batch]\n param w: [] = ones\n output y = x * w\n}\n");
    folder.write("points.csv", POINTS.1);
    folder.succeed("init m.net --out w.safetensors");
    for command in [
        "m.net --emit=grad",
        "m.net --emit=hvp",
        "run m.net --grad",
        "train m.net --data points.csv",
        "eval m.net --data points.csv --weights w.safetensors",
    ] {
        let run = folder.run(command);
        let message =
            "error[E0901]: the model has no loss: say what is to become small with `loss …`\n --> m.net:2:7\n";
        assert!(run.code == Some(1) && run.stderr.contains(message), "{command}: {}", run.stderr);
    }
}

#[test]
fn what_an_argument_names_is_not_looked_for_in_the_source() {
    let folder = Folder::new();
    folder.write("points.csv", POINTS.1);
    let run = folder.run("train small.net --data missing.csv");
    assert!(
        run.stderr.contains("error[E0907]: cannot read missing.csv") && !run.stderr.contains("-->"),
        "{}",
        run.stderr
    );
    let run = folder.run("train small.net --split 1e-9 --data points.csv");
    assert!(!run.stderr.contains("this share"), "{}", run.stderr);
}
