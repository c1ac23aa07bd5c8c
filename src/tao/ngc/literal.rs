//! Literals of Python, which NGC keeps in the attributes of a model.

use serde_json::{Map, Number, Value};

/// Most levels of lists and dictionaries in one another.
const DEPTH_MAX: usize = 16;

/// Returns the value that a text spells as a literal of Python: text, number, truth, none, list,
/// tuple or dictionary with texts as keys. Nothing for any other text.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.trim() };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

/// What is left to read; every step leaves no blanks in front.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.rest.chars().next()? {
            _ if depth > DEPTH_MAX => None,
            '[' => self.list(']', depth),
            '(' => self.list(')', depth),
            '{' => self.dictionary(depth),
            '\'' | '"' => self.text().map(Value::String),
            '0'..='9' | '-' | '+' | '.' => self.number(),
            _ => self.word(),
        }
    }

    fn list(&mut self, end: char, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.skip(1);
        while !self.take(end) {
            items.push(self.value(depth + 1)?);
            if !self.take(',') && !self.rest.starts_with(end) {
                return None;
            }
        }
        Some(Value::Array(items))
    }

    fn dictionary(&mut self, depth: usize) -> Option<Value> {
        let mut fields = Map::new();
        self.skip(1);
        while !self.take('}') {
            let key = self.text()?;
            if !self.take(':') {
                return None;
            }
            fields.insert(key, self.value(depth + 1)?);
            if !self.take(',') && !self.rest.starts_with('}') {
                return None;
            }
        }
        Some(Value::Object(fields))
    }

    /// Reads a text on one line, in either quotes, with the escapes that stand for one character.
    fn text(&mut self) -> Option<String> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, quote)| quote).filter(|quote| matches!(quote, '\'' | '"'))?;
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.skip(at + 1);
                    return Some(text);
                }
                '\n' => return None,
                '\\' => match chars.next()?.1 {
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    _ => return None,
                },
                c => text.push(c),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Value> {
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+');
        let len = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let text = self.rest[..len].trim_start_matches('+');
        let whole = text.parse::<i64>().map(Number::from).ok();
        let number = whole.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))?;
        self.skip(len);
        Some(Value::Number(number))
    }

    fn word(&mut self) -> Option<Value> {
        let len = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let value = match &self.rest[..len] {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            _ => return None,
        };
        self.skip(len);
        Some(value)
    }

    fn take(&mut self, c: char) -> bool {
        let is_next = self.rest.starts_with(c);
        if is_next {
            self.skip(c.len_utf8());
        }
        is_next
    }

    fn skip(&mut self, len: usize) {
        self.rest = self.rest[len..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_models_have() {
        for (text, value) in [
            ("['dino', \"segformer\",]", json!(["dino", "segformer"])),
            (" ('a', 1, -2.5e3) ", json!(["a", 1, -2500.0])),
            ("{'model.pth': 'ab' , 'x': None}", json!({"model.pth": "ab", "x": null})),
            ("True", json!(true)),
            ("'it\\'s\\n'", json!("it's\n")),
            ("[]", json!([])),
            ("{}", json!({})),
            ("7", json!(7)),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_literal() {
        for text in
            ["", "48.0M", "61.2%", "true", "[1", "[1 2]", "{1: 2}", "'a", "a", "[,]", "'a' 'b'", "\"\\x41\"", "1e999"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }
}
