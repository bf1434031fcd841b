//! The search language: words, phrases, fields, and errors.

use super::*;
use crate::model::field::Matching;

/// The terms of a search in a short form: `-` for an excluded term, quotes for a phrase, the label and the values of a field.
fn terms(text: &str) -> String {
    let shown = parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).into_iter().map(|term| match term {
        SearchTerm::Text(text) => {
            let quote = if text.needs_order() { "\"" } else { "" };
            format!("{}{quote}{}{quote}", if text.negated { "-" } else { "" }, text.text)
        }
        SearchTerm::Field(Clause { field, negated, predicates }) => {
            let values = predicates.iter().map(|predicate| match predicate {
                Predicate::Exact(text) | Predicate::IgnoreCase(text) | Predicate::Prefix(text) => text.clone(),
                Predicate::StatusClass(digit) => format!("{digit}xx"),
                Predicate::Network(range) => range.to_string(),
                Predicate::Number(range) => format!("{range:?}"),
            });
            let sign = if negated { "-" } else { "" };
            format!("{sign}{}={}", field.spec().label, values.collect::<Vec<_>>().join("|"))
        }
    });
    shown.collect::<Vec<_>>().join(" ; ")
}

#[test]
fn a_search_is_words_phrases_and_fields() {
    for (text, expected) in [
        ("", ""),
        ("  two\u{a0}Words ", "two ; words"),
        ("\"Two words\"", "\"two words\""),
        ("“Two words” „three”", "\"two words\" ; three"),
        ("a\"b c\"", "a\"b ; c\""),
        ("\"a b\"c", "\"a b\" ; c"),
        (r#""say \"x y\" \\ \n""#, r#""say "x y" \ \n""#),
        ("-out -\"a b\" -actor:ada", "-out ; -\"a b\" ; -Actor=ada"),
        ("\"-\" -- --force", "- ; -- ; --force"),
        ("actor:Ada entity:Checkout", "Actor=ada ; Entity=Checkout"),
        ("action:a,b", "Action=a|b|a,b"),
        ("entity:\"a,b\",c", "Entity=a,b|c"),
        ("entity:\"two words\" x", "Entity=two words ; x"),
        ("entity:a:b", "Entity=a:b"),
        ("ACTOR:x Resource-Type:y statusCode:4xx,500", "Actor=x ; Resource type=y ; Status code=4xx|500"),
        ("id:x run:y user:z by:z ip:10.0.0.0/8", "Identifier=x ; Run=y ; Actor=z ; Actor=z ; Address=10.0.0.0/8"),
        ("status:failure actionType:Automation", "Status=FAILURE ; Action type=automation"),
    ] {
        assert_eq!(terms(text), expected, "{text}");
    }
    for spec in crate::model::field::FIELDS {
        for name in spec.parameters {
            let value = match spec.matching {
                Matching::OneOf(values) => values[0],
                Matching::StatusCode => "403",
                _ => "x",
            };
            assert_eq!(terms(&format!("{name}:{value}")), format!("{}={value}", spec.label));
        }
    }
}

#[test]
fn a_colon_in_other_text_is_part_of_the_word() {
    for text in [
        "https://example.org/a:b",
        "12:30",
        "arn:aws:iam::1:role/x",
        "std::vec",
        "2001:db8::1",
        "[::1]:443",
        ":",
        "…",
        "node:18",
        "component:default/checkout",
        "iam:passrole",
        "severity:high",
        "to:bob",
        "actor::x",
    ] {
        assert_eq!(terms(text), text);
    }
}

#[test]
fn words_of_sentences_that_join_others_are_skipped() {
    assert_eq!(terms("deleted tag of application In x AND y"), "deleted ; tag ; application ; x ; y");
    assert_eq!(terms("of"), "of");
    assert_eq!(terms("-of x"), "-of ; x");
    assert_eq!(terms("\"of\" x"), "of ; x");
}

#[test]
fn what_a_page_adds_to_values_does_not_count() {
    for (text, expected) in [
        ("Ada: TIMER_EXPIRED on job", "ada ; timer_expired ; job"),
        ("error:", "error"),
        ("type: x", "type ; x"),
        ("nightl… of servi…:", "nightl ; servi"),
        ("\"error:\"", "\"error:\""),
        ("(no actor) deleted", "-Actor= ; deleted"),
        ("(No Actor): x", "-Actor= ; x"),
        ("-(no actor)", "Actor="),
        ("\"(no actor)\"", "\"(no actor)\""),
        ("(no actor)s", "(no ; actor)s"),
        ("(no", "(no"),
        ("adU+202EnimU+200B", "ad\u{202e}nim\u{200b}"),
        ("U+E0041x U+000Ab U+0041 U+202 U+é u+202e", "\u{e0041}x ; \nb ; u+0041 ; u+202 ; u+é ; u+202e"),
        ("\"U+202E\"", "\"u+202e\""),
    ] {
        assert_eq!(terms(text), expected, "{text}");
    }
}

#[test]
fn errors_name_the_fault_and_the_way_out() {
    for (text, expected) in [
        (
            "acotr:ada",
            "has no field \"acotr\": did you mean actor:? Otherwise, to search for the text, write it in quotes: \"acotr:ada\"",
        ),
        ("x entiy:ada", "did you mean entity:?"),
        ("resource:db", "did you mean resources:?"),
        ("identifer:x", "did you mean identifier:?"),
        ("blurpint:x", "did you mean blueprint:?"),
        ("\"two words", "lacks the quotation mark at the end of \"two words"),
        ("actor:\"ada", "lacks the quotation mark at the end of \"ada"),
        ("\"\"", "quotation marks without text"),
        ("actor:", "has no value after actor:"),
        ("actor: ada", "has no value after actor:"),
        ("actor:ada, bob", "has an empty value: actor:ada,: "),
        ("actor:ada,", "has an empty value: actor:ada,: "),
        ("entity:,", "has an empty value: entity:,: "),
        ("x entity:a,,b y", "has an empty value: entity:a,,b: "),
        ("-entity:,a", "has an empty value: entity:,a: "),
        ("origin:\"a\",", "has an empty value: origin:\"a\",: "),
        ("status:broken", "status:broken: must be SUCCESS or FAILURE"),
        ("status_code:abc", "status_code:abc: must be a status code"),
        ("from:2024-05-01", "use the range of time, from and to"),
        ("a OR b", "field:a,b finds either value"),
        ("NOT a", "-word excludes a word"),
        ("a\0", "NUL"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(terms("\"acotr:ada\" \"OR\" \"actor:\""), "\"acotr:ada\" ; or ; \"actor:\"");
}

#[test]
fn names_of_keys_and_parameters_lead_to_the_field() {
    for (text, expected) in [
        ("type:user", "has no field \"type\": use resources: for the type of the resource, actor_type: for that"),
        ("code:403", "use status_code: for the status code; to search for the text, write it in quotes: \"code:403\""),
        ("name:ada", "use actor: for the name"),
        ("Email:ada@example.org", "use actor: for the e-mail address"),
        ("message:timeout", "write the words of the message without a name"),
        ("-message:timeout", "write the words of the message without a name"),
        ("not.actor:ada", "has no field \"not.actor\": write -actor:ada; to search for the text"),
        ("not.resource_type:x", "write -resources:x;"),
        ("limit:5", "has no field \"limit\": it is a parameter of its own, beside the search"),
        ("sort:received", "it is a parameter of its own"),
        ("include_own:true", "it is a parameter of its own"),
        ("trigger.origin:UI", "use origin:;"),
        ("trigger.by.email:ada", "use actor: for the e-mail address"),
        ("context.entity:x", "use entity:;"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    for text in ["com.example.type:1", "name::x", "not.a:b", "x.limits:5"] {
        assert_eq!(terms(text), text);
    }
    assert_eq!(terms("\"type:user\""), "\"type:user\"");
}

#[test]
fn a_hyphen_without_a_word_is_an_error() {
    for text in ["-", "a - b", "a -", "- actor:ada"] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with("has a hyphen without a word: write -word"), "{text}: {error}");
    }
}

#[test]
fn searches_are_bounded() {
    assert!(parse(&"a ".repeat(SEARCH_WORDS_MAX)).is_ok());
    for text in [
        "a ".repeat(SEARCH_WORDS_MAX + 1),
        format!("actor:{}", "a,".repeat(SEARCH_WORDS_MAX) + "a"),
        "a".repeat(SEARCH_BYTES_MAX + 1),
    ] {
        assert!(parse(&text).is_err(), "{text}");
    }
}
