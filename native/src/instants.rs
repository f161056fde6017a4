//! RFC 3339 as producers write it, to microseconds since 1970.

const SECOND: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// `2026-01-31T12:00:00.123456+01:00`, with `Z` or an offset and at most six digits after the point.
/// None: anything else, which may still be an instant to the Python path.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(19)?;
    for (position, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if date[position] != mark {
            return None;
        }
    }
    let year = 100 * two(date, 0)? + two(date, 2)?;
    let (month, day) = (two(date, 5)?, two(date, 8)?);
    let (hour, minute, second) = (two(date, 11)?, two(date, 14)?, two(date, 17)?);
    if year == 0 || !(1..=12).contains(&month) || !(1..=month_days(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let offset = offset_seconds(rest)?;
    let seconds = hour * 3_600 + minute * 60 + second - offset;
    Some((days(year, month, day) * DAY_SECONDS + seconds) * SECOND + micros)
}

fn two(text: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = digits.iter().take_while(|c| c.is_ascii_digit()).count();
    if !(1..=6).contains(&count) {
        return None;
    }
    let value = digits[..count]
        .iter()
        .fold(0, |sum, c| sum * 10 + i64::from(c - b'0'));
    Some((value * 10_i64.pow(6 - count as u32), &digits[count..]))
}

fn offset_seconds(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(text, 1)?, two(text, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that
/// the day that only some of them have is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// Microseconds since 1970 as `to_rfc3339` writes them. None: before the year 1 or after 9999.
pub fn put(at_us: i64, out: &mut Vec<u8>) -> Option<()> {
    let (seconds, micros) = (at_us.div_euclid(SECOND), at_us.rem_euclid(SECOND));
    let (year, month, day) = date(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    if !(1..=9999).contains(&year) {
        return None;
    }
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put_two(year / 100, &mut text[0..]);
    put_two(year % 100, &mut text[2..]);
    put_two(month, &mut text[5..]);
    put_two(day, &mut text[8..]);
    put_two(second / 3_600, &mut text[11..]);
    put_two(second / 60 % 60, &mut text[14..]);
    put_two(second % 60, &mut text[17..]);
    if micros == 0 {
        out.extend_from_slice(&text[..19]);
        out.push(b'Z');
        return Some(());
    }
    put_two(micros / 10_000, &mut text[20..]);
    put_two(micros / 100 % 100, &mut text[22..]);
    put_two(micros % 100, &mut text[24..]);
    out.extend_from_slice(&text);
    Some(())
}

fn put_two(value: i64, text: &mut [u8]) {
    text[0] = b'0' + (value / 10) as u8;
    text[1] = b'0' + (value % 10) as u8;
}

/// The date that lies so many days after 1970-01-01: `days` backwards.
fn date(days: i64) -> (i64, i64, i64) {
    const YEARS_400: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(YEARS_400), days.rem_euclid(YEARS_400));
    let year = (day - day / 1_460 + day / 36_524 - day / (YEARS_400 - 1)) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let after_december = i64::from(month >= 10);
    (
        400 * era + year + after_december,
        month + 3 - 12 * after_december,
        day_of_month,
    )
}
