//! On which line of a JSON text a key stands: what a parser that gives values has forgotten.

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// The line, from 1, of what the path leads to, or of the nearest thing around it that is there. The text is JSON.
pub(super) fn line_of(text: &str, path: &[Step]) -> Option<usize> {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0 };
    if text.starts_with('\u{feff}') {
        scanner.at = '\u{feff}'.len_utf8();
    }
    scanner.skip_space();
    let mut found = scanner.at;
    for step in path {
        match scanner.enter(step) {
            Some(start) => found = start,
            None => break,
        }
    }
    let before = text.as_bytes().get(..found)?;
    Some(1 + before.iter().filter(|byte| **byte == b'\n').count())
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Goes to the value that `step` leads to; returns where its key, or else the value, begins.
    fn enter(&mut self, step: &Step) -> Option<usize> {
        let is_object = self.peek()? == b'{';
        if is_object != matches!(step, Step::Key(_)) || !b"{[".contains(&self.peek()?) {
            return None;
        }
        self.at += 1;
        // Each turn passes over an entry, so there are at most as many as the text is long.
        for index in 0..self.text.len() {
            self.skip_space();
            let start = self.at;
            let mut is_it = *step == Step::Index(index);
            if is_object {
                let key = self.string()?;
                is_it = matches!(step, Step::Key(name) if *name == key);
                self.skip_space();
                self.at += 1;
                self.skip_space();
            }
            if is_it {
                return Some(start);
            }
            self.skip_value();
            self.skip_space();
            if self.peek()? != b',' {
                return None;
            }
            self.at += 1;
        }
        None
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.skip_string();
        serde_json::from_slice(self.text.get(start..self.at)?).ok()
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
    }

    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string();
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                b',' if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}
