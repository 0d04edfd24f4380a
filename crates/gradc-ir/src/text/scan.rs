//! The tokens of the text form.

/// A token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name or a keyword: letters, digits, `_` and `.`, not beginning with a digit.
    Name(&'t str),
    /// A number, possibly with a sign before it.
    Number(f64),
    /// Punctuation or an operator.
    Symbol(&'t str),
    /// End of the line.
    Newline,
    /// End of the text.
    End,
}

/// A token and where it is, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned<'t> {
    pub token: Token<'t>,
    pub start: usize,
    pub end: usize,
}

/// Words that are numbers, and so the names of no value.
pub(super) const NUMBERS: [(&str, f64); 2] = [("inf", f64::INFINITY), ("nan", f64::NAN)];

/// Longer symbols come before their beginnings.
const SYMBOLS: [&str; 26] = [
    "^T", "**", "==", "!=", "<=", ">=", "&&", "||", "+", "-", "*", "/", "@", "<", ">", "!", "(", ")", "[", "]", "{",
    "}", ",", ":", "=", "%",
];

/// Splits `text` into tokens; comments and spaces are dropped, and so is a star that begins a line. What is not a
/// token is the error: its place in bytes.
pub(super) fn scan(text: &str) -> Result<Vec<Scanned<'_>>, std::ops::Range<usize>> {
    let mut tokens: Vec<Scanned<'_>> = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let start = at;
        let rest = &text[at..];
        let at_line_start = tokens.last().is_none_or(|last| last.token == Token::Newline);
        let token = if first == '\n' {
            at += 1;
            Some(Token::Newline)
        } else if first.is_whitespace() || first == '\u{feff}' || (first == '*' && at_line_start) {
            at += first.len_utf8();
            None
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            None
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
            at += length;
            let name = &rest[..length];
            let number = NUMBERS.iter().find(|(word, _)| *word == name);
            Some(number.map_or(Token::Name(name), |&(_, number)| Token::Number(number)))
        } else if let Some((number, length)) = number(rest, expects_operand(&tokens)) {
            at += length;
            Some(Token::Number(number))
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            at += symbol.len();
            Some(Token::Symbol(symbol))
        } else {
            return Err(start..start + first.len_utf8());
        };
        if let Some(token) = token {
            tokens.push(Scanned { token, start, end: at });
        }
    }
    tokens.push(Scanned { token: Token::End, start: text.len(), end: text.len() });
    Ok(tokens)
}

/// Whether a minus sign here belongs to a number: an operand is due, not an operator.
fn expects_operand(tokens: &[Scanned<'_>]) -> bool {
    !matches!(
        tokens.last().map(|last| last.token),
        Some(Token::Name(_) | Token::Number(_) | Token::Symbol("^T" | ")" | "]"))
    )
}

/// The number that `text` begins with and its length.
fn number(text: &str, signed: bool) -> Option<(f64, usize)> {
    let unsigned = text.strip_prefix('-').filter(|_| signed).unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let continues = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if sign == 1 && unsigned.strip_prefix("inf").is_some_and(|rest| !rest.starts_with(continues)) {
        return Some((f64::NEG_INFINITY, 4));
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut length = digits(unsigned);
    if unsigned[length..].starts_with('.') {
        length += 1;
        length += digits(&unsigned[length..]);
    }
    if unsigned[length..].starts_with('e') {
        let exponent = &unsigned[length + 1..];
        let exponent_sign = usize::from(exponent.starts_with(['-', '+']));
        let exponent_digits = digits(&exponent[exponent_sign..]);
        if exponent_digits > 0 {
            length += 1 + exponent_sign + exponent_digits;
        }
    }
    let length = sign + length;
    text[..length].parse().ok().map(|number| (number, length))
}
