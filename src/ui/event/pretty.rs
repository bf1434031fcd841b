//! Adds line breaks and indentation to JSON, and leaves every token unchanged.

/// Spaces per level.
const INDENT: usize = 2;

/// Formats `json`, and returns whether it was truncated at about `bytes_max` bytes.
pub(super) fn pretty(json: &str, bytes_max: usize) -> (String, bool) {
    let mut out = String::with_capacity(json.len().min(bytes_max) * 5 / 4);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        if out.len() >= bytes_max {
            return (out, true);
        }
        if in_string {
            out.push(char);
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
            continue;
        }
        match char {
            '"' => {
                in_string = true;
                out.push(char);
            }
            '{' | '[' => {
                while chars.peek().is_some_and(char::is_ascii_whitespace) {
                    chars.next();
                }
                out.push(char);
                if matches!(chars.peek(), Some('}' | ']')) {
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            char if char.is_ascii_whitespace() => {}
            char => out.push(char),
        }
    }
    (out, false)
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth * INDENT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_and_only_the_space_between_them_changes() {
        let (text, is_cut) = pretty(r#"{"a":[1.0, {"b":"x \" { , :"}],"c":{ },"d":[]}"#, 1_000);
        let expected =
            "{\n  \"a\": [\n    1.0,\n    {\n      \"b\": \"x \\\" { , :\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}";
        assert_eq!((text.as_str(), is_cut), (expected, false));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let deep = format!("{}1{}", "[".repeat(500_000), "]".repeat(500_000));
        let (text, is_cut) = pretty(&deep, 10_000);
        assert!(is_cut && text.len() < 12_000);
        let (text, is_cut) = pretty(&format!("\"{}\"", "é".repeat(10_000)), 5_000);
        assert!(is_cut && text.len() <= 5_002);
    }
}
