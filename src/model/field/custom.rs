//! The fields that the operator has declared, for the whole process: their rows, and their values in events.
//!
//! A file assigns a slot to each declared field. A process opens one file, and declares its fields once, before it reads or
//! writes events. From then on, everything that reads the table of fields has them too.

use std::{borrow::Cow, fmt, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::{CUSTOM_CODES, Field, FieldSpec, Matching, TermStorage, VALUE_BYTES_MAX, row};
use crate::model::{
    decimal::Decimal,
    json_pointer::Pointer,
    json_walk::{Node, scalar},
    mask::MASKED,
    values::Values,
};

/// The place of a declared field in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// The number of slots, and so the maximum number of declared fields.
    pub const COUNT: u8 = 64;

    /// The slot with this number, from 0.
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Every slot.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The number of the slot.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The code of the field in this slot.
    pub const fn code(self) -> u8 {
        *CUSTOM_CODES.start() + self.0
    }

    /// The row of the field in this slot.
    pub fn spec(self) -> &'static FieldSpec {
        of_code(self.code()).unwrap_or(&UNDECLARED)
    }
}

/// The name of the field, so that a cursor belongs to the field and not to its slot.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spec().name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// The row of a slot without a field: no parameter leads to it.
static UNDECLARED: FieldSpec = row(Field::Custom(Slot(0)), &[], "Undeclared field", "", &[]);

/// How the values of a declared field are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomMatching {
    /// Byte for byte.
    #[default]
    Exact,
    /// Without regard to case and to the encoding of accents.
    IgnoreCase,
    /// By the beginning.
    Prefix,
    /// By value: numbers and ranges of numbers.
    Number,
    /// By the addresses in the value.
    Network,
}

impl CustomMatching {
    /// Every way, in the order in which errors list them.
    pub const ALL: [Self; 5] = [Self::Exact, Self::IgnoreCase, Self::Prefix, Self::Number, Self::Network];

    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::IgnoreCase => "ignore-case",
            Self::Prefix => "prefix",
            Self::Number => "number",
            Self::Network => "network",
        }
    }

    const fn matching(self) -> Matching {
        match self {
            Self::Exact => Matching::Exact,
            Self::IgnoreCase => Matching::IgnoreCase,
            Self::Prefix => Matching::Prefix,
            Self::Number => Matching::Number,
            Self::Network => Matching::Network,
        }
    }

    const fn summary(self) -> &'static str {
        match self {
            Self::Exact => "byte for byte",
            Self::IgnoreCase => "in any case",
            Self::Prefix => "by how it begins",
            Self::Number => "a number, or a range such as >=400 or 400..499",
            Self::Network => "an IP address in the value, or a CIDR range such as 10.0.0.0/8",
        }
    }
}

/// The definition of a field, as the operator writes it and the file keeps it. `custom_fields` validates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDefinition {
    /// The parameter that filters on the field.
    pub name: String,
    /// A label for people.
    pub label: String,
    /// JSON Pointers to the value in an event, in order: the first that has a value counts.
    pub pointers: Vec<String>,
    /// How values are compared.
    pub matching: CustomMatching,
    /// Whether the words of `q` search the values.
    pub search: bool,
}

impl FieldDefinition {
    /// Whether both find the same events by the same parameters. The label may differ.
    pub fn finds_as(&self, other: &Self) -> bool {
        let of = |own: &Self| (own.name.clone(), own.pointers.clone(), own.matching);
        of(self) == of(other)
    }

    fn row(self, slot: Slot) -> FieldSpec {
        let name: &'static str = self.name.leak();
        let label: &'static str = self.label.leak();
        FieldSpec {
            field: Field::Custom(slot),
            parameters: vec![name].leak(),
            label,
            summary: format!("The custom field {label}, {}", self.matching.summary()).leak(),
            sources: &[],
            further: None,
            matching: self.matching.matching(),
            comma_list: true,
            bytes_max: VALUE_BYTES_MAX,
            sharing: TermStorage::LogWide,
            searched: self.search,
        }
    }
}

/// A definition and the slot that the file has assigned to it.
pub type Declaration = (Slot, FieldDefinition);

/// The declared fields.
struct Declared {
    declarations: Vec<Declaration>,
    rows: Vec<FieldSpec>,
    /// The index of each slot's row.
    places: [Option<usize>; Slot::COUNT as usize],
    extractor: Extractor,
}

/// The fields of this process. Their rows live as long as it does.
static DECLARED: OnceLock<Declared> = OnceLock::new();

/// Declares the fields of the file that this process opens. The error says that other fields are declared, or which pointer
/// is invalid.
pub fn declare(declarations: &[Declaration]) -> Result<(), String> {
    if declarations.is_empty() && DECLARED.get().is_none() {
        return Ok(());
    }
    let extractor = Extractor::new(declarations)?;
    let known = DECLARED.get_or_init(|| {
        let rows: Vec<_> = declarations.iter().cloned().map(|(slot, definition)| definition.row(slot)).collect();
        let mut places = [None; Slot::COUNT as usize];
        for (place, (slot, _)) in declarations.iter().enumerate() {
            places[usize::from(slot.0)] = Some(place);
        }
        Declared { declarations: declarations.to_vec(), rows, places, extractor }
    });
    let are_same = known.declarations.len() == declarations.len()
        && known
            .declarations
            .iter()
            .zip(declarations)
            .all(|((slot, one), (other, two))| slot == other && one.finds_as(two));
    if are_same { Ok(()) } else { Err("other fields are declared already".to_owned()) }
}

/// The rows of the declared fields, in the order of their slots.
pub fn declared() -> impl Iterator<Item = &'static FieldSpec> {
    DECLARED.get().into_iter().flat_map(|declared| &declared.rows)
}

/// The row of the declared field with this code.
pub(super) fn of_code(code: u8) -> Option<&'static FieldSpec> {
    let declared = DECLARED.get()?;
    let place = declared.places.get(usize::from(code.checked_sub(*CUSTOM_CODES.start())?))?;
    place.and_then(|place| declared.rows.get(place))
}

/// Adds the values of the declared fields in an event's bytes.
pub fn extract(body: &str, values: &mut Values) {
    if let Some(declared) = DECLARED.get() {
        declared.extractor.each(body, |slot, value| values.push(Field::Custom(slot), value));
    }
}

/// The value of a declared field in an event's bytes.
pub fn value_in(field: Field, body: &str) -> Option<String> {
    let mut found = None;
    DECLARED.get()?.extractor.each(body, |slot, value| {
        if Field::Custom(slot) == field {
            found = Some(value.to_owned());
        }
    });
    found
}

/// Finds the values of all declared fields in one pass over an event.
struct Extractor {
    tree: Node,
    /// The number of different pointers.
    pointers: usize,
    /// For each field its slot, the indexes of its pointers, and whether its values are numbers.
    fields: Vec<(Slot, Vec<usize>, CustomMatching)>,
}

impl Extractor {
    fn new(declarations: &[Declaration]) -> Result<Self, String> {
        let mut extractor = Self { tree: Node::default(), pointers: 0, fields: Vec::new() };
        for (slot, definition) in declarations {
            let mut places = Vec::new();
            for text in &definition.pointers {
                let pointer = Pointer::parse(text).map_err(|message| format!("{text:?} {message}"))?;
                let place = extractor.tree.slot(&pointer, extractor.pointers);
                extractor.pointers = extractor.pointers.max(place + 1);
                places.push(place);
            }
            extractor.fields.push((*slot, places, definition.matching));
        }
        Ok(extractor)
    }

    /// Calls `each` with every field that has a value in an event. The first pointer with a value counts. A masked value,
    /// a text with a NUL, and a text in place of a number do not count.
    fn each(&self, body: &str, mut each: impl FnMut(Slot, &str)) {
        let mut found = vec![None; self.pointers];
        self.tree.fill(body, &mut found);
        for (slot, places, matching) in &self.fields {
            if let Some(value) = places.iter().find_map(|place| found[*place].and_then(|text| indexed(text, *matching)))
            {
                each(*slot, &value);
            }
        }
    }
}

/// The value under which the JSON text of a scalar is found, if there is one.
fn indexed(json: &str, matching: CustomMatching) -> Option<Cow<'_, str>> {
    let value = scalar(json).filter(|value| !value.contains('\0') && *value != MASKED)?;
    match matching {
        CustomMatching::Number => Decimal::parse(&value).map(|number| Cow::Owned(number.to_string())),
        _ => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extractor(fields: &[(&[&str], CustomMatching)]) -> Extractor {
        let definition = |pointers: &[&str], matching| FieldDefinition {
            name: "tenant".to_owned(),
            label: "Tenant".to_owned(),
            pointers: pointers.iter().map(|text| (*text).to_owned()).collect(),
            matching,
            search: false,
        };
        let declarations: Vec<_> = Slot::all()
            .zip(fields)
            .map(|(slot, (pointers, matching))| (slot, definition(pointers, *matching)))
            .collect();
        Extractor::new(&declarations).unwrap()
    }

    #[test]
    fn the_first_pointer_with_a_value_counts() {
        let extractor = extractor(&[
            (&["/a", "/b/[k=v]/c", "/d"], CustomMatching::Exact),
            (&["/d"], CustomMatching::Number),
            (&["/b"], CustomMatching::Exact),
        ]);
        let found = |body: &str| {
            let mut found = Vec::new();
            extractor.each(body, |slot, value| found.push((slot.number(), value.to_owned())));
            found
        };
        let value = |slot: u8, text: &str| (slot, text.to_owned());
        assert_eq!(found(r#"{"a":"x","d":4.0}"#), [value(0, "x"), value(1, "4")]);
        assert_eq!(
            found(r#"{"a":null,"b":[{"k":"w"},{"k":"v","c":true}],"d":"5e1"}"#),
            [value(0, "true"), value(1, "50")]
        );
        assert_eq!(found(r#"{"a":"","b":{},"d":"x"}"#), [value(0, "x")]);
        assert_eq!(found(r#"{"a":"[masked]","b":["p","q"]}"#), [value(2, "p")]);
        assert_eq!(found(r#"{"a":"\u0000","d":"1\u0000"}"#), []);
        assert_eq!(found("{}"), []);
    }

    #[test]
    fn a_slot_without_a_field_has_no_parameter() {
        let slot = Slot::new(63).unwrap();
        assert_eq!((slot.code(), slot.spec().name()), (127, None));
        assert_eq!(Slot::new(64), None);
    }
}
