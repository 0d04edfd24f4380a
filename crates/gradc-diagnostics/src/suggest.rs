//! Finding the name that was probably meant.

/// Names longer than this are not compared: the work is bounded whatever a file holds.
const LONGEST: usize = 64;

/// Names up to this length are close to too many words.
const SHORT: usize = 3;

/// The candidate closest to `name`, if one is close enough to be a slip of the finger.
///
/// Close means: equal but for upper and lower case, or at most one insertion, deletion,
/// replacement or swap of neighbours for every three characters of `name` (always at least one,
/// and none for names of a single character). In names of up to three characters, a replaced one
/// makes another word, as `sin` is of `min`, and is none. Among equally close ones the first wins,
/// so the order of the candidates must not come from a hash map.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().take(LONGEST + 1).collect();
    if wanted.len() < 2 || wanted.len() > LONGEST {
        return None;
    }
    let limit = (wanted.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        let distance = if candidate.to_lowercase() == name.to_lowercase() {
            0
        } else {
            let chars: Vec<char> = candidate.chars().take(LONGEST + 1).collect();
            if chars.len() > LONGEST || chars.len().abs_diff(wanted.len()) > limit {
                continue;
            }
            if wanted.len() <= SHORT && chars.len() == wanted.len() && !is_reordered(&wanted, &chars) {
                continue;
            }
            edit_distance(&wanted, &chars)
        };
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Whether two names have the same characters.
fn is_reordered(a: &[char], b: &[char]) -> bool {
    let sorted = |name: &[char]| {
        let mut name = name.to_vec();
        name.sort_unstable();
        name
    };
    sorted(a) == sorted(b)
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours
/// each count one.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, candidates: &[&str], expected: Option<&str>) {
        let found = did_you_mean(name, candidates.iter().copied());
        assert_eq!(found, expected, "{name} among {candidates:?}");
    }

    #[test]
    fn a_slip_is_found() {
        check("rleu", &["relu", "elu", "selu"], Some("relu"));
        check("sofmax", &["softmax", "log_softmax"], Some("softmax"));
        check("dens", &["mean", "dense"], Some("dense"));
        check("glorot_unifrom", &["glorot_normal", "glorot_uniform"], Some("glorot_uniform"));
        check("xs", &["x"], Some("x"));
    }

    #[test]
    fn case_alone_is_the_closest() {
        check("Relu", &["elu", "relu"], Some("relu"));
        check("LOGITS", &["logits"], Some("logits"));
    }

    #[test]
    fn the_first_of_equally_close_ones_wins() {
        check("abcy", &["abcx", "abcz"], Some("abcx"));
        check("abcy", &["abcz", "abcx"], Some("abcz"));
    }

    #[test]
    fn different_words_are_not_suggested() {
        check("banana", &["relu", "dense"], None);
        check("x", &["y", "z"], None);
        check("ab", &["cd"], None);
        check("sin", &["min", "sum"], None);
        check("smu", &["min", "sum"], Some("sum"));
        check("relu", &["relu"], None);
        check("relu", &[], None);
    }

    #[test]
    fn absurdly_long_names_are_not_compared() {
        let long = "a".repeat(1_000_000);
        let other = "a".repeat(1_000_001);
        check(&long, &[&other], None);
        check("aaaa", &[&other], None);
    }

    #[test]
    fn distance_counts_a_swap_once() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(edit_distance(&chars("ca"), &chars("ac")), 1);
        assert_eq!(edit_distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(edit_distance(&chars(""), &chars("abc")), 3);
    }
}
