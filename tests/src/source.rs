//! The parts of Rust source that the house rules read: which characters are code, where functions begin and end.

/// The source with every character of comments, strings and character literals replaced by a blank. Line ends stay, so
/// that lines keep their numbers.
#[must_use]
pub fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let opaque = opaque_len(rest, code.chars().next_back());
        if opaque == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (token, tail) = rest.split_at(opaque);
            code.extend(token.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
            rest = tail;
        }
    }
    code
}

/// How many bytes at the start are a comment or a literal; 0 for code.
fn opaque_len(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_len(rest);
    }
    if rest.starts_with('"') {
        return string_len(rest, 1);
    }
    if rest.starts_with('\'') {
        return char_len(rest);
    }
    if in_word {
        return 0;
    }
    let prefix = rest.bytes().take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    match &rest[..prefix] {
        "r" | "br" | "cr" => raw_string_len(rest, prefix),
        "b" | "c" if rest[prefix..].starts_with('"') => string_len(rest, prefix + 1),
        "b" if rest[prefix..].starts_with('\'') => prefix + char_len(&rest[prefix..]),
        _ => 0,
    }
}

fn block_comment_len(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// A string whose text begins at `start`.
fn string_len(rest: &str, start: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string_len(rest: &str, prefix: usize) -> usize {
    let hashes = rest[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let start = prefix + hashes;
    if !rest[start..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    rest[start + 1..].find(&end).map_or(rest.len(), |at| start + 1 + at + end.len())
}

/// A character literal; 0 for a lifetime.
fn char_len(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            rest[escaped + 1..].find('\'').map_or(0, |at| escaped + 1 + at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// A function: its name, the line on which it begins (from 1), and how many lines it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`.
    pub line: usize,
    /// The lines up to the end of its body.
    pub lines: usize,
    /// From the `fn` to the body, on one line.
    pub signature: String,
}

/// The functions of some [code](code_of), with and without bodies, in the order in which they begin.
#[must_use]
pub fn functions(code: &str) -> Vec<Function> {
    words(code, "fn").filter_map(|at| function(code, at)).collect()
}

fn function(code: &str, at: usize) -> Option<Function> {
    let rest = &code[at..];
    let name: String =
        rest[2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // Without a name it is the type of a function pointer.
    let body = rest.find(['{', ';']).filter(|_| !name.is_empty())?;
    let mut depth = 0;
    let end = rest[body..].char_indices().find(|(_, character)| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let end = end.map_or(rest.len(), |(end, _)| body + end);
    Some(Function {
        name,
        line: line_of(code, at),
        lines: rest[..end].lines().count().max(1),
        signature: rest[..body].split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// Where `word` stands as a word of its own.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !code[..*at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

/// The line (from 1) of the byte at `at`.
#[must_use]
pub fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::{code_of, functions};

    #[test]
    fn comments_and_literals_are_no_code() {
        for (source, code) in [
            ("a // unsafe\nb", "a b"),
            ("a /* x /* y\n */ */ b", "a b"),
            (r#"f("un\"safe\\") + 'a' + '"' c"#, "f( ) + + c"),
            (r##"a r#"un"safe"# b"x" b'\'' c"##, "a c"),
            (r"let '\u{7b}' = x::<'a>('{')", "let = x::<'a>( )"),
            ("for_r r#type r", "for_r r#type r"),
            ("é 'é' é\"é\"", "é é"),
        ] {
            let found = code_of(source);
            assert_eq!(found.split_whitespace().collect::<Vec<_>>().join(" "), code, "{source}");
            assert_eq!(found.chars().count(), source.chars().count(), "{source}");
            assert_eq!(found.lines().count(), source.lines().count(), "{source}");
        }
    }

    #[test]
    fn functions_are_measured_from_their_first_line_to_their_last() {
        let code =
            "impl X {\n  fn a(&mut self,\n   b: fn(u8)) -> u8 {\n {}\n  }\n  fn c(&self);\n}\nfn d() {}";
        let measured: Vec<_> = functions(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(measured, [("a".into(), 2, 4), ("c".into(), 6, 1), ("d".into(), 8, 1)]);
        assert_eq!(functions(code)[0].signature, "fn a(&mut self, b: fn(u8)) -> u8");
    }
}
