//! Checksums and number rules of identifiers.
//!
//! Each takes what a pattern found, separators and all, and says whether it can be the real thing.

/// The digits of a text as numbers.
pub(super) fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn all_same<T: PartialEq>(items: &[T]) -> bool {
    items.windows(2).all(|pair| pair[0] == pair[1])
}

/// Luhn's sum, doubling every second digit from the right.
pub(super) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10) && !digits.is_empty() && !all_same(digits)
}

/// A card's number: length and first digit of a known scheme, and Luhn.
pub(super) fn card(text: &str) -> bool {
    let digits = digits(text);
    let scheme = match (digits.first(), digits.len()) {
        (Some(4), 13 | 16 | 19) | (Some(2 | 5), 16) | (Some(6), 16..=19) | (Some(3), 14..=16) => {
            true
        }
        (Some(5), length) => (13..=19).contains(&length),
        _ => false,
    };
    scheme && luhn(&digits)
}

/// Weighted sum of leading digits.
fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| digit * weight)
        .sum()
}

/// A routing number of the American Bankers Association.
pub(super) fn aba_routing(text: &str) -> bool {
    let digits = digits(text);
    let &[a, b, ..] = digits.as_slice() else {
        return false;
    };
    let district = a * 10 + b;
    let known = matches!(district, 0..=12 | 21..=32 | 61..=72 | 80);
    let sum = weighted(&digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]);
    digits.len() == 9 && known && sum.is_multiple_of(10) && !all_same(&digits)
}

/// A social security number that may have been issued: areas 000, 666 and 900 and above, group 00 and
/// serial 0000 never are.
pub(super) fn us_ssn(text: &str) -> bool {
    let digits = digits(text);
    let number = digits.iter().fold(0, |number, digit| number * 10 + digit);
    let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
    let area_issued = area != 0 && area != 666 && area < 900;
    digits.len() == 9 && area_issued && group != 0 && serial != 0
}

/// An individual taxpayer's number: area 9xx and the groups the tax office gives out.
pub(super) fn us_itin(text: &str) -> bool {
    let digits = digits(text);
    let &[9, _, _, a, b, ..] = digits.as_slice() else {
        return false;
    };
    let group = a * 10 + b;
    digits.len() == 9 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// A number of the National Health Service: modulus 11.
pub(super) fn uk_nhs(text: &str) -> bool {
    let digits = digits(text);
    let Some((&check, body)) = digits.split_last() else {
        return false;
    };
    let expected = 11 - weighted(body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let expected = if expected == 11 { 0 } else { expected };
    digits.len() == 10 && expected == check && !all_same(&digits)
}

/// A unique taxpayer reference: its first digit checks the other nine.
pub(super) fn uk_utr(text: &str) -> bool {
    const CHECKS: [u32; 11] = [2, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    let digits = digits(text);
    let Some((check, body)) = digits.split_first() else {
        return false;
    };
    let rest = weighted(body, &[6, 7, 8, 9, 10, 5, 4, 3, 2]) % 11;
    digits.len() == 10 && CHECKS.get(rest as usize) == Some(check)
}

/// A national insurance number: prefixes that are never given out.
pub(super) fn uk_national_insurance(text: &str) -> bool {
    let prefix: String = text
        .chars()
        .take(2)
        .collect::<String>()
        .to_ascii_uppercase();
    !matches!(
        prefix.as_str(),
        "BG" | "GB" | "KN" | "NK" | "NT" | "TN" | "ZZ"
    )
}

/// A social insurance number: Luhn, and a first digit that is given out.
pub(super) fn ca_sin(text: &str) -> bool {
    let digits = digits(text);
    let given_out = matches!(digits.first(), Some(1..=7 | 9));
    digits.len() == 9 && given_out && luhn(&digits)
}

/// A vehicle's number: its ninth character checks the others (ISO 3779 as North America has it).
pub(super) fn vin(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let mut sum = 0;
    let mut letters = 0;
    for (character, weight) in text.chars().zip(WEIGHTS) {
        let character = character.to_ascii_uppercase();
        letters += u32::from(character.is_ascii_alphabetic());
        let value = match character {
            'A' | 'J' => 1,
            'B' | 'K' | 'S' => 2,
            'C' | 'L' | 'T' => 3,
            'D' | 'M' | 'U' => 4,
            'E' | 'N' | 'V' => 5,
            'F' | 'W' => 6,
            'G' | 'P' | 'X' => 7,
            'H' | 'Y' => 8,
            'R' | 'Z' => 9,
            digit => match digit.to_digit(10) {
                Some(value) => value,
                None => return false,
            },
        };
        sum += value * weight;
    }
    let check = match text.chars().nth(8) {
        Some('X' | 'x') => 10,
        Some(digit) => digit.to_digit(10).unwrap_or(u32::MAX),
        None => return false,
    };
    text.len() == 17 && letters > 0 && sum % 11 == check
}

/// Lengths of international bank account numbers by country.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 \
    CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 \
    HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 \
    ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 \
    SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// The length in bytes of the account number that `text` begins with: as long as its country's are,
/// and right modulo 97.
pub(super) fn iban(text: &str) -> Option<usize> {
    let country = text.get(..2)?.to_ascii_uppercase();
    let row = IBAN_LENGTHS
        .split(' ')
        .find(|row| row.starts_with(&country))?;
    let length: usize = row.get(2..)?.parse().ok()?;
    let mut end = 0;
    let mut plain = Vec::with_capacity(length);
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() {
            plain.push(byte.to_ascii_uppercase());
        }
        if plain.len() == length {
            end = at + 1;
            break;
        }
    }
    // What goes on with a letter or digit is a longer word.
    let goes_on = text
        .as_bytes()
        .get(end)
        .is_some_and(u8::is_ascii_alphanumeric);
    if end == 0 || goes_on {
        return None;
    }
    let (head, rest) = plain.split_at(4);
    let remainder = rest.iter().chain(head).fold(0_u32, |sum, byte| {
        if byte.is_ascii_digit() {
            (sum * 10 + u32::from(byte - b'0')) % 97
        } else {
            (sum * 100 + u32::from(byte - b'A') + 10) % 97
        }
    });
    (remainder == 1).then_some(end)
}

/// Two-letter codes of countries and territories (ISO 3166-1), with XK.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN \
    BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ \
    EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM \
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK \
    LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG \
    NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG \
    SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM \
    US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// A business identifier code: its fifth and sixth letters are a country.
pub(super) fn bic(text: &str) -> bool {
    text.get(4..6)
        .is_some_and(|country| COUNTRIES.split(' ').any(|known| known == country))
}

/// A telephone number, of what looks like digits with separators.
///
/// International ones, North American ones, and national ones that begin with a nought; with `told`,
/// because a word before it says so, any of seven digits and more.
pub(super) fn phone(text: &str, told: bool) -> bool {
    let digits = digits(text);
    let separated = text.bytes().any(|byte| !byte.is_ascii_digit());
    let grouping: Vec<usize> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .map(str::len)
        .collect();
    if looks_like_another_number(text, &grouping) {
        return false;
    }
    if text.starts_with('+') {
        return (8..=15).contains(&digits.len());
    }
    if told && (7..=15).contains(&digits.len()) {
        return true;
    }
    let national = match digits.as_slice() {
        [1, rest @ ..] if rest.len() == 10 => rest,
        all => all,
    };
    match *national {
        [area, _, _, exchange, ..] if national.len() == 10 && area >= 2 && exchange >= 2 => {
            matches!(
                grouping.as_slice(),
                [3, 3, 4] | [1, 3, 3, 4] | [3, 7] | [1, 3, 7] | [1, 10]
            )
        }
        [0, second, ..] if second > 0 && (10..=11).contains(&national.len()) => {
            separated || (second == 7 && national.len() == 11)
        }
        _ => false,
    }
}

/// Groups of dates, social security numbers, addresses of machines.
fn looks_like_another_number(text: &str, grouping: &[usize]) -> bool {
    let dots = text.bytes().filter(|byte| *byte == b'.').count();
    match *grouping {
        [1..=3, 2, 4] | [1 | 2, 1, 4] | [4, 4, 4, 4] | [4, 2, 2, ..] => true,
        [_, _, _, _] if dots == 3 => true,
        [_, _] if dots == 1 => true,
        _ => false,
    }
}

/// Whether a mixture of characters is likely random: capitals, small letters, digits, and few twice.
pub(super) fn random_looking(text: &str) -> bool {
    let mut seen = [false; 128];
    let (mut upper, mut lower, mut digit) = (0, 0, 0);
    for byte in text.bytes() {
        upper += u32::from(byte.is_ascii_uppercase());
        lower += u32::from(byte.is_ascii_lowercase());
        digit += u32::from(byte.is_ascii_digit());
        if let Some(slot) = seen.get_mut(usize::from(byte)) {
            *slot = true;
        }
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    upper >= 4 && lower >= 4 && digit >= 2 && distinct >= 18
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_tell_right_from_wrong() {
        for (check, right, wrong) in [
            (
                card as fn(&str) -> bool,
                "4111 1111 1111 1111",
                "4111 1111 1111 1112",
            ),
            (card, "378282246310005", "378282246310006"),
            (aba_routing, "021000021", "021000022"),
            (us_ssn, "123-45-6789", "666-45-6789"),
            (us_itin, "912-70-1234", "912-69-1234"),
            (uk_nhs, "943 476 5919", "943 476 5918"),
            (uk_utr, "1123456789", "2123456789"),
            (uk_national_insurance, "AB 12 34 56 C", "GB 12 34 56 C"),
            (ca_sin, "130 692 544", "130 692 545"),
            (vin, "1M8GDM9AXKP042788", "1M8GDM9A1KP042788"),
            (bic, "DEUTDEFF", "DEUTZZFF"),
        ] {
            assert!(check(right), "{right}");
            assert!(!check(wrong), "{wrong}");
        }
    }

    #[test]
    fn account_numbers_end_where_their_country_says() {
        for (text, expected) in [
            ("GB29 NWBK 6016 1331 9268 19 and more", Some(27)),
            ("DE89370400440532013000", Some(22)),
            ("DE89370400440532013001", None),
            ("DE893704004405320130009", None),
            ("ZZ89370400440532013000", None),
            ("NO9386011117947", Some(15)),
        ] {
            assert_eq!(iban(text), expected, "{text}");
        }
    }

    #[test]
    fn telephone_numbers() {
        for (text, told, expected) in [
            ("+1 206 555 0100", false, true),
            ("+4915112345678", false, true),
            ("(206) 555-0100", false, true),
            ("206.555.0100", false, true),
            ("2065550100", false, false),
            ("2065550100", true, true),
            ("555-0100", false, false),
            ("555-0100", true, true),
            ("020 7946 0958", false, true),
            ("07700900123", false, true),
            ("2024-01-15", false, false),
            ("2024-01-15", true, false),
            ("123-45-6789", true, false),
            ("192.168.10.100", true, false),
            ("4111 1111 1111 1111", true, false),
        ] {
            assert_eq!(phone(text, told), expected, "{text} {told}");
        }
    }
}
