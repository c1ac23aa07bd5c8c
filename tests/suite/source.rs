//! Rust source as words, without comments, texts and tests: enough to see what a file uses.

/// A name, or one character of punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Name(String),
    Mark(char),
}

/// A source file: its words, each with its line, from 1.
pub(crate) struct Source {
    /// The modules that lead to the file; none for `lib.rs` and `main.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) words: Vec<(usize, Word)>,
    pub(crate) line_count: usize,
}

/// A function and its lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) line_count: usize,
}

impl Source {
    /// Reads the text of a file at this path below `src`.
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { module: module_of(path), words: words_of(text), line_count: text.lines().count() }
    }

    /// Returns the file without what stands behind `#[cfg(test)]`.
    pub(crate) fn without_tests(mut self) -> Source {
        while let Some((start, end)) = find_test(&self.words) {
            self.line_count -= self.words[end - 1].0 - self.words[start].0 + 1;
            self.words.drain(start..end);
        }
        self
    }

    /// Returns every path of two names or more, with its line. `crate`, `super` and `self` at its start
    /// are resolved and become `crate`; a group gives a path for each of its members.
    pub(crate) fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.words.len() {
            let is_start = matches!(self.words[at].1, Word::Name(_)) && is_colons(&self.words, at + 1);
            if is_start {
                at = self.read_path(at, &[], &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Reads the path at a word into `paths` and returns the word behind it.
    fn read_path(&self, mut at: usize, before: &[String], paths: &mut Vec<(usize, Vec<String>)>) -> usize {
        let line = self.words[at].0;
        let mut path = before.to_vec();
        while let Some((_, Word::Name(name))) = self.words.get(at) {
            self.step(name, &mut path);
            at += 1;
            if !is_colons(&self.words, at) {
                break;
            }
            at += 2;
            if self.is_mark(at, '{') {
                at += 1;
                while at < self.words.len() && !self.is_mark(at, '}') {
                    let is_member = matches!(self.words[at].1, Word::Name(_));
                    at = if is_member { self.read_path(at, &path, paths) } else { at + 1 };
                }
                return at + 1;
            }
        }
        paths.push((line, path));
        at
    }

    fn step(&self, name: &str, path: &mut Vec<String>) {
        let root = || "crate".to_owned();
        match name {
            "self" if path.is_empty() => path.extend([root()].into_iter().chain(self.module.clone())),
            "super" if path.is_empty() => {
                let above = self.module.len().saturating_sub(1);
                path.extend([root()].into_iter().chain(self.module[..above].iter().cloned()));
            }
            "super" => drop(path.pop()),
            "self" => {}
            name => path.push(name.to_owned()),
        }
    }

    /// Returns the macros that are called, with their lines.
    pub(crate) fn macros(&self) -> Vec<(usize, String)> {
        let call = |(at, (line, word)): (usize, &(usize, Word))| match word {
            // `a != b` is no call.
            Word::Name(name) if self.is_mark(at + 1, '!') && !self.is_mark(at + 2, '=') => Some((*line, name.clone())),
            _ => None,
        };
        self.words.iter().enumerate().filter_map(call).collect()
    }

    /// Returns every function with a body; one inside another is counted for both.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let starts = self.words.windows(2).enumerate().filter_map(|(at, pair)| match &pair[1].1 {
            Word::Name(name) if pair[0].1 == Word::Name("fn".to_owned()) => Some((at, name)),
            _ => None,
        });
        let function = |(at, name): (usize, &String)| {
            let end = end_of_item(&self.words, at);
            let (line, last_line) = (self.words[at].0, self.words[end - 1].0);
            let has_body = self.is_mark(end - 1, '}');
            has_body.then(|| Function { name: name.clone(), line, line_count: last_line - line + 1 })
        };
        starts.filter_map(function).collect()
    }

    /// Returns the lines of the modules that are written inside the file.
    pub(crate) fn inline_modules(&self) -> Vec<usize> {
        let is_inline = |at: &usize| {
            self.words[*at].1 == Word::Name("mod".to_owned())
                && matches!(self.words.get(at + 1), Some((_, Word::Name(_))))
                && self.is_mark(at + 2, '{')
        };
        (0..self.words.len()).filter(is_inline).map(|at| self.words[at].0).collect()
    }

    /// Returns the lines of `pub(crate)`.
    pub(crate) fn shown_to_the_crate(&self) -> Vec<usize> {
        let shown = [("pub", '('), ("crate", ')')];
        let is_shown = |at: &usize| {
            shown.iter().zip((*at..).step_by(2)).all(|((name, mark), at)| {
                matches!(self.words.get(at), Some((_, Word::Name(found))) if found == name)
                    && self.is_mark(at + 1, *mark)
            })
        };
        (0..self.words.len()).filter(is_shown).map(|at| self.words[at].0).collect()
    }

    /// Tells whether the file has a module of this name in a file of its own.
    pub(crate) fn declares(&self, module: &str) -> bool {
        let is_declared = |words: &[(usize, Word)]| {
            words[0].1 == Word::Name("mod".to_owned())
                && words[1].1 == Word::Name(module.to_owned())
                && words[2].1 == Word::Mark(';')
        };
        self.words.windows(3).any(is_declared)
    }

    fn is_mark(&self, at: usize, mark: char) -> bool {
        is_mark(&self.words, at, mark)
    }
}

fn is_mark(words: &[(usize, Word)], at: usize, mark: char) -> bool {
    words.get(at).is_some_and(|(_, word)| *word == Word::Mark(mark))
}

fn is_colons(words: &[(usize, Word)], at: usize) -> bool {
    is_mark(words, at, ':') && is_mark(words, at + 1, ':')
}

fn module_of(path: &str) -> Vec<String> {
    let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// Returns the first item that only tests have: its first word and the word behind its last.
fn find_test(words: &[(usize, Word)]) -> Option<(usize, usize)> {
    let name = |text: &str| Word::Name(text.to_owned());
    (0..words.len()).find_map(|at| {
        let start = [Word::Mark('#'), Word::Mark('['), name("cfg"), Word::Mark('(')];
        let is_cfg = words.len() > at + 4 && (0..4).all(|step| words[at + step].1 == start[step]);
        let end = if is_cfg { end_of_brackets(words, at + 1) } else { return None };
        let condition = &words[at..end];
        let has = |word: Word| condition.iter().any(|(_, one)| *one == word);
        (has(name("test")) && !has(name("not"))).then(|| (at, end_of_item(words, end)))
    })
}

/// Returns the word behind the item that begins here: behind its `;` or its body.
fn end_of_item(words: &[(usize, Word)], mut at: usize) -> usize {
    while at < words.len() {
        match words[at].1 {
            Word::Mark('(' | '[') => at = end_of_brackets(words, at),
            Word::Mark('{') => return end_of_brackets(words, at),
            Word::Mark(';') => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Returns the word behind the bracket that closes the one here.
fn end_of_brackets(words: &[(usize, Word)], start: usize) -> usize {
    let mut depth = 0;
    for (at, (_, word)) in words.iter().enumerate().skip(start) {
        match word {
            Word::Mark('(' | '[' | '{') => depth += 1,
            Word::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    words.len()
}

/// Splits text into words; a text or a character in it is left out like a comment.
fn words_of(text: &str) -> Vec<(usize, Word)> {
    let mut words = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment_len(rest),
            '"' => text_len(rest),
            '\'' => character_len(rest),
            'r' | 'b' | 'c' if prefixed_len(rest).is_some() => prefixed_len(rest).unwrap_or_default(),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|one: char| !one.is_alphanumeric() && one != '_').unwrap_or(rest.len());
                words.push((line, Word::Name(rest[..end].to_owned())));
                end
            }
            _ => {
                if !first.is_whitespace() {
                    words.push((line, Word::Mark(first)));
                }
                first.len_utf8()
            }
        };
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    words
}

fn comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the length of a text in quotes, with its quotes.
fn text_len(text: &str) -> usize {
    let mut is_escaped = false;
    let is_end = |(at, byte): &(usize, u8)| {
        let ends = *at > 0 && *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    text.bytes().enumerate().find(is_end).map_or(text.len(), |(at, _)| at + 1)
}

/// Returns the length of a character in quotes, or of the quote alone where a lifetime begins.
fn character_len(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((escaped, _))) => text[escaped + 1..].find('\'').map_or(1, |end| escaped + end + 2),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// Returns the length of a raw text, a text of bytes or a byte; nothing where a name begins.
fn prefixed_len(text: &str) -> Option<usize> {
    let prefix_len = text.find(|one: char| !matches!(one, 'r' | 'b' | 'c'))?;
    let (prefix, rest) = text.split_at(prefix_len);
    if prefix.ends_with('r') {
        let hash_count = rest.len() - rest.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hash_count));
        let inner = rest[hash_count..].strip_prefix('"')?;
        return Some(prefix_len + hash_count + 1 + inner.find(&end).unwrap_or(inner.len()) + end.len());
    }
    match rest.chars().next() {
        Some('"') => Some(prefix_len + text_len(rest)),
        Some('\'') if prefix == "b" => Some(prefix_len + character_len(rest)),
        _ => None,
    }
}
