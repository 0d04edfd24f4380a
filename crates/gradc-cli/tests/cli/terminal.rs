//! Colour, pipes, exit codes, help.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use gradc::diagnostics::codes;

use crate::{Folder, Run};

const WRONG: &str = "model m {\n    input x: f32[2, 3]\n    output y = x @ x\n}";

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = Folder::new();
    // Longer than what fits into a pipe.
    let deep = "let h = pixels\n for i in 0..20 { h = relu(dense(h, 64)) }\n output h\n let logits";
    folder.write("long.net", crate::SMALL.replace("dense(pixels,", "dense(h,").replace("let logits", deep));
    for stage in ["clif", "asm"] {
        let mut command = folder.command(&format!("long.net --emit={stage}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gradc can be started");
        let mut line = String::new();
        let mut reader = BufReader::with_capacity(64, child.stdout.take().expect("stdout is a pipe"));
        reader.read_line(&mut line).expect("there is a line");
        assert!(!line.is_empty());
        drop(reader);
        let run = Run::of(child.wait_with_output().expect("the child ends"), stage);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{stage}");
    }
}

#[test]
fn colour_is_for_terminals() {
    let folder = Folder::new();
    folder.write("wrong.net", WRONG);
    for arguments in
        ["wrong.net", "small.net", "small.net --emit-grad", "train small.net --epochs 1", "--help", "nothing.net"]
    {
        let plain = folder.run(arguments);
        let output = folder.command(arguments).env("NO_COLOR", "1").output().expect("gradc can be started");
        let without = Run::of(output, arguments);
        for run in [plain, without] {
            assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'), "gradc {arguments}");
            assert!(!run.stdout.is_empty() || !run.stderr.is_empty(), "gradc {arguments} says something");
        }
    }
    assert!(folder.run("wrong.net --color=always").stderr.contains('\x1b'));
}

#[test]
fn exit_codes_say_whose_mistake_it_is() {
    let folder = Folder::new();
    folder.write("wrong.net", WRONG);
    for (arguments, code) in [
        ("small.net", 0),
        ("--help", 0),
        ("--version", 0),
        ("--explain E0301", 0),
        ("wrong.net", 1),
        ("nothing.net", 1),
        ("small.net --dim bath=3", 1),
        ("small.net --model large", 1),
        ("small.net --wrt nothing --emit-grad", 1),
        ("", 2),
        ("--explain E9999", 2),
        ("small.net --emit=nothing", 2),
        ("small.net --emit=grad=", 2),
        ("small.net --dim batch=many", 2),
        ("small.net --fp loose", 2),
        ("small.net -O3", 2),
        ("small.net --unknown", 2),
        ("train", 2),
        ("train small.net --resume", 2),
        ("train small.net small.net --out w", 2),
        ("train small.net --epochs few", 2),
    ] {
        let run = folder.run(arguments);
        assert_eq!(run.code, Some(code), "gradc {arguments}\n{}{}", run.stdout, run.stderr);
        assert_eq!(run.stderr.is_empty(), code == 0, "gradc {arguments}\n{}", run.stderr);
    }
}

#[test]
fn every_code_is_explained() {
    let folder = Folder::new();
    assert!(codes::ALL.len() >= 40, "there are {} codes", codes::ALL.len());
    for code in codes::ALL {
        let text = folder.succeed(&format!("--explain {}", code.id()));
        assert!(text.starts_with(code.id()), "{text}");
        assert!(text.lines().count() >= 3 && text.len() > 80, "{text}");
    }
}

#[test]
fn shells_get_completions() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.succeed(&format!("completions {shell}"));
        assert!(script.contains("gradc") && script.contains("emit-grad"), "{shell}: {script}");
    }
}
