//! The table of patterns: one row a way in which a kind of sensitive information is written.
//!
//! Data with small checks. In a pattern `~` stands for what may lie between an introducing word and its
//! value; the value is the first group, or the whole match where there is none.

use std::ops::Range;

use outcrop_model::bedrock::GuardrailPiiEntityType as Kind;
use regex::Regex;

use super::{checks, numbers};

/// What a text must have for a row to be tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gate {
    /// So many digits.
    Digits(usize),
    /// This byte.
    Byte(u8),
    /// One of these, in lower case, anywhere; compared without case.
    Words(&'static [&'static str]),
    /// Nothing.
    Open,
}

/// Finds matches within a part of a text and gives each to the last argument.
pub(super) type FindSeveral = fn(&str, Range<usize>, &mut dyn FnMut(Range<usize>));

/// What becomes of a candidate.
#[derive(Clone, Copy)]
pub(super) enum Check {
    /// It is one.
    Taken,
    /// It is one if this says so.
    Value(fn(&str) -> bool),
    /// It is one if this says so, and if no further digits are joined to it by `-` or `.`.
    Alone(fn(&str) -> bool),
    /// So many bytes of it are one.
    Part(fn(&str) -> Option<usize>),
    /// It may hold any number of them; told of the whole text and the candidate's place.
    Several(FindSeveral),
}

/// One way of writing a kind.
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) gate: Gate,
    pattern: &'static str,
    check: Check,
}

/// What may lie between a word and the value it introduces. Bounded, so that a value far off is not
/// taken for this one's.
const BETWEEN: &str = r#"(?:[ \t:=#.,'"()\[\]-]|is|was|are|number|num|no|nr|code|the|my|your|our|his|her|for|of|card|id|on|it){0,14}?"#;

impl Row {
    const fn new(kind: Kind, gate: Gate, pattern: &'static str, check: Check) -> Self {
        Self {
            kind,
            gate,
            pattern,
            check,
        }
    }

    /// The pattern with `~` written out.
    pub(super) fn pattern(&self) -> String {
        self.pattern.replace('~', BETWEEN)
    }

    /// Gives every place of this row to `found`.
    pub(super) fn find(&self, regex: &Regex, text: &str, mut found: impl FnMut(Range<usize>)) {
        let mut at = 0;
        while let Some((whole, value)) = next(regex, text, at) {
            let taken = match self.check {
                Check::Several(split) => {
                    split(text, value, &mut found);
                    at = whole.end;
                    continue;
                }
                Check::Taken => Some(value.clone()),
                Check::Value(is_one) => is_one(&text[value.clone()]).then(|| value.clone()),
                Check::Alone(is_one) => {
                    let candidate = &text[value.clone()];
                    (is_one(candidate) && numbers::alone(text, &value)).then(|| value.clone())
                }
                Check::Part(part) => {
                    part(&text[value.clone()]).map(|length| value.start..value.start + length)
                }
            };
            // Past what was found, else past its first character only: a better one may begin inside.
            let first = text[whole.start..].chars().next().map_or(1, char::len_utf8);
            at = taken.as_ref().map_or(whole.start + first, |range| {
                range.end.max(whole.start + first)
            });
            if let Some(range) = taken {
                found(range);
            }
        }
    }
}

/// The next match from a byte on: the whole and its value.
fn next(regex: &Regex, text: &str, at: usize) -> Option<(Range<usize>, Range<usize>)> {
    if regex.captures_len() == 1 {
        let range = regex.find_at(text, at)?.range();
        return Some((range.clone(), range));
    }
    let captures = regex.captures_at(text, at)?;
    let whole = captures.get(0)?.range();
    let value = captures.get(1).map_or(whole.clone(), |group| group.range());
    Some((whole, value))
}

fn digits_within<const LEAST: usize, const MOST: usize>(text: &str) -> bool {
    (LEAST..=MOST).contains(&checks::digits(text).len())
}

fn mixed_plate(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    digits >= 1 && letters >= 1 && (4..=8).contains(&(digits + letters))
}

fn has_three_digits(text: &str) -> bool {
    checks::digits(text).len() >= 3
}

fn nine_characters(text: &str) -> bool {
    text.len() == 9
}

fn plausible_age(text: &str) -> bool {
    let number: String = text.chars().take_while(char::is_ascii_digit).collect();
    number.parse::<u32>().is_ok_and(|age| age <= 120)
}

/// Words that follow "password is" and the like without being one.
const NO_SECRETS: &str = " incorrect wrong required expired invalid not too the a an weak strong correct \
    empty missing set stored hashed encrypted never always also being reset changed protected safe secure \
    case longer shorter at about needed optional mandatory known unknown lost forgotten valid that this \
    your my sent used displayed hidden masked none null unique taken available already ";

fn secret(text: &str) -> bool {
    let word = text.trim_end_matches(['.', '!', '?']).to_ascii_lowercase();
    word.len() >= 3 && !NO_SECRETS.contains(&format!(" {word} "))
}

fn secret_part(text: &str) -> Option<usize> {
    let trimmed = text.trim_end_matches(['.', '!', '?', ')', ':']);
    (secret(text) && !trimmed.is_empty()).then_some(trimmed.len())
}

/// Without what ends the sentence rather than the address.
fn url_part(text: &str) -> Option<usize> {
    let mut kept = text.trim_end_matches(['.', ',', ';', ':', '!', '?', '*', '_']);
    while kept.ends_with(')') && !kept.contains('(') {
        kept = kept[..kept.len() - 1].trim_end_matches(['.', ',', ';', ':', '!', '?']);
    }
    kept.contains('.')
        .then_some(kept.len())
        .or_else(|| kept.contains("://").then_some(kept.len()))
}

/// Every way of writing every kind. Kinds with checksums come first: their rank decides between equal
/// places.
pub(super) static ROWS: &[Row] = &[
    Row::new(
        Kind::CreditDebitCardNumber,
        Gate::Digits(13),
        r"(?-u:\b)[0-9](?:[ -]?[0-9]){12,}(?-u:\b)",
        Check::Several(numbers::cards),
    ),
    Row::new(
        Kind::InternationalBankAccountNumber,
        Gate::Digits(6),
        r"(?-u)\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,44}",
        Check::Part(checks::iban),
    ),
    Row::new(
        Kind::UsSocialSecurityNumber,
        Gate::Digits(9),
        r"(?-u)\b[0-9]{3}[- .][0-9]{2}[- .][0-9]{4}\b",
        Check::Alone(checks::us_ssn),
    ),
    Row::new(
        Kind::UsSocialSecurityNumber,
        Gate::Words(&["ssn", "social security"]),
        r"(?i-u)\b(?:ssn|social security)\b~\b([0-9]{3}[- .]?[0-9]{2}[- .]?[0-9]{4})\b",
        Check::Alone(checks::us_ssn),
    ),
    Row::new(
        Kind::UsIndividualTaxIdentificationNumber,
        Gate::Digits(9),
        r"(?-u)\b9[0-9]{2}[- ][0-9]{2}[- ][0-9]{4}\b",
        Check::Alone(checks::us_itin),
    ),
    Row::new(
        Kind::UsIndividualTaxIdentificationNumber,
        Gate::Words(&["itin", "tax"]),
        r"(?i-u)\b(?:itin|tax(?:payer)?[ -](?:id(?:entification)?|payer))\b~\b(9[0-9]{8})\b",
        Check::Alone(checks::us_itin),
    ),
    Row::new(
        Kind::CaSocialInsuranceNumber,
        Gate::Digits(9),
        r"(?-u)\b[0-9]{3}[- ][0-9]{3}[- ][0-9]{3}\b",
        Check::Alone(checks::ca_sin),
    ),
    Row::new(
        Kind::CaSocialInsuranceNumber,
        Gate::Words(&["sin", "social insurance"]),
        r"(?i-u)\b(?:sin|social insurance)\b~\b([0-9]{9})\b",
        Check::Alone(checks::ca_sin),
    ),
    Row::new(
        Kind::UkNationalInsuranceNumber,
        Gate::Digits(6),
        r"(?i-u)\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]\b",
        Check::Value(checks::uk_national_insurance),
    ),
    Row::new(
        Kind::UkNationalHealthServiceNumber,
        Gate::Words(&["nhs", "health service"]),
        r"(?i-u)\b(?:nhs|national health service)\b~\b([0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4})\b",
        Check::Alone(checks::uk_nhs),
    ),
    Row::new(
        Kind::UkUniqueTaxpayerReferenceNumber,
        Gate::Words(&["utr", "taxpayer ref"]),
        r"(?i-u)\b(?:utr|(?:unique )?taxpayer reference)\b~\b([0-9]{5} ?[0-9]{5})\b",
        Check::Alone(checks::uk_utr),
    ),
    Row::new(
        Kind::VehicleIdentificationNumber,
        Gate::Digits(3),
        r"(?i-u)\b[A-HJ-NPR-Z0-9]{17}\b",
        Check::Value(checks::vin),
    ),
    Row::new(
        Kind::VehicleIdentificationNumber,
        Gate::Words(&["vin", "vehicle id", "chassis"]),
        r"(?i-u)\b(?:vin|vehicle id(?:entification)?|chassis)\b~\b([A-HJ-NPR-Z0-9]{17})\b",
        Check::Value(has_three_digits),
    ),
    Row::new(
        Kind::UsBankRoutingNumber,
        Gate::Words(&["routing", "aba", "rtn"]),
        r"(?i-u)\b(?:routing|aba|rtn)\b~\b([0-9]{9})\b",
        Check::Alone(checks::aba_routing),
    ),
    Row::new(
        Kind::SwiftCode,
        Gate::Words(&["swift", "bic"]),
        r"(?-u)(?i:\b(?:swift(?:/bic)?|bic))\b(?i:~)\b([A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)\b",
        Check::Value(checks::bic),
    ),
    Row::new(
        Kind::SwiftCode,
        Gate::Byte(b'X'),
        r"(?-u)\b[A-Z]{6}[A-Z0-9]{2}XXX\b",
        Check::Value(checks::bic),
    ),
    Row::new(
        Kind::UsPassportNumber,
        Gate::Words(&["passport"]),
        r"(?i-u)\bpassport\b~\b([A-Z]?[0-9]{8,9})\b",
        Check::Value(nine_characters),
    ),
    Row::new(
        Kind::CaHealthNumber,
        Gate::Words(&[
            "health card",
            "health number",
            "ohip",
            "phn",
            "ramq",
            "health insurance",
        ]),
        r"(?i-u)\b(?:health (?:card|number|insurance)|ohip|phn|ramq)\b~\b([A-Z]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|[0-9]{4}[ -]?[0-9]{3}[ -]?[0-9]{3}(?:[ -]?[A-Z]{2}\b)?|[0-9]{9})\b",
        Check::Taken,
    ),
    Row::new(
        Kind::UsBankAccountNumber,
        Gate::Words(&["account", "acct", "a/c"]),
        r"(?i-u)\b(?:account|acct|a/c)\b~\b([0-9](?:[ -]?[0-9]){5,16})\b",
        Check::Value(digits_within::<6, 17>),
    ),
    Row::new(
        Kind::DriverId,
        Gate::Words(&["driver", "driving", "dl"]),
        r"(?i)\b(?:driver(?:['’]?s|s['’])? ?licen[sc]e|driving licen[sc]e|dl)\b~\b([A-Z]{0,5}[ -]?[0-9](?:[ -]?[A-Z0-9]){4,17})\b",
        Check::Part(numbers::driver_id),
    ),
    Row::new(
        Kind::LicensePlate,
        Gate::Words(&["plate", "registration", "tag number"]),
        r"(?i-u)\b(?:(?:licen[sc]e|number|car|vehicle) ?plates?|plates?|(?:car|vehicle) registration|registration (?:number|plate)|tag number)\b~\b(?-i:([A-Z0-9]{1,4}[ -]?[A-Z0-9]{2,5}))\b",
        Check::Value(mixed_plate),
    ),
    Row::new(
        Kind::CreditDebitCardCvv,
        Gate::Words(&["cvv", "cvc", "security code", "verification", "csc"]),
        r"(?i-u)\b(?:cvv2?|cvc2?|csc|(?:card )?security code|card verification(?: value| code| number)?)(?:\b|\))~\b([0-9]{3,4})\b",
        Check::Taken,
    ),
    Row::new(
        Kind::CreditDebitCardExpiry,
        Gate::Words(&["exp", "valid th", "valid until", "valid till", "good thru"]),
        r"(?i-u)\b(?:exp(?:iry|ires|iration|iring)?(?: date)?|valid (?:thru|through|until|till)|good thru)\b~\b((?:0[1-9]|1[0-2]) ?[/-] ?(?:20)?[0-9]{2})\b",
        Check::Taken,
    ),
    Row::new(
        Kind::Pin,
        Gate::Words(&["pin"]),
        r"(?i-u)\bpin\b~\b([0-9]{4,8})\b",
        Check::Taken,
    ),
    Row::new(
        Kind::AwsAccessKey,
        Gate::Byte(b'A'),
        r"(?-u)\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
        Check::Taken,
    ),
    Row::new(
        Kind::AwsSecretKey,
        Gate::Open,
        r"(?-u)[A-Za-z0-9/+]{40,}",
        Check::Several(numbers::secret_keys),
    ),
    Row::new(
        Kind::MacAddress,
        Gate::Digits(1),
        r"(?i-u)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b|\b(?:[0-9a-f]{2}-){5}[0-9a-f]{2}\b|\b(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}\b",
        Check::Taken,
    ),
    Row::new(
        Kind::IpAddress,
        Gate::Digits(4),
        r"(?-u)\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b",
        Check::Alone(numbers::ipv4),
    ),
    Row::new(
        Kind::IpAddress,
        Gate::Byte(b':'),
        r"(?-u)[0-9A-Fa-f:]{0,40}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{0,40}",
        Check::Several(numbers::ipv6),
    ),
    Row::new(
        Kind::Email,
        Gate::Byte(b'@'),
        r"[\p{L}\p{N}_%+-][\p{L}\p{N}._%+'-]*@(?:[\p{L}\p{N}][\p{L}\p{N}-]*\.)+\p{L}\p{L}+",
        Check::Taken,
    ),
    Row::new(
        Kind::Url,
        Gate::Words(&["://", "www."]),
        r#"(?i)\b(?:(?:https?|ftps?|sftp|wss?|file|s3)://|www\.)[^\s<>"'{}|\\^`\[\]]+"#,
        Check::Part(url_part),
    ),
    Row::new(
        Kind::Phone,
        Gate::Digits(7),
        r"(?-u)\+?\(?[0-9](?:[ ().\-/]{0,3}[0-9]){6,}",
        Check::Several(numbers::phones),
    ),
    Row::new(
        Kind::Username,
        Gate::Words(&["user", "login", "screen", "nick", "handle"]),
        r#"(?i-u)\b(?:user[ _-]?(?:name|id)|login(?:[ _-]?(?:name|id))?|screen ?name|nick ?name|handle)(?:["']?[ \t]*[:=][ \t]*| is:? | was )["'`@]?([A-Za-z0-9][A-Za-z0-9_.@+-]{1,63})"#,
        Check::Part(secret_part),
    ),
    Row::new(
        Kind::Password,
        Gate::Words(&["password", "passcode", "passphrase", "passwd", "pwd"]),
        r#"(?i)\b(?:pass(?:word|code|phrase|wd)|pwd)(?:["']?[ \t]*[:=][ \t]*| is:? | was )["'`]?([^\s"'`,;]{4,64})"#,
        Check::Part(secret_part),
    ),
    Row::new(
        Kind::Age,
        Gate::Words(&["old", "of age", "y/o"]),
        r"(?i-u)\b([0-9]{1,3}[ -]?(?:(?:years?|yrs?|months?)[ -](?:old|of age)|y/?o))\b",
        Check::Value(plausible_age),
    ),
    Row::new(
        Kind::Age,
        Gate::Words(&["age", "turn"]),
        r"(?i-u)\b(?:aged?|age of|turned|turning|turns)(?:[ :=]{1,3}|(?: was| is) )([0-9]{1,3})\b",
        Check::Value(plausible_age),
    ),
];
