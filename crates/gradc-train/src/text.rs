//! Small pieces of messages.

use std::fmt;

/// Names in backquotes.
pub(crate) fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}

/// `a, b and c`; of a long list only the beginning, and how many more there are.
pub(crate) struct List<'a>(pub(crate) &'a [String]);

/// The most that a list shows.
const MOST_SHOWN: usize = 8;

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [one] => f.write_str(one),
            items if items.len() > MOST_SHOWN => {
                write!(f, "{} and {} more", items[..MOST_SHOWN].join(", "), items.len() - MOST_SHOWN)
            }
            [before @ .., last] => write!(f, "{} and {last}", before.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(count: usize, expected: &str) {
        let names: Vec<String> = (0..count).map(|i| format!("n{i}")).collect();
        assert_eq!(List(&quoted(&names)).to_string(), expected);
    }

    #[test]
    fn lists_read_as_a_person_would_say_them() {
        check(0, "");
        check(1, "`n0`");
        check(2, "`n0` and `n1`");
        check(3, "`n0`, `n1` and `n2`");
        check(10, "`n0`, `n1`, `n2`, `n3`, `n4`, `n5`, `n6`, `n7` and 2 more");
    }
}
