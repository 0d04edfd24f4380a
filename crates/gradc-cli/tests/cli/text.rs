//! Models of text: trained, resumed, judged, and made to write.

use gradc_train::{Vocabulary, weights};

use crate::Folder;

/// Predicts each character from the three before it.
const MODEL: &str = "
dim batch = 16
dim time = 8
dim vocabulary = 28
model rhyme {
    input tokens: i32[batch, time]
    input next: i32[batch, time]
    let h = embedding(tokens, vocabulary, 8)
    let before = pad(h, [0, 2, 0], [0, 0, 0])
    let context = concat([before[:, 2:], before[:, 1:-1], before[:, :-2]], axis = -1)
    let logits = dense(relu(dense(context, 32)), vocabulary)
    output logits
    loss cross_entropy(logits, next)
    metric accuracy = accuracy(logits, next)
    metric bits = cross_entropy(logits, next) / log(2)
}
train {
    data \"rhyme.txt\"
    split 0.2
    stride time / 2
    epochs 4
    optimizer adam(lr = 0.01)
}
";

const LINE: &str = "the quick brown fox jumps over a lazy dog\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("rhyme.net", MODEL);
    folder.write("rhyme.txt", LINE.repeat(60));
    folder
}

/// A number that `gradc eval` printed.
fn metric(printed: &str, name: &str) -> f64 {
    let number = printed.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {printed}"))
}

#[test]
fn a_text_is_learned_and_written() {
    let folder = folder();
    let trained = folder.succeed("train rhyme.net --out w.safetensors");
    // 60 lines of 42 characters, of which the last 504 are held out: (2016 - 9) / 4 + 1, and (504 - 9) / 8 + 1.
    assert!(trained.starts_with("502 examples, 62 held out, 4 epochs of 32 steps\n"), "{trained}");
    let evaluated = folder.succeed("eval rhyme.net --weights w.safetensors");
    assert!(evaluated.starts_with("62 examples\n"), "{evaluated}");
    // Where a window begins, one character may not be enough to know the next.
    assert!((0.9..1.0).contains(&metric(&evaluated, "accuracy")), "{evaluated}");
    let (nats, bits) = (metric(&evaluated, "loss"), metric(&evaluated, "bits"));
    assert!((nats / 2.0_f64.ln() - bits).abs() < 1e-4, "{evaluated}");
    let written = folder.succeed("generate rhyme.net --weights w.safetensors --prompt the --length 60 --temperature 0");
    assert_eq!(written, format!("{}\n", &LINE.repeat(2)[..63]));
    let prompted =
        folder.succeed("generate rhyme.net --weights w.safetensors --prompt lazy --length 14 --temperature 0.01");
    assert_eq!(prompted, "lazy dog\nthe quick\n");
    let json = folder
        .succeed("generate rhyme.net --weights w.safetensors --prompt jum --length 2 --temperature 0.01 --format json");
    assert_eq!(json, "{\"event\":\"generate\",\"prompt\":\"jum\",\"text\":\"ps\"}\n");
}

#[test]
fn logits_of_16_bits_are_written_from() {
    let folder = folder();
    folder.succeed("train rhyme.net --out w.safetensors");
    for dtype in ["bf16", "f16"] {
        folder.write("short.net", MODEL.replace("output logits\n", &format!("output short = cast(logits, {dtype})\n")));
        let written =
            folder.succeed("generate short.net --weights w.safetensors --prompt the --length 60 --temperature 0");
        assert_eq!(written, format!("{}\n", &LINE.repeat(2)[..63]), "{dtype}");
    }
}

#[test]
fn what_is_drawn_depends_on_the_seed() {
    let folder = folder();
    folder.succeed("train rhyme.net --epochs 1 --out w.safetensors");
    let text = |seed: u64| {
        folder.succeed(&format!("generate rhyme.net --weights w.safetensors --temperature 2 --seed {seed}"))
    };
    let (first, again, other) = (text(1), text(1), text(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    // Of the 502 characters the first is the prompt and the last ends the line.
    assert!(first.starts_with('\n') && first.ends_with('\n') && first.chars().count() == 502, "{first}");
}

#[test]
fn a_training_on_text_that_was_stopped_ends_with_the_same_bits() {
    let folder = folder();
    folder.succeed("train rhyme.net --out whole.safetensors");
    folder.succeed("train rhyme.net --epochs 2 --checkpoint c.ck");
    let resumed = folder.succeed("train rhyme.net --checkpoint c.ck --resume --out parts.safetensors");
    assert!(resumed.contains("epoch 3/4") && !resumed.contains("epoch 2/4"), "{resumed}");
    assert_eq!(folder.read("whole.safetensors"), folder.read("parts.safetensors"));
    // A checkpoint is a weight file, with the vocabulary too.
    for file in ["parts.safetensors", "c.ck"] {
        let stored = Vocabulary::stored(&weights::read(&folder.path(file)).expect("a weight file"));
        assert_eq!(stored, Some(Vocabulary::of(LINE)), "{file}");
    }
    folder.write("rhyme.txt", LINE.replace('q', "Q").repeat(60));
    let refused = folder.run("train rhyme.net --checkpoint c.ck --resume");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("the data is another text, with other characters"), "{}", refused.stderr);
}

#[test]
fn ids_mean_what_they_meant_in_training() {
    let folder = folder();
    folder.succeed("train rhyme.net --out w.safetensors");
    // Without some characters of the first text, whose ids must not move up.
    folder.write("other.txt", "the quick brown fox\n".repeat(5));
    let evaluated = folder.succeed("eval rhyme.net --weights w.safetensors --data other.txt");
    assert!(metric(&evaluated, "accuracy") > 0.6, "{evaluated}");
    folder.succeed("predict rhyme.net --weights w.safetensors --data other.txt --out p.npz");
    assert_eq!(folder.arrays("p.npz")["logits"].shape(), [12, 8, 28]);
    folder
        .succeed("train rhyme.net --weights w.safetensors --data other.txt --split 0.3 --epochs 1 --out v.safetensors");
    let stored = Vocabulary::stored(&weights::read(&folder.path("v.safetensors")).expect("a weight file"));
    assert_eq!(stored, Some(Vocabulary::of(LINE)));
}

#[test]
fn mistakes_about_text_are_told() {
    let folder = folder();
    folder.succeed("train rhyme.net --epochs 1 --out w.safetensors");
    folder.succeed("train small.net --epochs 1 --out digits.safetensors");
    folder.write("whole.net", MODEL.replace("output logits\n", "output whole = cast(logits, i32)\n"));
    folder.write("lineless.txt", "the quick brown fox jumps over the lazy dog ".repeat(60));
    folder.write(
        "lineless.net",
        MODEL.replace("rhyme.txt", "lineless.txt").replace("vocabulary = 28", "vocabulary = 27"),
    );
    folder.succeed("train lineless.net --epochs 1 --out l.safetensors");
    folder.write("strange.txt", "the quick\nbrown fox? jumps over\n");
    for (arguments, code, message) in [
        ("train rhyme.net --dim vocabulary=20", 1, "the model needs a vocabulary of 28"),
        ("train rhyme.net --split 0.001", 1, "the text has parts of 2517 and 3 characters, but one example needs 9"),
        ("eval rhyme.net --weights w.safetensors --data strange.txt", 1, "line 2, column 10: '?' is not among the 28"),
        ("generate rhyme.net --weights w.safetensors --prompt What?", 1, "the prompt has the character 'W'"),
        ("generate rhyme.net --weights w.safetensors --temperature -1", 2, "a temperature is a number of at least 0"),
        ("generate small.net --weights digits.safetensors", 1, "digits.safetensors has no vocabulary"),
        ("generate whole.net --weights w.safetensors", 1, "output `whole` is i32, but logits are floats"),
        ("generate lineless.net --weights l.safetensors", 1, "say with `--prompt` what to begin with"),
        ("generate rhyme.net", 2, "--weights"),
    ] {
        let run = folder.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{arguments}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{arguments}: {}", run.stdout);
    }
}
