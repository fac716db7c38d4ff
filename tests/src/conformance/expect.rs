//! The notation of expectations: the `- ` lines of a case file.

use super::case::{Alternative, Check, End, Expected, RequestKind, StatusPattern};
use super::text;

/// The most alike responses that one line may stand for, so that a typing mistake cannot make a case endless.
const MAX_TIMES: usize = 100_000;

/// What one expectation line says.
#[derive(Debug)]
pub(crate) enum Line {
    /// A response.
    Response(Expected),
    /// Another thing that may come instead of the response of the line before.
    Or(Alternative),
    /// The state in which the connection is left.
    End(End),
}

/// Parses the text after `- `.
pub(crate) fn parse(source: &str, line: usize) -> Result<Line, String> {
    match source {
        "open" => return Ok(Line::End(End::Open)),
        "closed" => return Ok(Line::End(End::Closed)),
        "open or closed" => return Ok(Line::End(End::AsAnnounced)),
        _ => {}
    }
    let mut tokens = Tokens::new(source)?;
    if tokens.accept("or") {
        let alternative = alternative(&mut tokens, &mut Expected::new(source, line))?;
        return Ok(Line::Or(alternative));
    }
    let mut expected = Expected::new(source, line);
    if tokens.accept("maybe") {
        expected.optional = true;
    } else if tokens.accept("begins") {
        expected.begins = true;
    }
    let first = alternative(&mut tokens, &mut expected)?;
    expected.alternatives.push(first);
    Ok(Line::Response(expected))
}

impl Expected {
    fn new(source: &str, line: usize) -> Self {
        Self {
            line,
            source: source.to_owned(),
            times: 1,
            optional: false,
            begins: false,
            request: RequestKind::default(),
            alternatives: Vec::new(),
        }
    }
}

/// `closed`, or statuses joined by `or`, qualifiers, and checks set off by commas.
fn alternative(tokens: &mut Tokens, expected: &mut Expected) -> Result<Alternative, String> {
    if tokens.accept("closed") {
        tokens.finish()?;
        return Ok(Alternative::Closed);
    }
    let mut statuses = vec![status(&tokens.word()?)?];
    while tokens.accept("or") {
        statuses.push(status(&tokens.word()?)?);
    }
    qualifiers(tokens, expected)?;
    let mut checks = Vec::new();
    while tokens.accept_comma() {
        checks.push(check(tokens)?);
    }
    tokens.finish()?;
    Ok(Alternative::Answer { statuses, checks })
}

fn status(word: &str) -> Result<StatusPattern, String> {
    let code =
        |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let pattern = match word.strip_suffix("xx") {
        Some(class) => code(class).filter(|class| (1..=5).contains(class)).map(StatusPattern::Class),
        None => code(word).filter(|code| (100..=599).contains(code)).map(StatusPattern::Code),
    };
    pattern.ok_or_else(|| format!("`{word}` is not a status such as `400` or `4xx`"))
}

/// `times N`, `to HEAD`, `to HTTP/1.0`, in any order.
fn qualifiers(tokens: &mut Tokens, expected: &mut Expected) -> Result<(), String> {
    loop {
        if tokens.accept("times") {
            let word = tokens.word()?;
            let times = word.parse().ok().filter(|times| (1..=MAX_TIMES).contains(times));
            expected.times = times.ok_or_else(|| format!("`times {word}` is not within 1 to {MAX_TIMES}"))?;
        } else if tokens.accept("to") {
            match tokens.word()?.as_str() {
                "HEAD" => expected.request.head = true,
                "HTTP/1.0" => expected.request.http10 = true,
                other => return Err(format!("`to {other}`: only `to HEAD` and `to HTTP/1.0` are known")),
            }
        } else {
            return Ok(());
        }
    }
}

fn check(tokens: &mut Tokens) -> Result<Check, String> {
    let word = tokens.word()?;
    Ok(match word.as_str() {
        "body" if tokens.accept("contains") => Check::BodyContains(tokens.bytes()?),
        "body" if tokens.accept("lacks") => Check::BodyLacks(tokens.bytes()?),
        "body" => Check::Body(tokens.bytes()?),
        "chunked" => Check::Chunked,
        "until" if tokens.accept("close") => Check::UntilClose,
        "truncated" => Check::Truncated,
        "field" => {
            let name = tokens.word()?;
            if tokens.accept("is") {
                Check::FieldIs(name, tokens.string()?)
            } else if tokens.accept("has") {
                Check::FieldHas(name, tokens.string()?)
            } else {
                Check::Field(name)
            }
        }
        "json" => {
            let name = tokens.string()?;
            if !tokens.accept("is") {
                return Err("`json \"name\"` is followed by `is \"value\"`".into());
            }
            Check::JsonIs(name, tokens.string()?)
        }
        "no" if tokens.accept("field") => Check::NoField(tokens.word()?),
        "no" if tokens.accept("json") => Check::NoJson(tokens.string()?),
        other => return Err(format!("unknown check `{other}`")),
    })
}

/// A word, a quoted text, or a comma.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(Vec<u8>),
    Comma,
}

/// The tokens of a line, last first.
struct Tokens(Vec<Token>);

impl Tokens {
    fn new(source: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = source.trim_start();
        while let Some(first) = rest.chars().next() {
            let (token, after) = match first {
                ',' => (Token::Comma, &rest[1..]),
                '"' | '`' => {
                    let end =
                        closing_quote(rest, first).ok_or_else(|| format!("a {first} without its end"))?;
                    let inside = &rest[1..end];
                    let bytes = if first == '"' { text::decode(inside)? } else { inside.into() };
                    (Token::Quoted(bytes), &rest[end + 1..])
                }
                _ => {
                    let end = rest.find([' ', ',', '"', '`']).unwrap_or(rest.len());
                    (Token::Word(rest[..end].to_owned()), &rest[end..])
                }
            };
            tokens.push(token);
            rest = after.trim_start();
        }
        tokens.reverse();
        Ok(Self(tokens))
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = matches!(self.0.last(), Some(Token::Word(next)) if next == word);
        if found {
            self.0.pop();
        }
        found
    }

    fn accept_comma(&mut self) -> bool {
        let found = self.0.last() == Some(&Token::Comma);
        if found {
            self.0.pop();
        }
        found
    }

    fn word(&mut self) -> Result<String, String> {
        match self.0.pop() {
            Some(Token::Word(word)) => Ok(word),
            Some(other) => Err(format!("a word was expected, not {other:?}")),
            None => Err("the line ends where a word was expected".into()),
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, String> {
        match self.0.pop() {
            Some(Token::Quoted(bytes)) => Ok(bytes),
            _ => Err("a quoted text was expected".into()),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        String::from_utf8(self.bytes()?).map_err(|_| "this text must be UTF-8".into())
    }

    fn finish(&self) -> Result<(), String> {
        match self.0.last() {
            None => Ok(()),
            Some(Token::Word(word)) => Err(format!("`{word}` has no meaning here")),
            Some(other) => Err(format!("{other:?} has no meaning here")),
        }
    }
}

/// Where the text that `source` opens ends; a backslash shields the character after it, except in backquotes.
fn closing_quote(source: &str, quote: char) -> Option<usize> {
    let mut shielded = false;
    for (index, next) in source.char_indices().skip(1) {
        match next {
            _ if shielded => shielded = false,
            '\\' if quote == '"' => shielded = true,
            _ if next == quote => return Some(index),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(source: &str) -> Expected {
        match parse(source, 1) {
            Ok(Line::Response(expected)) => expected,
            other => panic!("{source}: {other:?}"),
        }
    }

    fn checks(source: &str) -> Vec<Check> {
        match response(source).alternatives.pop() {
            Some(Alternative::Answer { checks, .. }) => checks,
            other => panic!("{source}: {other:?}"),
        }
    }

    #[test]
    fn statuses_and_classes() {
        let Some(Alternative::Answer { statuses, .. }) = response("400 or 5xx").alternatives.pop() else {
            panic!("no answer");
        };
        assert_eq!(statuses, [StatusPattern::Code(400), StatusPattern::Class(5)]);
        assert!(statuses[1].fits(501) && !statuses[1].fits(401) && !statuses[0].fits(401));
    }

    #[test]
    fn qualifiers_describe_the_request() {
        let expected = response("200 times 3 to HEAD to HTTP/1.0, body \"\"");
        assert_eq!((expected.times, expected.request), (3, RequestKind { head: true, http10: true }));
        assert!(response("maybe 100").optional);
        assert!(response("begins 200, body \"x\"").begins);
    }

    #[test]
    fn checks_are_separated_by_commas() {
        assert_eq!(
            checks(r#"200, chunked, body "a\",{b*2}", field Allow has "GET", no field Upgrade"#),
            [
                Check::Chunked,
                Check::Body(b"a\",bb".to_vec()),
                Check::FieldHas("Allow".into(), "GET".into()),
                Check::NoField("Upgrade".into()),
            ]
        );
        assert_eq!(
            checks(r#"200, body contains `{"a"}`, json "n" is "v", no json "m", until close"#),
            [
                Check::BodyContains(br#"{"a"}"#.to_vec()),
                Check::JsonIs("n".into(), "v".into()),
                Check::NoJson("m".into()),
                Check::UntilClose,
            ]
        );
    }

    #[test]
    fn ends_and_alternatives() {
        assert!(matches!(parse("open", 1), Ok(Line::End(End::Open))));
        assert!(matches!(parse("closed", 1), Ok(Line::End(End::Closed))));
        assert!(matches!(parse("open or closed", 1), Ok(Line::End(End::AsAnnounced))));
        assert!(matches!(parse("or closed", 1), Ok(Line::Or(Alternative::Closed))));
        assert!(matches!(parse("or 400", 1), Ok(Line::Or(Alternative::Answer { .. }))));
    }

    #[test]
    fn mistakes_are_errors() {
        for source in [
            "",
            "20",
            "600",
            "6xx",
            "200 or",
            "200 times 0",
            "200 times x",
            "200 to GET",
            "200,",
            "200 body \"x\"",
            "200, body",
            "200, body \"x",
            "200, body x",
            "200, frobnicate",
            "200, field",
            "200, json \"a\"",
            "200, until",
            "open, closed",
            "200, no",
            "200, chunked chunked",
        ] {
            assert!(parse(source, 1).is_err(), "{source} was accepted");
        }
    }
}
