//! Case files: a Markdown-like text in which every heading is a case.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::case::{Case, End, Step};
use super::expect::{self, Line};
use super::text;

/// The heading of a case is preceded by this.
const HEADING: &str = "## ";

/// The description of the notation, which lies beside the case files.
const README: &str = "README.md";

/// Reads every case file of a directory, in the order of their names.
///
/// # Errors
///
/// Every mistake of every file, one to a line, as `file:line: what is wrong`.
pub(crate) fn read_dir(dir: &Path) -> Result<Vec<Case>, String> {
    let describe = |error| format!("{}: {error}", dir.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(describe)? {
        let path = entry.map_err(describe)?.path();
        let is_case_file = path.extension().is_some_and(|extension| extension == "md");
        if is_case_file && path.file_name().is_some_and(|name| name != README) {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for path in paths {
        let source = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match parse(&name, &source) {
            Ok(more) => cases.extend(more),
            Err(more) => mistakes.extend(more),
        }
    }
    refuse_duplicates(&cases, &mut mistakes);
    if cases.is_empty() && mistakes.is_empty() {
        mistakes.push(format!("{}: no cases", dir.display()));
    }
    if mistakes.is_empty() { Ok(cases) } else { Err(mistakes.join("\n")) }
}

fn refuse_duplicates(cases: &[Case], mistakes: &mut Vec<String>) {
    let mut places = HashMap::new();
    for case in cases {
        if let Some(first) = places.insert(&case.name, &case.place) {
            mistakes.push(format!("{}: this name was used before, at {first}", case.place));
        }
    }
}

/// Parses one file.
pub(crate) fn parse(file: &str, source: &str) -> Result<Vec<Case>, Vec<String>> {
    let mut parser = Parser { file, cases: Vec::new(), mistakes: Vec::new(), draft: None };
    for (index, line) in source.lines().enumerate() {
        parser.line(index + 1, line);
    }
    parser.finish_case();
    if parser.mistakes.is_empty() { Ok(parser.cases) } else { Err(parser.mistakes) }
}

/// A case whose lines are still being read.
struct Draft {
    case: Case,
    line: usize,
    has_rule: bool,
    end: Option<End>,
    /// The line before belongs to the last step's request block.
    in_request: bool,
}

struct Parser<'a> {
    file: &'a str,
    cases: Vec<Case>,
    mistakes: Vec<String>,
    draft: Option<Draft>,
}

impl Parser<'_> {
    fn line(&mut self, number: usize, line: &str) {
        if let Some(name) = line.strip_prefix(HEADING) {
            self.finish_case();
            if let Err(mistake) = check_name(name) {
                self.mistake(number, &mistake);
            }
            self.draft = Some(Draft::new(name, number, self.file));
            return;
        }
        let result = match &mut self.draft {
            Some(draft) => draft.line(number, line),
            None if is_notation(line) => Err("this line comes before the first case".into()),
            None => Ok(()),
        };
        if let Err(mistake) = result {
            self.mistake(number, &mistake);
        }
    }

    fn finish_case(&mut self) {
        let Some(mut draft) = self.draft.take() else { return };
        let sends = draft.case.steps.iter().any(|step| matches!(step, Step::Send(_) | Step::Shutdown));
        if !draft.has_rule {
            self.mistake(draft.line, "the case does not say which rule it tests");
        } else if !sends {
            self.mistake(draft.line, "the case sends nothing");
        } else if let Some(end) = draft.end {
            draft.case.end = end;
            self.cases.push(draft.case);
        } else {
            self.mistake(
                draft.line,
                "the case does not say how the connection is left: `- open` or `- closed`",
            );
        }
    }

    fn mistake(&mut self, line: usize, what: &str) {
        self.mistakes.push(format!("{}:{line}: {what}", self.file));
    }
}

impl Draft {
    fn new(name: &str, line: usize, file: &str) -> Self {
        let place = format!("{file}:{line}");
        let case = Case {
            name: name.to_owned(),
            place,
            only_as_written: false,
            steps: Vec::new(),
            end: End::Closed,
        };
        Self { case, line, has_rule: false, end: None, in_request: false }
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let continues = std::mem::take(&mut self.in_request);
        if line.trim().is_empty() {
            return Ok(());
        }
        if self.end.is_some() {
            return Err("this line comes after the end of the case".into());
        }
        if let Some(bytes) = line.strip_prefix("> ") {
            return self.request(bytes, continues);
        }
        if let Some(expectation) = line.strip_prefix("- ") {
            return self.expectation(expectation, number);
        }
        match line {
            "! shutdown" => self.case.steps.push(Step::Shutdown),
            "! only as written" => self.case.only_as_written = true,
            _ if is_notation(line) => return Err(format!("unknown notation: `{line}`")),
            _ if self.case.steps.is_empty() => self.has_rule = true,
            _ => return Err("prose comes before the first request block".into()),
        }
        Ok(())
    }

    fn request(&mut self, bytes: &str, continues: bool) -> Result<(), String> {
        if bytes.ends_with(' ') {
            return Err("a space at the end of a line is invisible: write `\\x20`".into());
        }
        let mut pieces = text::decode_pieces(bytes)?;
        self.in_request = true;
        if continues && let Some(Step::Send(block)) = self.case.steps.last_mut() {
            let first = pieces.remove(0);
            block.last_mut().map(|last| last.extend(first)).ok_or("the block has no piece")?;
            block.extend(pieces);
        } else {
            self.case.steps.push(Step::Send(pieces));
        }
        Ok(())
    }

    fn expectation(&mut self, source: &str, number: usize) -> Result<(), String> {
        match expect::parse(source, number)? {
            Line::Response(expected) => self.case.steps.push(Step::Expect(expected)),
            Line::End(end) => self.end = Some(end),
            Line::Or(alternative) => {
                let Some(Step::Expect(expected)) = self.case.steps.last_mut() else {
                    return Err("`- or` follows the response that it is an alternative to".into());
                };
                expected.source = format!("{} {source}", expected.source);
                expected.alternatives.push(alternative);
            }
        }
        Ok(())
    }
}

/// Whether a line looks like notation and not like prose.
fn is_notation(line: &str) -> bool {
    line.starts_with(['>', '-', '!']) || line.starts_with("##")
}

/// A name begins with the section that demands the behaviour.
fn check_name(name: &str) -> Result<(), String> {
    let section = name.split(' ').next().unwrap_or_default();
    let known = section.split_once('-').is_some_and(|(document, number)| {
        matches!(document, "rfc9110" | "rfc9112" | "node")
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    });
    let described = name.len() > section.len() + 1;
    if known && described {
        return Ok(());
    }
    Err("a case is named by a section such as `rfc9112-3.2` or `node-4.1`, then its behaviour".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::Alternative;

    const CASE: &str = "# Topic\n\nIntroduction.\n\n## rfc9112-3.2 a name\n\nThe rule.\n\n\
                        > GET / HTTP/1.1\\r\\n|\n> Host: h\\r\\n\\r\\n\n\n- 200\n- or closed\n- open\n";

    fn mistakes(source: &str) -> String {
        parse("f.md", source).expect_err("no mistake was found").join("\n")
    }

    #[test]
    fn a_case_is_read() {
        let cases = parse("f.md", CASE).unwrap();
        let [case] = &cases[..] else { panic!("{cases:?}") };
        assert_eq!((case.name.as_str(), case.place.as_str()), ("rfc9112-3.2 a name", "f.md:5"));
        let [Step::Send(pieces), Step::Expect(expected)] = &case.steps[..] else { panic!("{case:?}") };
        assert_eq!(pieces[..], [b"GET / HTTP/1.1\r\n".to_vec(), b"Host: h\r\n\r\n".to_vec()]);
        assert!(matches!(expected.alternatives[..], [Alternative::Answer { .. }, Alternative::Closed]));
        assert_eq!(case.end, End::Open);
    }

    #[test]
    fn request_blocks_apart_are_steps_apart() {
        let source = "## node-4.1 a name\nRule.\n! only as written\n> a\n> b\n\n> c\n! shutdown\n- closed\n";
        let case = parse("f.md", source).unwrap().remove(0);
        assert!(case.only_as_written);
        let [Step::Send(first), Step::Send(second), Step::Shutdown] = &case.steps[..] else {
            panic!("{case:?}")
        };
        assert_eq!((first[..].concat(), second[..].concat()), (b"ab".to_vec(), b"c".to_vec()));
    }

    #[test]
    fn mistakes_name_file_and_line() {
        let head = "## rfc9110-1 a name\nRule.\n";
        for (source, wanted) in [
            ("> early\n".to_owned(), "f.md:1: this line comes before"),
            ("## nothing here\nRule.\n> a\n- open\n".to_owned(), "f.md:1: a case is named by"),
            ("## rfc9110-1\nRule.\n> a\n- open\n".to_owned(), "f.md:1: a case is named by"),
            ("## rfc9110-1 a name\n> a\n- open\n".to_owned(), "f.md:1: the case does not say which rule"),
            (format!("{head}- 200\n- open\n"), "f.md:1: the case sends nothing"),
            (format!("{head}> a\n"), "f.md:1: the case does not say how"),
            (format!("{head}> a\\q\n- open\n"), "f.md:3: unknown escape"),
            (format!("{head}> a \n- open\n"), "f.md:3: a space at the end"),
            (format!("{head}> a\n- 2000\n- open\n"), "f.md:4: `2000` is not a status"),
            (format!("{head}> a\n- or 200\n- open\n"), "f.md:4: `- or` follows"),
            (format!("{head}> a\n-200\n- open\n"), "f.md:4: unknown notation"),
            (format!("{head}> a\n! jump\n- open\n"), "f.md:4: unknown notation"),
            (format!("{head}> a\nMore.\n- open\n"), "f.md:4: prose comes before"),
            (format!("{head}> a\n- open\n- 200\n"), "f.md:5: this line comes after"),
        ] {
            let found = mistakes(&source);
            assert!(found.starts_with(wanted), "{source:?}: {found}");
        }
    }

    #[test]
    fn a_name_is_used_once() {
        let cases = parse("f.md", &format!("{CASE}{}", &CASE[CASE.find("##").unwrap()..])).unwrap();
        let mut found = Vec::new();
        refuse_duplicates(&cases, &mut found);
        assert_eq!(found, ["f.md:15: this name was used before, at f.md:5"]);
    }

    #[test]
    fn the_cases_of_the_suite_are_well_formed() {
        let cases = read_dir(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance"))).unwrap();
        assert!(cases.len() >= 250, "only {} cases", cases.len());
    }
}
