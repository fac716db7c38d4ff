//! Just enough JSON for the routes of `serve`: an object of strings, or of arrays of strings.

use std::collections::BTreeMap;

/// Parses an object; an array of strings counts as its items joined with `, `, as repeated fields do.
pub(crate) fn parse_object(source: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(source).map_err(|_| "the JSON body is not UTF-8")?;
    let mut parser = Parser { chars: text.chars().peekable() };
    let mut members = BTreeMap::new();
    parser.expect('{')?;
    if !parser.accept('}') {
        loop {
            let name = parser.string()?;
            parser.expect(':')?;
            let value = parser.value()?;
            if members.insert(name.clone(), value).is_some() {
                return Err(format!("the JSON member {name:?} appears twice"));
            }
            if !parser.accept(',') {
                break;
            }
        }
        parser.expect('}')?;
    }
    parser.skip_whitespace();
    match parser.chars.next() {
        None => Ok(members),
        Some(other) => Err(format!("{other:?} after the JSON object")),
    }
}

struct Parser<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Parser<'_> {
    fn skip_whitespace(&mut self) {
        while self.chars.next_if(|next| matches!(next, ' ' | '\t' | '\r' | '\n')).is_some() {}
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.skip_whitespace();
        self.chars.next_if_eq(&wanted).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) { Ok(()) } else { Err(format!("the JSON body lacks a {wanted:?}")) }
    }

    fn value(&mut self) -> Result<String, String> {
        if !self.accept('[') {
            return self.string();
        }
        let mut items = Vec::new();
        if !self.accept(']') {
            items.push(self.string()?);
            while self.accept(',') {
                items.push(self.string()?);
            }
            self.expect(']')?;
        }
        Ok(items.join(", "))
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut out = String::new();
        loop {
            match self.chars.next() {
                None => return Err("a JSON string does not end".into()),
                Some('"') => return Ok(out),
                Some('\\') => out.push(self.escape()?),
                Some(raw) if raw < ' ' => return Err("a JSON string holds a raw control character".into()),
                Some(raw) => out.push(raw),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        match self.chars.next() {
            Some(same @ ('"' | '\\' | '/')) => Ok(same),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => {
                let digits: String = self.chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).map_err(|_| "a bad JSON escape")?;
                Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            other => Err(format!("a bad JSON escape: {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_strings_and_arrays() {
        let members = parse_object(br#" { "a" : "1\"\u0041" , "b":["x","y"], "c":[] } "#).unwrap();
        let members: Vec<_> = members.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(members, [("a", "1\"A"), ("b", "x, y"), ("c", "")]);
        assert!(parse_object(b"{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_such_an_object_is_an_error() {
        for source in
            ["", "{", "[]", r#"{"a"}"#, r#"{"a":1}"#, r#"{"a":"b",}"#, r#"{"a":"b"}x"#, r#"{"a":"b"#]
        {
            assert!(parse_object(source.as_bytes()).is_err(), "{source}");
        }
        assert!(parse_object(b"{\"a\":\"\n\"}").is_err());
        assert!(parse_object(b"\xff").is_err());
        assert!(parse_object(br#"{"a":"1","a":"2"}"#).is_err());
    }
}
