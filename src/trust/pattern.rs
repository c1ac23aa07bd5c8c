//! Pattern lists as ssh matches them: `*` any run, `?` one character, `!` in front takes away.

/// Tells whether `text` matches a comma-separated list: some pattern does, and none with `!` does (T-36).
pub(super) fn matches_list(list: &str, text: &str) -> bool {
    let mut matched = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => matched |= matches(pattern.as_bytes(), text.as_bytes()),
        }
    }
    matched
}

/// Matches without recursion: on a mismatch only the last `*` takes one byte more, so the time is
/// at most the product of the lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut retry = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                retry = Some((at, from));
                continue;
            }
            Some(&byte) if byte == b'?' || byte == text[from] => {
                at += 1;
                from += 1;
                continue;
            }
            _ => {}
        }
        let Some((after_star, start)) = retry else { return false };
        (at, from) = (after_star, start + 1);
        retry = Some((at, from));
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_ssh_does() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a", "bba", true),
            ("", "", true),
            ("", "a", false),
            ("a,b", "b", true),
            ("a*,!ab", "ab", false),
            ("!ab,a*", "ab", false),
            ("!ab,a*", "ac", true),
            ("!a", "b", false),
            ("A", "a", false),
        ];
        for (list, text, expected) in cases {
            assert_eq!(matches_list(list, text), expected, "{list} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "a*".repeat(2_000) + "b";
        assert!(!matches_list(&pattern, &"a".repeat(10_000)));
    }

    #[test]
    fn matches_what_the_naive_model_matches() {
        fn naive(pattern: &[u8], text: &[u8]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some((b'*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
                Some((&first, rest)) => {
                    text.split_first().is_some_and(|(&c, tail)| (first == b'?' || first == c) && naive(rest, tail))
                }
            }
        }
        proptest::proptest!(|(pattern in "[ab*?]{0,7}", text in "[ab]{0,7}")| {
            proptest::prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        });
    }
}
