//! Reads Rust well enough to see which names it uses and where.

use std::collections::BTreeSet;

/// The words and marks of a file, without comments and texts, and without its own tests.
pub struct Code {
    pub tokens: Vec<(usize, String)>,
    /// Lines before its own tests begin.
    pub lines: usize,
}

impl Code {
    pub fn of(text: &str, without_tests: bool) -> Self {
        let tests = text.find("\n#[cfg(test)]\nmod tests").filter(|_| without_tests);
        let text = &text[..tests.map_or(text.len(), |at| at + 1)];
        Self { tokens: tokens(text), lines: text.lines().count() }
    }

    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens.iter().map(|(line, word)| (*line, word.as_str()))
    }

    /// Names that follow one of `kinds`.
    pub fn declared(&self, kinds: &[&str]) -> Vec<(usize, &str)> {
        let pairs = self.tokens.windows(2).filter(|pair| kinds.contains(&pair[0].1.as_str()));
        pairs.map(|pair| (pair[1].0, pair[1].1.as_str())).collect()
    }

    /// Every path of two names or more, `use` trees spelt out, with its line.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut paths: Vec<_> =
            self.uses().into_iter().map(|(line, path, _)| (line, path)).collect();
        let mut at = 0;
        while at < self.tokens.len() {
            if self.tokens[at].1 == "use" {
                at += self.tokens[at..].iter().take_while(|(_, word)| word != ";").count();
                continue;
            }
            let mut end = at;
            while self.is(end, is_name)
                && self.is(end + 1, |mark| mark == "::")
                && self.is(end + 2, is_name)
            {
                end += 2;
            }
            if end > at {
                let names = self.tokens[at..=end].iter().step_by(2).map(|(_, name)| name.clone());
                paths.push((self.tokens[at].0, names.collect()));
            }
            at = end + 1;
        }
        paths.sort_by_key(|(line, _)| *line);
        paths
    }

    /// Names that a `use` or a `mod` makes local, so that they do not mean an outside crate.
    pub fn local_names(&self) -> BTreeSet<String> {
        let modules = self.declared(&["mod"]).into_iter().map(|(_, name)| name.to_owned());
        let used = self.uses().into_iter().filter(|(_, path, name)| path.first() != Some(name));
        modules.chain(used.map(|(_, _, name)| name)).collect()
    }

    /// The leaves of every `use`: line, path, and the name that it gets.
    fn uses(&self) -> Vec<(usize, Vec<String>, String)> {
        let mut leaves = Vec::new();
        for (at, (_, word)) in self.tokens.iter().enumerate() {
            // `impl Trait + use<'a>` is another thing.
            if word == "use" && !self.is(at + 1, |mark| mark == "<") {
                self.tree(at + 1, &[], &mut leaves);
            }
        }
        leaves
    }

    /// Reads one tree of a `use` and gives the place after it.
    fn tree(
        &self,
        mut at: usize,
        before: &[String],
        leaves: &mut Vec<(usize, Vec<String>, String)>,
    ) -> usize {
        let mut path = before.to_vec();
        while let Some((line, word)) = self.tokens.get(at) {
            match word.as_str() {
                "::" => at += 1,
                "{" => {
                    at += 1;
                    while !self.is(at, |mark| mark == "}") && at < self.tokens.len() {
                        at = self.tree(at, &path, leaves);
                        at += usize::from(self.is(at, |mark| mark == ","));
                    }
                    return at + 1;
                }
                word if is_name(word) || word == "*" => {
                    if word != "self" || path.is_empty() {
                        path.push(word.to_owned());
                    }
                    at += 1;
                    if self.is(at, |mark| mark == "::") {
                        continue;
                    }
                    let mut name = path.last().cloned().unwrap_or_default();
                    if self.is(at, |word| word == "as") {
                        name.clone_from(&self.tokens[at + 1].1);
                        at += 2;
                    }
                    leaves.push((*line, path, name));
                    return at;
                }
                _ => return at,
            }
        }
        at
    }

    fn is(&self, at: usize, what: impl Fn(&str) -> bool) -> bool {
        self.tokens.get(at).is_some_and(|(_, word)| what(word))
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Cuts Rust into names, `::` and single marks. Comments, texts, characters and lifetimes are left
/// out; what is not understood is a mark.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (bytes, word) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if rest.starts_with("/*") {
            (block_comment(rest), None)
        } else if let Some(bytes) = text_literal(rest) {
            (bytes, None)
        } else if first == '\'' {
            (character_or_lifetime(rest), None)
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (end, Some(&rest[..end]))
        } else if rest.starts_with("::") {
            (2, Some("::"))
        } else {
            (first.len_utf8(), Some(&rest[..first.len_utf8()]).filter(|_| !first.is_whitespace()))
        };
        tokens.extend(word.map(|word| (line, word.to_owned())));
        line += rest[..bytes].matches('\n').count();
        rest = &rest[bytes..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        let step = if text[at..].starts_with("/*") {
            depth += 1;
            2
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            text[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the text literal that `text` begins with, prefixes and hashes included.
fn text_literal(text: &str) -> Option<usize> {
    let letters = text.len() - text.trim_start_matches(['b', 'c', 'r']).len();
    let raw = text[..letters].contains('r');
    let hashes = text[letters..].len() - text[letters..].trim_start_matches('#').len();
    let start = letters + hashes;
    if letters > 2 || !text[start..].starts_with('"') || (hashes > 0 && !raw) {
        return None;
    }
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = text[start + 1..].find(&end);
        return Some(inner.map_or(text.len(), |at| start + 1 + at + end.len()));
    }
    let mut escaped = false;
    let end = text[start + 1..].find(|c: char| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Some(end.map_or(text.len(), |at| start + at + 2))
}

fn character_or_lifetime(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            let after = at + c.len_utf8();
            text[after..].find('\'').map_or(text.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1 + text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(0),
    }
}
