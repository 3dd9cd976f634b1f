//! Sensitive information: which places of a text are of a kind that AWS names.
//!
//! Every kind but names and addresses is decided here, from patterns, checksums and the words beside a
//! value; [`decided_by`] says which. One look over the bytes and one over the words that introduce
//! values leave out the patterns that cannot match, so that prose costs next to nothing.
//!
//! Places of different kinds may overlap; `spans` settles that.

mod checks;
mod numbers;
mod rows;

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use outcrop_model::bedrock::GuardrailPiiEntityType as Kind;
use regex::Regex;

use rows::{Gate, ROWS, Row};

/// How a kind is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// By its form.
    Form,
    /// By its form and a checksum or the values that are given out.
    Checksum,
    /// By its form and the words before it.
    Words,
    /// By the classifier model.
    Model,
}

/// How a kind is decided.
pub fn decided_by(kind: Kind) -> Decided {
    match kind {
        Kind::Email
        | Kind::Url
        | Kind::IpAddress
        | Kind::MacAddress
        | Kind::Age
        | Kind::AwsAccessKey
        | Kind::AwsSecretKey => Decided::Form,
        Kind::CreditDebitCardNumber
        | Kind::InternationalBankAccountNumber
        | Kind::UsSocialSecurityNumber
        | Kind::UsIndividualTaxIdentificationNumber
        | Kind::UkNationalInsuranceNumber
        | Kind::CaSocialInsuranceNumber
        | Kind::VehicleIdentificationNumber
        | Kind::Phone => Decided::Checksum,
        Kind::CreditDebitCardCvv
        | Kind::CreditDebitCardExpiry
        | Kind::Pin
        | Kind::SwiftCode
        | Kind::UsBankAccountNumber
        | Kind::UsBankRoutingNumber
        | Kind::UsPassportNumber
        | Kind::UkNationalHealthServiceNumber
        | Kind::UkUniqueTaxpayerReferenceNumber
        | Kind::CaHealthNumber
        | Kind::LicensePlate
        | Kind::DriverId
        | Kind::Username
        | Kind::Password => Decided::Words,
        _ => Decided::Model,
    }
}

/// The patterns, compiled when first needed; constant data, so shared by all guardrails.
static DETECTORS: LazyLock<Detectors> = LazyLock::new(Detectors::new);

struct Detectors {
    rows: Vec<(&'static Row, Regex)>,
    /// The words of all rows, and by word the row it is of.
    words: AhoCorasick,
    owners: Vec<usize>,
}

impl Detectors {
    fn new() -> Self {
        let compile = |row: &'static Row| {
            let regex = Regex::new(&row.pattern()).expect("a test compiles every pattern");
            (row, regex)
        };
        let rows: Vec<_> = ROWS.iter().map(compile).collect();
        let mut owners = Vec::new();
        let mut words: Vec<&str> = Vec::new();
        for (index, (row, _)) in rows.iter().enumerate() {
            if let Gate::Words(of_row) = row.gate {
                words.extend(of_row);
                owners.resize(words.len(), index);
            }
        }
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(words)
            .expect("some dozens of words fit");
        Self {
            rows,
            words,
            owners,
        }
    }
}

/// What a text has, by which most patterns are ruled out.
struct Glance {
    digits: usize,
    bytes: [bool; 256],
    /// By row: whether one of its words is there.
    introduced: Vec<bool>,
}

impl Glance {
    fn at(text: &str, detectors: &Detectors) -> Self {
        let mut bytes = [false; 256];
        let mut digits = 0;
        for byte in text.bytes() {
            bytes[usize::from(byte)] = true;
            digits += usize::from(byte.is_ascii_digit());
        }
        let mut introduced = vec![false; detectors.rows.len()];
        for found in detectors.words.find_overlapping_iter(text) {
            introduced[detectors.owners[found.pattern().as_usize()]] = true;
        }
        Self {
            digits,
            bytes,
            introduced,
        }
    }

    fn allows(&self, index: usize, gate: Gate) -> bool {
        match gate {
            Gate::Digits(least) => self.digits >= least,
            Gate::Byte(byte) => self.bytes[usize::from(byte)],
            Gate::Words(_) => self.introduced[index],
            Gate::Open => true,
        }
    }
}

/// Every place of the kinds that `wanted` names, in no order; a place may be given more than once.
pub(crate) fn find(text: &str, wanted: impl Fn(Kind) -> bool) -> Vec<(Kind, Range<usize>)> {
    let detectors = &*DETECTORS;
    let glance = Glance::at(text, detectors);
    let mut found = Vec::new();
    for (index, (row, regex)) in detectors.rows.iter().enumerate() {
        if wanted(row.kind) && glance.allows(index, row.gate) {
            row.find(regex, text, |range| found.push((row.kind, range)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_decided_somewhere() {
        for kind in Kind::VALUES {
            let has_row = ROWS.iter().any(|row| row.kind == *kind);
            assert_eq!(has_row, decided_by(*kind) != Decided::Model, "{kind}");
        }
    }

    #[test]
    fn patterns_compile_and_words_are_lower_case() {
        assert_eq!(DETECTORS.rows.len(), ROWS.len());
        for row in ROWS {
            if let Gate::Words(words) = row.gate {
                assert!(words.iter().all(|word| *word == word.to_lowercase()));
            }
        }
    }
}
