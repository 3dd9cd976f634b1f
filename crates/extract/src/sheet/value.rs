//! A cell's value as text, near to how Excel shows it.

use calamine::{Data, DataRef, ExcelDateTime};

/// Digits of a number that Excel keeps.
const DIGITS: usize = 15;

/// Numbers from here on, or below its inverse, are written with an exponent.
const LARGE: f64 = 1e15;

pub(super) fn of_ref(value: &DataRef<'_>) -> String {
    match value {
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::Int(value) => value.to_string(),
        DataRef::Float(value) => number(*value),
        DataRef::Bool(value) => boolean(*value),
        DataRef::DateTime(value) => moment(*value),
        // A failed formula is no text.
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

pub(super) fn of(value: &Data) -> String {
    match value {
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Int(value) => value.to_string(),
        Data::Float(value) => number(*value),
        Data::Bool(value) => boolean(*value),
        Data::DateTime(value) => moment(*value),
        Data::Error(_) | Data::Empty => String::new(),
    }
}

fn boolean(value: bool) -> String {
    if value { "TRUE" } else { "FALSE" }.to_owned()
}

/// Without the digits that only binary fractions have.
fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0" } else { "" }.to_owned();
    }
    let rounded: f64 = format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value);
    if rounded.abs() >= LARGE || rounded.abs() < 1.0 / LARGE {
        format!("{rounded:e}")
    } else {
        rounded.to_string()
    }
}

/// A date, a time, or both, as ISO 8601 has them; a duration in hours.
fn moment(value: ExcelDateTime) -> String {
    const SECONDS_A_DAY: f64 = 86_400.0;
    if value.is_duration() {
        let seconds = (value.as_f64() * SECONDS_A_DAY).round();
        let (hours, rest) = ((seconds / 3600.0).trunc(), (seconds % 3600.0).abs());
        let (minutes, seconds) = ((rest / 60.0).trunc(), rest % 60.0);
        return format!("{hours}:{minutes:02}:{seconds:02}");
    }
    let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = if second == 0 {
        format!("{hour:02}:{minute:02}")
    } else {
        format!("{hour:02}:{minute:02}:{second:02}")
    };
    let day_fraction = value.as_f64().fract();
    if value.as_f64().abs() < 1.0 && day_fraction != 0.0 {
        time
    } else if day_fraction == 0.0 {
        date
    } else {
        format!("{date} {time}")
    }
}
