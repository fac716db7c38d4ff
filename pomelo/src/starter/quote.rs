//! Words for a POSIX shell, quoted so that the shell reads each as it is.

/// Whether a character has no meaning to any shell, wherever it stands in a word.
fn is_plain(char: char) -> bool {
    char.is_ascii_alphanumeric() || "_-./:=,@%+".contains(char)
}

/// Quotes one word.
pub(super) fn quote(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Quotes the words of a command, with spaces between them.
pub(crate) fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(quote).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_every_word_as_it_is() {
        assert_eq!(quote("env=development"), "env=development");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(join(["id=x; rm -rf /", "$(id)", "`id`", "~"]), "'id=x; rm -rf /' '$(id)' '`id`' '~'");
    }
}
