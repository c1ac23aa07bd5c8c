//! JSON as the tables of files have it (F-76). The cuts of a file depend on every case of it, so it
//! is read here by the rule alone, and not by a library that may come to judge differently.

use std::borrow::Cow;

/// Objects and arrays within each other, the outermost included.
const DEPTH_MAX: u32 = 64;

/// The text breaks F-76, or is not what was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Reads a text value by value. Each call takes the white space before what it reads.
pub(super) struct Json<'a> {
    text: &'a str,
    position: usize,
    depth: u32,
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a str) -> Json<'a> {
        Json { text, position: 0, depth: 0 }
    }

    /// Reads an object and hands each member's name to `member`, which reads the value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Json<'a>, &str) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.list(b'{', b'}', |json| {
            let name = json.string()?;
            json.token(b':')?;
            member(json, &name)
        })
    }

    /// Reads an array and calls `element`, which reads a value, once for each.
    pub(super) fn array(&mut self, element: impl FnMut(&mut Json<'a>) -> Result<(), Broken>) -> Result<(), Broken> {
        self.list(b'[', b']', element)
    }

    /// Reads a string and returns it with its escapes decoded.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Broken> {
        self.token(b'"')?;
        let mut decoded = String::new();
        let mut start = self.position;
        loop {
            match self.byte()? {
                b'"' => {
                    let rest = &self.text[start..self.position - 1];
                    return Ok(if decoded.is_empty() { rest.into() } else { (decoded + rest).into() });
                }
                b'\\' => {
                    decoded.push_str(&self.text[start..self.position - 1]);
                    decoded.push(self.escape()?);
                    start = self.position;
                }
                0..0x20 => return Err(Broken),
                _ => {}
            }
        }
    }

    /// Reads an integer that is written in digits alone.
    pub(super) fn digits(&mut self) -> Result<u64, Broken> {
        self.space();
        let start = self.position;
        self.number()?;
        // A number with a sign, a fraction or an exponent does not parse; a plus sign is not JSON.
        self.text[start..self.position].parse().map_err(|_| Broken)
    }

    /// Passes over a value of any kind.
    pub(super) fn skip(&mut self) -> Result<(), Broken> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(|json, _| json.skip()),
            Some(b'[') => self.array(Json::skip),
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number(),
        }
    }

    /// Checks that nothing but white space is left.
    pub(super) fn finish(mut self) -> Result<(), Broken> {
        self.space();
        if self.position == self.text.len() { Ok(()) } else { Err(Broken) }
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Json<'a>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.token(open)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Broken);
        }
        self.space();
        if self.peek() == Some(close) {
            self.position += 1;
        } else {
            item(self)?;
            while self.token(close).is_err() {
                self.token(b',')?;
                item(self)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Result<char, Broken> {
        Ok(match self.byte()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex()?;
                if (0xd800..0xdc00).contains(&high) {
                    self.word("\\u")?;
                    let low = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(Broken)?;
                    return char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low).ok_or(Broken);
                }
                char::from_u32(high).ok_or(Broken)?
            }
            _ => return Err(Broken),
        })
    }

    fn hex(&mut self) -> Result<u32, Broken> {
        let mut value = 0;
        for _ in 0..4 {
            value = value << 4 | char::from(self.byte()?).to_digit(16).ok_or(Broken)?;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<(), Broken> {
        self.position += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.position += 1;
        } else {
            self.some_digits()?;
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.position += 1;
            self.position += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Broken> {
        let rest = &self.text.as_bytes()[self.position..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.position += len;
        if len > 0 { Ok(()) } else { Err(Broken) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.position += 1;
        }
    }

    /// Takes a byte of the grammar, behind white space.
    fn token(&mut self, byte: u8) -> Result<(), Broken> {
        self.space();
        if self.peek() != Some(byte) {
            return Err(Broken);
        }
        self.position += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Broken> {
        if !self.text.as_bytes()[self.position..].starts_with(word.as_bytes()) {
            return Err(Broken);
        }
        self.position += word.len();
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let byte = self.peek().ok_or(Broken)?;
        self.position += 1;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> bool {
        let mut json = Json::new(text);
        json.skip().and_then(|()| json.finish()).is_ok()
    }

    #[test]
    fn reads_what_the_grammar_has() {
        for text in [
            "{}",
            " [ ] ",
            "[1,\t-0, 0.5e-7,1E+9 ,1e999,\r\n0]",
            r#"{"a":{"a":[true,false,null]},"a":""}"#,
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#,
            "\"é\u{7f}\"",
        ] {
            assert!(reads(text), "{text}");
        }
        assert!(reads(&"9".repeat(5000)));
    }

    #[test]
    fn reads_nothing_beyond_the_grammar() {
        for text in [
            "",
            "{",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{1:1}",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1e",
            "1e+",
            "-01",
            "0x1",
            "NaN",
            "Infinity",
            "nul",
            "truex",
            "[] []",
            "'a'",
            "\"\t\"",
            "\"a",
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u+123""#,
            "[]\u{c}",
            "[]\u{a0}",
            "// a\n[]",
            r#""\ud800""#,
            r#""\ud800a""#,
            r#""\ud800\n""#,
            r#""\ud800\ud800""#,
            r#""\udc00""#,
            r#""\udc00\ud800""#,
        ] {
            assert!(!reads(text), "{text}");
        }
    }

    #[test]
    fn nests_to_its_limit_and_no_deeper() {
        let nested = |depth: usize| {
            format!("{}{}", "[{\"a\":".repeat(depth / 2), "[".repeat(depth % 2))
                + &if depth % 2 == 1 { "]".to_owned() } else { "1".to_owned() }
                + &"}]".repeat(depth / 2)
        };
        assert!(reads(&nested(63)) && reads(&nested(64)));
        assert!(!reads(&nested(65)) && !reads(&nested(66)) && !reads(&nested(1_000_000)));
        assert!(reads(&format!("[{}1]", "[],".repeat(1000))));
    }

    #[test]
    fn decodes_strings_and_plain_integers() {
        let text = |text| Json::new(text).string();
        assert_eq!(text(r#" "a\u0062\\\ud83d\ude00é""#).as_deref(), Ok("ab\\😀é"));
        assert_eq!(text(r#""plain""#).as_deref(), Ok("plain"));
        let digits = |text| Json::new(text).digits();
        assert_eq!((digits(" 0"), digits("18446744073709551615")), (Ok(0), Ok(u64::MAX)));
        for text in ["18446744073709551616", "-0", "-1", "1.0", "1e2", "\"1\"", ""] {
            assert_eq!(digits(text), Err(Broken), "{text}");
        }
    }
}
