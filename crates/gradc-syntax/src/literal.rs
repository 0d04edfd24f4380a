//! The values of number and string literals.

/// The value of a number token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Without point and exponent.
    Int(i64),
    /// With one of them.
    Float(f64),
    /// Too large for 64 bits.
    TooLarge {
        /// Whether it was written without point and exponent.
        int: bool,
    },
}

/// The value of a token of the form that the lexer calls a number.
pub(crate) fn number(source: &str) -> Number {
    let digits: String = source.chars().filter(|&c| c != '_').collect();
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse().map_or(Number::TooLarge { int: true }, Number::Int);
    }
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() => Number::Float(value),
        _ => Number::TooLarge { int: false },
    }
}

/// The text that a string token stands for. `source` is the token with its quotes; `bad_escape` is
/// called with the range of bytes of `source` of every escape that does not exist, and the
/// character after the backslash stands for itself.
pub(crate) fn string(source: &str, mut bad_escape: impl FnMut(std::ops::Range<usize>)) -> String {
    let inner_end = source.len().saturating_sub(1).max(1);
    let inner = source.get(1..inner_end).unwrap_or("");
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next() {
            Some((_, 'n')) => value.push('\n'),
            Some((_, 't')) => value.push('\t'),
            Some((_, c @ ('"' | '\\'))) => value.push(c),
            Some((_, c)) => {
                bad_escape(at + 1..at + 2 + c.len_utf8());
                value.push(c);
            }
            None => {}
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("0"), Number::Int(0));
        assert_eq!(number("1_000_"), Number::Int(1000));
        assert_eq!(number("9223372036854775807"), Number::Int(i64::MAX));
        assert_eq!(number("9223372036854775808"), Number::TooLarge { int: true });
        assert_eq!(number("1_0.5_0"), Number::Float(10.5));
        assert_eq!(number("1e-3"), Number::Float(1e-3));
        assert_eq!(number("1e-999"), Number::Float(0.0));
        assert_eq!(number("1e999"), Number::TooLarge { int: false });
        assert_eq!(number(&"9".repeat(1_000_000)), Number::TooLarge { int: true });
    }

    #[test]
    fn strings() {
        let check = |source: &str, expected: &str, bad: &[std::ops::Range<usize>]| {
            let mut ranges = Vec::new();
            assert_eq!(string(source, |range| ranges.push(range)), expected);
            assert_eq!(ranges, bad, "{source}");
        };
        check(r#""""#, "", &[]);
        check(r#""a\n\t\"\\b""#, "a\n\t\"\\b", &[]);
        check(r#""\q\é""#, "qé", &[1..3, 3..6]);
    }
}
